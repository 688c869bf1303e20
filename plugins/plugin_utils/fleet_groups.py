# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What host reports say in common: TCP states, TIME_WAIT and findings over the fleet."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.observe.tcp_states import STATES
from ansible_collections.lastack.linux.plugins.plugin_utils.worst import Worst

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FindingsMerge", "StatesMerge", "TimeWaitMerge"]

_FINDINGS_SHOWN = 100
_CLOSED_HERE_SHOWN = 20
_SEVERITIES = {"critical": 2, "warning": 1, "info": 0}

# Forged reports can name any number of subjects and ports: beyond this many, new ones are only counted.
_TRACKED = 50_000

# More sockets than any host has; a forged report may say more.
_FOUR_BYTES = 2**32 - 1


class StatesMerge:
    """Sums and percentiles of the twelve TCP states over hosts; a host that cannot see a state is left out of it."""

    def __init__(self) -> None:
        """Start with no host seen."""
        self._counts = {state: array("I") for state in STATES}
        # Most states are empty on most hosts: that many zeros need no memory.
        self._zeros: Counter[str] = Counter()
        self._worst: dict[str, tuple[int, str]] = {}

    def add(self, host: str, report: Mapping[str, Any]) -> None:
        """Take the states of one host report (four bytes for each that is not 0, eight if a count needs them)."""
        for state in STATES:
            count, counts = report["states"][state], self._counts[state]
            if not count:
                self._zeros[state] += count is not None
                continue
            if count > _FOUR_BYTES and counts.typecode == "I":
                self._counts[state] = counts = array("Q", counts)
            counts.append(count)
            worst = self._worst.get(state)
            if worst is None or (-count, host) < worst:
                self._worst[state] = (-count, host)

    def result(self) -> dict[str, Any]:
        """Return ``states`` of ``lastack.fleet/1``; percentiles by the nearest rank."""
        merged = {}
        for state, counts in self._counts.items():
            zeros = self._zeros[state]
            ordered = sorted(counts)
            seen = zeros + len(ordered)
            worst = self._worst.get(state)
            merged[state] = {
                "sum": sum(ordered) if seen else None,
                "p50": _nearest_rank(zeros, ordered, 50),
                "p90": _nearest_rank(zeros, ordered, 90),
                "p99": _nearest_rank(zeros, ordered, 99),
                "max": (ordered[-1] if ordered else 0) if seen else None,
                "worst_host": worst[1] if worst else None,
            }
        return merged


def _nearest_rank(zeros: int, ordered: list[int], percent: int) -> int | None:
    """Return the percentile of so many zeros and the ``ordered`` others."""
    seen = zeros + len(ordered)
    if not seen:
        return None
    rank = max(0, math.ceil(seen * percent / 100) - 1)
    return 0 if rank < zeros else ordered[rank - zeros]


class TimeWaitMerge:
    """TIME_WAIT against its limit, and the listening ports on which hosts close first."""

    def __init__(self) -> None:
        """Start with none seen."""
        self._total = 0
        self._worst = Worst(1)
        self._overflowing = 0
        self._ports: dict[tuple[int, str | None], tuple[Counter[str], Worst]] = {}
        self._untracked = 0

    def add(self, host: str, report: Mapping[str, Any]) -> None:
        """Take one host report."""
        self._total += report["states"]["TIME_WAIT"] or 0
        pools = report.get("time_wait", ())
        self._overflowing += any(pool["overflows"] for pool in pools)
        here: Counter[tuple[int, str | None]] = Counter()
        for pool in pools:
            entry = {key: pool[key] for key in ("namespace", "total", "max_buckets", "used_percent")}
            used = -1.0 if pool["used_percent"] is None else float(pool["used_percent"])
            if pool["total"]:
                self._worst.add((used, pool["total"]), host, {"host": host, **entry})
            for item in pool["closed_here"]:
                here[item["port"], item.get("app")] += item["count"]
        for key, count in here.items():
            if key not in self._ports and len(self._ports) >= _TRACKED:
                self._untracked += 1
                continue
            totals, worst = self._ports.setdefault(key, (Counter(), Worst(1)))
            totals.update({"hosts": 1, "count": count})
            worst.add((count,), host, {"host": host, "count": count})

    def result(self) -> dict[str, Any]:
        """Return ``time_wait`` of ``lastack.fleet/1``."""
        ranked = sorted(self._ports.items(), key=lambda item: (-item[1][0]["count"], item[0][0], item[0][1] or ""))
        shown = [
            {
                "port": port,
                "app": app,
                "hosts": totals["hosts"],
                "count": totals["count"],
                "worst_host": worst.ranked()[0],
            }
            for (port, app), (totals, worst) in ranked[:_CLOSED_HERE_SHOWN]
        ]
        worst = self._worst.ranked()
        return {
            "total": self._total,
            "worst": worst[0] if worst else None,
            "overflowing_hosts": self._overflowing,
            "closed_here": shown,
            "closed_here_truncated": len(ranked) - len(shown) + self._untracked,
        }


class FindingsMerge:
    """Groups findings by id and subject; the worst host speaks for the group."""

    def __init__(self) -> None:
        """Start with none seen."""
        self._groups: dict[tuple[str, str], tuple[Counter[str], Worst]] = {}
        self._untracked = 0

    def add(self, host: str, report: Mapping[str, Any]) -> None:
        """Take the findings of one host report."""
        counted = set()
        for rank, finding in enumerate(report["findings"]):
            key = (finding["id"], finding["subject"])
            if key not in self._groups and len(self._groups) >= _TRACKED:
                self._untracked += 1
                continue
            totals, worst = self._groups.setdefault(key, (Counter(), Worst(1)))
            totals["hosts"] += key not in counted
            counted.add(key)
            kept = {key: finding[key] for key in ("severity", "remedy", "summary", "next_step")}
            worst.add((_SEVERITIES[finding["severity"]], *_weight(finding), -rank), host, {"worst_host": host, **kept})

    def result(self) -> tuple[list[dict[str, Any]], int]:
        """Return ``findings`` of ``lastack.fleet/1``, most severe and most hosts first, and how many were cut."""
        groups = [(key, totals["hosts"], worst.ranked()[0]) for key, (totals, worst) in self._groups.items()]
        groups.sort(key=lambda group: (-_SEVERITIES[group[2]["severity"]], -group[1], group[0]))
        shown = [
            {
                "id": finding_id,
                "severity": worst["severity"],
                "remedy": worst["remedy"],
                "subject": subject,
                "hosts": hosts,
                "worst_host": worst["worst_host"],
                "summary": worst["summary"],
                "next_step": worst["next_step"],
            }
            for (finding_id, subject), hosts, worst in groups[:_FINDINGS_SHOWN]
        ]
        return shown, len(groups) - len(shown) + self._untracked


def _weight(finding: Mapping[str, Any]) -> tuple[float, float]:
    """Say how bad a finding is among its kind, by the numbers that it was made from."""
    evidence = finding["evidence"]
    return _number(evidence.get("used_percent")), _number(evidence.get("count"))


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0
