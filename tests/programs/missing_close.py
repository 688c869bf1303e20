# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server whose handler sees the end of the client's requests and forgets to close. It prints its port."""

from __future__ import annotations

import socket
import threading

__all__: list[str] = []

LEAKED: list[socket.socket] = []


def handle(connection: socket.socket) -> None:
    LEAKED.append(connection)
    while connection.recv(4096):
        connection.sendall(b"ok\n")


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    print(listener.getsockname()[1], flush=True)
    while True:
        accepted, __ = listener.accept()
        threading.Thread(target=handle, args=(accepted,), daemon=True).start()
