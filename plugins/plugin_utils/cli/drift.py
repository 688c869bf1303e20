# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lastack drift``: in which settings and limits the hosts of a run differ."""

from __future__ import annotations

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

SUMMARY = "show in which sysctls and limits the hosts of a run differ, and whose files say so"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``lastack drift``."""
    parser.add_argument("run_folder", metavar="RUN", help="a run folder (lastack.run/1)")
    parser.add_argument(
        "key", metavar="KEY", nargs="?", help="one sysctl, or the application or login whose limits are meant, in full"
    )
    parser.add_argument("--all", action="store_true", help="also what is the same on every host")
    parser.add_argument("--json", action="store_true", help="print the view as lastack.drift/1")
    add_colour_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Read a run folder and print its drift; the exit status does not depend on what is found."""
    from ansible_collections.lastack.linux.plugins.plugin_utils.drift_run import (  # noqa: PLC0415 - probe is fast
        UnknownKeyError,
        drift_of_run,
    )
    from ansible_collections.lastack.linux.plugins.plugin_utils.render.text_drift import (  # noqa: PLC0415 - the same
        render_drift,
    )
    from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import (  # noqa: PLC0415 - the same
        RunFolderError,
    )

    try:
        drift = drift_of_run(arguments.run_folder, only=arguments.key, everything=arguments.all)
    except (RunFolderError, UnknownKeyError) as error:
        raise CommandError(str(error)) from None
    if arguments.json:
        write(as_json(drift))
    else:
        write(
            render_drift(
                drift,
                key=arguments.key,
                folder=arguments.run_folder,
                colour=wants_colour(arguments.colour),
                width=screen_width(),
            )
        )
    return SUCCESS
