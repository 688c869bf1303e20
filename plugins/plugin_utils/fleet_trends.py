# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the resident agents of a fleet have watched: where a leak grows, how fast, and who runs out first."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.agent_trend import grows
from ansible_collections.lastack.linux.plugins.module_utils.observe.agent_fact import VERDICTS
from ansible_collections.lastack.linux.plugins.plugin_utils.worst import Worst

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["AgentsMerge", "TrendMerge", "merge_growing"]

_SILENT_SHOWN = 20
_FASTEST = 1e9
"""Sockets a minute that no host can make; a forged report must not lead a sum out of the range of a double."""


class TrendMerge:
    """The trend of one application over all hosts."""

    def __init__(self) -> None:
        """Start with no host seen."""
        self._verdicts: Counter[str] = Counter()
        self._growth_per_min = 0.0
        self._fastest: tuple[float, str] | None = None
        self._earliest: tuple[float, str] | None = None
        self.growing_hosts = 0

    def add(self, host: str, items: Sequence[Mapping[str, Any]]) -> bool:
        """Take the offenders of this application on one host; return whether it grows there."""
        trends = [item["trend"] for item in items if item.get("trend")]
        if not trends:
            return False
        self._verdicts[min((trend["verdict"] for trend in trends), key=VERDICTS.index)] += 1
        growing = [item["trend"] for item in items if grows(item)]
        if not growing:
            return False
        self.growing_hosts += 1
        growth = sum(min(trend["growth_per_min"], _FASTEST) for trend in growing)
        self._growth_per_min += growth
        if self._fastest is None or (-growth, host) < self._fastest:
            self._fastest = (-growth, host)
        for trend in growing:
            seconds = trend["exhaustion_in_s"]
            if seconds is not None and (self._earliest is None or (seconds, host) < self._earliest):
                self._earliest = (seconds, host)
        return True

    @property
    def urgency(self) -> tuple[bool, float]:
        """The sort key: what grows comes first, and of that what runs out first."""
        return not self.growing_hosts, self._earliest[0] if self._earliest else float("inf")

    def result(self) -> dict[str, Any] | None:
        """Return ``trend`` of ``apps[]`` of ``lastack.fleet/1``; ``None`` if no agent has watched it."""
        if not self._verdicts:
            return None
        fastest = self._fastest
        return {
            "verdicts": {name: self._verdicts[name] for name in VERDICTS if self._verdicts[name]},
            "growing_hosts": self.growing_hosts,
            "growth_per_min": round(self._growth_per_min, 3) if self.growing_hosts else None,
            "fastest": {"host": fastest[1], "growth_per_min": round(-fastest[0], 3)} if fastest else None,
            "earliest_exhaustion": _exhaustion(self._earliest),
        }


def merge_growing(trends: Mapping[str, TrendMerge], hosts: int) -> dict[str, Any]:
    """Return ``close_wait.growing`` of ``lastack.fleet/1`` from the trends by application, which grow on ``hosts``."""
    growing = {app: trend.result() or {} for app, trend in trends.items() if trend.growing_hosts}
    due = [(app, trend["earliest_exhaustion"]) for app, trend in growing.items() if trend["earliest_exhaustion"]]
    first = min(due, key=lambda one: (one[1]["in_s"], one[1]["host"], one[0]), default=None)
    return {
        "apps": len(growing),
        "hosts": hosts,
        "growth_per_min": round(sum(trend["growth_per_min"] for trend in growing.values()), 3),
        "earliest_exhaustion": {"app": first[0], **first[1]} if first else None,
    }


class AgentsMerge:
    """Counts the hosts whose agent was heard, is silent or is missing."""

    def __init__(self) -> None:
        """Start with no host seen."""
        self._states: Counter[str] = Counter()
        self._silent = Worst(_SILENT_SHOWN)

    def add(self, host: str, report: Mapping[str, Any]) -> None:
        """Take one host report; one that was told not to ask for the agent counts nowhere."""
        if "agent" not in report or report.get("options", {}).get("agent") is False:
            return
        agent = report["agent"]
        if agent is None:
            self._states["none"] += 1
            return
        self._states[agent["state"]] += 1
        if agent["state"] == "fresh":
            return
        entry = {"host": host, "state": agent["state"], "reason": agent["reason"] or "no reason was given"}
        age = agent.get("age_s")
        self._silent.add((float("inf") if age is None else age,), host, entry)

    def result(self) -> dict[str, Any]:
        """Return ``agents`` of ``lastack.fleet/1``."""
        return {
            **{state: self._states[state] for state in ("fresh", "stale", "unusable", "none")},
            "silent": self._silent.ranked(),
            "silent_truncated": self._silent.truncated,
        }


def _exhaustion(earliest: tuple[float, str] | None) -> dict[str, Any] | None:
    return {"host": earliest[1], "in_s": earliest[0]} if earliest else None
