# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaks: a streamed response is looked at and left; the pool itself keeps its connection."""

import sys
import threading

import httpx

CLIENT = httpx.Client(timeout=30)


# docs: begin
def size(url: str) -> int:
    response = CLIENT.send(CLIENT.build_request("GET", url), stream=True)
    return int(response.headers["Content-Length"])


# docs: end


if __name__ == "__main__":
    for number in range(int(sys.argv[2])):
        size(f"http://127.0.0.1:{sys.argv[1]}/films/{number}/")
    print("ready", flush=True)
    threading.Event().wait()
