# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP service on the host's loopback; where the baseline turns it bad, it accepts no more.

    steady_listener.py PORT [BAD_WHEN]

It answers every connection and closes it. Once the file BAD_WHEN exists it listens anew with a queue of one and never
accepts: the accept queue overflows as that of a service whose backlog a change made too small. When the file is gone
it is well again. Python 3.9, standard library.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import time

BACKLOG = 4096
TINY = 1


def listen(port: int, backlog: int) -> socket.socket:
    """Listen on loopback."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(backlog)
    listener.setblocking(False)  # noqa: FBT003 - its name in the library
    return listener


def answer(listener: socket.socket) -> None:
    """Take and answer all connections that wait."""
    with contextlib.suppress(BlockingIOError):
        while True:
            connection = listener.accept()[0]
            with connection, contextlib.suppress(OSError):
                connection.settimeout(1)
                connection.recv(100)
                connection.sendall(b"well\n")


def main(port: int, bad_when: str) -> None:
    """Serve until killed."""
    listener, bad = listen(port, BACKLOG), False
    while True:
        if bad != bool(bad_when and os.path.exists(bad_when)):  # noqa: PTH110 - looked at all the time
            bad = not bad
            listener.close()
            listener = listen(port, TINY if bad else BACKLOG)
        if bad:
            time.sleep(0.1)
        elif select.select([listener], [], [], 0.2)[0]:
            answer(listener)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
