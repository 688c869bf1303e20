# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's TCP counters and the caps that pressure is measured against, per network namespace."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import try_read_head
from ansible_collections.lastack.linux.plugins.module_utils.observe.namespaces import call_inside
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import NamespaceCounters

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import NetworkNamespace

__all__ = [
    "SELECTED",
    "parse_counters",
    "parse_port_range",
    "parse_reserved_ports",
    "read_namespace_counters",
]

SELECTED: tuple[str, ...] = (
    "ListenOverflows",
    "ListenDrops",
    "TCPReqQFullDrop",
    "TCPTimeWaitOverflow",
    "TCPAbortOnMemory",
    "TCPReqQFullDoCookies",
    "SyncookiesSent",
    "PAWSActive",
    "PAWSEstab",
    "PAWSOldAck",
    "PAWSTimewait",
    "TSEcrRejected",
    "OutSegs",
    "RetransSegs",
    "ActiveOpens",
    "PassiveOpens",
    "AttemptFails",
    "EstabResets",
    "OutRsts",
    "TCPSynRetrans",
    "TCPTimeouts",
    "TCPAbortOnTimeout",
    "TCPRetransFail",
    "TCPBacklogDrop",
    "TCPRcvQDrop",
    "PruneCalled",
    "TW",
    "TWRecycled",
    "TWKilled",
)
"""The health counters that a host report carries per namespace; one that the kernel does not have stays absent."""

_SYSCTLS = (
    "net.core.somaxconn",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_max_tw_buckets",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_timestamps",
    "net.ipv4.tcp_tw_reuse",
)
_MAX_TABLE_BYTES = 1 << 20
_MAX_VALUE_BYTES = 1 << 19
_NUMBER = re.compile(r"-?[0-9]{1,20}\Z", re.ASCII)
_HEX = re.compile(r"[0-9a-fA-F]{1,16}\Z", re.ASCII)
_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?\Z", re.ASCII)
_LAST_PORT = 65535


def read_namespace_counters(namespace: NetworkNamespace, *, proc: str = "/proc") -> NamespaceCounters:
    """Read ``Tcp`` of net/snmp, ``TcpExt`` of net/netstat and the caps, as the namespace itself shows them.

    What cannot be read is absent. Raises ``NamespaceUnreadable`` when the namespace cannot be entered. Sources:
    net/ipv4/proc.c, ip-sysctl.rst; both trees follow the namespace of the reading thread.
    """

    def read() -> NamespaceCounters:
        # Not /proc/net: that is the view of the process's first thread.
        counters = parse_counters(_text(f"{proc}/thread-self/net/snmp", _MAX_TABLE_BYTES), "Tcp")
        counters.update(parse_counters(_text(f"{proc}/thread-self/net/netstat", _MAX_TABLE_BYTES), "TcpExt"))
        sysctls = {}
        for key in _SYSCTLS:
            value = try_read_head(f"{proc}/sys/{key.replace('.', '/')}", _MAX_VALUE_BYTES)
            if value is not None:
                sysctls[key] = value.decode("ascii", "replace").strip()
        return NamespaceCounters(namespace=namespace.inode, counters=counters, sysctls=sysctls)

    return call_inside(namespace, read)


def parse_counters(text: str, table: str) -> dict[str, int]:
    """Return the counters of one table of net/snmp or net/netstat by name.

    A table is a line of names and the next line of the same title with as many numbers; what does not fit is left out.
    """
    counters: dict[str, int] = {}
    names: list[str] | None = None
    for line in text.splitlines():
        title, colon, rest = line.partition(":")
        if title != table or not colon:
            continue
        if names is None:
            names = rest.split()
            continue
        for name, value in zip(names, rest.split()):
            if _NUMBER.match(value):
                counters[name] = int(value)
        names = None
    return counters


def parse_port_range(text: str) -> tuple[int, int] | None:
    """Return the first and last port of ``ip_local_port_range``; ``None`` when the text is no range."""
    fields = text.split()
    if len(fields) != 2 or not all(_PORTS.match(field) and "-" not in field for field in fields):  # noqa: PLR2004 - a pair
        return None
    low, high = int(fields[0]), int(fields[1])
    return (low, high) if 0 < low <= high <= _LAST_PORT else None


def parse_reserved_ports(text: str) -> list[tuple[int, int]]:
    """Return ``ip_local_reserved_ports`` as sorted ranges that do not touch; what is no port is left out.

    Source: kernel/sysctl.c ``proc_do_large_bitmap``, ``8080,9148-9150``.
    """
    ranges = []
    for item in text.replace(",", " ").split():
        match = _PORTS.match(item)
        if match:
            low = int(match.group(1))
            high = int(match.group(2) or low)
            if low <= high <= _LAST_PORT:
                ranges.append((low, high))
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged


def _text(path: str, limit: int) -> str:
    return (try_read_head(path, limit) or b"").decode("ascii", "replace")
