# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fall-back for one network namespace: the same answer as sock_diag's, from the ``net`` folder of procfs."""

from __future__ import annotations

import heapq
import os
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ansible_collections.lastack.linux.plugins.module_utils.observe.namespaces import (
    NamespaceUnreadable,
    NamespaceVanished,
    call_inside,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.proc_net import ProcNet, decode_address
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import (
    Destination,
    NamespaceSockets,
    TcpSocket,
    Unseen,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.tcp_states import count_full_sockets, no_states

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline
    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import NetworkNamespace

# ruff: noqa: PTH110, PTH112, PTH116 - paths of procfs are plain text in this room

__all__ = ["Wanted", "inodes_by_proc_net", "merge_destinations", "sockets_by_proc_net"]

T = TypeVar("T")


class Wanted(NamedTuple):
    """What the caller of ``read_namespace`` asked for."""

    port_range: tuple[int, int] | None
    """``None`` for no destinations."""
    top: int
    close_wait: bool
    listeners: bool
    time_wait: bool


def sockets_by_proc_net(
    namespace: NetworkNamespace, proc: str, wanted: Wanted, *, deadline: Deadline | None
) -> NamespaceSockets:
    """Count and list the TCP sockets of ``namespace`` from procfs. Raises ``NamespaceUnreadable``."""
    return _through_proc(namespace, proc, lambda folder: _read(namespace, ProcNet(folder, deadline=deadline), wanted))


def inodes_by_proc_net(namespace: NetworkNamespace, proc: str) -> tuple[set[int], list[Unseen]]:
    """Inodes of all sockets that have one, and what was not seen. Raises ``NamespaceUnreadable``."""
    return _through_proc(namespace, proc, _inodes)


def merge_destinations(destinations: Iterable[Destination], top: int) -> list[Destination]:
    """Add up destinations that are in both address families and keep the ``top`` most used, most first."""
    used: Counter[tuple[str, str, int]] = Counter()
    waiting: Counter[tuple[str, str, int]] = Counter()
    for entry in destinations:
        used[entry[:3]] += entry.used
        waiting[entry[:3]] += entry.time_wait
    most = heapq.nsmallest(top, used.items(), key=lambda item: (-item[1], item[0]))
    return [Destination(*key, count, waiting[key]) for key, count in most]


def _through_proc(namespace: NetworkNamespace, proc: str, read: Callable[[str], T]) -> T:
    """Call ``read`` with the ``net`` folder of the namespace, making sure that it is the namespace's."""
    try:
        if namespace.current:
            folder = f"{proc}/thread-self/net"
            return read(folder if os.path.isdir(folder) else f"{proc}/self/net")
        if namespace.pid is None:
            return call_inside(namespace, lambda: read(f"{proc}/thread-self/net"))
        _check_pid(namespace, proc)
        answer = read(f"{proc}/{namespace.pid}/net")
        _check_pid(namespace, proc)
    except (FileNotFoundError, ProcessLookupError) as error:
        if namespace.pid is not None and not os.path.exists(f"{proc}/{namespace.pid}"):
            raise NamespaceVanished("it vanished") from error
        raise NamespaceUnreadable("procfs does not show its TCP sockets") from error
    except OSError as error:
        raise NamespaceUnreadable(f"procfs does not show it: {error.strerror}") from error
    return answer


def _check_pid(namespace: NetworkNamespace, proc: str) -> None:
    """Notice a pid that was used again; where the right to look is missing, the pid has to be trusted."""
    try:
        inode = os.stat(f"{proc}/{namespace.pid}/ns/net").st_ino
    except PermissionError:
        return
    if inode != namespace.inode:
        raise NamespaceVanished("its process ended, and another has its number")


def _read(namespace: NetworkNamespace, tables: ProcNet, wanted: Wanted) -> NamespaceSockets:
    states = no_states()
    minis = 0
    time_wait: Counter[int] = Counter()
    listening: list[TcpSocket] = []
    close_wait: list[TcpSocket] = []
    for entry in tables.entries():
        states[entry.state] = (states[entry.state] or 0) + 1
        if entry.state == "FIN_WAIT2":
            minis += entry.mini
        elif entry.state == "TIME_WAIT":
            time_wait[entry.local_port] += 1
        elif entry.state in {"LISTEN", "CLOSE_WAIT"}:
            record = tables.record(entry, namespace.inode)
            if record is not None:
                (listening if entry.state == "LISTEN" else close_wait).append(record)
    ports = {listener.local_port for listener in listening}
    destinations = _destinations(tables, wanted.port_range, ports, wanted.top) if wanted.port_range else []
    warnings = tables.warnings
    if listening and wanted.listeners:
        detail = "procfs does not show how many connections a listener may hold"
        warnings.append(Unseen("listen_backlog_unknown", len(listening), detail))
    return NamespaceSockets(
        namespace=namespace.inode,
        source="proc_net",
        states=states,
        close_wait=close_wait if wanted.close_wait else [],
        listeners=listening if wanted.listeners else [],
        time_wait_by_local_port={port: time_wait[port] for port in ports if time_wait[port]}
        if wanted.time_wait
        else {},
        destinations=destinations,
        warnings=warnings,
        full_sockets=count_full_sockets(states, mini_fin_wait2=minis),
    )


def _destinations(tables: ProcNet, port_range: tuple[int, int], listening: set[int], top: int) -> list[Destination]:
    low, high = port_range
    used: Counter[tuple[bytes, bytes, int]] = Counter()
    waiting: Counter[tuple[bytes, bytes, int]] = Counter()
    for entry in tables.entries():
        if low <= entry.local_port <= high and entry.local_port not in listening:
            key = (entry.local, entry.remote, entry.remote_port)
            used[key] += 1
            if entry.state == "TIME_WAIT":
                waiting[key] += 1
    found = []
    for key, count in heapq.nsmallest(4 * top, used.items(), key=lambda item: (-item[1], item[0])):
        try:
            source, address = decode_address(key[0])[1], decode_address(key[1])[1]
        except ValueError:
            continue
        found.append(Destination(source, address, key[2], count, waiting[key]))
    return merge_destinations(found, top)


def _inodes(folder: str) -> tuple[set[int], list[Unseen]]:
    tables = ProcNet(folder)
    found: set[int] = set()
    for entry in tables.entries():
        inode = entry.fields[9]
        if not inode.isdigit():
            return found, [Unseen("proc_net_garbled", 1, "an inode that is no number")]
        found.add(int(inode))
    found.discard(0)
    return found, tables.warnings
