# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The TCP states: their RFC 9293 names, the kernel's numbers and the bits with which a dump asks for them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BOUND_INACTIVE_BIT",
    "FULL_SOCKET_MASK",
    "LISTEN_MASK",
    "MINI_STATES",
    "OBSERVABLE_MASK",
    "STATES",
    "STATE_BY_NUMBER",
    "bound_inactive_observable",
    "count_full_sockets",
    "mask",
    "no_states",
    "state_of_hex",
]

# include/net/tcp_states.h, in its order, which is the order of reports.
_NUMBERS = {
    "ESTABLISHED": 1,
    "SYN_SENT": 2,
    "SYN_RECV": 3,
    "FIN_WAIT1": 4,
    "FIN_WAIT2": 5,
    "TIME_WAIT": 6,
    "CLOSE": 7,
    "CLOSE_WAIT": 8,
    "LAST_ACK": 9,
    "LISTEN": 10,
    "CLOSING": 11,
    "BOUND_INACTIVE": 13,
}
_NEW_SYN_RECV = 12

STATES = tuple(_NUMBERS)
"""The twelve names of a report, in its order."""

STATE_BY_NUMBER = {
    **{number: name for name, number in _NUMBERS.items() if name not in {"CLOSE", "BOUND_INACTIVE"}},
    # A request socket; for a person it is the handshake's SYN_RECV.
    _NEW_SYN_RECV: "SYN_RECV",
}
"""What a state byte of a dump means; 7 is left out, because it stands for CLOSE and for BOUND_INACTIVE."""

BOUND_INACTIVE_BIT = 1 << _NUMBERS["BOUND_INACTIVE"]
"""Asks for bound, unconnected sockets (Linux 6.8); they come back with state byte 7, so it is asked for alone."""

LISTEN_MASK = 1 << _NUMBERS["LISTEN"]

MINI_STATES = frozenset({"TIME_WAIT", "SYN_RECV"})
"""States whose entries are always mini sockets: no inode, no owner, not counted as allocated."""


def mask(*names: str) -> int:
    """Bits of ``idiag_states`` that ask a dump for the named states; SYN_RECV includes the kernel's NEW_SYN_RECV."""
    bits = 0
    for name in names:
        bits |= 1 << _NUMBERS[name]
        if name == "SYN_RECV":
            bits |= 1 << _NEW_SYN_RECV
    return bits


OBSERVABLE_MASK = mask(*(name for name in STATES if name not in {"CLOSE", "BOUND_INACTIVE"}))
"""Every state that one dump can tell apart."""

FULL_SOCKET_MASK = OBSERVABLE_MASK & ~mask(*MINI_STATES)
"""States whose entries may have an inode."""


def state_of_hex(text: str | bytes) -> str | None:
    """Name of the two hexadecimal digits of ``/proc/net/tcp``, ``None`` for a number that TCP does not show."""
    try:
        return STATE_BY_NUMBER.get(int(text, 16))
    except ValueError:
        return None


def no_states() -> dict[str, int | None]:
    """All twelve states, none seen: zeros, and ``None`` for CLOSE (in no dump) and for BOUND_INACTIVE (not asked)."""
    return {name: None if name in {"CLOSE", "BOUND_INACTIVE"} else 0 for name in STATES}


def bound_inactive_observable(release: str) -> bool:
    """Whether the kernel of this release (``uname -r``) answers for BOUND_INACTIVE: from Linux 6.8 on."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return found is not None and (int(found[1]), int(found[2])) >= (6, 8)


def count_full_sockets(states: Mapping[str, int | None], *, mini_fin_wait2: int = 0) -> int:
    """How many of ``states`` count into ``alloc`` of /proc/net/sockstat (sk_sockets_allocated, tcp_init_sock).

    TIME_WAIT and SYN_RECV never do (a SYN_RECV of TCP Fast Open does; it is missed). In FIN_WAIT2 a socket that its
    program has closed is a mini socket for up to ``tcp_fin_timeout`` and does not either: without its number in
    ``mini_fin_wait2`` the answer is too high by at most the FIN_WAIT2 count, which hides dead sockets and never
    invents any. Unknown states count 0, so ``alloc`` is larger by the sockets that are only created or only bound.
    """
    full = sum(count for name, count in states.items() if count is not None and name not in MINI_STATES)
    return full - min(mini_fin_wait2, states.get("FIN_WAIT2") or 0)
