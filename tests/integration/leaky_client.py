# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application with the classic bug: its peer closed the connections, it never does."""

from __future__ import annotations

import socket
import time

__all__: list[str] = []

LEAKED = 5


def main() -> None:
    with socket.create_server(("127.0.0.1", 8099)) as server:
        clients = []
        for __ in range(LEAKED):
            clients.append(socket.create_connection(server.getsockname()))
            server.accept()[0].close()
        time.sleep(3600)


if __name__ == "__main__":
    main()
