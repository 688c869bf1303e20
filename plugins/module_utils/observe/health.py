# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at the TCP health counters of this host's own network namespace, made to be compared with another look."""

from __future__ import annotations

import os
import re
import time
from typing import NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import try_read_head
from ansible_collections.lastack.linux.plugins.module_utils.observe.counters import SELECTED, parse_counters

__all__ = ["SOFTNET", "HealthSnapshot", "read_health"]

SOFTNET = "SoftnetDropped"
"""Packets that found a processor's input queue full: column 2 of net/softnet_stat, the sum of all processors."""

_MAX_TABLE_BYTES = 1 << 20
_BOOT_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.ASCII)
_HEX = re.compile(r"[0-9a-fA-F]{1,16}\Z", re.ASCII)


class HealthSnapshot(NamedTuple):
    """Counters, and what tells whether two of these looks may be compared."""

    boot_id: str | None
    """The boot that the counters belong to; ``None`` if the kernel does not tell it."""
    namespace: int | None
    """The inode of the network namespace (namespaces(7))."""
    boottime_s: float
    """CLOCK_BOOTTIME at the look, in seconds: it goes on while the machine sleeps (clock_gettime(2))."""
    opens: int | None
    """ActiveOpens and PassiveOpens together: connections begun."""
    segments: int | None
    """OutSegs: segments sent."""
    counters: dict[str, int | None]
    """Each health counter by its name; ``None`` where this kernel has none of that name or it could not be read."""


def read_health(*, machine: bool = True, proc: str = "/proc") -> HealthSnapshot:
    """Read the counters of the network namespace that this thread is in. Never raises.

    Without ``machine`` the counters that the whole machine shares stay unknown: from inside a container they tell of
    other containers, too. Sources: net/ipv4/proc.c, net/core/net-procfs.c.
    """
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    found = parse_counters(_text(f"{proc}/thread-self/net/snmp"), "Tcp")
    found.update(parse_counters(_text(f"{proc}/thread-self/net/netstat"), "TcpExt"))
    after = time.clock_gettime(time.CLOCK_BOOTTIME)
    counters: dict[str, int | None] = {name: found.get(name) for name in SELECTED}
    counters[SOFTNET] = _softnet_dropped(_text(f"{proc}/thread-self/net/softnet_stat")) if machine else None
    active, passive = found.get("ActiveOpens"), found.get("PassiveOpens")
    boot_id = _text(f"{proc}/sys/kernel/random/boot_id").strip()
    return HealthSnapshot(
        boot_id=boot_id if _BOOT_ID.match(boot_id) else None,
        namespace=_namespace(proc),
        boottime_s=round((before + after) / 2, 3),
        opens=None if active is None or passive is None else active + passive,
        segments=found.get("OutSegs"),
        counters=counters,
    )


def _softnet_dropped(text: str) -> int | None:
    columns = [line.split()[1:2] for line in text.splitlines()]
    words = [column[0] for column in columns if column]
    if not words or not all(_HEX.match(word) for word in words):
        return None
    return sum(int(word, 16) for word in words)


def _namespace(proc: str) -> int | None:
    try:
        return os.stat(f"{proc}/thread-self/ns/net").st_ino  # noqa: PTH116 - no Path needed
    except OSError:
        return None


def _text(path: str) -> str:
    return (try_read_head(path, _MAX_TABLE_BYTES) or b"").decode("ascii", "replace")
