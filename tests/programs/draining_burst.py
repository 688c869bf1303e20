# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that is late, not leaking: its server closes many connections at once, and it works them off.

Every ``--every`` seconds there is such a burst (once if that is 0); ``--hold`` seconds later it starts to close them,
and ``--over`` seconds later all are closed.
"""

from __future__ import annotations

import argparse
import socket
import threading
import time

__all__: list[str] = []


def burst(port: int, count: int, hold_s: float, over_s: float) -> None:
    held = []
    for __ in range(count):
        connection = socket.create_connection(("127.0.0.1", port), 10)
        connection.sendall(b"hello\n")
        held.append(connection)
    time.sleep(hold_s)
    for connection in held:
        while connection.recv(4096):
            pass
        connection.close()
        time.sleep(over_s / count)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int, help="of closing_peer.py")
    parser.add_argument("--burst", type=int, default=40, metavar="N")
    parser.add_argument("--hold", type=float, default=1.0, metavar="S")
    parser.add_argument("--over", type=float, default=1.0, metavar="S")
    parser.add_argument("--every", type=float, default=0.0, metavar="S")
    options = parser.parse_args()
    while True:
        burst(options.port, options.burst, options.hold, options.over)
        if not options.every:
            threading.Event().wait()
        time.sleep(options.every)
