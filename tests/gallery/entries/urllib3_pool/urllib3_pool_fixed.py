# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixed: a thread empties the pool more often than the server closes idle connections."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import urllib3

STOP = threading.Event()


# docs: begin
POOL = urllib3.PoolManager(maxsize=20)


def evict_idle(every_s: float) -> None:
    while not STOP.wait(every_s):
        POOL.clear()  # closes what is idle; a request under way keeps its connection


# Every few seconds: more often than the server closes idle connections.
threading.Thread(target=evict_idle, args=(2,), daemon=True).start()


# docs: end


if __name__ == "__main__":
    urls = [f"http://127.0.0.1:{sys.argv[1]}/prices/{number}/" for number in range(int(sys.argv[2]))]
    with ThreadPoolExecutor(20) as workers:
        list(workers.map(lambda url: POOL.request("GET", url, timeout=30).data, urls))
    print("ready", flush=True)
    STOP.wait()
