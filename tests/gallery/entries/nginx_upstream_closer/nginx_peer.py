# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real nginx as the peer that closes first: ``nginx_peer.py NGINX FOLDER``, with its files below FOLDER.

It prints ``port 8080`` when nginx listens, ``closed T`` for each connection that nginx has closed first (the kernel
shows its side in FIN_WAIT2 or TIME_WAIT), and ``left T`` for each that its client has (nginx logs it), T being of
CLOCK_MONOTONIC.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

__all__: list[str] = []

PORT = 8080
LISTEN, CLOSED_HERE = "0A", ("04", "05", "06")
EVERY_S = 0.01


def sockets() -> list[tuple[str, str]]:
    """The far end and the state of the sockets of nginx's port (proc_pid_net(5), ``tcp``)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return [(row[2], row[3]) for row in rows if row[1].endswith(f":{PORT:04X}")]


def left(log: IO[str]) -> None:
    for line in log:
        if "closed keepalive connection" in line:
            print(f"left {time.monotonic()}", flush=True)
        else:
            sys.stderr.write(line)


if __name__ == "__main__":
    configuration = Path(__file__).with_name("nginx.conf")
    command = [sys.argv[1], "-p", sys.argv[2], "-c", str(configuration), "-e", "stderr", "-g", "daemon off;"]
    nginx = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert nginx.stderr is not None
    threading.Thread(target=left, args=(nginx.stderr,), daemon=True).start()
    while nginx.poll() is None and not any(state == LISTEN for __, state in sockets()):
        time.sleep(EVERY_S)
    print(f"port {PORT}", flush=True)
    seen: set[str] = set()
    while nginx.poll() is None:
        for far_end, state in sockets():
            if state in CLOSED_HERE and far_end not in seen:
                seen.add(far_end)
                print(f"closed {time.monotonic()}", flush=True)
        time.sleep(EVERY_S)
    sys.exit(f"nginx has ended with {nginx.returncode}")
