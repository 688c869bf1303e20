# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaking applications over the fleet: who holds CLOSE_WAIT and dead sockets, on how many hosts, since when."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.causes import FINDING_OF_CAUSE
from ansible_collections.lastack.linux.plugins.plugin_utils.fleet_libraries import LibrariesMerge
from ansible_collections.lastack.linux.plugins.plugin_utils.fleet_trends import TrendMerge, merge_growing
from ansible_collections.lastack.linux.plugins.plugin_utils.worst import Worst

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AppsMerge", "DeadSocketsMerge"]

_APPS_SHOWN = 50
_DEAD_SHOWN = 20
_WORST_HOSTS = 5
_UNITS = 3

# A forged report can name any number of applications: beyond this many, new names are only counted.
_APPS_TRACKED = 50_000


class AppsMerge:
    """Groups the CLOSE_WAIT offenders of all hosts by application."""

    def __init__(self) -> None:
        """Start with no application seen."""
        self._apps: dict[str, _App] = {}
        self._untracked = 0
        self._leaking_hosts = 0
        self._growing_hosts = 0
        self._totals: Counter[str] = Counter()

    def add(self, host: str, report: Mapping[str, Any]) -> int:
        """Take one host report; return how many sockets leaked on this host."""
        seen = report["completeness"]["close_wait"]
        close_wait = report.get("close_wait", {})
        total = close_wait.get("total", seen["seen"])
        offenders = close_wait.get("offenders", ())
        leaked: int = sum(item["count"] for item in offenders)
        if close_wait.get("truncated"):
            # The cut offenders are counted nowhere else; half-closed sockets are a small overcount at worst.
            leaked = max(leaked, total - seen["in_transit"] - seen["undecided"])
        self._totals.update({"total": total, "leaked": leaked, "undecided": seen["undecided"]})
        self._leaking_hosts += leaked > 0
        by_app: dict[str, list[Mapping[str, Any]]] = {}
        for item in offenders:
            by_app.setdefault(item["app"], []).append(item)
        findings: dict[str, list[str]] = {}
        for finding in report["findings"]:
            if finding["id"].startswith("close_wait."):
                findings.setdefault(finding["subject"], []).append(finding["id"])
        grows = False
        for name, items in by_app.items():
            app = self._apps.get(name)
            if app is None:
                if len(self._apps) >= _APPS_TRACKED:
                    self._untracked += 1
                    continue
                app = self._apps[name] = _App()
            grows |= app.add(host, items, findings.get(name, []))
        self._growing_hosts += grows
        return leaked

    def close_wait(self) -> dict[str, Any]:
        """Return ``close_wait`` of ``lastack.fleet/1``."""
        leaking = sum(1 for app in self._apps.values() if app.sockets)
        return {
            "total": self._totals["total"],
            "leaked": self._totals["leaked"],
            "undecided": self._totals["undecided"],
            "apps": leaking + self._untracked,
            "hosts": self._leaking_hosts,
            "growing": merge_growing({name: app.trend for name, app in self._apps.items()}, self._growing_hosts),
        }

    def apps(self) -> tuple[list[dict[str, Any]], int]:
        """Return ``apps`` of ``lastack.fleet/1`` and how many were cut: growing leaks first, then by sockets."""
        ranked = sorted(
            self._apps.items(), key=lambda item: (item[1].trend.urgency, -item[1].sockets, -item[1].undecided, item[0])
        )
        shown = [{"app": name, **app.result()} for name, app in ranked[:_APPS_SHOWN]]
        return shown, len(ranked) - len(shown) + self._untracked


class _App:
    """What one application did on all hosts."""

    def __init__(self) -> None:
        self.sockets = 0
        self.undecided = 0
        self.hosts = 0
        self.causes: Counter[str] = Counter()
        self.findings: Counter[str] = Counter()
        self.units: Counter[str] = Counter()
        self.oldest: dict[str, float | None] | None = None
        self.worst_hosts = Worst(_WORST_HOSTS)
        self.descriptors: dict[str, Any] | None = None
        self.libraries = LibrariesMerge()
        self.trend = TrendMerge()
        self.kind = "unknown"
        self.runtime: str | None = None
        self._identity_of = (1, "")

    def add(self, host: str, items: list[Mapping[str, Any]], findings: list[str]) -> bool:
        """Take the offenders of this application on one host (one per namespace and unit); return whether it grows."""
        count = sum(item["count"] for item in items)
        self.hosts += 1
        self.sockets += count
        self.undecided += sum(item.get("undecided", 0) for item in items)
        self.worst_hosts.add((count,), host, {"host": host, "sockets": count})
        self.findings.update(findings)
        self.libraries.add(items)
        # The host with the most sockets says what the application is; of two equal ones the first by name.
        if (-count, host) < self._identity_of:
            self._identity_of = (-count, host)
            worst = max(items, key=lambda item: item["count"])
            self.kind = worst["kind"]
            self.runtime = worst["runtime"]
        for item in items:
            self.causes.update(item["causes"])
            if item["unit"]:
                self.units[item["unit"]] += 1
            self._grow_older(item["age_s"])
            self._fill(host, item["descriptors"])
        return self.trend.add(host, items)

    def _grow_older(self, age: Mapping[str, float | None] | None) -> None:
        if age is None or age["at_least"] is None:
            return
        if self.oldest is None:
            self.oldest = {"at_least": age["at_least"], "at_most": age["at_most"]}
            return
        self.oldest["at_least"] = max(self.oldest["at_least"] or 0.0, age["at_least"])
        bounds = (self.oldest["at_most"], age["at_most"])
        self.oldest["at_most"] = None if None in bounds else max(bound for bound in bounds if bound is not None)

    def _fill(self, host: str, use: Mapping[str, Any] | None) -> None:
        if use is None or use["used_percent"] is None:
            return
        worst = self.descriptors
        if worst is None or (-use["used_percent"], host) < (-worst["used_percent"], worst["host"]):
            self.descriptors = {
                "host": host,
                "used_percent": use["used_percent"],
                "open": use["open"],
                "soft_limit": use["soft_limit"],
            }

    def _finding(self) -> str:
        # Half-closed and unknown sockets accuse nobody while another cause is known.
        accused = {cause: count for cause, count in self.causes.items() if cause not in {"half_close", "unknown"}}
        dominant = max(sorted(accused), key=accused.__getitem__) if accused else "unknown"
        by_cause = FINDING_OF_CAUSE.get(dominant) or "close_wait.leak"
        if not self.findings or by_cause in self.findings:
            return by_cause
        return max(sorted(self.findings), key=self.findings.__getitem__)

    def result(self) -> dict[str, Any]:
        worst_hosts = self.worst_hosts.ranked()
        return {
            "kind": self.kind,
            "runtime": self.runtime,
            "hosts": self.hosts,
            "sockets": self.sockets,
            "undecided": self.undecided,
            "causes": dict(sorted(self.causes.items(), key=lambda item: (-item[1], item[0]))),
            "oldest_s": self.oldest,
            "finding": self._finding(),
            "trend": self.trend.result(),
            "worst_host": worst_hosts[0],
            "worst_hosts": worst_hosts,
            "worst_descriptors": self.descriptors,
            "libraries": self.libraries.result(),
            "units": [unit for unit, __ in sorted(self.units.items(), key=lambda item: (-item[1], item[0]))[:_UNITS]],
        }


class DeadSocketsMerge:
    """Groups the descriptors of connections that no longer exist by application."""

    def __init__(self) -> None:
        """Start with none seen."""
        self._apps: dict[str, tuple[Counter[str], Worst]] = {}
        self._untracked = 0

    def add(self, host: str, report: Mapping[str, Any]) -> int:
        """Take one host report; return how many dead sockets it lists."""
        counts: Counter[str] = Counter()
        for item in report.get("dead_sockets", {}).get("offenders", ()):
            counts[item["app"]] += item["count"]
        for name, count in counts.items():
            if name not in self._apps and len(self._apps) >= _APPS_TRACKED:
                self._untracked += 1
                continue
            totals, worst = self._apps.setdefault(name, (Counter(), Worst(1)))
            totals.update({"hosts": 1, "count": count})
            worst.add((count,), host, {"host": host, "count": count})
        return counts.total()

    def result(self) -> tuple[list[dict[str, Any]], int]:
        """Return ``dead_sockets`` of ``lastack.fleet/1``, most descriptors first, and how many were cut."""
        ranked = sorted(self._apps.items(), key=lambda item: (-item[1][0]["count"], item[0]))
        shown = [
            {"app": name, "hosts": totals["hosts"], "count": totals["count"], "worst_host": worst.ranked()[0]}
            for name, (totals, worst) in ranked[:_DEAD_SHOWN]
        ]
        return shown, len(ranked) - len(shown) + self._untracked
