# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that leaks in bursts: nothing for a while, then many connections at once, and it never closes one."""

from __future__ import annotations

import argparse
import random
import socket
import time

__all__: list[str] = []

LEAKED: list[socket.socket] = []


def burst(port: int, count: int) -> None:
    fresh = []
    for __ in range(count):
        connection = socket.create_connection(("127.0.0.1", port), 10)
        connection.sendall(b"hello\n")
        fresh.append(connection)
    for connection in fresh:
        while connection.recv(4096):
            pass
    LEAKED.extend(fresh)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int, help="of closing_peer.py")
    parser.add_argument("--every", type=float, default=1.0, metavar="S", help="seconds between two bursts, on average")
    parser.add_argument("--burst", type=int, default=10, metavar="N", help="connections a burst, on average")
    parser.add_argument("--spread", type=float, default=0.5, help="how far a gap and a size may stray, as a share")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    while True:
        stray = chance.uniform(1 - options.spread, 1 + options.spread)
        burst(options.port, max(1, round(options.burst * stray)))
        time.sleep(options.every * chance.uniform(1 - options.spread, 1 + options.spread))
