# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first process of a stage: it starts and ends programs on request; with its end, all in the stage ends.

One JSON object a line: ``{"start": [argv], "output": path, "errors": path, "environment": {...}, "folder": path}``
answers ``{"pid": n}``; ``{"signal": pid, "number": n}`` answers ``{}``; ``{"wait": pid, "seconds": s}`` answers
``{"status": n}`` (as subprocess counts it) or ``{"status": null}`` when it still runs.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__: list[str] = []

PROGRAMS: dict[int, subprocess.Popen[bytes]] = {}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    if "start" in request:
        with Path(request["output"]).open("wb") as output, Path(request["errors"]).open("ab") as errors:
            program = subprocess.Popen(
                request["start"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env={**os.environ, **request["environment"]},
                cwd=request["folder"],
            )
        PROGRAMS[program.pid] = program
        return {"pid": program.pid}
    if "signal" in request:
        program = PROGRAMS[request["signal"]]
        # poll() first: a number is never sent to a process that has been reaped.
        if program.poll() is None:
            program.send_signal(request["number"])
        return {}
    try:
        return {"status": PROGRAMS[request["wait"]].wait(request["seconds"])}
    except subprocess.TimeoutExpired:
        return {"status": None}


if __name__ == "__main__":
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        # SIOCSIFFLAGS with IFF_UP | IFF_RUNNING (netdevice(7)).
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 0x41))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(f"{json.dumps(answer(json.loads(line)))}\n")
        sys.stdout.flush()
