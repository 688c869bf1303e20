# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lastack probe``: this host, right now, on one screen."""

from __future__ import annotations

import argparse
import json
import math
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.cli.outcome import LEVELS, CommandError, exit_status
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.terminal import (
    add_colour_option,
    screen_width,
    wants_colour,
    write,
)

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.plugins.module_utils.options import Options
    from ansible_collections.lastack.linux.plugins.module_utils.sightings import Sightings

__all__ = ["SUMMARY", "add_arguments", "as_json", "run"]

SUMMARY = "look at this host once and show what needs a decision"


_LONGEST_PAUSE_S = 86_400


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``lastack probe``: the module's options as flags, and how to show the result."""
    look = parser.add_argument_group("what to look at")
    look.add_argument(
        "--min-age-s",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="a younger CLOSE_WAIT socket is in transit, not leaked (default: 60)",
    )
    look.add_argument("--top", type=_at_least_one, default=20, metavar="N", help="rows of every list (default: 20)")
    look.add_argument(
        "--namespaces",
        choices=("all", "host"),
        default="all",
        help="network namespaces to read: all, or only the one of this command (default: all)",
    )
    look.add_argument("--sockets", action="store_true", help="list the CLOSE_WAIT sockets one by one, capped")
    look.add_argument(
        "--gather",
        action="append",
        metavar="SUBSETS",
        help="subsets with commas, '!' leaves one out, such as '!sysctls' (default: all)",
    )
    look.add_argument(
        "--no-redact", action="store_false", dest="redact", help="keep what may carry a secret, such as paths"
    )
    look.add_argument(
        "--no-agent", action="store_false", dest="agent", help="leave out what a resident agent has watched here"
    )
    look.add_argument(
        "--timeout-s",
        type=_positive_seconds,
        default=30.0,
        metavar="SECONDS",
        help="end of the whole look; what it cuts short is said (default: 30)",
    )
    show = parser.add_argument_group("how to show it")
    show.add_argument("--json", action="store_true", help="print the host report; with --watch one per line")
    show.add_argument(
        "--watch",
        type=_positive_seconds,
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
        OptionsError,
        gather_subsets,
    )

    gather = tuple(name.strip() for names in arguments.gather or ["all"] for name in names.split(",") if name.strip())
    try:
        subsets = gather_subsets(gather)
    except OptionsError as error:
        raise CommandError(str(error)) from None
    return Options(
        collector="probe",
        min_age_s=arguments.min_age_s,
        top=arguments.top,
        namespaces=arguments.namespaces,
        sockets=arguments.sockets,
        gather=gather,
        redact=arguments.redact,
        timeout_s=arguments.timeout_s,
        agent=arguments.agent,
        catalogue=_catalogue() if "sysctls" in subsets else {},
    )


def _catalogue() -> Any:  # noqa: ANN401 - handed through from the catalogue to the collector
    from ansible_collections.lastack.linux.plugins.plugin_utils.catalogue import (  # noqa: PLC0415 - brings PyYAML
        for_target,
        load_catalogue,
    )

    return for_target(load_catalogue())


def _look(options: Options, sightings: Sightings | None = None) -> dict[str, Any]:
    from ansible_collections.lastack.linux.plugins.module_utils.report import (  # noqa: PLC0415 - explain needs none
        OptionsError,
        collect_report,
    )

    try:
        return collect_report(options, sightings=sightings)
    except OptionsError as error:
        raise CommandError(str(error)) from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds) or seconds < 0:
        raise argparse.ArgumentTypeError(f"{text!a} is not a number of seconds")
    return seconds


def _positive_seconds(text: str) -> float:
    seconds = _seconds(text)
    if not 0 < seconds <= _LONGEST_PAUSE_S:
        raise argparse.ArgumentTypeError(f"must be more than 0 and at most {_LONGEST_PAUSE_S:,} seconds")
    return seconds


def _at_least_one(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!a} is not a whole number from 1")
    return int(text)
