# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real PostgreSQL as the peer that closes first: ``postgres_peer.py BIN FOLDER COUNT LIBRARIES`` restarts it.

Its files are in memory, on a file system of the stage's own mount namespace below FOLDER. When COUNT connections are
there and silent, it is shut down as ``pg_ctl restart`` does, and started again. It prints ``port 5432`` when it answers
and ``closed T`` for each connection that it has closed first (the kernel shows its side in FIN_WAIT2), T being
CLOCK_MONOTONIC.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg

__all__: list[str] = []

PORT = 5432
ESTABLISHED, CLOSED_HERE = "01", ("04", "05")
EVERY_S = 0.01
SILENCE_S = 1.5
"""Longer than an answer takes: what comes then is a farewell."""
LIMIT_S = 60
NOBODY = "65534"
#: PostgreSQL refuses to run as root; the run's folder is root's alone.
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
AS_NOBODY += ["--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override", "--pdeathsig=KILL", "--"]
SETTINGS = {"listen_addresses": "127.0.0.1", "port": PORT, "unix_socket_directories": "", "max_connections": 50}
SETTINGS |= {"fsync": "off", "jit": "off", "autovacuum": "off", "shared_buffers": "1MB", "max_wal_senders": 0}


def ends(*states: str) -> set[str]:
    """The far ends of the server's sockets in these states (proc_pid_net(5), ``tcp``)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return {row[2] for row in rows if row[1].endswith(f":{PORT:04X}") and row[3] in states}


def watch() -> None:
    seen: set[str] = set()
    while True:
        for far_end in ends(*CLOSED_HERE) - seen:
            seen.add(far_end)
            print(f"closed {time.monotonic()}", flush=True)
        time.sleep(EVERY_S)


def as_nobody(program: Path, libraries: str) -> list[str]:
    return [*AS_NOBODY, *(["env", f"LD_LIBRARY_PATH={libraries}"] if libraries else []), str(program)]


def started(command: list[str], data: Path) -> subprocess.Popen[bytes]:
    """The server, once it takes connections."""
    settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
    server = subprocess.Popen([*command, "-D", str(data), *settings], cwd="/")
    end = time.monotonic() + LIMIT_S
    while server.poll() is None and time.monotonic() < end:
        try:
            psycopg.connect(f"host=127.0.0.1 port={PORT} user=postgres dbname=postgres").close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return server
    sys.exit(f"PostgreSQL does not answer after {LIMIT_S} s, or has ended ({server.poll()})")


if __name__ == "__main__":
    programs, memory, count = Path(sys.argv[1]), Path(sys.argv[2]) / "postgres", int(sys.argv[3])
    postgres, initdb = (as_nobody(programs / name, sys.argv[4]) for name in ("postgres", "initdb"))
    memory.mkdir()
    options = f"uid={NOBODY},gid={NOBODY},mode=700,size=200m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "lastack-postgres", str(memory)], check=True)
    data = memory / "data"
    command = [*initdb, "-D", str(data), "-U", "postgres", "--auth=trust", "--no-sync", "--locale=C", "--encoding=UTF8"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")
    server = started(postgres, data)
    print(f"port {PORT}", flush=True)
    known, since = ends(ESTABLISHED), time.monotonic()
    while len(known) < count or time.monotonic() < since + SILENCE_S:
        time.sleep(EVERY_S)
        now = ends(ESTABLISHED)
        if now != known:
            known, since = now, time.monotonic()
    threading.Thread(target=watch, daemon=True).start()
    server.send_signal(signal.SIGINT)
    server.wait(LIMIT_S)
    server = started(postgres, data)
    sys.exit(server.wait())
