# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What host reports say in common: TCP states, TIME_WAIT, findings and sysctl values over the fleet."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.observe.tcp_states import STATES
from ansible_collections.lastack.linux.plugins.plugin_utils.worst import Worst

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DriftMerge", "FindingsMerge", "StatesMerge", "TimeWaitMerge"]

_FINDINGS_SHOWN = 100
_CLOSED_HERE_SHOWN = 20
_VALUES_SHOWN = 20
_SEVERITIES = {"critical": 2, "warning": 1, "info": 0}

# Forged reports can name any number of subjects, ports and values: beyond this many, new ones are only counted.
_TRACKED = 50_000


class StatesMerge:
    """Sums and percentiles of the twelve TCP states over hosts; a host that cannot see a state is left out of it."""

    def __init__(self) -> None:
        """Start with no host seen."""
        self._counts = {state: array("Q") for state in STATES}
        self._worst = {state: Worst(1) for state in STATES}

    def add(self, host: str, report: Mapping[str, Any]) -> None:
        """Take the states of one host report (eight bytes per state and host)."""
        for state in STATES:
            count = report["states"][state]
            if count is not None:
                self._counts[state].append(count)
                self._worst[state].add((count,), host, host)

    def result(self) -> dict[str, Any]:
        """Return ``states`` of ``lastack.fleet/1``; percentiles by the nearest rank."""
        merged = {}
        for state, counts in self._counts.items():
            ordered = sorted(counts)
            worst = self._worst[state].ranked()
            merged[state] = {
                "sum": sum(ordered) if ordered else None,
                "p50": _nearest_rank(ordered, 50),
                "p90": _nearest_rank(ordered, 90),
                "p99": _nearest_rank(ordered, 99),
                "max": ordered[-1] if ordered else None,
                "worst_host": worst[0] if ordered and ordered[-1] else None,
            }
        return merged


def _nearest_rank(ordered: list[int], percent: int) -> int | None:
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else None


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


class DriftMerge:
    """Sysctls whose value differs between hosts, and the file that sets each value most often."""

    def __init__(self) -> None:
        """Start with none seen."""
        self._keys: dict[str, dict[str | None, Counter[str | None]]] = {}
        self._tracked = 0

    def add(self, report: Mapping[str, Any]) -> None:
        """Take the sysctls of one host report."""
        for key, state in report.get("sysctls", {}).items():
            winners = self._keys.get(key, {}).get(state["current"])
            if winners is None or state["winner"] not in winners:
                if self._tracked >= _TRACKED:
                    continue
                self._tracked += 1
            self._keys.setdefault(key, {}).setdefault(state["current"], Counter())[state["winner"]] += 1

    def result(self) -> list[dict[str, Any]]:
        """Return ``drift`` of ``lastack.fleet/1``: most hosts away from the most common value first.

        A value that a host does not have or does not show (``None``) is listed, but is no drift on its own.
        """
        drifting = []
        for key, by_value in self._keys.items():
            if sum(1 for value in by_value if value is not None) < 2:  # noqa: PLR2004 - two values differ, one cannot
                continue
            values = [
                {"value": value, "hosts": winners.total(), "winner": _most_common(winners)}
                for value, winners in sorted(by_value.items(), key=lambda item: (-item[1].total(), item[0] or ""))
            ]
            most = max(winners.total() for value, winners in by_value.items() if value is not None)
            away = sum(winners.total() for value, winners in by_value.items() if value is not None) - most
            cut = {"values": values[:_VALUES_SHOWN], "values_truncated": max(0, len(values) - _VALUES_SHOWN)}
            drifting.append((-away, key, {"key": key, **cut}))
        return [item[2] for item in sorted(drifting, key=lambda item: item[:2])]


def _most_common(winners: Counter[str | None]) -> str | None:
    return max(sorted(winners, key=lambda winner: winner or ""), key=winners.__getitem__)
