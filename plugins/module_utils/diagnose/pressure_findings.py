# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings about limits that are near: ports, descriptors, TIME_WAIT buckets, orphans, TCP memory, tracked flows.

Thresholds are those of the baseline's formulas; what is below them is no finding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.descriptor_pressure import share
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.finding import (
    CRITICAL,
    INFO,
    WARNING,
    Finding,
    number,
)
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.thresholds import ALERT_PERCENT, NEARLY_OUT_PERCENT
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.wording import (
    format_count,
    format_percent,
    plural,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "descriptor_findings",
    "namespace_name",
    "port_findings",
    "table_findings",
    "time_wait_findings",
]

PORTS_CRITICAL = 80
LOW_SOFT_LIMIT = 1_024
"""The default of getrlimit(2) since the days of ``select()``."""
LOW_SOFT_LIMIT_PERCENT = 50
LEAK_EXPLAINS = 0.5
"""Of a process's descriptors: so large a leak is the reason, and its own finding says so."""
NO_FILE_LIMIT = 1 << 60
"""systemd sets ``fs.file-max`` to the largest number there is: no limit at all."""
ASKED_ABOUT = 10_000
"""TIME_WAIT entries about which somebody asks."""
CLOSED_HERE = 1_000
"""On one port within a minute: a connection for each request."""
BUCKETS_NEARLY_FULL = 80
MEMORY_CRITICAL = 100
CONNTRACK_CRITICAL = 95


def namespace_name(entry: Mapping[str, Any]) -> str:
    """Return how a namespace is called in a sentence."""
    return str(entry.get("namespace") or entry.get("label") or f"namespace {entry.get('namespace_id', '?')}")


def _where(entry: Mapping[str, Any]) -> str:
    name = namespace_name(entry)
    return "" if name == "host" else f" in {name}"


def port_findings(report: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield ``ports.near_exhaustion`` for each destination that uses half of the automatic ports or more."""
    for entry in report.get("ephemeral_ports") or []:
        for to in entry.get("destinations") or []:
            percent = number(to.get("used_percent"))
            if percent < ALERT_PERCENT["ports"]:
                continue
            address = f"[{to['address']}]" if ":" in to["address"] else to["address"]
            target = f"{address}:{to['port']}"
            yield Finding(
                "ports.near_exhaustion",
                CRITICAL if percent >= PORTS_CRITICAL else WARNING,
                f"{to['source']} to {target}",
                f"{format_count(to['used'])} of {format_count(entry.get('usable'))} automatic ports from"
                f" {to['source']} to {target}{_where(entry)} are in use ({format_percent(percent)}),"
                f" {format_count(to['time_wait'])} of them in TIME_WAIT.",
                f"Reuse connections to {target} (a pool, keep-alive) in the programs that connect from {to['source']}.",
                {**{key: to.get(key) for key in ("used", "time_wait", "used_percent")}, "usable": entry.get("usable")},
                percent,
            )


def descriptor_findings(report: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield ``fd.*`` findings: at most one an application, and none where a leak's own finding explains the use."""
    section = report.get("descriptors") or {}
    seen: set[str] = set()
    explained = _explained(report)
    for use in section.get("processes") or []:
        percent, app = number(use.get("used_percent")), use["app"]
        soft, hard = use.get("soft_limit"), use.get("hard_limit")
        if app in seen or use.get("pid") in explained:
            continue
        near = percent >= ALERT_PERCENT["descriptors"]
        low = percent >= LOW_SOFT_LIMIT_PERCENT and 0 < number(soft) <= LOW_SOFT_LIMIT
        if not near and not (low and (hard == -1 or number(hard) > number(soft))):
            continue
        seen.add(app)
        figures = f"{format_count(use['open'])} of {format_count(soft)} descriptors ({format_percent(percent)})"
        evidence = {key: use.get(key) for key in ("pid", "open", "soft_limit", "hard_limit", "used_percent")}
        if near:
            severity = CRITICAL if percent >= NEARLY_OUT_PERCENT else WARNING
            summary = f"{app} (pid {use['pid']}) uses {figures}."
            step = (
                f"Raise LimitNOFILE of {app} above {format_count(soft)} and restart it, once no leak explains the use."
            )
            yield Finding("fd.process_near_limit", severity, app, summary, step, evidence, percent)
        else:
            top = "unlimited" if hard == -1 else format_count(hard)
            summary = f"{app} (pid {use['pid']}) uses {figures}; its soft limit is low, its hard limit is {top}."
            step = f"Set LimitNOFILE of {app} to at least twice what it needs."
            yield Finding("fd.soft_limit_low", INFO, app, summary, step, evidence, percent)
    system = section.get("system") or {}
    percent = number(share(system.get("allocated"), system.get("max")))
    if percent >= ALERT_PERCENT["descriptors"] and number(system.get("max")) < NO_FILE_LIMIT:
        yield Finding(
            "fd.system_near_limit",
            CRITICAL if percent >= NEARLY_OUT_PERCENT else WARNING,
            "fs.file-max",
            f"The host has {format_count(system['allocated'])} of {format_count(system['max'])} open files"
            f" ({format_percent(percent)}).",
            "Find the programs with the most descriptors, then raise fs.file-max.",
            {"allocated": system["allocated"], "max": system["max"], "used_percent": percent},
            percent,
        )


def _explained(report: Mapping[str, Any]) -> set[int]:
    pids: set[int] = set()
    for section in ("close_wait", "dead_sockets"):
        for offender in (report.get(section) or {}).get("offenders") or []:
            descriptors = offender.get("descriptors") or {}
            held = offender["count"] - (offender.get("causes") or {}).get("unaccepted", 0)
            if held >= LEAK_EXPLAINS * number(descriptors.get("open")) > 0:
                pids.update(offender.get("pids") or [])
    return pids


def time_wait_findings(report: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield ``time_wait.*``: only an overflow can be a warning, for a TIME_WAIT entry costs no descriptor."""
    for entry in report.get("time_wait") or []:
        total, name, percent = entry["total"], namespace_name(entry), number(entry.get("used_percent"))
        overflows = entry.get("overflows")
        evidence = {key: entry.get(key) for key in ("total", "max_buckets", "used_percent", "overflows")}
        if overflows:
            yield Finding(
                "time_wait.bucket_overflow",
                WARNING if percent >= BUCKETS_NEARLY_FULL else INFO,
                name,
                f"{plural(overflows, 'connection')}{_where(entry)} since boot closed without TIME_WAIT, because the cap"
                f" of {format_count(entry.get('max_buckets'))} was reached; now {format_count(total)} wait.",
                f"Take back whatever lowered net.ipv4.tcp_max_tw_buckets{_where(entry)}; the kernel's own default is"
                " right.",
                evidence,
                percent,
            )
        for port in entry.get("closed_here") or []:
            if port["count"] < CLOSED_HERE:
                continue
            app = port.get("app") or f"port {port['port']}"
            yield Finding(
                "time_wait.closed_here",
                INFO,
                f":{port['port']}",
                f"{format_count(port['count'])} of {format_count(total)} TIME_WAIT entries{_where(entry)} are on port"
                f" {port['port']}{' (' + port['app'] + ')' if port.get('app') else ''}, where this host closes first.",
                f"Switch keep-alive on between {app} and its clients, or lengthen it, if the rate of new connections"
                " hurts.",
                {"port": port["port"], "count": port["count"], "total": total},
                port["count"],
            )
        if total >= ASKED_ABOUT and not overflows:
            figure = f" ({format_percent(percent)} of the cap)" if entry.get("used_percent") is not None else ""
            yield Finding(
                "time_wait.normal",
                INFO,
                name,
                f"{format_count(total)} connections{_where(entry)} are in TIME_WAIT{figure}: each ends by itself after"
                " 60 s and holds no descriptor.",
                f"Leave the TIME_WAIT entries of {name} alone; nothing has to be done.",
                evidence,
                total,
            )


def table_findings(report: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield findings about the kernel's own tables: orphans, TCP memory, conntrack."""
    memory = report.get("memory") or {}
    orphans = number(share(memory.get("orphans"), memory.get("max_orphans")))
    if orphans >= ALERT_PERCENT["orphans"]:
        yield Finding(
            "orphans.near_limit",
            WARNING,
            "net.ipv4.tcp_max_orphans",
            f"{format_count(memory['orphans'])} closed connections of at most {format_count(memory['max_orphans'])}"
            f" still wait for their peer ({format_percent(orphans)}); the kernel resets them from a"
            f" quarter on under pressure.",
            "Find the peers in FIN_WAIT1, LAST_ACK and CLOSING (ss -tan) that no longer acknowledge, and never lower"
            " net.ipv4.tcp_max_orphans.",
            {"orphans": memory["orphans"], "max_orphans": memory["max_orphans"], "used_percent": orphans},
            orphans,
        )
    pressure = number(share(memory.get("pages"), memory.get("pressure_pages")))
    if pressure >= ALERT_PERCENT["memory"]:
        yield Finding(
            "memory.pressure",
            CRITICAL if pressure >= MEMORY_CRITICAL else WARNING,
            "TCP memory",
            f"TCP buffers use {format_count(memory['pages'])} pages, {format_percent(pressure)} of the"
            f" {format_count(memory['pressure_pages'])} from which the kernel begins to shrink windows.",
            "Find the programs whose sockets hold the longest queues (ss -tm) and make them read or send less at once.",
            {**{key: memory.get(key) for key in ("pages", "pressure_pages", "max_pages")}, "used_percent": pressure},
            pressure,
        )
    for entry in report.get("conntrack") or []:
        percent = number(entry.get("used_percent"))
        if percent >= ALERT_PERCENT["conntrack"]:
            yield Finding(
                "conntrack.near_limit",
                CRITICAL if percent >= CONNTRACK_CRITICAL else WARNING,
                namespace_name(entry),
                f"{format_count(entry['count'])} of {format_count(entry['max'])} flows are tracked{_where(entry)}"
                f" ({format_percent(percent)}); new ones are dropped when the table is full.",
                f"Raise net.netfilter.nf_conntrack_max of {namespace_name(entry)} to twice its peak, with its hash"
                " buckets.",
                {"count": entry["count"], "max": entry["max"], "used_percent": percent},
                percent,
            )
