# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether one look at a host could have seen what another look at it saw: what is not there any more may be unseen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.render.unseen import left_out, own_namespace_only

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["missed_dead_sockets", "missed_finding", "missed_offender", "narrower", "saw_less"]

# Codes of ``completeness.warnings`` that hide no CLOSE_WAIT socket and no owner; a code that is not known here may.
_HARMLESS = (
    "agent_",
    "dead_sockets_",
    "descriptors_denied",
    "listen_backlog_unknown",
    "mptcp_not_examined",
    "sysctl_",
)

# These say what kind of look it was; how many processes it could not read differs from one minute to the next.
_KINDS = frozenset({"not_privileged", "owners_denied", "processes_hidden"})

# Without these rights owners stay unknown, but the socket tables of the namespaces that were read are whole.
_OWNERS_ONLY = frozenset({"not_privileged", "owners_denied"})

# Undecided and unowned sockets come and go on a busy host: a rise by less than a tenth of what is gone hides nothing.
_NOISE = 10

_SUBSETS = {
    "close_wait": ("close_wait",),
    "fd.dead_sockets": ("dead_sockets",),
    "fd": ("descriptors",),
    "time_wait": ("time_wait", "counters"),
    "ports": ("ports",),
    "listen": ("listeners", "counters"),
    "syn": ("listeners", "counters"),
    "orphans": ("memory",),
    "memory": ("memory",),
    "conntrack": ("conntrack",),
    "sysctl": ("sysctls",),
}


def saw_less(look: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Return in what ``look`` saw less of its host than ``other`` did; an empty string if in nothing."""
    absent = [subset for subset in left_out(look) if subset not in left_out(other)]
    return f"{', '.join(absent)} left out of the look" if absent else narrower(look, other)


def missed_offender(look: Mapping[str, Any], other: Mapping[str, Any], sockets: int) -> str:
    """Return why ``look`` may have missed an application whose ``sockets`` leaked sockets ``other`` saw.

    Both are host reports of the same host. An empty string: it would have been seen, so it was not there.
    """
    section = look.get("close_wait")
    if section is None:
        return "CLOSE_WAIT was left out of the look"
    reason = narrower(look, other)
    if reason and not _proves_none(look, other):
        return reason
    if section["truncated"]:
        return "its list of applications was cut"
    return _hidden(look, other, sockets)


def _hidden(look: Mapping[str, Any], other: Mapping[str, Any], sockets: int) -> str:
    seen, before = look["completeness"]["close_wait"], other["completeness"]["close_wait"]
    if _hides(seen["unattributed"] - before["unattributed"], sockets):
        return "sockets without a known owner"
    if _hides(seen["undecided"] - before["undecided"], sockets):
        return "sockets still too young to judge"
    if look.get("options", {}).get("min_age_s", 0) > other.get("options", {}).get("min_age_s", 0) and seen["undecided"]:
        return "told to judge older sockets only"
    return ""


def missed_dead_sockets(look: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Return why ``look`` may have missed dead sockets that ``other`` saw; an empty string if it would not."""
    section = look.get("dead_sockets")
    if section is None:
        return "dead sockets were left out of the look"
    if section["total"] is None:
        return "dead sockets could not be counted"
    if _counts(look).get("dead_sockets_incomplete", 0) > _counts(other).get("dead_sockets_incomplete", 0):
        return "dead sockets could not all be counted"
    if section.get("truncated"):
        return "its list of applications was cut"
    return narrower(look, other)


def missed_finding(look: Mapping[str, Any], other: Mapping[str, Any], finding_id: str) -> str:
    """Return why ``look`` may have missed a finding of that id that ``other`` has; an empty string if it would not."""
    if look.get("findings_truncated"):
        return "its list of findings was cut"
    if finding_id == "fd.dead_sockets":
        return missed_dead_sockets(look, other)
    if finding_id.startswith("close_wait."):
        return missed_offender(look, other, 1)
    if finding_id.startswith("fd.") and _denied_more(look, other):
        return "descriptors not readable"
    needed = _SUBSETS.get(finding_id.partition(".")[0], ())
    absent = [subset for subset in left_out(look) if subset in needed]
    if absent:
        return f"{', '.join(absent)} left out of the look"
    # Values and files of the host are the same whoever reads sockets; the rest is seen per process or namespace.
    return "" if finding_id.startswith("sysctl.") else narrower(look, other)


def _denied_more(look: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    denied, before = (_counts(report).get("descriptors_denied", 0) for report in (look, other))
    # How many processes others run differs from one minute to the next.
    return _hides(denied - before, before)


def _hides(rise: int, sockets: int) -> bool:
    return rise > 0 and rise * _NOISE >= sockets


def narrower(look: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Return in what ``look`` saw fewer sockets or owners than ``other``; an empty string if in nothing."""
    mine, its = look["completeness"], other["completeness"]
    if mine["source"] == "none":
        return "no socket table could be read"
    if own_namespace_only(look) and not own_namespace_only(other):
        return "told to read one namespace only"
    if its["privileged"] and not mine["privileged"]:
        return "not root"
    if mine["namespaces"]["failed"] > its["namespaces"]["failed"]:
        return "namespaces not readable"
    before = _counts(other)
    for code, number in _counts(look).items():
        if code.startswith(_HARMLESS):
            continue
        if number > before.get(code, 0) and not (code in _KINDS and code in before):
            return next((w["detail"] for w in mine["warnings"] if w["code"] == code), code)
    return ""


def _proves_none(look: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether every namespace was read to its end and held no CLOSE_WAIT socket: then no owner is missing."""
    view = look["completeness"]
    return (
        view["close_wait"]["seen"] == 0
        and view["namespaces"]["failed"] == 0
        and view["namespaces"]["seen"] > 0
        and view["source"] != "none"
        and own_namespace_only(other) >= own_namespace_only(look)
        and set(_counts(look)) <= _OWNERS_ONLY
    )


def _counts(report: Mapping[str, Any]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for warning in report["completeness"]["warnings"]:
        counts[warning["code"]] = counts.get(warning["code"], 0) + warning["count"]
    return counts
