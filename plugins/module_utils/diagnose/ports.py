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

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import (
        NamespaceCounters,
        NamespaceSockets,
    )

__all__ = ["ephemeral_ports_section", "parse_ports", "parse_range", "usable_ports"]

_RANGE = "net.ipv4.ip_local_port_range"
_RESERVED = "net.ipv4.ip_local_reserved_ports"
_LAST_PORT = 65_535
_LONGEST_LIST = 1_000_000


def parse_range(text: str | None) -> tuple[int, int] | None:
    """Return ``ip_local_port_range`` as its two ends, ``None`` if it is not two ports in order."""
    words = (text or "").split()
    if len(words) != 2 or not all(word.isascii() and word.isdigit() and len(word) <= 5 for word in words):  # noqa: PLR2004 - two ends of five digits
        return None
    low, high = map(int, words)
    return (low, high) if 0 < low <= high <= _LAST_PORT else None


def parse_ports(text: str | None) -> set[int] | None:
    """Return a port list such as ``8080,9000-9010`` as a set, ``None`` if it is not known or not a list."""
    if text is None or len(text) > _LONGEST_LIST:
        return None
    ports: set[int] = set()
    for item in filter(None, text.strip().replace("\n", ",").split(",")):
        ends = parse_range(item.replace("-", " ") if "-" in item else f"{item} {item}")
        if ends is None:
            return None
        ports.update(range(ends[0], ends[1] + 1))
    return ports


def usable_ports(ends: tuple[int, int] | None, reserved: set[int] | None, bound: set[int]) -> int | None:
    """Return how many ports ``connect()`` may choose: the range less those reserved or bound explicitly inside it."""
    if ends is None:
        return None
    taken = {port for port in (reserved or set()) | bound if ends[0] <= port <= ends[1]}
    return max(0, ends[1] - ends[0] + 1 - len(taken))


def ephemeral_ports_section(
    sockets: Sequence[NamespaceSockets],
    counters: Mapping[int, NamespaceCounters],
    namespaces: Mapping[int, str],
    *,
    top: int = 20,
) -> list[dict[str, Any]]:
    """Return ``ephemeral_ports`` of the host report: one entry a namespace that uses any, worst destination first."""
    entries: list[dict[str, Any]] = []
    for one in sockets:
        if not one.destinations:
            continue
        own = counters.get(one.namespace)
        ends = parse_range(own.sysctls.get(_RANGE)) if own else None
        reserved = parse_ports(own.sysctls.get(_RESERVED)) if own else None
        inside = None if reserved is None or ends is None else sum(ends[0] <= port <= ends[1] for port in reserved)
        usable = usable_ports(ends, reserved, {listener.local_port for listener in one.listeners})
        ranked = sorted(one.destinations, key=lambda to: (-to.used, to.source, to.address, to.port))
        entries.append(
            {
                "namespace": clean_text(namespaces.get(one.namespace, "")),
                "namespace_id": one.namespace,
                "range": list(ends) if ends else None,
                "reserved": inside,
                "usable": usable,
                "destinations": [
                    {
                        "source": clean_text(to.source),
                        "address": clean_text(to.address),
                        "port": to.port,
                        "used": to.used,
                        "time_wait": to.time_wait,
                        "used_percent": share(to.used, usable),
                    }
                    for to in ranked[:top]
                ],
                "truncated": max(0, len(ranked) - top),
            }
        )
    entries.sort(key=lambda entry: (-entry["destinations"][0]["used"], entry["namespace_id"]))
    return entries
