# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resources near their end, in words: ports, listen queues, descriptors, orphans, memory, conntrack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.thresholds import ALERT_PERCENT
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import (
    count,
    endpoint,
    namespace_suffix,
    percent,
    rows,
)

__all__ = ["KINDS", "Use", "host_pressure", "truncated", "uses"]


class Kind(NamedTuple):
    """One resource: its key in the fleet report, its name, the finding that explains it, and what its end means."""

    key: str
    name: str
    finding: str
    consequence: str


class Use(NamedTuple):
    """One resource near its end: where, what in words, and how much in percent (None if unknown)."""

    host: str
    words: str
    used_percent: float | None


KINDS = (
    Kind("ports", "ports", "ports.near_exhaustion", "At 100 % connect() fails; it slows down from 50 % on."),
    Kind(
        "listeners",
        "listen queue",
        "listen.overflow",
        "At 100 % new connections are dropped and retried by the client.",
    ),
    Kind("descriptors", "descriptors", "fd.process_near_limit", "At 100 % every accept() and open() fails."),
    Kind("orphans", "orphans", "orphans.near_limit", "At 100 % closed connections are reset instead of finished."),
    Kind("memory", "TCP memory", "memory.pressure", "At 100 % the kernel begins to shrink every TCP buffer."),
    Kind("conntrack", "conntrack", "conntrack.near_limit", "At 100 % packets of new connections are dropped."),
)


def _words(key: str, row: Mapping[str, Any]) -> str:
    used, where = percent(row.get("used_percent")), namespace_suffix(row.get("namespace"))
    if key == "ports":
        to = endpoint(row.get("address"), row.get("port"))
        return f"{to} uses {used} of {count(row.get('usable'))} ports from {row.get('source')}{where}"
    if key == "listeners":
        name = endpoint(row.get("address"), row.get("port"))
        app = f" {row['app']}" if row.get("app") else ""
        where = "" if row.get("namespace") == row.get("app") else where
        return f"{name}{app}: {count(row.get('queue'))} waiting, room for {count(row.get('backlog'))} ({used}){where}"
    if key == "descriptors":
        return f"{row.get('app')} (pid {row.get('pid')}): {used} of {count(row.get('soft_limit'))}"
    if key == "orphans":
        return f"{count(row.get('orphans'))} of {count(row.get('max_orphans'))} ({used})"
    if key == "memory":
        at, of = count(row.get("pages")), count(row.get("pressure_pages"))
        return f"{at} pages, pressure begins at {of} ({used})"
    return f"{count(row.get('count'))} of {count(row.get('max'))} flows ({used}){where}"


def uses(pressure: Mapping[str, Any]) -> dict[str, list[Use]]:
    """Per kind of resource the uses in the ``pressure`` part of a fleet report, in its order (worst first)."""
    return {
        kind.key: [
            Use(str(row.get("host") or ""), _words(kind.key, row), row.get("used_percent"))
            for row in rows(pressure, kind.key)
        ]
        for kind in KINDS
    }


def truncated(pressure: Mapping[str, Any]) -> dict[str, int]:
    """Per kind of resource how many uses the ``pressure`` part of a fleet report had to leave out."""
    return {kind.key: int(pressure.get(f"{kind.key}_truncated") or 0) for kind in KINDS}


def _alarming(key: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    near = [row for row in found if (row.get("used_percent") or 0) >= ALERT_PERCENT[key]]
    return sorted(near, key=lambda row: -row["used_percent"])


def host_pressure(report: Mapping[str, Any]) -> dict[str, Any]:
    """The ``pressure`` part of a fleet report, made of one host report: what reached its alert threshold."""
    found: dict[str, list[dict[str, Any]]] = {kind.key: [] for kind in KINDS}
    for part in rows(report, "ephemeral_ports"):
        common = {"namespace": part.get("namespace"), "usable": part.get("usable")}
        found["ports"] += [{**row, **common} for row in rows(part, "destinations")]
    found["listeners"] = [dict(row) for row in rows(report, "listeners")]
    found["conntrack"] = [dict(row) for row in rows(report, "conntrack")]
    descriptors, memory = report.get("descriptors"), report.get("memory")
    if isinstance(descriptors, Mapping):
        found["descriptors"] = [dict(row) for row in rows(descriptors, "processes")]
    if isinstance(memory, Mapping):
        for key, used, most in (("orphans", "orphans", "max_orphans"), ("memory", "pages", "pressure_pages")):
            if memory.get(used) is not None and memory.get(most):
                found[key] = [{**memory, "used_percent": 100 * memory[used] / memory[most]}]
    return {key: _alarming(key, value) for key, value in found.items()}
