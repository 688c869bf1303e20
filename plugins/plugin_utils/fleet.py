# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet report ``lastack.fleet/1``: all host reports of a run, merged in one pass.

Memory holds the aggregates, eight bytes per state and host, and the fullest reports of the worst hosts;
never all reports.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.options import GATHER_SUBSETS
from ansible_collections.lastack.linux.plugins.plugin_utils.fleet_apps import AppsMerge, DeadSocketsMerge
from ansible_collections.lastack.linux.plugins.plugin_utils.fleet_baseline import BaselineMerge
from ansible_collections.lastack.linux.plugins.plugin_utils.fleet_drift import DriftMerge, LimitsMerge
from ansible_collections.lastack.linux.plugins.plugin_utils.fleet_groups import (
    FindingsMerge,
    StatesMerge,
    TimeWaitMerge,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.fleet_pressure import PressureMerge
from ansible_collections.lastack.linux.plugins.plugin_utils.fleet_trends import AgentsMerge
from ansible_collections.lastack.linux.plugins.plugin_utils.worst import Worst

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FLEET_SCHEMA", "FleetMerge"]

FLEET_SCHEMA = "lastack.fleet/1"

_SHOWN = 20
_FULL_REPORTS = 50
_REASONS_SHOWN = 20
_REASONS_COUNTED = 1_000
"""Different reasons of hosts that were not audited that are counted: a message may name its host."""

# The least explained outcome first: an unreachable host is known to its operator, a forged report is not.
_NOT_AUDITED = {"invalid": 3, "failed": 2, "unreachable": 1, "missing": 0}


class FleetMerge:
    """Merges one host after the other; ``result`` gives the fleet report at any moment."""

    def __init__(self, *, profile: str | None = None) -> None:
        """Start with no host; with a ``profile`` of the baseline, hosts are held against it."""
        self._outcomes: Counter[str] = Counter()
        self._incomplete = 0
        self._not_audited = Worst(_SHOWN)
        self._reasons: Counter[tuple[str, str]] = Counter()
        self._incomplete_hosts = Worst(_SHOWN)
        self._left_out: Counter[str] = Counter()
        self._states = StatesMerge()
        self._apps = AppsMerge()
        self._agents = AgentsMerge()
        self._dead = DeadSocketsMerge()
        self._time_wait = TimeWaitMerge()
        self._pressure = PressureMerge()
        self._findings = FindingsMerge()
        self._drift = DriftMerge()
        self._limits = LimitsMerge()
        self._baseline = BaselineMerge(profile) if profile is not None else None
        self._reports = Worst(_FULL_REPORTS)

    def add(self, host: str, report: Mapping[str, Any]) -> None:
        """Merge the valid report of ``host`` (its inventory name)."""
        self._outcomes["ok"] += 1
        completeness = report["completeness"]
        if not completeness["complete"]:
            self._incomplete += 1
            reasons = [_with_count(warning) for warning in completeness["warnings"]] or ["the host does not say what"]
            missed = sum(warning["count"] for warning in completeness["warnings"])
            self._incomplete_hosts.add((missed,), host, {"host": host, "reasons": reasons[:_REASONS_SHOWN]})
        self._left_out.update(_left_out(report))
        self._states.add(host, report)
        leaked = self._apps.add(host, report)
        self._agents.add(host, report)
        dead = self._dead.add(host, report)
        self._time_wait.add(host, report)
        self._pressure.add(host, report)
        self._findings.add(host, report)
        self._drift.add(report)
        self._limits.add(report)
        if self._baseline is not None:
            self._baseline.add(report)
        severities = Counter(finding["severity"] for finding in report["findings"])
        score = (severities["critical"], leaked + dead, severities["warning"], not completeness["complete"])
        self._reports.add(score, host, report)

    def add_not_audited(self, host: str, outcome: str, reason: str | None) -> None:
        """Count a host without a valid report: ``unreachable``, ``failed``, ``invalid`` or ``missing``."""
        self._outcomes[outcome] += 1
        entry = {"host": host, "outcome": outcome, "reason": reason or "no reason was given"}
        why = (outcome, entry["reason"])
        if why in self._reasons or len(self._reasons) < _REASONS_COUNTED:
            self._reasons[why] += 1
        self._not_audited.add((_NOT_AUDITED[outcome],), host, entry)

    def worst_reports(self) -> list[dict[str, Any]]:
        """Return the full reports of the worst hosts, at most 50, worst first."""
        return self._reports.ranked()

    def result(self, run: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fleet report; ``run`` is its ``run`` object (from the manifest)."""
        apps, apps_truncated = self._apps.apps()
        dead, dead_truncated = self._dead.result()
        findings, findings_truncated = self._findings.result()
        limits, limits_truncated = self._limits.result()
        return {
            "schema": FLEET_SCHEMA,
            "run": dict(run),
            "hosts": {
                "meant": self._outcomes.total(),
                "audited": self._outcomes["ok"],
                "failed": self._outcomes["failed"],
                "unreachable": self._outcomes["unreachable"],
                "invalid": self._outcomes["invalid"],
                "missing": self._outcomes["missing"],
                "incomplete": self._incomplete,
                "not_audited": self._not_audited.ranked(),
                "not_audited_truncated": self._not_audited.truncated,
                "not_audited_reasons": [
                    {"outcome": outcome, "reason": reason, "hosts": hosts}
                    for (outcome, reason), hosts in sorted(self._reasons.items(), key=lambda item: (-item[1], item[0]))
                ][:_REASONS_SHOWN],
                "incomplete_hosts": self._incomplete_hosts.ranked(),
                "incomplete_hosts_truncated": self._incomplete_hosts.truncated,
                "left_out": dict(self._left_out),
            },
            "states": self._states.result(),
            "close_wait": self._apps.close_wait(),
            "apps": apps,
            "apps_truncated": apps_truncated,
            "agents": self._agents.result(),
            "dead_sockets": dead,
            "dead_sockets_truncated": dead_truncated,
            "time_wait": self._time_wait.result(),
            "pressure": self._pressure.result(),
            "findings": findings,
            "findings_truncated": findings_truncated,
            "drift": self._drift.result(),
            "limits": limits,
            "limits_truncated": limits_truncated,
            **({} if self._baseline is None else {"baseline": self._baseline.result()}),
        }


def _with_count(warning: Mapping[str, Any]) -> str:
    return f"{warning['detail']} ({warning['count']:,})" if warning["count"] > 1 else str(warning["detail"])


def _left_out(report: Mapping[str, Any]) -> list[str]:
    """Return what the host was told not to look at: that is no gap in the view, and no clean bill of health either."""
    options = report.get("options", {})
    gathered = options.get("gather", ["all"])
    left_out = [] if "all" in gathered else [subset for subset in GATHER_SUBSETS if subset not in gathered]
    return left_out + (["other namespaces"] if options.get("namespaces") == "host" else [])
