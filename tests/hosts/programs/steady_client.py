# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traffic on the host's loopback: short connections at a rate that may fluctuate.

    steady_client.py PORT RATE [SPREAD]

RATE is connections a second. With SPREAD each second has a rate of its own between RATE / SPREAD and RATE * SPREAD.
Nobody waits for the connection before: where the service hangs, the rate stays, and a connection is given up after
two seconds. Python 3.9, standard library.
"""

from __future__ import annotations

import random
import selectors
import socket
import sys
import time

PATIENCE_S = 2.0
QUESTION = b"GET / HTTP/1.0\r\n\r\n"


class Client:
    """All connections of this program that are open."""

    def __init__(self, port: int) -> None:
        """Begin without any."""
        self.port = port
        self.selector = selectors.DefaultSelector()
        self.open: dict[socket.socket, float] = {}

    def start(self) -> None:
        """Open a connection."""
        connection = socket.socket()
        connection.setblocking(False)  # noqa: FBT003 - its name in the library
        connection.connect_ex(("127.0.0.1", self.port))
        self.open[connection] = time.monotonic() + PATIENCE_S
        self.selector.register(connection, selectors.EVENT_WRITE)

    def run(self, until: float) -> None:
        """Ask, read answers to their end and close, until that moment of the monotonic clock."""
        while (left := until - time.monotonic()) > 0:
            for key, events in self.selector.select(left):
                assert isinstance(key.fileobj, socket.socket)
                self._go_on(key.fileobj, events)
        for connection in [one for one, end in self.open.items() if end < until]:
            self._end(connection)

    def _go_on(self, connection: socket.socket, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                connection.sendall(QUESTION)
                self.selector.modify(connection, selectors.EVENT_READ)
            # To the end: a connection that is closed with unread data would be a reset.
            elif not connection.recv(100):
                self._end(connection)
        except OSError:
            self._end(connection)

    def _end(self, connection: socket.socket) -> None:
        self.selector.unregister(connection)
        del self.open[connection]
        connection.close()


def main(port: int, rate: float, spread: float) -> None:
    """Ask until killed."""
    client, chance = Client(port), random.Random()
    while True:
        second = time.monotonic()
        count = max(1, round(rate * spread ** chance.uniform(-1, 1)))
        for number in range(count):
            client.start()
            client.run(second + (number + 1) / count)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) > 3 else 1.0)
