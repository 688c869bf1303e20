# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lastack probe``: this host, right now, on one screen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.cli.look_options import (
    add_look_options,
    look_keywords,
    positive_seconds,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.outcome import LEVELS, CommandError, exit_status
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.terminal import (
    add_colour_option,
    screen_width,
    wants_colour,
    write,
)

if TYPE_CHECKING:
    import argparse

    from ansible_collections.lastack.linux.plugins.module_utils.options import Options
    from ansible_collections.lastack.linux.plugins.module_utils.sightings import Sightings

__all__ = ["SUMMARY", "add_arguments", "as_json", "run"]

SUMMARY = "look at this host once and show what needs a decision"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``lastack probe``: the module's options as flags, and how to show the result."""
    look = add_look_options(parser)
    look.add_argument(
        "--timeout-s",
        type=positive_seconds,
        default=30.0,
        metavar="SECONDS",
        help="end of the whole look; what it cuts short is said (default: 30)",
    )
    show = parser.add_argument_group("how to show it")
    show.add_argument("--json", action="store_true", help="print the host report; with --watch one per line")
    show.add_argument(
        "--watch",
        type=positive_seconds,
        metavar="SECONDS",
        help="look again and again until Ctrl-C: a live view on a terminal, one line per look when piped",
    )
    show.add_argument(
        "--fail-on",
        choices=LEVELS,
        help="exit with 1 if there is such a finding or a worse one; with --watch, as soon as there is",
    )
    add_colour_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Look once, or until interrupted with ``--watch``."""
    options = _options(arguments)
    if arguments.watch is not None:
        from ansible_collections.lastack.linux.plugins.module_utils import sightings  # noqa: PLC0415 - probe is fast
        from ansible_collections.lastack.linux.plugins.plugin_utils.cli import watch  # noqa: PLC0415 - probe is fast

        earlier = sightings.Sightings()
        return watch.run(arguments, lambda: _look(options, earlier))
    report = _look(options)
    if arguments.json:
        write(as_json(report))
    else:
        from ansible_collections.lastack.linux.plugins.plugin_utils.render.text import (  # noqa: PLC0415 - the same
            render_host,
        )

        write(render_host(report, colour=wants_colour(arguments.colour), width=screen_width()))
    return exit_status(report, arguments.fail_on)


def as_json(report: object, *, one_line: bool = False) -> str:
    """Return a report as JSON in ASCII, so that nothing that a host wrote can steer a terminal."""
    return json.dumps(report, indent=None if one_line else 1, allow_nan=False)


def _options(arguments: argparse.Namespace) -> Options:
    from ansible_collections.lastack.linux.plugins.module_utils.options import (  # noqa: PLC0415 - explain needs none
        Options,
    )

    return Options(collector="probe", timeout_s=arguments.timeout_s, **look_keywords(arguments))


def _look(options: Options, sightings: Sightings | None = None) -> dict[str, Any]:
    from ansible_collections.lastack.linux.plugins.module_utils.report import (  # noqa: PLC0415 - explain needs none
        OptionsError,
        collect_report,
    )

    try:
        return collect_report(options, sightings=sightings)
    except OptionsError as error:
        raise CommandError(str(error)) from None
