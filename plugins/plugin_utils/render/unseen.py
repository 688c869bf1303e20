# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a look did not see, in words: what it was told to leave out, and what it was not allowed to see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.options import GATHER_SUBSETS, OptionsError, gather_subsets
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import count, data, plural, rows

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["gravest_first", "gravity", "left_out", "left_out_words", "own_namespace_only", "warning_words"]

# What hides most stands first; a code that is not named here comes last.
_GRAVITY = (
    ("not_privileged", "owners_denied", "processes_hidden", "deadline"),
    ("namespace_",),
    ("sock_diag_", "dump_", "proc_net_"),
    ("dead_sockets_",),
)

# Details that go on where a number stops: "22 processes whose descriptors may not be read".
_ONE = {
    "processes": "process",
    "sockets": "socket",
    "lines": "line",
    "entries": "entry",
    "descriptors": "descriptor",
    "were": "was",
    "have": "has",
}
_COUNTABLE = ("processes ", "sockets ", "lines ", "entries ", "open descriptors ")


def left_out(report: Mapping[str, Any]) -> list[str]:
    """The subsets that a host report was told to leave out by ``gather``, in the order of the documentation."""
    names = data(report, "options").get("gather")
    if not isinstance(names, list):
        return []
    asked = {name for name in names if isinstance(name, str)}
    if "all" in asked or any(name.startswith("!") for name in asked):
        try:
            asked = set(gather_subsets(sorted(asked)))
        except OptionsError:
            # Of a newer lastack; what it calls otherwise is not known to be left out.
            return []
    return [name for name in GATHER_SUBSETS if name not in asked]


def left_out_words(fleet: Mapping[str, Any]) -> str:
    """What hosts were told not to look at, such as "sysctls on 3 hosts"; nothing if the report does not say."""
    return ", ".join(
        f"{name} on {plural(number, 'host')}"
        for name, number in data(data(fleet, "hosts"), "left_out").items()
        if isinstance(number, int) and number
    )


def own_namespace_only(report: Mapping[str, Any]) -> bool:
    """Whether a host report was told to read the collector's own network namespace alone."""
    return data(report, "options").get("namespaces") == "host"


def gravity(code: object) -> int:
    """The rank of a warning's code: 0 hides most."""
    text = str(code)
    return next((rank for rank, starts in enumerate(_GRAVITY) if text.startswith(starts)), len(_GRAVITY))


def gravest_first(report: Mapping[str, Any]) -> list[str]:
    """The warnings of a host report in words, what hides most first."""
    warnings = rows(data(report, "completeness"), "warnings")
    return [warning_words(warning) for warning in sorted(warnings, key=lambda warning: gravity(warning.get("code")))]


def warning_words(warning: Mapping[str, Any]) -> str:
    """One warning of ``completeness`` with its number: "22 processes whose descriptors may not be read"."""
    detail, number = str(warning.get("detail") or ""), warning.get("count")
    if not isinstance(number, int) or number < 1:
        return detail
    if detail.startswith(_COUNTABLE):
        words = detail.split(" ")
        one = [_ONE.get(word, word) for word in words[:2]] if number == 1 else words[:2]
        return " ".join([count(number), *one, *words[2:]])
    said = number == 1 or count(number) in detail.replace(":", " ").split()
    return detail if said else f"{detail} ({count(number)})"
