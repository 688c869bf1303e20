# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A socket of another process, asked for its own state: the one proof about a socket that no table shows.

The descriptor is duplicated for the moment of one ``getsockopt`` (pidfd_getfd(2), Linux 5.6) and closed again;
nothing is read from the socket, written to it or set on it.
"""

from __future__ import annotations

import ctypes
import os
import platform
import socket
import struct
from typing import NamedTuple

__all__ = ["PeekRefused", "PeekedSocket", "peek_socket"]

# Asked for by number: Python has no wrapper. The numbers are the same everywhere since 5.1, but on alpha.
_PIDFD_GETFD = 548 if platform.machine() == "alpha" else 438
_TCP_INFO_SIZE = 256
_TIMES = struct.Struct("=4I")
_TIMES_OFFSET = 44
_SEGMENTS = struct.Struct("=I")
_SEGMENTS_IN_OFFSET = 140
_CLOSE = 7


class PeekRefused(Exception):  # noqa: N818 - a state of the machine, said in the report
    """The kernel does not let this process look: too old, or a right is missing."""


class PeekedSocket(NamedTuple):
    """What a TCP socket says of itself (``struct tcp_info``, include/uapi/linux/tcp.h)."""

    closed: bool
    """Whether its state is CLOSE: it has no connection."""
    was_connected: bool
    """Whether it ever had a connection; false for one not yet connected, and for one that was refused (measured)."""
    quiet_s: float
    """Seconds since anything last arrived on it: the least time since its end."""


def peek_socket(pid: int, descriptor: int) -> PeekedSocket | None:
    """Return what the socket behind ``/proc/PID/fd/N`` says of itself; ``None`` if it or the process has gone.

    Raises:
        PeekRefused: nobody here may look (before Linux 5.6, a seccomp filter, no ``CAP_SYS_PTRACE``).
    """
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    except (OSError, AttributeError) as error:
        raise PeekRefused(str(error)) from error
    try:
        copy = _duplicate(process, descriptor)
    finally:
        os.close(process)
    if copy is None:
        return None
    try:
        held = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        return None
    with held:
        try:
            info = held.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
        except OSError:
            return None
    return _parse(info)


def _duplicate(process: int, descriptor: int) -> int | None:
    libc = ctypes.CDLL(None, use_errno=True)
    copy = libc.syscall(_PIDFD_GETFD, process, descriptor, 0)
    if copy >= 0:
        return int(copy)
    number = ctypes.get_errno()
    error = OSError(number, os.strerror(number))
    if isinstance(error, ProcessLookupError) or number == 9:  # noqa: PLR2004 - EBADF: closed meanwhile
        return None
    raise PeekRefused(str(error))


def _parse(info: bytes) -> PeekedSocket | None:
    if len(info) < _SEGMENTS_IN_OFFSET + _SEGMENTS.size:
        return None
    __, __, last_data_ms, last_ack_ms = _TIMES.unpack_from(info, _TIMES_OFFSET)
    (segments_in,) = _SEGMENTS.unpack_from(info, _SEGMENTS_IN_OFFSET)
    return PeekedSocket(
        closed=info[0] == _CLOSE,
        was_connected=segments_in > 0,
        quiet_s=min(last_data_ms, last_ack_ms) / 1000,
    )
