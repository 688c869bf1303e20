# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pool of connections that looks at a connection only when it is borrowed, and then replaces a dead one.

Most of its members are in CLOSE_WAIT at any moment, never more than the pool's size, and none for long. ``--breathe``
lets the size follow a sine between a quarter and the whole of it, as the load of a day does.
"""

from __future__ import annotations

import argparse
import collections
import math
import random
import socket
import time

__all__: list[str] = []


def connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), 10)
    connection.sendall(b"hello\n")
    connection.recv(4096)
    return connection


def is_dead(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False


def allowed(options: argparse.Namespace, seconds: float) -> int:
    """Return how many connections the pool may hold so long after its start."""
    size = options.size
    if options.breathe:
        size *= 0.25 + 0.75 * (1 - math.cos(2 * math.pi * seconds / options.breathe)) / 2
    if options.fill:
        size = min(size, options.size * seconds / options.fill)
    return max(1, round(size))


def work(options: argparse.Namespace) -> None:
    chance = random.Random(options.seed)
    pool: collections.deque[socket.socket] = collections.deque()
    start = time.monotonic()
    while True:
        size = allowed(options, time.monotonic() - start)
        while len(pool) > size:
            pool.popleft().close()
        while len(pool) < size:
            pool.append(connect(options.port))
        pool.rotate(-chance.randrange(len(pool)) if options.random else -1)
        if is_dead(pool[-1]):
            pool.pop().close()
            pool.append(connect(options.port))
        time.sleep(options.every)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int, help="of closing_peer.py")
    parser.add_argument("--size", type=int, default=20, metavar="N")
    parser.add_argument("--every", type=float, default=0.05, metavar="S", help="seconds between two borrowings")
    parser.add_argument("--random", action="store_true", help="borrow any member, not the one that rested longest")
    parser.add_argument("--breathe", type=float, metavar="S", help="period of the size")
    parser.add_argument("--fill", type=float, metavar="S", help="reach the size only after so long")
    parser.add_argument("--seed", type=int, default=1)
    work(parser.parse_args())
