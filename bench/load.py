# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One process of the benchmark's load: it holds sockets until its standard input ends, at most half an hour.

``pairs`` connects to itself and holds both ends. ``peer`` accepts, sends a FIN for each connection and keeps the
descriptor. ``offender`` connects to a peer and never closes: its sockets are in CLOSE_WAIT. Each says ``ready``.
"""

from __future__ import annotations

import argparse
import resource
import signal
import socket
import sys
from pathlib import Path

__all__: list[str] = []

LIFETIME_S = 1800
PORT = 9000


def pairs(address: str, count: int) -> list[socket.socket]:
    held = []
    with socket.create_server((address, PORT), backlog=16) as listener:
        for __ in range(count):
            held.append(socket.create_connection((address, PORT)))
            held.append(listener.accept()[0])
    return held


def peer(address: str, count: int) -> list[socket.socket]:
    held = []
    with socket.create_server((address, PORT), backlog=4096) as listener:
        print("listening", flush=True)
        for __ in range(count):
            connection, __ = listener.accept()
            connection.shutdown(socket.SHUT_WR)
            held.append(connection)
    return held


def offender(address: str, count: int) -> list[socket.socket]:
    held = [socket.create_connection((address, PORT)) for __ in range(count)]
    for connection in held:
        # Peek, so that the FIN stays unread: it has come when this returns.
        connection.recv(1, socket.MSG_PEEK)
    return held


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=["pairs", "peer", "offender"])
    parser.add_argument("address")
    parser.add_argument("count", type=int)
    parser.add_argument("--cgroup", type=Path, help="cgroup v2 folder to enter before the first socket")
    options = parser.parse_args()
    if options.cgroup:
        (options.cgroup / "cgroup.procs").write_text("0", encoding="ascii")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.alarm(LIFETIME_S)
    sockets = {"pairs": pairs, "peer": peer, "offender": offender}[options.role](options.address, options.count)
    print("ready", flush=True)
    # The end of the input also comes when the benchmark dies, however it dies.
    sys.stdin.read()
