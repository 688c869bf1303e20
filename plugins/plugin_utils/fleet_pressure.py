# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pressure over the fleet: the ports, queues, descriptors and tables that reached their alert threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.thresholds import ALERT_PERCENT
from ansible_collections.lastack.linux.plugins.plugin_utils.worst import Worst

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["PressureMerge"]

_SHOWN = 20


class PressureMerge:
    """Collects what is under pressure, one host report after the other."""

    def __init__(self) -> None:
        """Start with no pressure seen."""
        self._kinds = {kind: Worst(_SHOWN) for kind in ALERT_PERCENT}

    def add(self, host: str, report: Mapping[str, Any]) -> None:
        """Take the entries of one host report that reached their threshold."""
        for kind, entry in _entries(report):
            used = entry["used_percent"]
            if used is not None and used >= ALERT_PERCENT[kind]:
                self._kinds[kind].add((float(used),), host, {"host": host, **entry})

    def result(self) -> dict[str, Any]:
        """Return ``pressure`` of ``lastack.fleet/1``: per kind the worst entries and how many were cut."""
        merged: dict[str, Any] = {}
        for kind, worst in self._kinds.items():
            merged[kind] = worst.ranked()
            merged[f"{kind}_truncated"] = worst.truncated
        return merged


def _entries(report: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for pool in report.get("ephemeral_ports", ()):
        for item in pool["destinations"]:
            keys = ("source", "address", "port", "used", "used_percent")
            yield "ports", {"namespace": pool["namespace"], "usable": pool["usable"], **_pick(item, keys)}
    for item in report.get("listeners", ()):
        yield "listeners", _pick(item, ("namespace", "address", "port", "app", "queue", "backlog", "used_percent"))
    for item in report.get("descriptors", {}).get("processes", ()):
        yield "descriptors", _pick(item, ("app", "pid", "open", "soft_limit", "used_percent"))
    for item in report.get("conntrack", ()):
        yield "conntrack", _pick(item, ("namespace", "count", "max", "used_percent"))
    memory = report.get("memory")
    if memory is not None:
        yield (
            "orphans",
            {
                **_pick(memory, ("orphans", "max_orphans")),
                "used_percent": _percent(memory["orphans"], memory["max_orphans"]),
            },
        )
        yield (
            "memory",
            {
                **_pick(memory, ("pages", "pressure_pages", "max_pages")),
                "used_percent": _percent(memory["pages"], memory["pressure_pages"]),
            },
        )


def _pick(item: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: item[key] for key in keys}


def _percent(used: int | None, limit: int | None) -> float | None:
    return None if used is None or not limit else round(100.0 * used / limit, 1)
