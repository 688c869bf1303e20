# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixed: stream() in a with block closes the response on every path."""

import sys
import threading

import httpx

CLIENT = httpx.Client(timeout=30)


# docs: begin
def size(url: str) -> int:
    with CLIENT.stream("GET", url) as response:
        return int(response.headers["Content-Length"])


# docs: end


if __name__ == "__main__":
    for number in range(int(sys.argv[2])):
        size(f"http://127.0.0.1:{sys.argv[1]}/films/{number}/")
    print("ready", flush=True)
    threading.Event().wait()
