# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TCP sockets through ``NETLINK_SOCK_DIAG`` (sock_diag(7)): binary, filtered in the kernel, no privilege needed.

A netlink socket answers for the network namespace in which it was created. Dumps are no snapshots: what broke one
off is tried again a few times and then said in ``warnings``.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ansible_collections.lastack.linux.plugins.module_utils.observe.dump_takers import (
    BoundedSocketList,
    DestinationCount,
    DumpTaker,
    InodeSet,
    PortCount,
    SocketList,
    StateCount,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.inet_diag import (
    EXTENSION_INFO,
    DumpTrouble,
    SockDiagUnavailable,
    port_range_filter,
    request,
    split,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Unseen
from ansible_collections.lastack.linux.plugins.module_utils.observe.tcp_states import (
    BOUND_INACTIVE_BIT,
    FULL_SOCKET_MASK,
    LISTEN_MASK,
    OBSERVABLE_MASK,
    mask,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline
    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Destination, TcpSocket

__all__ = ["FAMILIES", "DumpedStates", "SockDiag", "SockDiagUnavailable", "open_netlink"]

FAMILIES = (int(socket.AF_INET), int(socket.AF_INET6))
"""A dump answers for one address family."""

_NETLINK_SOCK_DIAG = 4
_ATTEMPTS = 3
_BUFFER_BYTES = 1 << 20
_BUFFER_BYTES_MAX = 16 << 20
# The kernel fills a dump while it is read and never keeps a reader waiting; this guards against emulations.
_RECEIVE_TIMEOUT = struct.pack("@ll", 5, 0)
_OVER = "the time was over before all sockets were read"
_TRANSIENT_ERRORS = frozenset({errno.EINTR, errno.EAGAIN, errno.ENOMEM, errno.ENOBUFS, errno.EBUSY})

_R = TypeVar("_R", bound=DumpTaker)


class DumpedStates(NamedTuple):
    """What one counting dump of one address family saw."""

    by_number: dict[int, int]
    """Sockets by the kernel's state number, zeros left out."""
    mini_fin_wait2: int
    """Of FIN_WAIT2, the mini sockets: closed by their program, without inode, not counted as allocated."""


def open_netlink() -> socket.socket:
    """A netlink socket for the calling thread's network namespace. Raises ``SockDiagUnavailable``."""
    try:
        netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG)
    except OSError as error:
        raise SockDiagUnavailable(f"no netlink socket: {error.strerror}") from error
    try:
        netlink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _RECEIVE_TIMEOUT)
    except OSError as error:
        netlink.close()
        raise SockDiagUnavailable(f"no timeout on a netlink socket: {error.strerror}") from error
    return netlink


class SockDiag:
    """Dumps of one network namespace's TCP sockets, over one netlink socket and one reused buffer.

    ``opener`` makes the netlink socket inside the namespace (``open_netlink`` called there); it is called again
    after a dump that broke off, because the rest of that dump would come first. Every method raises
    ``SockDiagUnavailable`` where the kernel refuses, and whatever ``opener`` raises. Use it with ``with``: an open
    netlink socket keeps a dead namespace alive.
    """

    def __init__(self, opener: Callable[[], socket.socket], *, deadline: Deadline | None = None) -> None:
        """Open the netlink socket; after ``deadline`` dumps end early with a warning."""
        self.warnings: list[Unseen] = []
        self._opener = opener
        self._deadline = deadline
        self._buffer = bytearray(_BUFFER_BYTES)
        self._netlink: socket.socket | None = opener()

    def __enter__(self) -> SockDiag:  # noqa: PYI034 - typing.Self needs Python 3.11
        """Do nothing: it is open already."""
        return self

    def __exit__(self, *__: object) -> None:
        """Close the netlink socket."""
        self.close()

    def close(self) -> None:
        """Close the netlink socket; may be called again."""
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None

    def count_states(self, family: int) -> DumpedStates:
        """Count every state that one dump tells apart, touching only the length and the state of each message."""
        tally = self._dump(request(family, OBSERVABLE_MASK), StateCount)
        return DumpedStates(tally.by_number, tally.mini_fin_wait2)

    def count_bound_inactive(self, family: int) -> int:
        """Count bound sockets that neither listen nor connect (Linux 6.8; older kernels answer 0)."""
        return sum(self._dump(request(family, BOUND_INACTIVE_BIT), StateCount).by_number.values())

    def count_mptcp_close_wait(self, family: int) -> int:
        """Count Multipath TCP connections in CLOSE_WAIT; 0 where the kernel has no such protocol or dump."""
        try:
            query = request(family, mask("CLOSE_WAIT"), mptcp=True)
            return sum(self._dump(query, StateCount).by_number.values())
        except SockDiagUnavailable:
            return 0

    def sockets(self, family: int, states: int, namespace: int, *, info: bool = False) -> list[TcpSocket]:
        """Records of the sockets in ``states`` (bits); ``info`` locks each of them for its ``tcp_info``."""
        extensions = EXTENSION_INFO if info else 0
        return self._dump(request(family, states, extensions=extensions), lambda: SocketList(namespace)).found

    def close_wait(self, family: int, namespace: int, *, known: Collection[int], room: int) -> BoundedSocketList:
        """Records of CLOSE_WAIT sockets with ``tcp_info``: those whose cookie is known, and ``room`` others."""
        query = request(family, mask("CLOSE_WAIT"), extensions=EXTENSION_INFO)
        return self._dump(query, lambda: BoundedSocketList(namespace, known, room))

    def time_wait_ports(self, family: int, ports: set[int]) -> dict[int, int]:
        """TIME_WAIT entries by local port, for those of ``ports`` that have any."""
        counted = self._dump(request(family, mask("TIME_WAIT")), PortCount).by_port
        return {port: counted[port] for port in sorted(ports) if counted[port]}

    def destinations(self, family: int, low: int, high: int, listening: set[int], top: int) -> list[Destination]:
        """Local ports in ``low..high`` in use by destination, the ``top`` most used ones, most first.

        Every state but LISTEN counts. The kernel filters the range. A port of ``listening`` is no automatic port:
        its accepted connections would count one for each client.
        """
        skip = {port.to_bytes(2, "big") for port in listening if low <= port <= high}
        states = OBSERVABLE_MASK & ~LISTEN_MASK
        query = request(family, states, bytecode=port_range_filter(low, high))
        return self._dump(query, lambda: DestinationCount(skip)).top(family, top)

    def inodes(self, family: int, *, bound_inactive: bool) -> set[int]:
        """Inodes of all sockets in the tables that have one; ``bound_inactive`` as observable on this kernel."""
        found = self._dump(request(family, FULL_SOCKET_MASK), InodeSet).inodes
        if bound_inactive:
            found |= self._dump(request(family, BOUND_INACTIVE_BIT), InodeSet).inodes
        found.discard(0)
        return found

    def _dump(self, query: bytes, start: Callable[[], _R]) -> _R:
        """Run one dump, again if it breaks off, and return what its last attempt took."""
        trouble: DumpTrouble | None = None
        taken = start()
        if self._deadline is not None and self._deadline.passed():
            self._warn("deadline", _OVER)
            return taken
        for __ in range(_ATTEMPTS):
            if self._netlink is None:
                self._netlink = self._opener()
            taken = start()
            try:
                self._attempt(self._netlink, query, taken)
            except DumpTrouble as error:
                self.close()
                trouble = error
                if error.code == "deadline":
                    break
            else:
                return taken
        if trouble is not None:
            if trouble.code == "dump_malformed":
                raise SockDiagUnavailable(f"{trouble}, {_ATTEMPTS} times")
            self._warn(trouble.code, str(trouble))
        return taken

    def _warn(self, code: str, detail: str) -> None:
        """Say it, once with a count if it happens again."""
        for number, warning in enumerate(self.warnings):
            if warning.code == code:
                self.warnings[number] = warning._replace(occurrences=warning.occurrences + 1)
                return
        self.warnings.append(Unseen(code, 1, detail))

    def _attempt(self, netlink: socket.socket, query: bytes, taken: DumpTaker) -> None:
        deadline = self._deadline
        interrupted = False
        try:
            netlink.sendto(query, (0, 0))
            while True:
                # With MSG_TRUNC netlink returns the whole length, also of what did not fit.
                size = netlink.recv_into(self._buffer, 0, socket.MSG_TRUNC)
                if size > len(self._buffer):
                    self._enlarge(size)
                batch = split(self._buffer, size)
                taken.take(self._buffer, size, batch)
                interrupted = interrupted or batch.interrupted
                if batch.done:
                    break
                if size == 0:
                    raise DumpTrouble("dump_malformed", "a datagram is empty")
                if deadline is not None and deadline.passed():
                    raise DumpTrouble("deadline", _OVER)
        except OSError as error:
            _judge(error)
        if interrupted:
            raise DumpTrouble(
                "dump_interrupted", "the kernel's socket tables changed during every attempt to read them"
            )

    def _enlarge(self, size: int) -> None:
        if size <= _BUFFER_BYTES_MAX:
            self._buffer = bytearray(size * 2)
        raise DumpTrouble("dump_truncated", f"a datagram of {size} bytes did not fit the buffer")


def _judge(error: OSError) -> None:
    """Turn a failed send or receive into trouble (try again) or into no sock_diag at all."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in _TRANSIENT_ERRORS:
        raise DumpTrouble("dump_overrun", f"the kernel had no room for a dump: {reason}") from error
    raise SockDiagUnavailable(f"the dump failed: {reason}") from error
