# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client whose leaked connections were reset: no socket table shows them, every descriptor is still open.

It prints ``ready`` when the kernel has taken all of them out of its tables.
"""

from __future__ import annotations

import socket
import sys
import threading
import time

from idle_pool import POOL, fill

__all__: list[str] = []

TCP_CLOSE = 7

if __name__ == "__main__":
    fill(int(sys.argv[1]), int(sys.argv[2]), None)
    while any(one.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != TCP_CLOSE for one in POOL):
        time.sleep(0.05)
    print("ready", flush=True)
    threading.Event().wait()
