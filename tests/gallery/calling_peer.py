# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The other end of the gallery's servers: HTTP clients on 127.0.0.1 that ask, and close their side first.

It prints ``closed T`` for each close, with T of CLOCK_MONOTONIC, and ``ready`` when all have closed.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import threading
import time

__all__: list[str] = []

KEPT: list[socket.socket] = []
LOCK = threading.Lock()
REQUEST = b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n"


def call(port: int, wait_s: float) -> None:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(REQUEST)
    # Whoever waits for the answer closes later than the data; a stuck server never answers.
    connection.settimeout(wait_s)
    with contextlib.suppress(TimeoutError):
        connection.recv(65536)
    time.sleep(0.3)
    with LOCK:
        connection.shutdown(socket.SHUT_WR)
        print(f"closed {time.monotonic()}", flush=True)
        # With the descriptor kept, this end stays in FIN_WAIT2 and the kernel does not reset it after a minute.
        KEPT.append(connection)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--wait-s", type=float, default=1.0, help="for an answer")
    options = parser.parse_args()
    threads = [threading.Thread(target=call, args=(options.port, options.wait_s)) for __ in range(options.count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("ready", flush=True)
    threading.Event().wait()
