# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings about connections that arrive: accept queues, their ceiling, SYN cookies.

Counters run since the namespace began, so alone they are history; a queue that is full now is the present.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.finding import INFO, WARNING, Finding, number
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.thresholds import ALERT_PERCENT
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.wording import (
    format_count,
    format_percent,
    plural,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["listen_findings"]

MENTIONED = 100
"""Overflows or cookies since boot that are worth a line; a handful in months of uptime is not."""


def listen_findings(report: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield ``listen.overflow``, ``listen.backlog_capped`` and ``syn.cookies_sent``.

    A queue full of connections that were never accepted has its own finding, ``close_wait.stuck_accept``.
    """
    overflows = {
        one.get("id"): number((one.get("counters") or {}).get("ListenOverflows"))
        for one in report.get("namespaces") or []
    }
    stuck = _stuck_ports(report)
    high: set[Any] = set()
    capped: set[tuple[Any, Any]] = set()
    for one in report.get("listeners") or []:
        key = one.get("namespace_id"), one.get("port")
        percent = number(one.get("used_percent"))
        if percent >= ALERT_PERCENT["listeners"]:
            high.add(one.get("namespace_id"))
            if key not in stuck:
                yield _queue(one, percent)
        somaxconn = one.get("somaxconn")
        evident = percent >= ALERT_PERCENT["listeners"] or overflows.get(one.get("namespace_id"), 0) > 0
        if somaxconn and somaxconn == one.get("backlog") and evident and key not in capped:
            capped.add(key)
            yield _capped(one, percent)
    for one in report.get("namespaces") or []:
        counters = one.get("counters") or {}
        lost, cookies = number(counters.get("ListenOverflows")), number(counters.get("SyncookiesSent"))
        if lost >= MENTIONED and one.get("id") not in high:
            yield _history(one, int(lost), counters)
        if cookies >= MENTIONED:
            yield _cookies(one, int(cookies))


def _stuck_ports(report: Mapping[str, Any]) -> set[tuple[Any, Any]]:
    return {
        (offender.get("namespace_id"), port["port"])
        for offender in (report.get("close_wait") or {}).get("offenders") or []
        if (offender.get("causes") or {}).get("unaccepted")
        for port in offender.get("local_ports") or []
    }


def _who(one: Mapping[str, Any]) -> tuple[str, str]:
    place = f":{one['port']}" + ("" if one.get("namespace") in ("host", "", None) else f" in {one['namespace']}")
    return (str(one["app"]) if one.get("app") else "the listener"), place


def _queue(one: Mapping[str, Any], percent: float) -> Finding:
    app, place = _who(one)
    return Finding(
        "listen.overflow",
        WARNING,
        f"{one['app']} {place}" if one.get("app") else place,
        f"{plural(one['queue'], 'connection')} wait for {app} to accept them on {place}, {format_percent(percent)} of"
        f" its queue of {format_count(one['backlog'])}; what does not fit is dropped.",
        f"Find what keeps {app} from calling accept() on {place}; a longer queue only hides it.",
        {key: one.get(key) for key in ("port", "queue", "backlog", "used_percent")},
        percent,
    )


def _capped(one: Mapping[str, Any], percent: float) -> Finding:
    app, place = _who(one)
    return Finding(
        "listen.backlog_capped",
        WARNING if percent >= ALERT_PERCENT["listeners"] else INFO,
        f"{one['app']} {place}" if one.get("app") else place,
        f"The queue of {app} on {place} is as long as net.core.somaxconn allows ({format_count(one['backlog'])}) and"
        f" has been too short.",
        f"Raise net.core.somaxconn above {format_count(one['somaxconn'])} for {place} and restart {app}, for a listener"
        " keeps its queue.",
        {key: one.get(key) for key in ("port", "queue", "backlog", "somaxconn", "used_percent")},
        percent,
    )


def _history(one: Mapping[str, Any], lost: int, counters: Mapping[str, Any]) -> Finding:
    label = str(one.get("label") or f"namespace {one.get('id')}")
    return Finding(
        "listen.overflow",
        INFO,
        label,
        f"{plural(lost, 'connection')} in {label} {'was' if lost == 1 else 'were'} dropped since boot because an accept"
        " queue was full; none is half full now.",
        f"Watch whether ListenOverflows of {label} still grows (nstat -az TcpExtListenOverflows), and on which port.",
        {"ListenOverflows": lost, "ListenDrops": counters.get("ListenDrops")},
        lost,
    )


def _cookies(one: Mapping[str, Any], cookies: int) -> Finding:
    label = str(one.get("label") or f"namespace {one.get('id')}")
    return Finding(
        "syn.cookies_sent",
        INFO,
        label,
        f"{plural(cookies, 'SYN cookie')} in {label} since boot: the queue of half-open connections was full.",
        f"Look in {label} whether a listener's own backlog is short for its rate of new connections, or a flood came.",
        {"SyncookiesSent": cookies},
        cookies,
    )
