# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real HAProxy before a server of its own: ``haproxy_server.py HAPROXY LIBRARIES CONFIGURATION [--streams]``.

The server listens on port 9000. It takes requests and neither answers nor closes, as one does whose workers are stuck;
with ``--streams`` it goes on answering after its client's end of stream, until it cannot any more. HAProxy listens on
port 8000; ``port 8000`` is printed when it does.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

__all__: list[str] = []

PORT, SERVER_PORT = 8000, 9000
EVERY_S = 0.05
KEPT: list[socket.socket] = []


def stream(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        while True:
            connection.sendall(b"data: 4711\n\n")
            time.sleep(EVERY_S)


def serve(listener: socket.socket, *, streams: bool) -> None:
    while True:
        connection, __ = listener.accept()
        if streams:
            threading.Thread(target=stream, args=(connection,), daemon=True).start()
        else:
            KEPT.append(connection)


def listens(port: int) -> bool:
    """Whether the port is in LISTEN (proc_pid_net(5), ``tcp``)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return any(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("haproxy")
    parser.add_argument("libraries", help="for LD_LIBRARY_PATH; may be empty")
    parser.add_argument("configuration")
    parser.add_argument("--streams", action="store_true", help="go on answering")
    options = parser.parse_args()
    server = socket.create_server(("127.0.0.1", SERVER_PORT), backlog=256)
    threading.Thread(target=serve, args=(server,), kwargs={"streams": options.streams}, daemon=True).start()
    environment = {**os.environ, "LD_LIBRARY_PATH": options.libraries}
    haproxy = subprocess.Popen([options.haproxy, "-db", "-q", "-f", options.configuration], env=environment)
    while haproxy.poll() is None and not listens(PORT):
        time.sleep(0.01)
    print(f"port {PORT}", flush=True)
    sys.exit(f"HAProxy has ended with {haproxy.wait()}")
