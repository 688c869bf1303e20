# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An HTTP service on the host's loopback that may need its accept queue.

    steady_listener.py PORT [PAUSE]

It takes all connections that wait, answers and closes them, then sleeps for PAUSE seconds (default: 0.01). Before each
turn it calls listen() again, as a server does that reloads: so a smaller net.core.somaxconn cuts its queue at once,
and a larger one mends it (listen(2)). With a long pause the queue must hold what comes meanwhile. Python 3.9, standard
library.
"""

from __future__ import annotations

import contextlib
import select
import socket
import sys
import time

BACKLOG = 4096
ANSWER = b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nwell\n"


def answer(listener: socket.socket) -> None:
    """Take and answer all connections that wait."""
    with contextlib.suppress(BlockingIOError):
        while True:
            connection = listener.accept()[0]
            with connection, contextlib.suppress(OSError):
                connection.settimeout(1)
                connection.recv(4096)
                connection.sendall(ANSWER)


def main(port: int, pause_s: float) -> None:
    """Serve until killed."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.setblocking(False)  # noqa: FBT003 - its name in the library
    while True:
        listener.listen(BACKLOG)
        select.select([listener], [], [], 0.2)
        answer(listener)
        time.sleep(pause_s)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.01)
