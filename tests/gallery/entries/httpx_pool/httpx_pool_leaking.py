# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaks: keepalive_expiry is looked at only when the client is used again."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx

LIMITS = httpx.Limits(max_keepalive_connections=20, keepalive_expiry=0.5)


# docs: begin
CLIENT = httpx.Client(limits=LIMITS, timeout=30)


def refresh(urls: list[str]) -> list[str]:
    with ThreadPoolExecutor(20) as workers:
        return list(workers.map(lambda url: CLIENT.get(url).text, urls))


# docs: end


if __name__ == "__main__":
    refresh([f"http://127.0.0.1:{sys.argv[1]}/prices/{number}/" for number in range(int(sys.argv[2]))])
    print("ready", flush=True)
    threading.Event().wait()
