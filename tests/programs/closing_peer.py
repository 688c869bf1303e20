# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The other end of the watched clients: a server on 127.0.0.1 that answers and closes its side first.

It closes ``--after`` seconds after the request, so that the FIN comes clearly later than the answer, and it keeps no
descriptor of a client that has closed, too. It prints its port.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import resource
import selectors
import socket
import time

__all__: list[str] = []


def serve(after_s: float, body: bytes) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.settimeout(0)
    print(listener.getsockname()[1], flush=True)
    closing: list[tuple[float, int, socket.socket]] = []
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        while True:
            wait_s = max(0.0, closing[0][0] - time.monotonic()) if closing else None
            for key, __ in selector.select(wait_s):
                connection = key.fileobj
                assert isinstance(connection, socket.socket)
                if connection is listener:
                    with contextlib.suppress(BlockingIOError):
                        selector.register(listener.accept()[0], selectors.EVENT_READ)
                elif _asked(connection):
                    with contextlib.suppress(OSError):
                        connection.sendall(body)
                    heapq.heappush(closing, (time.monotonic() + after_s, id(connection), connection))
                else:
                    selector.unregister(connection)
                    connection.close()
            while closing and closing[0][0] <= time.monotonic():
                with contextlib.suppress(OSError):
                    heapq.heappop(closing)[2].shutdown(socket.SHUT_WR)


def _asked(connection: socket.socket) -> bool:
    try:
        return bool(connection.recv(4096))
    except OSError:
        return False


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--after", type=float, default=0.15, metavar="S", help="seconds between the answer and the FIN")
    parser.add_argument("--body", type=int, default=3, metavar="BYTES", help="length of the answer")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    serve(options.after, b"x" * options.body)
