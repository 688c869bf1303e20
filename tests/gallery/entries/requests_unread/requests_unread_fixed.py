# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixed: with the response in a with block, its connection is given up on every path."""

import sys
import threading

import requests

SESSION = requests.Session()
FAILED = []


# docs: begin
def download(url: str) -> bytes:
    with SESSION.get(url, stream=True, timeout=30) as response:
        response.raise_for_status()
        return b"".join(response.iter_content(65536))


# docs: end


if __name__ == "__main__":
    for number in range(int(sys.argv[2])):
        try:
            download(f"http://127.0.0.1:{sys.argv[1]}/orders/{number}/503")
        except requests.HTTPError as error:
            # To be tried again in an hour.
            FAILED.append(error)
    print("ready", flush=True)
    threading.Event().wait()
