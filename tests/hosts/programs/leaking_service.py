# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that sees the end of its clients, which it makes itself on the loopback, and closes none of them.

leaking_service.py COUNT SECONDS    COUNT connections, one every SECONDS
"""

from __future__ import annotations

import socket
import sys
import threading
import time

__all__: list[str] = []


def leak(count: int, every_s: float) -> None:
    held = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for __ in range(count):
            with socket.create_connection(listener.getsockname()):
                held.append(listener.accept()[0])
            assert held[-1].recv(1) == b""
            time.sleep(every_s)
        threading.Event().wait()


if __name__ == "__main__":
    leak(int(sys.argv[1]), float(sys.argv[2]))
