# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The finding about the look itself: what was not seen, in figures, and what would show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.finding import INFO, WARNING, Finding, number
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.wording import format_count, plural

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LONGER", "deadline_passed", "view_findings"]

LONGER = "Look again with a longer time: lastack probe --timeout-s 120 (with Ansible: timeout_s)"
"""The order where a ``deadline`` cut the look short."""

_REASONS = 3
_PRIVILEGES = (
    "not_privileged",
    "owners_denied",
    "namespace_unreadable",
    "namespace_unknown",
    "processes_hidden",
    "descriptors_denied",
    "dead_sockets_incomplete",
)
"""Codes of what root would see."""
_GRAVEST_FIRST = (
    "owners_denied",
    "deadline",
    "namespace_unreadable",
    "namespace_unknown",
    "processes_hidden",
    "sock_diag_unavailable",
    "dead_sockets_incomplete",
)

_SENTENCES = (
    ("owners_denied", "", "the descriptors of {processes} may not be read"),
    ("descriptors_denied", "", "open descriptors of {processes} of other users {were} not counted"),
    ("deadline", "processes", "{processes} {were} not looked at before the time was over"),
    ("deadline", "sockets", "the time was over before an owner was found for {sockets}"),
    ("deadline", "open descriptors", "open descriptors of {processes} {were} not counted before the time was over"),
)
"""By code and how the detail begins, for one code counts different things."""


def deadline_passed(completeness: Mapping[str, Any]) -> bool:
    """Return whether the look ended before it had seen everything."""
    return "deadline" in _counts(completeness)


def view_findings(report: Mapping[str, Any]) -> list[Finding]:
    """Return ``view.incomplete`` where something was not seen: one sentence with the figures, one step."""
    completeness = report.get("completeness") or {}
    if completeness.get("complete", True):
        return []
    failed = int(number((completeness.get("namespaces") or {}).get("failed")))
    nobody = int(number((completeness.get("close_wait") or {}).get("unattributed")))
    severe = failed or nobody or completeness.get("source") == "none"
    return [
        Finding(
            "view.incomplete",
            WARNING if severe else INFO,
            "this view",
            f"Not everything was seen: {_missing(completeness, failed, nobody)}.",
            f"{_step(completeness, failed, nobody)}.",
            {
                "namespaces_failed": failed,
                "unattributed": nobody,
                "privileged": bool(completeness.get("privileged")),
                "warnings": [str(warning.get("code")) for warning in (completeness.get("warnings") or [])[:10]],
            },
        )
    ]


def _counts(completeness: Mapping[str, Any]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for warning in completeness.get("warnings") or []:
        code = str(warning.get("code"))
        counts[code] = counts.get(code, 0) + int(number(warning.get("count")))
    return counts


def _missing(completeness: Mapping[str, Any], failed: int, nobody: int) -> str:
    parts = []
    if failed:
        seen = int(number((completeness.get("namespaces") or {}).get("seen"))) or failed
        parts.append(
            f"{format_count(failed)} of {plural(seen, 'network namespace')} {_was(failed)} not read",
        )
    if nobody:
        sockets = int(number((completeness.get("close_wait") or {}).get("seen"))) or nobody
        known = "owner is" if nobody == 1 else "owners are"
        parts.append(f"of {plural(sockets, 'CLOSE_WAIT socket')} the {known} not known for {format_count(nobody)}")
    # What the figures above already say is not said twice.
    reasons = [
        one
        for one in completeness.get("warnings") or []
        if number(one.get("count", 1)) > 0
        and not (failed and (one.get("code") == "namespace_unreadable" or _begins(one, "the time for the whole look")))
        and not (nobody and _begins(one, "sockets have no owner"))
    ]
    reasons.sort(key=lambda one: _gravity(str(one.get("code"))))
    parts += [_reason(one) for one in reasons[:_REASONS]]
    if len(reasons) > _REASONS:
        parts.append(f"and {plural(len(reasons) - _REASONS, 'lesser gap')}")
    return "; ".join(parts) or "something could not be read"


def _begins(warning: Mapping[str, Any], start: str) -> bool:
    return str(warning.get("detail")).startswith(start)


def _gravity(code: str) -> int:
    return _GRAVEST_FIRST.index(code) if code in _GRAVEST_FIRST else len(_GRAVEST_FIRST)


def _reason(warning: Mapping[str, Any]) -> str:
    code, detail, count = warning.get("code"), str(warning.get("detail")), int(number(warning.get("count")))
    for known, start, sentence in _SENTENCES:
        if code == known and detail.startswith(start):
            processes, sockets = plural(count, "process", "processes"), plural(count, "socket")
            return sentence.format(processes=processes, sockets=sockets, were=_was(count))
    return f"{detail} ({format_count(count)})" if count > 1 else detail


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _step(completeness: Mapping[str, Any], failed: int, nobody: int) -> str:  # noqa: PLR0911 - one for each reason
    counts = _counts(completeness)
    if completeness.get("source") == "none":
        return "Find out why neither sock_diag nor /proc/net/tcp can be read here (seccomp, a container's limits)"
    if not completeness.get("privileged") and (failed or nobody or any(code in counts for code in _PRIVILEGES)):
        return "Look again as root (with Ansible: become) to see every namespace and owner"
    if "owners_denied" in counts:
        denied = plural(counts["owners_denied"], "process", "processes")
        return f"Look again as root of the machine, outside of any container, to read the descriptors of {denied}"
    if "deadline" in counts:
        return LONGER
    if failed or "namespace_unreadable" in counts or "namespace_unknown" in counts:
        which = plural(failed, "network namespace") if failed else "every network namespace"
        return f"Look again as root of the machine, outside of any container, to enter {which}"
    if "processes_hidden" in counts:
        return "Look again as root, or in a group that hidepid of /proc lets see every process"
    if "sock_diag_unavailable" in counts:
        return "Find out why sock_diag cannot be used (modprobe tcp_diag, seccomp), for ages are not known without it"
    if "dead_sockets_incomplete" in counts:
        return "Look again for dead sockets alone: lastack probe --gather dead_sockets --timeout-s 120"
    warnings = completeness.get("warnings") or []
    if warnings:
        return f"Look again when this is settled: {_reason(warnings[0])}"
    return "Look again, for processes and namespaces that come and go are seen the next time"
