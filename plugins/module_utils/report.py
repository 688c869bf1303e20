# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host report: what ``observe`` saw and what ``diagnose`` makes of it, as one ``lastack.host/1`` object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["GATHER_SUBSETS", "Options", "OptionsError", "collect_report", "gather_subsets"]

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
    catalogue: Mapping[str, Mapping[str, Any]] = {}
    """Sysctl keys to report, as ``plugin_utils.catalogue.for_target`` gives them."""


def gather_subsets(gather: tuple[str, ...]) -> frozenset[str]:
    """Return the subsets that ``gather`` asks for; ``!name`` leaves one out, ``all`` is every one.

    Raises:
        OptionsError: for a name that is no subset.
    """
    wanted: set[str] = set()
    names = [name.strip() for name in gather if name.strip()]
    if not any(not name.startswith("!") for name in names):
        names.insert(0, "all")
    for name in sorted(names, key=lambda text: text.startswith("!")):
        bare = name.lstrip("!")
        if bare not in (*GATHER_SUBSETS, "all"):
            raise OptionsError(f"gather: {bare!r} is not one of all, {', '.join(GATHER_SUBSETS)}.")
        subsets = set(GATHER_SUBSETS) if bare == "all" else {bare}
        wanted = wanted - subsets if name.startswith("!") else wanted | subsets
    return frozenset(wanted)


def collect_report(options: Options, *, proc: str = "/proc", root: str = "/") -> dict[str, Any]:
    """Look at this host once and return its report."""
    raise NotImplementedError
