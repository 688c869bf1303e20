# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes of a sock_diag dump: the request, the walk over a datagram's messages, one socket's record.

Layout: netlink(7), include/uapi/linux/netlink.h, include/uapi/linux/inet_diag.h. Numbers are in the byte order of
the machine, ports and addresses in that of the network.
"""

from __future__ import annotations

import errno
import functools
import os
import socket
import struct
from typing import NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.records import TcpInfo, TcpSocket
from ansible_collections.lastack.linux.plugins.module_utils.observe.tcp_states import STATE_BY_NUMBER

__all__ = [
    "EXTENSION_INFO",
    "MESSAGE_SIZE",
    "Batch",
    "DumpTrouble",
    "SockDiagUnavailable",
    "decode_addresses",
    "parse_socket",
    "port_range_filter",
    "request",
    "split",
]

_SOCK_DIAG_BY_FAMILY = 20
_NLMSG_NOOP, _NLMSG_ERROR, _NLMSG_DONE, _NLMSG_OVERRUN = 1, 2, 3, 4
_NLM_F_REQUEST, _NLM_F_MULTI, _NLM_F_DUMP_INTR, _NLM_F_DUMP = 0x1, 0x2, 0x10, 0x300
_REQ_PROTOCOL, _IPPROTO_MPTCP = 3, 262
_REQ_BYTECODE = 1
_BC_S_GE, _BC_S_LE = 2, 3
_ATTRIBUTE_INFO, _ATTRIBUTE_CGROUP_ID = 2, 21

EXTENSION_INFO = 1 << (_ATTRIBUTE_INFO - 1)
"""``idiag_ext`` bit that asks for ``struct tcp_info``."""

_HEADER = struct.Struct("=IHHII")
# The same, with type and flags as one number, and that number for a socket without remarkable flags.
_LENGTH_AND_KIND = struct.Struct("=II")
_PLAIN = struct.unpack("=I", struct.pack("=HH", _SOCK_DIAG_BY_FAMILY, _NLM_F_MULTI))[0]
_ERROR = struct.Struct("=i")
# family, state, timer, retransmits; source port, destination port, source, destination, device, cookie (2);
# expires, receive queue, send queue, uid, inode
_SOCKET = struct.Struct("=BBBB2s2s16s16sI2I5I")
_ATTRIBUTE = struct.Struct("=HH")
_CGROUP_ID = struct.Struct("=Q")
# tcpi_last_data_sent, tcpi_last_ack_sent (never filled), tcpi_last_data_recv, tcpi_last_ack_recv
_INFO_TIMES = struct.Struct("=44xIIII")
# tcpi_bytes_acked, tcpi_bytes_received (Linux 4.1)
_INFO_BYTES = struct.Struct("=120xQQ")

MESSAGE_SIZE = _HEADER.size + _SOCKET.size
"""Bytes of the smallest message that tells about a socket."""

_MAPPED = b"\0" * 10 + b"\xff\xff"
_TRANSIENT = frozenset({errno.EINTR, errno.EAGAIN, errno.ENOMEM, errno.ENOBUFS, errno.EBUSY})


class SockDiagUnavailable(Exception):  # noqa: N818 - a state of the machine, answered with the fall-back
    """The kernel does not answer sock_diag here; ``str()`` is one clause that says why."""


class DumpTrouble(Exception):  # noqa: N818 - one attempt went wrong; the caller tries again or warns
    """A dump did not arrive whole; ``code`` is that of the warning, ``str()`` one clause for a person."""

    def __init__(self, code: str, detail: str) -> None:
        """Take the warning's code and detail."""
        super().__init__(detail)
        self.code = code


class Batch(NamedTuple):
    """The messages of one datagram that tell about sockets."""

    offsets: range | list[int]
    """Where each starts; a ``range`` when all have the same length, so that columns can be sliced."""
    done: bool
    """Whether the dump ended with this datagram."""
    interrupted: bool
    """Whether the kernel says that its tables changed in a way that may have hidden sockets."""


def request(family: int, states: int, *, extensions: int = 0, bytecode: bytes = b"", mptcp: bool = False) -> bytes:
    """One dump request: ``family`` an ``AF_*`` constant, ``states`` the bits of tcp_states, ``bytecode`` a filter.

    ``mptcp`` asks for Multipath TCP's own sockets instead (Linux 5.9): their connection, not its TCP subflows.
    """
    attribute = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(bytecode), _REQ_BYTECODE) + bytecode if bytecode else b""
    if mptcp:
        # The protocol's number does not fit the request's byte.
        attribute += _ATTRIBUTE.pack(_ATTRIBUTE.size + _ERROR.size, _REQ_PROTOCOL) + _ERROR.pack(_IPPROTO_MPTCP)
    body = struct.pack("=BBBBI48x", family, socket.IPPROTO_TCP, extensions, 0, states) + attribute
    flags = _NLM_F_REQUEST | _NLM_F_DUMP
    return _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, flags, 1, 0) + body


def port_range_filter(low: int, high: int) -> bytes:
    """Bytecode (``struct inet_diag_bc_op``) that accepts sockets whose local port is in ``low..high``."""
    operation = struct.Struct("=BBH")
    # A comparison is two operations, the second carries the port. True goes on behind it (8 bytes); false jumps four
    # bytes past the end, which the kernel takes as a refusal.
    return b"".join(
        (
            operation.pack(_BC_S_GE, 8, 20),
            operation.pack(0, 0, low),
            operation.pack(_BC_S_LE, 8, 12),
            operation.pack(0, 0, high),
        )
    )


def split(buffer: bytearray, size: int) -> Batch:
    """Find the socket messages in the first ``size`` bytes of ``buffer``.

    Raises ``SockDiagUnavailable`` where the kernel refuses the dump, and ``DumpTrouble`` where it broke off or the
    bytes are no netlink messages.
    """
    stride = _uniform_stride(buffer, size)
    if stride:
        return Batch(range(0, size, stride), done=False, interrupted=False)
    offsets: list[int] = []
    interrupted = False
    offset = end = 0
    unpack = _LENGTH_AND_KIND.unpack_from
    while offset + _HEADER.size <= size:
        length, word = unpack(buffer, offset)
        end = offset + length
        if word == _PLAIN and length >= MESSAGE_SIZE:  # nearly always
            offsets.append(offset)
        else:
            kind, flags = _HEADER.unpack_from(buffer, offset)[1:3]
            if length < _HEADER.size or end > size:
                raise DumpTrouble("dump_malformed", "a netlink message has an impossible length")
            interrupted = interrupted or bool(flags & _NLM_F_DUMP_INTR)
            if kind == _SOCK_DIAG_BY_FAMILY:
                if length < MESSAGE_SIZE:
                    raise DumpTrouble("dump_malformed", "a socket's message is too short")
                offsets.append(offset)
            elif kind != _NLMSG_NOOP:
                _control(kind, buffer, offset, length)
                return Batch(offsets, done=True, interrupted=interrupted)
        offset = (end + 3) & ~3
    if end > size:
        raise DumpTrouble("dump_malformed", "a datagram ends within a socket's message")
    if offset < size:
        raise DumpTrouble("dump_malformed", "a datagram ends within a netlink header")
    return Batch(offsets, done=False, interrupted=interrupted)


def _uniform_stride(buffer: bytearray, size: int) -> int:
    """Length of the messages if all are sockets of one length without remarkable flags, else 0.

    Comparing eight columns costs a tenth of walking the messages. It is exact: if the message at 0 and at every
    multiple of its length has this length, these are all messages there are.
    """
    if size < MESSAGE_SIZE:
        return 0
    length, kind, flags, __, __ = _HEADER.unpack_from(buffer)
    if kind != _SOCK_DIAG_BY_FAMILY or flags & _NLM_F_DUMP_INTR or length < MESSAGE_SIZE or length % 4 or size % length:
        return 0
    messages = size // length
    for column in range(8):
        if buffer[column:size:length].count(buffer[column]) != messages:
            return 0
    return int(length)


def _control(kind: int, buffer: bytearray, offset: int, length: int) -> None:
    """Judge a message that ends the dump: return if it ended well."""
    if kind == _NLMSG_OVERRUN:
        raise DumpTrouble("dump_overrun", "the kernel dropped messages (NLMSG_OVERRUN)")
    if kind not in {_NLMSG_DONE, _NLMSG_ERROR}:
        raise DumpTrouble("dump_malformed", f"a netlink message has the unknown type {kind}")
    if length < _HEADER.size + _ERROR.size:
        if kind == _NLMSG_DONE:
            return
        raise DumpTrouble("dump_malformed", "an error message is too short")
    number = -_ERROR.unpack_from(buffer, offset + _HEADER.size)[0]
    # NLMSG_DONE carries the number of a failure too, or something not negative.
    if number <= 0:
        if kind == _NLMSG_DONE:
            return
        raise DumpTrouble("dump_malformed", "the kernel acknowledged instead of answering")
    if number in _TRANSIENT:
        raise DumpTrouble("dump_failed", f"the kernel broke the dump off: {os.strerror(number)}")
    raise SockDiagUnavailable(f"the kernel refuses the dump: {os.strerror(number)}")


@functools.lru_cache(maxsize=4096)
def decode_addresses(family: int, source: bytes, destination: bytes) -> tuple[int, str, str]:
    """4 or 6 and the text of two raw 16-byte addresses of a dump; v4-mapped ones are IPv4."""
    if family == socket.AF_INET:
        return 4, socket.inet_ntop(socket.AF_INET, source[:4]), socket.inet_ntop(socket.AF_INET, destination[:4])
    # A listener on a v4-mapped address has no peer: all zeros.
    if source.startswith(_MAPPED) and (destination.startswith(_MAPPED) or not any(destination)):
        return 4, socket.inet_ntop(socket.AF_INET, source[12:]), socket.inet_ntop(socket.AF_INET, destination[12:])
    return 6, socket.inet_ntop(socket.AF_INET6, source), socket.inet_ntop(socket.AF_INET6, destination)


def parse_socket(buffer: bytearray, offset: int, namespace: int) -> TcpSocket | None:
    """Record of the message at ``offset`` (found by ``split``); ``None`` for a family or state that TCP dumps lack.

    An attribute with an impossible length ends the reading of attributes; what follows it stays unknown.
    """
    length = _HEADER.unpack_from(buffer, offset)[0]
    values = _SOCKET.unpack_from(buffer, offset + _HEADER.size)
    family, number, __, __, source_port, destination_port, source, destination, __, low, high, __, rqueue, wqueue = (
        values[:14]
    )
    uid, inode = values[14:]
    state = STATE_BY_NUMBER.get(number)
    if state is None or family not in {socket.AF_INET, socket.AF_INET6}:
        return None
    version, local, remote = decode_addresses(family, source, destination)
    info, cgroup_id = _attributes(buffer, offset + MESSAGE_SIZE, offset + length)
    return TcpSocket(
        namespace=namespace,
        family=version,
        state=state,
        local_address=local,
        local_port=int.from_bytes(source_port, "big"),
        remote_address=remote,
        remote_port=int.from_bytes(destination_port, "big"),
        receive_queue=rqueue,
        send_queue=wqueue,
        uid=uid,
        inode=inode,
        cookie=low | high << 32,
        cgroup_id=cgroup_id,
        info=info,
    )


def _attributes(buffer: bytearray, offset: int, end: int) -> tuple[TcpInfo | None, int | None]:
    info = None
    cgroup_id = None
    while offset + _ATTRIBUTE.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(buffer, offset)
        if length < _ATTRIBUTE.size or offset + length > end:
            break
        body = offset + _ATTRIBUTE.size
        if kind == _ATTRIBUTE_INFO:
            info = _tcp_info(buffer, body, length - _ATTRIBUTE.size)
        elif kind == _ATTRIBUTE_CGROUP_ID and length >= _ATTRIBUTE.size + _CGROUP_ID.size:
            # 1 is the root of the hierarchy, and every socket's on hosts without cgroup v2: it tells nothing.
            cgroup_id = _CGROUP_ID.unpack_from(buffer, body)[0]
            cgroup_id = cgroup_id if cgroup_id > 1 else None
        offset += (length + 3) & ~3
    return info, cgroup_id


def _tcp_info(buffer: bytearray, offset: int, length: int) -> TcpInfo | None:
    if length < _INFO_TIMES.size:
        return None
    sent, __, received, acknowledged = _INFO_TIMES.unpack_from(buffer, offset)
    bytes_acked = bytes_received = None
    if length >= _INFO_BYTES.size:
        bytes_acked, bytes_received = _INFO_BYTES.unpack_from(buffer, offset)
    return TcpInfo(sent, received, acknowledged, bytes_received, bytes_acked)
