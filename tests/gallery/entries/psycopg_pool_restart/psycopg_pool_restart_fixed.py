# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixed: the pool checks its idle connections in the background, and connects anew."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from psycopg_pool import ConnectionPool

STOP = threading.Event()
DATABASE = f"host=127.0.0.1 port={sys.argv[1]} user=postgres dbname=postgres"


# docs: begin
POOL = ConnectionPool(DATABASE, min_size=20, open=True)


def check_idle(every_s: float) -> None:
    while not STOP.wait(every_s):
        POOL.check()  # asks each idle connection; closes the dead ones and connects anew


threading.Thread(target=check_idle, args=(2,), daemon=True).start()


# docs: end


def price(number: int) -> int:
    with POOL.connection() as connection:
        row = connection.execute("SELECT %s, pg_sleep(0.1)", [number]).fetchone()
        return row[0]


if __name__ == "__main__":
    POOL.wait()
    with ThreadPoolExecutor(20) as workers:
        list(workers.map(price, range(int(sys.argv[2]))))
    print("ready", flush=True)
    STOP.wait()
