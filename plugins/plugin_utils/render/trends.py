# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the resident agent has watched, in words: how fast a leak grows, when descriptors are gone, who is silent."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.agent_trend import grows
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import age, data, joined, plural, rows

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AGENT_COMMAND",
    "GROWING_PAGE",
    "agent_words",
    "due_words",
    "fleet_growing_words",
    "fleet_trend_words",
    "host_trend_words",
    "silent_words",
]

GROWING_PAGE = "close_wait.growing"
AGENT_COMMAND = "systemctl status lastack-agent"
"""Where to look when the agent is silent."""

_LONGEST_S = 366 * 86_400.0
"""A forecast beyond a year asks for nothing."""
_NAMES = 3
_SAID = {
    "leak": "leak: they stay",
    "stuck": "stuck: nobody accepts them",
    "burst": "burst: drains by itself",
    "pool": "pool: does not grow",
}


def host_trend_words(app: Mapping[str, Any]) -> str:
    """The trend of an offender of a host report: "grows 12/min · descriptors gone in ~3 h"; nothing without one."""
    trend = data(app, "trend")
    verdict, ready = str(trend.get("verdict") or ""), trend.get("ready_in_s")
    if grows(app):
        return " · ".join(
            filter(None, [f"grows {rate(trend['growth_per_min'])}", due_words(trend.get("exhaustion_in_s"))])
        )
    if verdict == "watching":
        return f"watched, verdict in ~{_span(ready)}" if isinstance(ready, (int, float)) else "watched, no verdict yet"
    turnover = trend.get("turnover_per_min")
    if verdict == "pool" and isinstance(turnover, (int, float)) and turnover > 0:
        return f"pool: does not grow, {rate(turnover)} replaced"
    return _SAID.get(verdict, "")


def fleet_trend_words(app: Mapping[str, Any]) -> str:
    """The trend of an application of a fleet report, with the hosts on which it grows or what is said of it there."""
    trend = data(app, "trend")
    hosts = int(trend.get("growing_hosts") or 0)
    if hosts:
        where = str(data(trend, "fastest").get("host")) if hosts == 1 else plural(hosts, "host")
        return " · ".join(filter(None, [f"grows {rate(trend.get('growth_per_min'))} on {where}", due_on_host(trend)]))
    verdicts = data(trend, "verdicts")
    return ", ".join(f"{name} on {plural(int(verdicts[name]), 'host')}" for name in verdicts)


def fleet_growing_words(fleet: Mapping[str, Any]) -> str:
    """The growing leaks of a fleet in one clause: "1 leak grows, descriptors gone in ~3 h on web-3"."""
    growing = data(data(fleet, "close_wait"), "growing")
    apps = int(growing.get("apps") or 0)
    if not apps:
        return ""
    due = due_on_host(growing)
    return f"{plural(apps, 'leak')} {'grows' if apps == 1 else 'grow'}" + (f", {due}" if due else "")


def due_on_host(holder: Mapping[str, Any]) -> str:
    """The earliest exhaustion and its host; nothing without a forecast."""
    earliest = data(holder, "earliest_exhaustion")
    due = due_words(earliest.get("in_s"))
    return f"{due} on {earliest.get('host')}" if due else ""


def due_words(seconds: object) -> str:
    """A forecast: "descriptors gone in ~3 h"; nothing without one, or if it is more than a year away."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= _LONGEST_S:
        return ""
    return f"descriptors gone in ~{_span(seconds)}" if seconds >= 1 else "descriptors gone any moment"


def rate(per_min: object) -> str:
    """A rate in the unit that gives a figure: "12/min", "3/h", "5/d"."""
    if isinstance(per_min, bool) or not isinstance(per_min, (int, float)) or not math.isfinite(per_min):
        return "at an unknown rate"
    for factor, unit in ((1, "min"), (60, "h"), (1_440, "d")):
        figure = per_min * factor
        if figure >= 1:
            return f"{figure:,.1f}".removesuffix(".0") + f"/{unit}" if figure < 10 else f"{figure:,.0f}/{unit}"  # noqa: PLR2004 - one decimal says enough of one digit
    return "less than 1/d"


def agent_words(report: Mapping[str, Any]) -> str:
    """What to say of an agent that was not heard on a host; nothing if it was, or if there is none."""
    agent = data(report, "agent")
    return str(agent.get("reason") or "not heard") if agent.get("state") in ("stale", "unusable") else ""


def silent_words(fleet: Mapping[str, Any]) -> str:
    """The hosts of a fleet whose agent was not heard, by what is said of it; nothing if there is none."""
    agents = data(fleet, "agents")
    silent, total = rows(agents, "silent"), int(agents.get("stale") or 0) + int(agents.get("unusable") or 0)
    if not total:
        return ""
    said = [f"{row.get('host')} ({row.get('reason')})" for row in silent]
    heard = int(agents.get("fresh") or 0)
    return f"{total:,} of {heard + total:,} not heard: {joined(said, _NAMES, total)}"


def _span(seconds: float) -> str:
    seconds = min(max(float(seconds), 1.0), _LONGEST_S)
    return age({"at_least": seconds, "at_most": seconds})
