# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a look as flags, the same for every command that looks at hosts."""

from __future__ import annotations

import argparse
import math
from typing import Any

from ansible_collections.lastack.linux.plugins.plugin_utils.cli.outcome import CommandError

__all__ = ["add_look_options", "at_least_one", "look_keywords", "positive_seconds"]

_LONGEST_PAUSE_S = 86_400


def add_look_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add the options that say what to look at; return their group."""
    look = parser.add_argument_group("what to look at")
    look.add_argument(
        "--min-age-s",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="a younger CLOSE_WAIT socket is in transit, not leaked (default: 60)",
    )
    look.add_argument("--top", type=at_least_one, default=20, metavar="N", help="rows of every list (default: 20)")
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
    return look


def look_keywords(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what ``add_look_options`` has read, as keywords of ``Options``, with the catalogue if it is asked for.

    Raises ``CommandError`` for a subset that does not exist.
    """
    from ansible_collections.lastack.linux.plugins.module_utils.options import (  # noqa: PLC0415 - explain needs none
        OptionsError,
        gather_subsets,
    )

    gather = tuple(name.strip() for names in arguments.gather or ["all"] for name in names.split(",") if name.strip())
    try:
        subsets = gather_subsets(gather)
    except OptionsError as error:
        raise CommandError(str(error)) from None
    return {
        "min_age_s": arguments.min_age_s,
        "top": arguments.top,
        "namespaces": arguments.namespaces,
        "sockets": arguments.sockets,
        "gather": gather,
        "redact": arguments.redact,
        "agent": arguments.agent,
        "catalogue": _catalogue() if "sysctls" in subsets else {},
    }


def _catalogue() -> Any:  # noqa: ANN401 - handed through from the catalogue to the collector
    from ansible_collections.lastack.linux.plugins.plugin_utils.catalogue import (  # noqa: PLC0415 - brings PyYAML
        for_target,
        load_catalogue,
    )

    return for_target(load_catalogue())


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds) or seconds < 0:
        raise argparse.ArgumentTypeError(f"{text!a} is not a number of seconds")
    return seconds


def positive_seconds(text: str) -> float:
    """Read a number of seconds, above 0 and at most a day."""
    seconds = _seconds(text)
    if not 0 < seconds <= _LONGEST_PAUSE_S:
        raise argparse.ArgumentTypeError(f"must be more than 0 and at most {_LONGEST_PAUSE_S:,} seconds")
    return seconds


def at_least_one(text: str) -> int:
    """Read a whole number from 1."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!a} is not a whole number from 1")
    return int(text)
