# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services of a small shop, two of which leak: what the audit has to find, on a host's own loopback.

    payments PORT        answers; after "last" it also closes, as a server does that has waited long enough
    checkout PORT COUNT  leaks: a pool of connections that payments has closed and nobody looks at again
    orders PORT COUNT    healthy: asks payments again and again over connections that stay
    ledger COUNT         leaks: a server that sees the end of its clients, which it makes itself, and does not close

Each tells systemd when it is ready (sd_notify(3)); a leaking one has leaked all it ever will by then, and says in
``$RUNTIME_DIRECTORY/leak.json`` between which two moments (Unix time) its peers closed.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["checkout", "ledger", "main", "orders", "payments"]

CLOSE_WAIT = 8
"""In the first byte of ``struct tcp_info`` (net/tcp_states.h)."""
PAUSE_S = 0.3
"""Well above scheduling noise, so that the end of a connection comes clearly later than its last data."""


def _ready() -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(b"READY=1", "\0" + address[1:] if address.startswith("@") else address)


def _leaked(sockets: list[socket.socket], started: float) -> None:
    """Wait until all are in CLOSE_WAIT, write down when that happened, stay."""
    while any(held.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != CLOSE_WAIT for held in sockets):
        time.sleep(0.05)
    moments = {"first_not_before": started, "last_not_after": time.time()}
    Path(os.environ.get("RUNTIME_DIRECTORY", "."), "leak.json").write_text(json.dumps(moments), encoding="ascii")
    _ready()
    threading.Event().wait()


def _ask(connection: socket.socket, word: bytes) -> None:
    connection.sendall(word + b"\n")
    connection.recv(64)


def _pay(connection: socket.socket) -> None:
    with connection:
        word = b""
        while word != b"last\n":
            word = connection.recv(64)
            if not word:
                return
            connection.sendall(b"paid\n")
        time.sleep(PAUSE_S)


def payments(port: int) -> None:
    """Answer every line, and close after "last"."""
    with socket.create_server(("127.0.0.1", port), backlog=64) as listener:
        _ready()
        while True:
            threading.Thread(target=_pay, args=(listener.accept()[0],), daemon=True).start()


def checkout(port: int, count: int) -> None:
    """Use every connection once, keep all of them, look at none again."""
    started = time.time()
    pool = [socket.create_connection(("127.0.0.1", port)) for __ in range(count)]
    for connection in pool:
        _ask(connection, b"last")
    _leaked(pool, started)


def orders(port: int, count: int) -> None:
    """Use every connection once a second, for ever."""
    pool = [socket.create_connection(("127.0.0.1", port)) for __ in range(count)]
    _ready()
    while True:
        for connection in pool:
            _ask(connection, b"next")
        time.sleep(1)


def _book(connection: socket.socket) -> None:
    while connection.recv(64):
        connection.sendall(b"booked\n")


def ledger(count: int) -> None:
    """Serve clients that close first, and do not close."""
    started = time.time()
    held = []
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        for __ in range(count):
            with socket.create_connection(listener.getsockname()) as client:
                held.append(listener.accept()[0])
                threading.Thread(target=_book, args=(held[-1],), daemon=True).start()
                _ask(client, b"entry")
                time.sleep(PAUSE_S)
        _leaked(held, started)


def main(arguments: list[str]) -> None:
    """Be one of the services."""
    services: dict[str, Callable[..., None]] = {
        "payments": payments,
        "checkout": checkout,
        "orders": orders,
        "ledger": ledger,
    }
    services[arguments[0]](*(int(number) for number in arguments[1:]))


if __name__ == "__main__":
    main(sys.argv[1:])
