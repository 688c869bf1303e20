# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A systemd service with the classic bug: so many connections that their peer closed, and it never does.

    leaking_service.py COUNT

It runs on the hosts (Python 3.9) and tells systemd when all of them leak (sd_notify(3)).
"""

from __future__ import annotations

import os
import socket
import sys
import time

__all__ = ["main"]


def main(count: int) -> None:
    """Leak, say so, and wait to be ended."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        clients = []
        for __ in range(count):
            clients.append(socket.create_connection(server.getsockname()))
            server.accept()[0].close()
        while any(client.recv(1, socket.MSG_PEEK) for client in clients):
            pass
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.connect(os.environ["NOTIFY_SOCKET"])
            notify.send(b"READY=1")
        time.sleep(3600)


if __name__ == "__main__":
    main(int(sys.argv[1]))
