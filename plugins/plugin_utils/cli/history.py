# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lastack history``: what runs found, kept by application and day, and how it grows."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.plugin_utils.cli.outcome import SUCCESS, CommandError
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.probe import as_json
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.terminal import (
    add_colour_option,
    screen_width,
    wants_colour,
    write,
)

if TYPE_CHECKING:
    import argparse

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "keep what each run found, and show how leaks grow from day to day"

_ADD, _FORGET = "add", "forget"
_MOST_DAYS = 3660
_DEFAULT_DAYS = 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``lastack history``."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="add RUN_FOLDER | forget | APP",
        help="add: keep these runs, each once; forget: drop the days before --before; APP: plot this application;"
        " nothing: every application on a line",
    )
    parser.add_argument("--app", metavar="APP", help="plot this application, also one that is called add or forget")
    parser.add_argument(
        "--days", metavar="N", type=int, default=_DEFAULT_DAYS, help="how many, up to the newest run (default: 30)"
    )
    parser.add_argument("--before", metavar="DATE", help="with forget: the first day to keep, as YYYY-MM-DD (UTC)")
    parser.add_argument(
        "--file",
        metavar="PATH",
        help="the history file (default: $XDG_STATE_HOME/lastack/history.sqlite or ~/.local/state/…)",
    )
    parser.add_argument("--json", action="store_true", help="print the history as lastack.history/1")
    parser.add_argument("--html", metavar="PATH", help="also write it as a page; - prints that instead of the screen")
    add_colour_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Add runs, forget days, or show the history."""
    from ansible_collections.lastack.linux.plugins.plugin_utils.history_schema import (  # noqa: PLC0415 - probe is fast
        HistoryError,
    )
    from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import (  # noqa: PLC0415 - the same
        RunFolderError,
    )

    verb = arguments.words[0] if arguments.words else ""
    _refuse(arguments, verb)
    try:
        if verb == _ADD:
            _add(arguments)
        elif verb == _FORGET:
            _forget(arguments)
        else:
            _show(arguments, arguments.app or verb or None)
    except (HistoryError, RunFolderError) as error:
        raise CommandError(str(error)) from None
    return SUCCESS


def _refuse(arguments: argparse.Namespace, verb: str) -> None:
    if verb == _ADD and len(arguments.words) == 1:
        raise CommandError("history add needs a run folder.")
    if verb != _ADD and len(arguments.words) > 1:
        raise CommandError(f"history {verb} takes nothing more: {arguments.words[1]!r} is one too many.")
    if arguments.app is not None and verb:
        raise CommandError("--app goes with nothing but options.")
    if (verb == _FORGET) != (arguments.before is not None):
        raise CommandError("history forget and --before DATE go together.")
    if verb in (_ADD, _FORGET) and (arguments.json or arguments.html is not None):
        raise CommandError(f"--json and --html show the history: they do not go with {verb}.")
    if not 1 <= arguments.days <= _MOST_DAYS:
        raise CommandError(f"--days must be from 1 to {_MOST_DAYS:,}.")
    if arguments.json and arguments.html == "-":
        raise CommandError("--json and --html - both want standard output: name a file for the page.")
    for option in ("file", "html", "app"):
        if getattr(arguments, option) == "":
            raise CommandError(f"--{option} needs a name.")


def _path(arguments: argparse.Namespace) -> str:
    from ansible_collections.lastack.linux.plugins.plugin_utils.history_store import (  # noqa: PLC0415 - the same
        default_path,
    )

    return arguments.file or str(default_path())


def _add(arguments: argparse.Namespace) -> None:
    from ansible_collections.lastack.linux.plugins.plugin_utils.history_sink import add_run  # noqa: PLC0415 - the same
    from ansible_collections.lastack.linux.plugins.plugin_utils.history_store import opened  # noqa: PLC0415 - the same

    path = _path(arguments)
    for folder in arguments.words[1:]:
        # A history is made only for a run that can be read.
        if not os.path.isdir(folder):  # noqa: PTH112 - pathlib costs a tenth of a probe's start
            raise CommandError(f"{folder} is no run folder.")
    with opened(path, write=True) as store:
        for folder in arguments.words[1:]:
            new = add_run(store, folder)
            write(f"{folder}: {'added to' if new else 'is already in'} {path}")


def _forget(arguments: argparse.Namespace) -> None:
    import datetime  # noqa: PLC0415 - the same

    from ansible_collections.lastack.linux.plugins.plugin_utils.history_store import opened  # noqa: PLC0415 - the same

    try:
        before = datetime.date.fromisoformat(arguments.before)
    except ValueError:
        raise CommandError(f"--before {arguments.before}: this is no day such as 2026-11-23.") from None
    path = _path(arguments)
    if not os.path.exists(path):  # noqa: PTH110 - pathlib costs a tenth of a probe's start
        raise CommandError(f"{path} does not exist: there is nothing to forget.")
    with opened(path, write=True) as store:
        gone = store.forget(before.isoformat())
    write(f"{gone:,} {'run' if gone == 1 else 'runs'} before {before.isoformat()} forgotten in {path}")


def _show(arguments: argparse.Namespace, app: str | None) -> None:
    from ansible_collections.lastack.linux.plugins.plugin_utils.cli.output_files import (  # noqa: PLC0415 - the same
        STDOUT,
        open_output,
        refuse_inputs,
    )
    from ansible_collections.lastack.linux.plugins.plugin_utils.history_days import (  # noqa: PLC0415 - the same
        build_history,
    )
    from ansible_collections.lastack.linux.plugins.plugin_utils.history_store import opened  # noqa: PLC0415 - the same
    from ansible_collections.lastack.linux.plugins.plugin_utils.render.text_history import (  # noqa: PLC0415 - the same
        render_history,
    )

    path = _path(arguments)
    refuse_inputs({"--html": arguments.html}, [path])
    with opened(path) as store:
        history = build_history(store, days=arguments.days, app=app)
    if arguments.html is not None:
        from ansible_collections.lastack.linux.plugins.plugin_utils.render.html_history import (  # noqa: PLC0415 - the same
            history_page,
        )

        with open_output(arguments.html) as file:
            file.write(history_page(history).encode("utf-8"))
    if arguments.json:
        write(as_json(history))
    elif arguments.html != STDOUT:
        write(
            render_history(
                history,
                app=app,
                file=arguments.file,
                colour=wants_colour(arguments.colour),
                width=screen_width(),
                ascii_only=not (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf8"),
            )
        )
