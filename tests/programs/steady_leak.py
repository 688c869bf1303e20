# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that opens a connection every so often and never closes one, until it runs out of descriptors.

What it forgets is its ``--kind``: ``seen`` reads to the end of the stream and does not close; ``unread`` never reads
the answer; ``unnoticed`` reads the answer and never looks again. When no descriptor is left it prints ``emfile`` and
the moment (CLOCK_BOOTTIME), keeps what it has, and tries no more.
"""

from __future__ import annotations

import argparse
import errno
import random
import resource
import select
import socket
import sys
import threading
import time

__all__: list[str] = []

LEAKED: list[socket.socket] = []


class Reader:
    """Reads what has come on connections, without waiting."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._open: list[socket.socket] = []

    def add(self, connection: socket.socket) -> None:
        if self.kind != "unread":
            self._open.append(connection)

    def read(self) -> None:
        if not self._open:
            return
        # poll(2) needs no descriptor of its own, epoll(7) would.
        poll = select.poll()
        by_number = {connection.fileno(): connection for connection in self._open}
        for number in by_number:
            poll.register(number, select.POLLIN)
        for number, __ in poll.poll(0):
            answer = by_number[number].recv(65536)
            if not answer or self.kind == "unnoticed":
                self._open.remove(by_number[number])


def leak(options: argparse.Namespace) -> None:
    chance = random.Random(options.seed)
    reader = Reader(options.kind)
    due = time.monotonic()
    while len(LEAKED) < options.until:
        try:
            connection = socket.create_connection(("127.0.0.1", options.port), 10)
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
            print("emfile", time.clock_gettime(time.CLOCK_BOOTTIME), flush=True)
            return
        LEAKED.append(connection)
        connection.sendall(b"hello\n")
        reader.add(connection)
        due += chance.expovariate(1 / options.every) if options.random else options.every
        while (left_s := due - time.monotonic()) > 0:
            reader.read()
            time.sleep(min(left_s, 0.02))
    # What is on its way is still read.
    for __ in range(50):
        reader.read()
        time.sleep(0.02)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int, help="of closing_peer.py")
    parser.add_argument("--kind", choices=["seen", "unread", "unnoticed"], default="seen")
    parser.add_argument("--every", type=float, default=0.1, metavar="S", help="seconds between two leaks")
    parser.add_argument("--random", action="store_true", help="that on average, as arrivals of chance (exponential)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--until", type=int, default=1_000_000, metavar="N", help="leak so many at most")
    parser.add_argument("--limit", type=int, metavar="N", help="soft limit of descriptors (RLIMIT_NOFILE)")
    parser.add_argument("--files", type=int, default=0, metavar="N", help="hold so many other descriptors, too")
    options = parser.parse_args()
    if options.limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (options.limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    others = [sys.stdin.buffer, *(open("/dev/null", "rb") for __ in range(options.files))]  # noqa: PTH123, SIM115 - held
    leak(options)
    threading.Event().wait()
