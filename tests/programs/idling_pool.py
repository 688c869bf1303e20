# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pool that was filled once and rests: the server has closed all of its connections, and nobody has looked since.

It fills one by one, or with ``--steps`` in equal parts with a pause between, as when workers start one after the other.
"""

from __future__ import annotations

import argparse
import socket
import threading
import time

__all__: list[str] = []

POOL: list[socket.socket] = []

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int, help="of closing_peer.py")
    parser.add_argument("--size", type=int, default=20, metavar="N")
    parser.add_argument("--fill", type=float, default=0.0, metavar="S", help="seconds until it is full")
    parser.add_argument("--steps", type=int, default=0, metavar="N", help="fill in so many steps")
    options = parser.parse_args()
    steps = options.steps or options.size
    for number in range(steps):
        while len(POOL) < options.size * (number + 1) // steps:
            connection = socket.create_connection(("127.0.0.1", options.port), 10)
            connection.sendall(b"hello\n")
            connection.recv(4096)
            POOL.append(connection)
        time.sleep(options.fill / steps)
    threading.Event().wait()
