# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One finding: what it is made of, its remedy class, and how findings are ranked.

Remedy follows the state: an id has one remedy class wherever it appears. CLOSE_WAIT is never the kernel's, TIME_WAIT
alone never a warning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CRITICAL", "INFO", "REMEDIES", "SEVERITIES", "WARNING", "Finding", "number", "rank"]

CRITICAL = "critical"
WARNING = "warning"
INFO = "info"
SEVERITIES = (CRITICAL, WARNING, INFO)

REMEDIES = {
    "close_wait.leak": "app",
    "close_wait.stuck_accept": "app",
    "close_wait.idle_pool": "app",
    "close_wait.unread_body": "app",
    "close_wait.inherited": "app",
    "close_wait.growing": "app",
    "fd.dead_sockets": "app",
    "fd.process_near_limit": "limits",
    "fd.system_near_limit": "limits",
    "fd.soft_limit_low": "limits",
    "time_wait.bucket_overflow": "kernel",
    "time_wait.closed_here": "app",
    "time_wait.normal": "none",
    "ports.near_exhaustion": "app",
    "listen.overflow": "app",
    "listen.backlog_capped": "kernel",
    "syn.cookies_sent": "app",
    "orphans.near_limit": "kernel",
    "memory.pressure": "app",
    "conntrack.near_limit": "kernel",
    "sysctl.drift": "kernel",
    "sysctl.shadowed": "kernel",
    "sysctl.harmful": "kernel",
    "sysctl.unknown_key": "kernel",
    "view.incomplete": "none",
}
"""Every finding id and who can do something about it. ``syn.cookies_sent`` is the application's: the queue that
overflowed is as long as its own ``listen()`` says (baseline.md: ``tcp_max_syn_backlog`` is inert)."""

_SUMMARY = 1_024


class Finding(NamedTuple):
    """A finding before it becomes part of a report."""

    id: str
    severity: str
    subject: str
    summary: str
    next_step: str
    evidence: dict[str, Any]
    weight: float = 0.0
    """How bad it is among those of its severity; not reported."""

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as the host report spells it."""
        return {
            "id": self.id,
            "severity": self.severity,
            "remedy": REMEDIES[self.id],
            "subject": clean_text(self.subject),
            "summary": clean_text(self.summary, _SUMMARY),
            "evidence": self.evidence,
            "next_step": clean_text(self.next_step, _SUMMARY),
        }


def rank(finding: Mapping[str, Any], weight: float) -> tuple[int, int, float, str, str]:
    """Return the sort key: severity, what leaks before what is merely tight, then how bad, then names."""
    severity = finding.get("severity")
    order = SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)
    name = str(finding.get("id", ""))
    return order, 0 if name.startswith("close_wait.") else 1, -weight, name, str(finding.get("subject", ""))


def number(value: object) -> float:
    """Return a report's figure for a comparison, 0 where it is unknown."""
    return float(value) if isinstance(value, (int, float)) else 0.0
