# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which listener a connection belongs to that nobody has accepted, and which end of a connection this host is.

The kernel hands a connection to the most specific listener of its namespace: the exact address, else the wildcard of
its family, else an IPv6 wildcard that also takes IPv4 (net/ipv4/inet_hashtables.c, ``compute_score``). Several
SO_REUSEPORT listeners each have a queue; only its own length tells which holds the connection.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import TcpSocket

__all__ = ["ListenerIndex"]

_WILDCARDS = {4: "0.0.0.0", 6: "::"}  # noqa: S104 - an address that listeners show, not one to bind


class ListenerIndex:
    """The listeners of all namespaces, found by where a connection arrived."""

    def __init__(self, listeners: Sequence[TcpSocket]) -> None:
        """Index ``listeners`` (state ``LISTEN``) by namespace and port."""
        self._by_port: dict[tuple[int, int], list[TcpSocket]] = defaultdict(list)
        for listener in listeners:
            self._by_port[listener.namespace, listener.local_port].append(listener)

    def is_served(self, socket: TcpSocket) -> bool:
        """Whether something listens where ``socket`` ends locally: then the peer connected to this host."""
        return bool(self.matching(socket))

    def matching(self, socket: TcpSocket) -> list[TcpSocket]:
        """Return the listeners that could have been given ``socket``, only those of the most specific address.

        A less specific one counts where no more specific queue holds anything: it may have been there first.
        """
        candidates = self._by_port.get((socket.namespace, socket.local_port), [])
        tiers: list[list[TcpSocket]] = [[], [], []]
        for listener in candidates:
            tier = _specificity(listener, socket)
            if tier is not None:
                tiers[tier].append(listener)
        filled = [tier for tier in tiers if any(listener.receive_queue > 0 for listener in tier)]
        return next(iter(filled or [tier for tier in tiers if tier]), [])

    def blame(self, unaccepted: Sequence[TcpSocket]) -> list[TcpSocket | None]:
        """Return for each never-accepted socket the listener whose queue holds it, ``None`` where none listens.

        Among equals only those with a filled queue are blamed, each in proportion to its length; the kernel does not
        tell which connection waits in which.
        """
        blamed: list[TcpSocket | None] = []
        given: dict[int, int] = defaultdict(int)
        for socket in unaccepted:
            candidates = self.matching(socket)
            filled = [listener for listener in candidates if listener.receive_queue > 0] or candidates
            if not filled:
                blamed.append(None)
                continue
            chosen = min(filled, key=lambda one: ((given[id(one)] + 1) / max(one.receive_queue, 1), one.inode))
            given[id(chosen)] += 1
            blamed.append(chosen)
        return blamed


def _specificity(listener: TcpSocket, socket: TcpSocket) -> int | None:
    if listener.local_address == socket.local_address:
        return 0
    if listener.local_address == _WILDCARDS.get(socket.family):
        return 1
    return 2 if listener.local_address == _WILDCARDS[6] else None
