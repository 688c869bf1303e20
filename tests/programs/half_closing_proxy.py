# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that goes on answering after its clients have shut down their side: CLOSE_WAIT by design (RFC 9293, 3.6).

It sends a word every ``--every`` seconds until the client is gone. It prints its port.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import threading
import time

__all__: list[str] = []


def stream(connection: socket.socket, every_s: float) -> None:
    with connection, contextlib.suppress(OSError):
        while connection.recv(4096):
            connection.sendall(b"so far\n")
        while True:
            connection.sendall(b"more\n")
            time.sleep(every_s)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=float, default=0.05, metavar="S")
    options = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    print(listener.getsockname()[1], flush=True)
    while True:
        accepted, __ = listener.accept()
        threading.Thread(target=stream, args=(accepted, options.every), daemon=True).start()
