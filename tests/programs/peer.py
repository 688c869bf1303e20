# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The other end of the leaking clients: an HTTP server on 127.0.0.1 that always closes first.

How it closes is its first argument: ``idle`` answers and closes a moment later, when the client has long read the
answer; ``body`` sends a body and closes at once; ``reset`` closes as ``idle`` does and then resets the connection.
It prints its port.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import ssl
import struct
import threading
import time

__all__ = ["serve"]

IDLE_S = 0.3
"""Well above scheduling noise, so that the FIN comes clearly later than the answer."""
KEPT: list[socket.socket] = []


def serve(mode: str, size: int, context: ssl.SSLContext | None) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, __ = listener.accept()
        threading.Thread(target=_answer, args=(connection, mode, size, context), daemon=True).start()


def _answer(connection: socket.socket, mode: str, size: int, context: ssl.SSLContext | None) -> None:
    if context is not None:
        connection = context.wrap_socket(connection, server_side=True)
    connection.recv(65536)
    body = b"x" * size
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    if mode != "body":
        time.sleep(IDLE_S)
    if isinstance(connection, ssl.SSLSocket):
        connection.settimeout(0)
        # Sends close_notify; the client's will never come.
        with contextlib.suppress(ssl.SSLWantReadError):
            connection.unwrap()
    # With the descriptor kept, this end stays in FIN_WAIT2 and the kernel does not reset it after a minute.
    socket.socket.shutdown(connection, socket.SHUT_WR)
    if mode == "reset":
        time.sleep(IDLE_S)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    else:
        KEPT.append(connection)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=["idle", "body", "reset"])
    parser.add_argument("--size", type=int, default=2)
    parser.add_argument("--certificate", help="speak TLS with this certificate and key")
    options = parser.parse_args()
    tls = None
    if options.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options.certificate)
    serve(options.mode, options.size, tls)
