# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Automatic local ports: how many there are and how many each destination uses.

A client runs out per (source address, destination address, destination port), not in total (ip(7)).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.descriptor_pressure import share
from ansible_collections.lastack.linux.plugins.module_utils.observe.counters import (
    parse_port_range,
    parse_reserved_ports,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import (
        Destination,
        NamespaceCounters,
        NamespaceSockets,
    )

__all__ = ["ephemeral_ports_section", "usable_ports"]

WORTH_A_ROW_PERCENT = 1.0
"""Of the usable ports: a destination that uses less is counted, not shown."""
WITHOUT_ROWS = 50
"""So many namespaces are listed at most whose every destination is only counted."""

_RANGE = "net.ipv4.ip_local_port_range"
_RESERVED = "net.ipv4.ip_local_reserved_ports"


def usable_ports(ends: tuple[int, int], reserved: Sequence[tuple[int, int]], bound: set[int]) -> int:
    """Return how many ports ``connect()`` may choose: the range less those reserved or bound explicitly inside it.

    ``reserved`` as ``parse_reserved_ports`` returns it: ranges, both ends included, that do not overlap.
    """
    low, high = ends
    explicitly = sum(
        low <= port <= high and not any(first <= port <= last for first, last in reserved) for port in bound
    )
    return high - low + 1 - _inside(ends, reserved) - explicitly


def _inside(ends: tuple[int, int], reserved: Sequence[tuple[int, int]]) -> int:
    low, high = ends
    return sum(max(0, min(high, last) - max(low, first) + 1) for first, last in reserved)


def ephemeral_ports_section(
    sockets: Sequence[NamespaceSockets],
    counters: Mapping[int, NamespaceCounters],
    namespaces: Mapping[int, str],
    *,
    top: int = 20,
) -> list[dict[str, Any]]:
    """Return ``ephemeral_ports`` of the host report: one entry a namespace that uses any, worst destination first.

    ``destinations`` has at most ``top`` rows over all namespaces together, those with the largest share of their
    ports; each entry counts in ``truncated`` what it leaves out. Entries without a row are kept for 50 namespaces.
    """
    entries: list[dict[str, Any]] = []
    rows: list[tuple[tuple[float, int, int], int, dict[str, Any]]] = []
    for one in sockets:
        if not one.destinations:
            continue
        own = counters.get(one.namespace)
        ends = parse_port_range(own.sysctls.get(_RANGE, "")) if own else None
        reserved = parse_reserved_ports(own.sysctls.get(_RESERVED, "")) if own else []
        bound = {listener.local_port for listener in one.listeners}
        usable = usable_ports(ends, reserved, bound) if ends else None
        for to in sorted(one.destinations, key=lambda to: (-to.used, to.source, to.address, to.port)):
            percent = share(to.used, usable)
            # Not the rounded share: 0.96 % would be 1.0.
            if percent is None or not usable or 100 * to.used >= WORTH_A_ROW_PERCENT * usable:
                badness = -(percent or 0.0), -to.used, one.namespace
                rows.append((badness, len(entries), _row(to, percent)))
        entries.append(
            {
                "namespace": clean_text(namespaces.get(one.namespace, "")),
                "namespace_id": one.namespace,
                "range": list(ends) if ends else None,
                "reserved": _inside(ends, reserved) if ends else None,
                "usable": usable,
                "destinations": [],
                "truncated": len(one.destinations),
            }
        )
    rows.sort(key=lambda row: row[0])
    worst: dict[int, dict[str, Any]] = {}
    for __, at, row in rows[:top]:
        worst[at] = entries[at]
        entries[at]["destinations"].append(row)
        entries[at]["truncated"] -= 1
    shown = list(worst.values())
    rest = sorted(
        (entry for entry in entries if not entry["destinations"]),
        key=lambda entry: (-entry["truncated"], entry["namespace_id"]),
    )
    return shown + rest[: max(0, WITHOUT_ROWS - len(shown))]


def _row(to: Destination, percent: float | None) -> dict[str, Any]:
    return {
        "source": clean_text(to.source),
        "address": clean_text(to.address),
        "port": to.port,
        "used": to.used,
        "time_wait": to.time_wait,
        "used_percent": percent,
    }
