# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why one socket is in CLOSE_WAIT: exactly one of nine causes, from what the kernel still knows about it.

The first row that applies decides. ``queue`` is the receive queue, in which the FIN counts one until it is consumed;
``sent``, ``recv`` and ``ack`` are the ages of ``tcp_info``'s last data sent, last data and last acknowledgement
received, so the smaller one is the more recent.

====================== =================================================================================
cause                  signature and traps
====================== =================================================================================
unaccepted             inode 0. The connection waits in an accept queue; whatever else it shows is the
                       peer's doing, not the program's.
half_close             queue 0 or 1 (nothing but perhaps the FIN unread), and the send queue is not empty
                       or ``sent`` is recent and much smaller than ``recv``. Compared with ``recv``, the
                       upper end of the age: the peer's acknowledgement of that very data refreshed
                       ``ack``, the lower end. A server that answers within one read of the request leaves
                       the FIN unread while it answers, hence queue 1 too. A socket that never sent shows
                       its birth as ``sent``, never smaller than ``recv``.
eof_unnoticed          queue 1: nobody has looked since the FIN. Or the program reads ahead into its own
                       memory and has paused: the kernel cannot tell.
eof_unnoticed_tls      queue exactly as long as a close_notify record and the FIN, and TLS is plausible
                       (``tls_plausible``). The length alone proves nothing: FTP's farewell is 25 as well.
eof_unnoticed_farewell small queue that arrived long after this side last sent, on a connection that had
                       carried data before (more received than is unread) or on which this side never
                       asked for anything. A slow first answer looks the same but for that.
unread_data            queue of 2 or more otherwise.
unknown                queue 0 without ``tcp_info``.
eof_read               queue 0, and nothing but the FIN was ever received, or ``ack`` is clearly more recent
                       than both ``recv`` and ``sent``: the FIN came alone, so the program read the end of
                       the stream by itself. An ``ack`` just after ``sent`` may be the acknowledgement of
                       that data and proves no FIN.
eof_consumed           queue 0 otherwise: reading exactly the last bytes consumed a FIN that came with them.
                       Limits: keepalive answers refresh ``ack`` and can make it look like ``eof_read``.
====================== =================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import TcpInfo, TcpSocket

__all__ = [
    "CAUSES",
    "EOF_CONSUMED",
    "EOF_READ",
    "EOF_UNNOTICED",
    "EOF_UNNOTICED_FAREWELL",
    "EOF_UNNOTICED_TLS",
    "FINDING_OF_CAUSE",
    "HALF_CLOSE",
    "TLS_LENGTHS",
    "UNACCEPTED",
    "UNKNOWN",
    "UNREAD_DATA",
    "cause_of",
    "tls_plausible",
]

UNACCEPTED = "unaccepted"
EOF_UNNOTICED = "eof_unnoticed"
EOF_UNNOTICED_TLS = "eof_unnoticed_tls"
EOF_UNNOTICED_FAREWELL = "eof_unnoticed_farewell"
UNREAD_DATA = "unread_data"
EOF_READ = "eof_read"
EOF_CONSUMED = "eof_consumed"
HALF_CLOSE = "half_close"
UNKNOWN = "unknown"

FINDING_OF_CAUSE: dict[str, str | None] = {
    UNACCEPTED: "close_wait.stuck_accept",
    EOF_UNNOTICED: "close_wait.idle_pool",
    EOF_UNNOTICED_TLS: "close_wait.idle_pool",
    EOF_UNNOTICED_FAREWELL: "close_wait.idle_pool",
    UNREAD_DATA: "close_wait.unread_body",
    EOF_READ: "close_wait.leak",
    EOF_CONSUMED: "close_wait.leak",
    HALF_CLOSE: None,
    UNKNOWN: "close_wait.leak",
}
"""The finding that speaks for a cause; ``None``: by design, no offence."""

CAUSES = tuple(FINDING_OF_CAUSE)

TLS_LENGTHS = frozenset((24, 25, 32, 58, 70, 86))
"""Measured lengths of close_notify and FIN: TLS 1.3 25; TLS 1.2 ChaCha20 24, AES-GCM 32, CBC-SHA1 58, -SHA256 70,
-SHA384 86."""

TLS_PORTS = frozenset(
    {443, 465, 563, 636, 853, 989, 990, 992, 993, 994, 995, 2376, 3269, 4443, 5061, 5671, 6443, 6514, 6697}
    | {8443, 8883, 9443, 10250}
)
"""Ports registered for TLS or in common use for it (IANA service names; 4443, 6443, 8443, 9443, 10250 by custom)."""

CLEARTEXT_PORTS = frozenset((20, 21, 23, 70, 79, 80, 6379, 11211))
"""Ports whose protocol speaks first without TLS, so that 25 bytes are a farewell (``421 Session timed out.``)."""

SEVERAL = 3
"""So many sockets of one program with the same length are no coincidence of body sizes."""

RECENT_SEND_MS = 5_000
"""Data sent within this time: the program is at work on the connection, with pauses as between events."""
SEND_SHARE = 2
"""...and sent in the later half of the time since data last came: a single answer, given at once and followed by the
peer's close, comes near the start of that time instead."""

FAREWELL_BYTES = 1_024
"""Measured or known farewells, FIN included: PostgreSQL 118, HTTP/2 GOAWAY below 100, a load balancer's 408 with its
page below 600. A body that matters is rarely smaller."""
FAREWELL_SILENCE_MS = 1_000
"""Answers come within a second of the question as a rule; servers close idle connections after 2 s or more."""

FIN_APART_MS = 100
"""Well above scheduling noise, delayed acknowledgements (40 ms) and the tick of the counters (4 to 10 ms)."""

_FIN = 1


def cause_of(socket: TcpSocket, *, tls_plausible: bool | None = None) -> str:
    """Return the one cause of a CLOSE_WAIT socket, a member of ``CAUSES``.

    ``tls_plausible`` is what the function of that name says of it; ``None`` (not known) is not enough to believe a
    length. Without ``tcp_info`` (from ``/proc``) only the queues speak.
    """
    if socket.inode == 0:
        return UNACCEPTED
    queue = socket.receive_queue
    if queue <= _FIN and _still_sending(socket):
        return HALF_CLOSE
    if queue == 0:
        return _end_consumed(socket.info)
    if queue == _FIN:
        return EOF_UNNOTICED
    if queue in TLS_LENGTHS and tls_plausible:
        return EOF_UNNOTICED_TLS
    return EOF_UNNOTICED_FAREWELL if _is_farewell(socket) else UNREAD_DATA


def tls_plausible(socket: TcpSocket, *, tls_library: bool | None, lengths: Mapping[int, int]) -> bool | None:
    """Return whether TLS is likely on a socket: by its ports, its program's library, the lengths of its neighbours.

    ``tls_library`` tells whether a holder maps one (Go and Java carry their own, so ``False`` is only a hint);
    ``lengths`` counts the receive queues of the same program towards the same service. Bodies of many lengths that
    hit a TLS length now and then speak against TLS, the same length on several sockets for it. ``None``: no sign.
    """
    ports = {socket.local_port, socket.remote_port}
    if ports & TLS_PORTS:
        return True
    if ports & CLEARTEXT_PORTS:
        return False
    closing = sum(count for length, count in lengths.items() if length in TLS_LENGTHS)
    others = sum(count for length, count in lengths.items() if length > _FIN and length not in TLS_LENGTHS)
    if others > closing:
        return False
    if tls_library:
        return True
    if tls_library is None and not others and lengths.get(socket.receive_queue, 0) >= SEVERAL:
        return True
    return False if tls_library is False else None


def _still_sending(socket: TcpSocket) -> bool:
    if socket.send_queue > 0:
        return True
    info = socket.info
    if info is None:
        return False
    return info.last_data_sent_ms <= RECENT_SEND_MS and info.last_data_sent_ms * SEND_SHARE < info.last_data_recv_ms


def _end_consumed(info: TcpInfo | None) -> str:
    if info is None:
        return UNKNOWN
    if info.bytes_received is not None and info.bytes_received <= _FIN:
        return EOF_READ
    newest_data = min(info.last_data_recv_ms, info.last_data_sent_ms)
    return EOF_READ if newest_data - info.last_ack_recv_ms >= FIN_APART_MS else EOF_CONSUMED


def _is_farewell(socket: TcpSocket) -> bool:
    info = socket.info
    if info is None or socket.receive_queue > FAREWELL_BYTES:
        return False
    if info.last_data_sent_ms - info.last_data_recv_ms < FAREWELL_SILENCE_MS:
        return False
    carried_before = info.bytes_received is None or info.bytes_received > socket.receive_queue
    never_asked = info.bytes_acked is not None and info.bytes_acked <= 1
    return carried_before or never_asked
