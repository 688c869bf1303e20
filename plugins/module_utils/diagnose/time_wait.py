# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TIME_WAIT: how many of how many, and the listening ports on which this host closes first.

It belongs to the side that closes first, lasts 60 s whatever the settings, and holds no descriptor.
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

__all__ = ["LEAST_KEPT", "integer_of", "time_wait_section"]

LEAST_KEPT = 20
"""Namespaces that are shown however small ``top`` is."""

_DIGITS = 20
_MAX_BUCKETS = "net.ipv4.tcp_max_tw_buckets"


def time_wait_section(
    sockets: Sequence[NamespaceSockets],
    counters: Mapping[int, NamespaceCounters],
    namespaces: Mapping[int, str],
    port_apps: Mapping[tuple[int, int], str],
    *,
    top: int = 20,
) -> list[dict[str, Any]]:
    """Return ``time_wait`` of the host report: one entry a namespace that has any, or had too many; worst first.

    At most ``top`` namespaces, but never less than 20, and in each at most ``top`` ports.
    ``port_apps`` names who listens, by namespace and port (``listeners.apps_by_port``).
    """
    entries: list[dict[str, Any]] = []
    for one in sockets:
        own = counters.get(one.namespace)
        buckets = integer_of(own.sysctls.get(_MAX_BUCKETS)) if own else None
        overflows = own.counters.get("TCPTimeWaitOverflow") if own else None
        total = one.states.get("TIME_WAIT")
        if total is None or not (total or overflows):
            continue
        ports = sorted(one.time_wait_by_local_port.items(), key=lambda item: (-item[1], item[0]))
        entries.append(
            {
                "namespace": clean_text(namespaces.get(one.namespace, "")),
                "namespace_id": one.namespace,
                "total": total,
                "max_buckets": buckets,
                "used_percent": share(total, buckets),
                "overflows": overflows,
                "closed_here": [
                    {"port": port, "count": count, "app": port_apps.get((one.namespace, port))}
                    for port, count in ports[:top]
                ],
            }
        )
    entries.sort(key=lambda entry: (-entry["total"], entry["namespace_id"]))
    return entries[: max(LEAST_KEPT, top)]


def integer_of(text: str | None) -> int | None:
    """Return a sysctl's value as a number that is not negative, ``None`` for anything else."""
    digits = (text or "").strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS else None
