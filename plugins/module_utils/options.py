# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How to look at a host: the options that module, command and agent share, and what makes no sense in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "GATHER_SUBSETS",
    "LONGEST_LOOK_S",
    "MOST_SECONDS",
    "MOST_TOP",
    "Options",
    "OptionsError",
    "check_options",
    "gather_subsets",
]

_COLLECTORS = ("tcp_facts", "agent", "sweep", "probe")
MOST_SECONDS = 10**9
MOST_TOP = 1000
LONGEST_LOOK_S = 3600

GATHER_SUBSETS = (
    "close_wait",
    "dead_sockets",
    "time_wait",
    "ports",
    "listeners",
    "descriptors",
    "memory",
    "conntrack",
    "counters",
    "sysctls",
)
"""What can be left out of a look; states and completeness always belong to it."""


class OptionsError(ValueError):
    """An option of a look makes no sense; the text says which and why in one sentence."""


class Options(NamedTuple):
    """How to look at a host; the module's options of the same names."""

    collector: str = "probe"
    """``tcp_facts``, ``agent``, ``sweep`` or ``probe``."""
    min_age_s: float = 60.0
    top: int = 20
    namespaces: str = "all"
    sockets: bool = False
    gather: tuple[str, ...] = ("all",)
    redact: bool = True
    timeout_s: float = 30.0
    agent: bool = True
    """Whether to take up what a resident agent has watched."""
    catalogue: Mapping[str, Mapping[str, Any]] = {}
    """Sysctl keys to report, as ``plugin_utils.catalogue.for_target`` gives them."""


def gather_subsets(gather: Sequence[str]) -> frozenset[str]:
    """Return the subsets that ``gather`` asks for; ``!name`` leaves one out, ``all`` is every one.

    Raises:
        OptionsError: for a name that is no subset, and where nothing is left.
    """
    wanted: set[str] = set()
    names = [name.strip() for name in gather if name.strip()]
    if names and not any(not name.startswith("!") for name in names):
        names.insert(0, "all")
    for name in sorted(names, key=lambda text: text.startswith("!")):
        bare = name.lstrip("!")
        if bare not in (*GATHER_SUBSETS, "all"):
            raise OptionsError(f"gather: {bare[:40]!r} is not one of all, {', '.join(GATHER_SUBSETS)}.")
        subsets = set(GATHER_SUBSETS) if bare == "all" else {bare}
        wanted = wanted - subsets if name.startswith("!") else wanted | subsets
    if not wanted:
        raise OptionsError(f"gather: nothing is left to gather; name some of all, {', '.join(GATHER_SUBSETS)}.")
    return frozenset(wanted)


def check_options(options: Options) -> frozenset[str]:
    """Return the subsets to gather if the options make sense.

    Raises:
        OptionsError: names the option, what it is and what it may be.
    """
    if options.collector not in _COLLECTORS:
        raise OptionsError(f"collector: {options.collector!r} is not one of {', '.join(_COLLECTORS)}.")
    if options.namespaces not in ("all", "host"):
        raise OptionsError(f"namespaces: {options.namespaces!r} is neither 'all' nor 'host'.")
    if not 0 <= options.min_age_s <= MOST_SECONDS:
        raise OptionsError(f"min_age_s: {options.min_age_s} is not a number of seconds from 0 to 1,000,000,000.")
    if not 1 <= options.top <= MOST_TOP:
        raise OptionsError(f"top: {options.top} is not a number from 1 to 1,000.")
    if not 0 < options.timeout_s <= LONGEST_LOOK_S:
        raise OptionsError(f"timeout_s: {options.timeout_s} is not a number of seconds above 0 and up to 3,600.")
    return gather_subsets(options.gather)
