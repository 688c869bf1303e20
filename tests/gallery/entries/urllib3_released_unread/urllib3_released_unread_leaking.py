# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaks: release_conn() puts a connection back into the pool with the body still on it."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import urllib3

POOL = urllib3.PoolManager(maxsize=20)


# docs: begin
def exists(url: str) -> bool:
    response = POOL.request("GET", url, preload_content=False, timeout=30)
    response.release_conn()
    return response.status == 200


# docs: end


if __name__ == "__main__":
    urls = [f"http://127.0.0.1:{sys.argv[1]}/shelf/{number}/" for number in range(int(sys.argv[2]))]
    with ThreadPoolExecutor(20) as workers:
        list(workers.map(exists, urls))
    print("ready", flush=True)
    threading.Event().wait()
