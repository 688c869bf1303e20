# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaks: a streamed response is looked at and neither read nor closed."""

import sys
import threading

import requests

SESSION = requests.Session()
LATEST = []


# docs: begin
def price(url: str) -> None:
    response = SESSION.get(url, stream=True, timeout=30)
    if response.status_code != 200:
        raise RuntimeError(url)
    LATEST.append(response)
# docs: end


if __name__ == "__main__":
    for number in range(int(sys.argv[2])):
        price(f"http://127.0.0.1:{sys.argv[1]}/price/{number}/")
    print("ready", flush=True)
    threading.Event().wait()
