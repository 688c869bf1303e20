# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaks: a long-lived helper inherits every connection that was open when it was started."""

import http.client
import os
import subprocess
import sys
import time

POOL = []
MAX_IDLE_S = 5


def call(port: str, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)
    connection.request("GET", path)
    connection.getresponse().read()
    # On SIGHUP the daemon executes itself again and keeps its connections.
    os.set_inheritable(connection.sock.fileno(), True)
    POOL.append((time.monotonic(), connection))


def evict_idle() -> None:
    while POOL and POOL[0][0] < time.monotonic() - MAX_IDLE_S:
        POOL.pop(0)[1].close()


# docs: begin
def start_log_writer(path: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["tee", "-a", path], stdin=subprocess.PIPE, close_fds=False)


# docs: end


if __name__ == "__main__":
    for number in range(int(sys.argv[2])):
        call(sys.argv[1], f"/prices/{number}/")
    log = start_log_writer(f"{sys.argv[3]}/audit.log")
    print("ready", flush=True)
    while True:
        time.sleep(0.5)
        evict_idle()
