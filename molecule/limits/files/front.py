# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that holds a descriptor for every client, and the load that needs more of them than it may have.

    serve PORT       answers every client once and keeps its connection until the client closes
    load PORT COUNT  as many clients at once; prints as JSON how many were answered and how many were not

The server writes "EMFILE" to its standard error, the journal, each time that it may not accept a client.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import selectors
import socket
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["load", "main", "serve"]

PATIENCE_S = 5.0
PAUSE_S = 0.1


def _ready() -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(b"READY=1", "\0" + address[1:] if address.startswith("@") else address)


def _accept(listener: socket.socket, waiting: selectors.BaseSelector) -> None:
    try:
        client = listener.accept()[0]
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
        sys.stderr.write(f"EMFILE: {error.strerror}\n")
        sys.stderr.flush()
        # The client stays in the accept queue.
        time.sleep(PAUSE_S)
        return
    waiting.register(client, selectors.EVENT_READ)


def _answer(client: socket.socket, waiting: selectors.BaseSelector) -> None:
    with contextlib.suppress(ConnectionError):
        if client.recv(64):
            client.sendall(b"served\n")
            return
    waiting.unregister(client)
    client.close()


def serve(port: int) -> None:
    """Serve until the end."""
    waiting = selectors.DefaultSelector()
    with socket.create_server(("127.0.0.1", port), backlog=512) as listener:
        waiting.register(listener, selectors.EVENT_READ)
        _ready()
        while True:
            for key, __ in waiting.select():
                if key.fileobj is listener:
                    _accept(listener, waiting)
                elif isinstance(key.fileobj, socket.socket):
                    _answer(key.fileobj, waiting)


def load(port: int, count: int) -> None:
    """Be all the clients at once, for a bounded time."""
    clients = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) for __ in range(count)]
    waiting = selectors.DefaultSelector()
    for client in clients:
        client.sendall(b"please\n")
        waiting.register(client, selectors.EVENT_READ)
    answered = 0
    end = time.monotonic() + PATIENCE_S
    while answered < count and time.monotonic() < end:
        for key, __ in waiting.select(PAUSE_S):
            if isinstance(key.fileobj, socket.socket):
                answered += bool(key.fileobj.recv(64))
                waiting.unregister(key.fileobj)
    for client in clients:
        client.close()
    sys.stdout.write(json.dumps({"answered": answered, "left": count - answered}))


def main(arguments: list[str]) -> None:
    """Be the server or the load."""
    programs: dict[str, Callable[..., None]] = {"serve": serve, "load": load}
    programs[arguments[0]](*(int(number) for number in arguments[1:]))


if __name__ == "__main__":
    main(sys.argv[1:])
