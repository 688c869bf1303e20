# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory of the CLOSE_WAIT sockets of earlier looks: what one look must leave undecided, the next one settles."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import TcpSocket

__all__ = ["Sightings"]


class Sightings:
    """When each CLOSE_WAIT socket was first seen; one object serves all looks of a process.

    A socket is recognised by namespace and cookie (``sock_diag``); without one (from ``/proc``) it is not remembered.
    Those that a look does not show any more are forgotten, so the memory is as large as the trouble.
    """

    def __init__(self) -> None:
        """Start without memory."""
        self._first: dict[tuple[int, int], float] = {}

    def look(self, sockets: Iterable[TcpSocket], moment_s: float) -> dict[tuple[int, int], float]:
        """Take the sockets of a look at ``moment_s`` (monotonic) and return how many seconds each has been known."""
        first = {}
        for socket in sockets:
            if socket.cookie:
                key = socket.namespace, socket.cookie
                first[key] = self._first.get(key, moment_s)
        self._first = first
        return {key: moment_s - since for key, since in first.items() if since < moment_s}
