# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel memory of TCP, orphans and tracked flows: caps of the host or a namespace, and how near they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.descriptor_pressure import share
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.time_wait import LEAST_KEPT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Conntrack, HostMemory

__all__ = ["conntrack_section", "memory_section"]


def memory_section(memory: HostMemory) -> dict[str, int | None]:
    """Return ``memory`` of the host report: orphans in sockets, the rest in pages (``tcp_mem`` counts pages)."""
    return {
        "orphans": memory.orphans,
        "max_orphans": memory.max_orphans,
        "pages": memory.pages,
        "pressure_pages": memory.pressure_pages,
        "max_pages": memory.max_pages,
    }


def conntrack_section(
    conntrack: Mapping[int, Conntrack], namespaces: Mapping[int, str], *, top: int = 20
) -> list[dict[str, Any]]:
    """Return ``conntrack`` of the host report, fullest namespace first; a maximum of 0 means no limit.

    At most ``top`` namespaces, but never less than 20.
    """
    entries: list[dict[str, Any]] = [
        {
            "namespace": clean_text(namespaces.get(inode, "")),
            "namespace_id": inode,
            "count": one.flows,
            "max": one.maximum,
            "used_percent": share(one.flows, one.maximum),
        }
        for inode, one in conntrack.items()
        if one.flows or one.maximum
    ]
    entries.sort(key=lambda entry: (-_share_or_zero(entry), -entry["count"], entry["namespace_id"]))
    return entries[: max(LEAST_KEPT, top)]


def _share_or_zero(entry: Mapping[str, Any]) -> float:
    return float(entry["used_percent"] or 0.0)
