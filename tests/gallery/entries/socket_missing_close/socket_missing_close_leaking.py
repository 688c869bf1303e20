# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaks: the end of a connection is seen and not acted upon: it stays open, and in the table of clients."""

import socket
import threading

CLIENTS: dict[tuple[str, int], socket.socket] = {}


# docs: begin
def serve(connection: socket.socket, address: tuple[str, int]) -> None:
    while True:
        line = connection.recv(4096)
        if not line:
            return
        connection.sendall(b"200 at your service\r\n")
        if line.startswith(b"QUIT"):
            break
    CLIENTS.pop(address).close()


# docs: end


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(f"port {listener.getsockname()[1]}", flush=True)
    while True:
        connection, address = listener.accept()
        CLIENTS[address] = connection
        threading.Thread(target=serve, args=(connection, address), daemon=True).start()
