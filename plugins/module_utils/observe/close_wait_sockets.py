# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CLOSE_WAIT sockets of a namespace and nothing else: the least that a resident observer has to ask the kernel.

The kernel walks its whole hash table for every dump, whatever the filter lets through and whose sockets it holds, so a
family of which a namespace has no socket is not asked for at all: ``inuse`` of /proc/PID/net/sockstat tells.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe import sock_diag
from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import try_read_head
from ansible_collections.lastack.linux.plugins.module_utils.observe.namespaces import (
    NamespaceUnreadable,
    NamespaceVanished,
    call_inside,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Unseen
from ansible_collections.lastack.linux.plugins.module_utils.observe.tcp_states import LISTEN_MASK

if TYPE_CHECKING:
    from collections.abc import Collection

    from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline
    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import NetworkNamespace, TcpSocket

__all__ = ["CloseWaitSockets", "read_activity", "read_close_wait"]

_SMALL_FILE = 16384
_NAMES = (b"TCP", b"TCP6")
_IN_USE = {
    family: re.compile(rb"^%s: inuse (\d+)" % name, re.MULTILINE) for family, name in zip(sock_diag.FAMILIES, _NAMES)
}
_SOCKSTAT = dict(zip(sock_diag.FAMILIES, ("sockstat", "sockstat6")))
_COUNTS = re.compile(rb"^Tcp: [0-9 -]+$", re.MULTILINE)
_MPTCP_IN_USE = re.compile(rb"^MPTCP(?:v6)? +\d+ +[1-9]", re.MULTILINE)


class CloseWaitSockets(NamedTuple):
    """What one look at one namespace returned."""

    namespace: int
    sockets: list[TcpSocket]
    listeners: list[TcpSocket]
    """Only where there are CLOSE_WAIT sockets: they tell which end of a connection this host is."""
    left_out: int
    """CLOSE_WAIT sockets beyond what the caller has room for."""
    source: str
    """``sock_diag``, ``proc_net``, or ``sockstat`` where that alone said that there is nothing."""
    whole: bool
    """Whether every socket was seen, so that one that is missing has gone."""
    warnings: list[Unseen]


def read_close_wait(
    namespace: NetworkNamespace,
    *,
    proc: str = "/proc",
    deadline: Deadline | None = None,
    known: Collection[int] = (),
    room: int = sys.maxsize,
) -> CloseWaitSockets:
    """Return the CLOSE_WAIT sockets of ``namespace`` with their ``tcp_info``, and the listeners beside them.

    Args:
        namespace: one of ``find_namespaces``.
        proc: where procfs is mounted.
        deadline: when it has passed, what is missing is said in ``warnings``.
        known: cookies that are returned whatever ``room`` says, so that two looks show the same sockets.
        room: how many further ones.

    Raises:
        NamespaceUnreadable: neither sock_diag nor procfs shows it, or the deadline passed before it was read.
    """
    if deadline is not None and deadline.passed():
        raise NamespaceUnreadable("the time was over before it was read")
    families = _families_in_use(namespace, proc)
    if not families:
        return CloseWaitSockets(namespace.inode, [], [], 0, "sockstat", whole=True, warnings=[])
    why = ""
    try:
        with sock_diag.SockDiag(lambda: call_inside(namespace, sock_diag.open_netlink), deadline=deadline) as diag:
            return _by_sock_diag(namespace, diag, families, proc, known, room)
    except sock_diag.SockDiagUnavailable as error:
        why = str(error)
    except NamespaceUnreadable as error:
        if namespace.pid is None or isinstance(error, NamespaceVanished):
            raise
        why = f"a network namespace cannot be entered: {error}"
    # Without cookies the known ones cannot be told from others, but they are as many.
    return _by_proc_net(namespace, proc, deadline, room + len(known), why)


def read_activity(namespace: NetworkNamespace, *, proc: str = "/proc") -> bytes | None:
    """Return bytes that change whenever a TCP segment comes or goes in ``namespace``; ``None`` when they are unknown.

    That is the ``Tcp`` line of /proc/PID/net/snmp. No socket gets into CLOSE_WAIT without a segment (RFC 9293), so
    where there was none, there still is none. It costs microseconds; a dump walks the sockets of the whole machine.
    """
    folder = _net_folder(namespace, proc)
    if folder is None:
        return None
    found = _COUNTS.search(try_read_head(f"{folder}/snmp", _SMALL_FILE) or b"")
    return found[0] if found else None


def _by_sock_diag(  # noqa: PLR0913 - what the caller was given
    namespace: NetworkNamespace,
    diag: sock_diag.SockDiag,
    families: list[int],
    proc: str,
    known: Collection[int],
    room: int,
) -> CloseWaitSockets:
    sockets: list[TcpSocket] = []
    left_out = 0
    for family in families:
        found = diag.close_wait(family, namespace.inode, known=known, room=room)
        sockets += found.found
        left_out += found.left_out
        room -= found.new
    listeners: list[TcpSocket] = []
    if sockets:
        for family in families:
            listeners += diag.sockets(family, LISTEN_MASK, namespace.inode)
    whole = not diag.warnings
    if _has_mptcp(namespace, proc):
        mptcp = sum(diag.count_mptcp_close_wait(family) for family in families)
        if mptcp:
            detail = "Multipath TCP connections in CLOSE_WAIT, which are not examined: see ss -M state close-wait"
            diag.warnings.append(Unseen("mptcp_not_examined", mptcp, detail))
    return CloseWaitSockets(namespace.inode, sockets, listeners, left_out, "sock_diag", whole, diag.warnings)


def _by_proc_net(
    namespace: NetworkNamespace, proc: str, deadline: Deadline | None, room: int, why: str
) -> CloseWaitSockets:
    # Only where it is needed: what it imports costs a resident process a megabyte.
    from ansible_collections.lastack.linux.plugins.module_utils.observe.proc_net_sockets import (  # noqa: PLC0415
        Wanted,
        sockets_by_proc_net,
    )

    wanted = Wanted(port_range=None, top=0, close_wait=True, listeners=True, time_wait=False)
    read = sockets_by_proc_net(namespace, proc, wanted, deadline=deadline)
    whole = not any(warning.code != "listen_backlog_unknown" for warning in read.warnings)
    kept = read.close_wait[:room]
    return CloseWaitSockets(
        namespace.inode,
        kept,
        read.listeners if kept else [],
        len(read.close_wait) - len(kept),
        read.source,
        whole,
        [Unseen("sock_diag_unavailable", 1, why), *read.warnings],
    )


def _families_in_use(namespace: NetworkNamespace, proc: str) -> list[int]:
    """Return the families that may have sockets: all but those of which the kernel says that there are none."""
    folder = _net_folder(namespace, proc)
    return [family for family in sock_diag.FAMILIES if folder is None or not _says_none(folder, family)]


def _says_none(folder: str, family: int) -> bool:
    match = _IN_USE[family].search(try_read_head(f"{folder}/{_SOCKSTAT[family]}", _SMALL_FILE) or b"")
    return match is not None and int(match[1]) == 0


def _has_mptcp(namespace: NetworkNamespace, proc: str) -> bool:
    """Return whether the kernel shows Multipath TCP sockets: asking for them in vain may start modprobe each time."""
    folder = _net_folder(namespace, proc)
    if folder is None:
        return True
    return bool(_MPTCP_IN_USE.search(try_read_head(f"{folder}/protocols", _SMALL_FILE) or b""))


def _net_folder(namespace: NetworkNamespace, proc: str) -> str | None:
    """Return the procfs folder of a namespace; ``None`` where only a mount keeps it alive."""
    if namespace.current:
        return f"{proc}/thread-self/net"
    return None if namespace.pid is None else f"{proc}/{namespace.pid}/net"
