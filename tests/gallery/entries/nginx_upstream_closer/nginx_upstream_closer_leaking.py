# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaks: the pool outlives the batch, and nginx closes idle connections after keepalive_timeout."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import urllib3

PAUSE_S = 300
PRICES = []


# docs: begin
POOL = urllib3.PoolManager(num_pools=50)


def refresh(urls: list[str]) -> None:
    with ThreadPoolExecutor(20) as threads:
        PRICES[:] = threads.map(lambda url: POOL.request("GET", url, timeout=30).json(), urls)


# docs: end


if __name__ == "__main__":
    while True:
        refresh([f"http://127.0.0.{shop}:{sys.argv[1]}/prices" for shop in range(1, int(sys.argv[2]) + 1)])
        print("ready", flush=True)
        threading.Event().wait(PAUSE_S)
