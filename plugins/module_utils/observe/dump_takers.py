# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sock_diag dump is read for: each taker takes its part of every datagram, touching no more bytes than it needs.

Messages of one length are taken by columns, which makes counting in Python nearly as cheap as in C.
"""

from __future__ import annotations

import heapq
import struct
from abc import ABC, abstractmethod
from collections import Counter
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.module_utils.observe.inet_diag import decode_addresses, parse_socket
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Destination

if TYPE_CHECKING:
    from collections.abc import Collection

    from ansible_collections.lastack.linux.plugins.module_utils.observe.inet_diag import Batch
    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import TcpSocket

__all__ = [
    "BoundedSocketList",
    "DestinationCount",
    "DumpTaker",
    "InodeSet",
    "PortCount",
    "SocketList",
    "StateCount",
]

_FIN_WAIT2, _TIME_WAIT = 5, 6
# idiag_timer of a TIME_WAIT mini socket, also of one that reports the substate FIN_WAIT2 (inet_diag.c).
_MINI_TIMER = 3
# Columns of a message (netlink header of 16 bytes, then struct inet_diag_msg).
_STATE, _TIMER, _LOCAL_PORT, _PEER, _PEER_END, _COOKIE, _INODE = 17, 18, 20, 22, 56, 60, 84
_NATIVE_INT = struct.Struct("=I")
_TWO_NATIVE_INTS = struct.Struct("=II")


class DumpTaker(ABC):
    """Takes what one dump says, datagram by datagram."""

    @abstractmethod
    def take(self, buffer: bytearray, size: int, batch: Batch) -> None:
        """Take the messages of one datagram."""


class StateCount(DumpTaker):
    """Sockets by state number: the hot path."""

    def __init__(self) -> None:
        """Start at zero."""
        self._counts = [0] * 256
        self.mini_fin_wait2 = 0

    @property
    def by_number(self) -> dict[int, int]:
        """Sockets by the kernel's state number, zeros left out."""
        return {number: count for number, count in enumerate(self._counts) if count}

    def take(self, buffer: bytearray, size: int, batch: Batch) -> None:
        """Take the messages of one datagram."""
        counts = self._counts
        offsets = batch.offsets
        if isinstance(offsets, range):
            column = buffer[_STATE : size : offsets.step]
            for number in set(column):
                counts[number] += column.count(number)
            if _FIN_WAIT2 in column:
                timers = buffer[_TIMER : size : offsets.step]
                self.mini_fin_wait2 += list(zip(column, timers)).count((_FIN_WAIT2, _MINI_TIMER))
            return
        for offset in offsets:
            number = buffer[offset + _STATE]
            counts[number] += 1
            if number == _FIN_WAIT2 and buffer[offset + _TIMER] == _MINI_TIMER:
                self.mini_fin_wait2 += 1


class SocketList(DumpTaker):
    """Whole records."""

    def __init__(self, namespace: int) -> None:
        """Start empty; ``namespace`` goes into the records."""
        self.found: list[TcpSocket] = []
        self._namespace = namespace

    def take(self, buffer: bytearray, size: int, batch: Batch) -> None:  # noqa: ARG002 - the offsets say it
        """Take the messages of one datagram."""
        for offset in batch.offsets:
            record = parse_socket(buffer, offset, self._namespace)
            if record is not None:
                self.found.append(record)


class BoundedSocketList(DumpTaker):
    """Whole records of the sockets that are known by their cookie, and of as many others as there is room for."""

    def __init__(self, namespace: int, known: Collection[int], room: int) -> None:
        """Start empty; ``namespace`` goes into the records."""
        self.found: list[TcpSocket] = []
        self.new = 0
        self.left_out = 0
        self._namespace = namespace
        self._known = known
        self._room = room

    def take(self, buffer: bytearray, size: int, batch: Batch) -> None:  # noqa: ARG002 - the offsets say it
        """Take the messages of one datagram."""
        for offset in batch.offsets:
            low, high = _TWO_NATIVE_INTS.unpack_from(buffer, offset + _COOKIE)
            if low | high << 32 not in self._known:
                if self.new >= self._room:
                    self.left_out += 1
                    continue
                self.new += 1
            record = parse_socket(buffer, offset, self._namespace)
            if record is not None:
                self.found.append(record)


class PortCount(DumpTaker):
    """Sockets by local port."""

    def __init__(self) -> None:
        """Start empty."""
        self.by_port: Counter[int] = Counter()

    def take(self, buffer: bytearray, size: int, batch: Batch) -> None:  # noqa: ARG002 - the offsets say it
        """Take the messages of one datagram."""
        self.by_port.update(
            [buffer[offset + _LOCAL_PORT] << 8 | buffer[offset + _LOCAL_PORT + 1] for offset in batch.offsets]
        )


class DestinationCount(DumpTaker):
    """Sockets by the raw bytes of destination port, source and destination address."""

    def __init__(self, skip: set[bytes]) -> None:
        """Start empty; local ports in ``skip`` (two bytes, as sent) do not count."""
        self._skip = skip
        self._used: Counter[bytes] = Counter()
        self._time_wait: Counter[bytes] = Counter()

    def take(self, buffer: bytearray, size: int, batch: Batch) -> None:
        """Take the messages of one datagram."""
        raw = bytes(memoryview(buffer)[:size])
        skip = self._skip
        used = [offset for offset in batch.offsets if raw[offset + _LOCAL_PORT : offset + _PEER] not in skip]
        self._used.update([raw[offset + _PEER : offset + _PEER_END] for offset in used])
        self._time_wait.update(
            [raw[offset + _PEER : offset + _PEER_END] for offset in used if raw[offset + _STATE] == _TIME_WAIT]
        )

    def top(self, family: int, limit: int) -> list[Destination]:
        """The ``limit`` most used destinations, most first; only these are decoded."""
        # Ties are broken by the bytes of the address, so that the same sockets give the same report.
        most = heapq.nsmallest(limit, self._used.items(), key=lambda item: (-item[1], item[0]))
        found = []
        for key, count in most:
            __, source, address = decode_addresses(family, key[2:18], key[18:34])
            port = int.from_bytes(key[:2], "big")
            found.append(Destination(source, address, port, count, self._time_wait[key]))
        return found


class InodeSet(DumpTaker):
    """Inodes, 0 among them."""

    def __init__(self) -> None:
        """Start empty."""
        self.inodes: set[int] = set()

    def take(self, buffer: bytearray, size: int, batch: Batch) -> None:
        """Take the messages of one datagram."""
        offsets = batch.offsets
        if isinstance(offsets, range):
            words = memoryview(buffer)[:size].cast("I")
            self.inodes.update(words[_INODE // 4 :: offsets.step // 4].tolist())
            return
        unpack = _NATIVE_INT.unpack_from
        self.inodes.update([unpack(buffer, offset + _INODE)[0] for offset in offsets])
