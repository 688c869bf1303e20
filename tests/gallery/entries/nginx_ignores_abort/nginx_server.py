# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real nginx before a slow server: ``nginx_server.py NGINX FOLDER CONFIGURATION``, with its files below FOLDER.

The server listens on port 9000, takes requests, answers none of them and closes when nginx does. nginx listens on port
8000; ``port 8000`` is printed when it does.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

__all__: list[str] = []

PORT, SERVER_PORT = 8000, 9000


def wait_for_the_end(connection: socket.socket) -> None:
    with connection, contextlib.suppress(ConnectionError):
        while connection.recv(65536):
            pass


def serve(listener: socket.socket) -> None:
    while True:
        connection, __ = listener.accept()
        threading.Thread(target=wait_for_the_end, args=(connection,), daemon=True).start()


def listens(port: int) -> bool:
    """Whether the port is in LISTEN (proc_pid_net(5), ``tcp``)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return any(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)


if __name__ == "__main__":
    program, folder, configuration = sys.argv[1:]
    server = socket.create_server(("127.0.0.1", SERVER_PORT), backlog=256)
    threading.Thread(target=serve, args=(server,), daemon=True).start()
    nginx = subprocess.Popen([program, "-p", folder, "-c", configuration, "-e", "stderr", "-g", "daemon off;"])
    while nginx.poll() is None and not listens(PORT):
        time.sleep(0.01)
    print(f"port {PORT}", flush=True)
    sys.exit(f"nginx has ended with {nginx.wait()}")
