# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixed: the session ends with its burst of calls, and its connections with it."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import requests
from requests.adapters import HTTPAdapter

CERTIFICATE = sys.argv[3]


def new_session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # or REQUESTS_CA_BUNDLE, where it is set, wins over verify
    session.verify = CERTIFICATE
    session.mount("https://", HTTPAdapter(pool_maxsize=20))
    return session


# docs: begin
def refresh(urls: list[str]) -> list[str]:
    with new_session() as session, ThreadPoolExecutor(20) as workers:
        return list(workers.map(lambda url: session.get(url, timeout=30).text, urls))


# docs: end


if __name__ == "__main__":
    refresh([f"https://127.0.0.1:{sys.argv[1]}/prices/{number}/" for number in range(int(sys.argv[2]))])
    print("ready", flush=True)
    threading.Event().wait()
