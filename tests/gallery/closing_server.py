# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The other end of the gallery's clients: an HTTP/1.1 server on 127.0.0.1 with keep-alive that closes first.

A connection that has been idle for ``--idle-s`` is closed, as every server and load balancer does sooner or later;
with ``--at-once`` it is closed with its first answer. A path that ends in a number is answered with that status.
It prints ``port N``, then ``closed T`` for each close that was its own, ``left T`` where the client was first, T being
CLOCK_MONOTONIC. It stays with its half of the connection, so that the kernel does not reset it a minute later.
"""

from __future__ import annotations

import argparse
import contextlib
import http
import re
import socket
import ssl
import threading
import time

__all__: list[str] = []

KEPT: list[socket.socket] = []
LOCK = threading.Lock()
_LATE_S = 0.5


def serve(options: argparse.Namespace) -> None:
    context = None
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate)
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    print(f"port {listener.getsockname()[1]}", flush=True)
    while True:
        connection, __ = listener.accept()
        threading.Thread(target=_talk, args=(connection, options, context), daemon=True).start()


def _talk(connection: socket.socket, options: argparse.Namespace, context: ssl.SSLContext | None) -> None:
    try:
        if context is not None:
            connection = context.wrap_socket(connection, server_side=True)
        connection.settimeout(options.idle_s)
        while request := _request(connection):
            connection.settimeout(None)
            time.sleep(options.answer_s)
            answer = _answer(request, b"x" * options.size, last=options.at_once)
            first = len(answer) - options.late
            connection.sendall(answer[:first])
            if options.late:
                time.sleep(_LATE_S)
                connection.sendall(answer[first:])
            connection.settimeout(options.idle_s)
            if options.at_once:
                break
        else:
            _leave(connection)
            return
    except TimeoutError:
        pass
    except (ConnectionError, ssl.SSLError):
        # It threw away what it had not read, or said nothing of its end in TLS.
        _leave(connection)
        return
    _close(connection)


def _request(connection: socket.socket) -> bytes:
    """Return a whole request with its body, or nothing if the client has closed."""
    received = b""
    while b"\r\n\r\n" not in received:
        more = connection.recv(65536)
        if not more:
            return b""
        received += more
    head, __, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"content-length:\s*(\d+)", head, re.IGNORECASE)
    while length and len(body) < int(length[1]):
        body += connection.recv(65536)
    return head


def _answer(request: bytes, body: bytes, *, last: bool) -> bytes:
    path = request.split(b" ")[1].decode("ascii", "replace")
    asked = re.search(r"(\d{3})$", path)
    status = http.HTTPStatus(int(asked[1])) if asked else http.HTTPStatus.OK
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: {'close' if last else 'keep-alive'}\r\n\r\n"
    )
    return head.encode() + body


def _leave(connection: socket.socket) -> None:
    """The client was first."""
    connection.close()
    with LOCK:
        print(f"left {time.monotonic()}", flush=True)


def _close(connection: socket.socket) -> None:
    if isinstance(connection, ssl.SSLSocket):
        connection.settimeout(0)
        # Sends close_notify; the client's will never come.
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            connection.unwrap()
    with LOCK:
        try:
            # Of the plain socket: the end of a TLS connection has been said.
            socket.socket.shutdown(connection, socket.SHUT_WR)
        except OSError:
            # Not connected: the client has reset it meanwhile.
            print(f"left {time.monotonic()}", flush=True)
        else:
            print(f"closed {time.monotonic()}", flush=True)
        KEPT.append(connection)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idle-s", type=float, default=0.3, help="after which an idle connection is closed")
    parser.add_argument("--answer-s", type=float, default=0, help="for an answer: so that a burst of calls is at once")
    parser.add_argument("--at-once", action="store_true", help="close with the first answer")
    parser.add_argument("--size", type=int, default=2, help="bytes of a body")
    parser.add_argument("--late", type=int, default=0, help="bytes of the body's end that come a moment later")
    parser.add_argument("--certificate", help="speak TLS with this certificate and key")
    serve(parser.parse_args())
