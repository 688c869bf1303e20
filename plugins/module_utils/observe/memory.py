# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TCP memory and orphans of the whole machine, against the kernel's caps."""

from __future__ import annotations

from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import try_read_head
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import HostMemory

__all__ = ["read_memory"]

_MAX_BYTES = 65536
_MAX_DIGITS = 20
_TCP_MEM_FIELDS = 3


def read_memory(*, proc: str = "/proc") -> HostMemory:
    """Read ``orphan``, ``alloc`` and ``mem`` (pages) of sockstat, ``tcp_mem`` (pages) and ``tcp_max_orphans``.

    The three are global whatever the namespace; the caps exist in the initial network namespace only and are ``None``
    elsewhere. Never raises. Sources: net/ipv4/proc.c ``sockstat_seq_show``, ip-sysctl.rst.
    """
    tcp: dict[str, int] = {}
    for line in _text(f"{proc}/net/sockstat").splitlines():
        title, __, rest = line.partition(":")
        if title == "TCP":
            fields = rest.split()
            values = [_number(field) for field in fields[1::2]]
            tcp.update({name: value for name, value in zip(fields[::2], values) if value is not None})
    limits = [_number(field) for field in _text(f"{proc}/sys/net/ipv4/tcp_mem").split()]
    if len(limits) != _TCP_MEM_FIELDS:
        limits = [None] * _TCP_MEM_FIELDS
    return HostMemory(
        orphans=tcp.get("orphan"),
        max_orphans=_number(_text(f"{proc}/sys/net/ipv4/tcp_max_orphans").strip()),
        pages=tcp.get("mem"),
        pressure_pages=limits[1],
        max_pages=limits[2],
        allocated_sockets=tcp.get("alloc"),
    )


def _text(path: str) -> str:
    return (try_read_head(path, _MAX_BYTES) or b"").decode("ascii", "replace")


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS else None
