# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of a watched server on 127.0.0.1: it comes every so often, says a word, and closes its side first.

``close`` waits a moment after the answer, so that the FIN comes clearly later, and closes. ``half`` shuts down its
sending side only and reads on for ``--life`` seconds. ``silent`` neither says nor reads anything, and closes at once.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import threading
import time

__all__: list[str] = []

APART_S = 0.15


def visit(port: int, mode: str, life_s: float) -> None:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 10) as client:
        if mode == "silent":
            return
        client.sendall(b"hello\n")
        client.recv(64)
        time.sleep(APART_S)
        if mode == "half":
            client.shutdown(socket.SHUT_WR)
            end = time.monotonic() + life_s
            while time.monotonic() < end and client.recv(4096):
                pass


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--mode", choices=["close", "half", "silent"], default="close")
    parser.add_argument("--every", type=float, default=0.2, metavar="S")
    parser.add_argument("--count", type=int, default=1_000_000, metavar="N", help="so many visits, then it only waits")
    parser.add_argument("--life", type=float, default=3.0, metavar="S")
    options = parser.parse_args()
    for __ in range(options.count):
        threading.Thread(target=visit, args=(options.port, options.mode, options.life), daemon=True).start()
        time.sleep(options.every)
    threading.Event().wait()
