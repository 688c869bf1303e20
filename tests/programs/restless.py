# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restless host: processes come and go all the time, each with sockets in CLOSE_WAIT, some in a namespace of its own.

Each child makes a few pairs of connections, closes one end of each, becomes a program with one of ``--names`` names
(a copy of sleep(1) in ``--folder``), and ends after a moment. It runs until it is ended.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import os
import random
import shutil
import socket
import struct
import time
from pathlib import Path

__all__: list[str] = []

CLONE_NEWNET = 0x40000000


def own_network() -> None:
    """Move this process into a new network namespace with its loopback device up."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        # SIOCSIFFLAGS with IFF_UP | IFF_RUNNING (netdevice(7)).
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 0x41))


def leak(count: int) -> None:
    """Leave descriptors of this process in CLOSE_WAIT; they outlive an exec."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        for __ in range(count):
            client = socket.create_connection(listener.getsockname())
            listener.accept()[0].close()
            os.set_inheritable(client.detach(), True)  # noqa: FBT003 - has no keyword


def child(program: Path, count: int, life_s: float, *, apart: bool) -> None:
    if apart:
        own_network()
    leak(count)
    os.execv(program, [program.name, f"{life_s:.2f}"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="for the programs")
    parser.add_argument("--every", type=float, default=0.1, metavar="S", help="seconds between two children")
    parser.add_argument("--life", type=float, default=3.0, metavar="S", help="of a child, at most")
    parser.add_argument("--names", type=int, default=250, metavar="N", help="more than the agent keeps")
    parser.add_argument("--apart", type=float, default=0.2, help="share of the children with a network of their own")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    source = shutil.which("sleep")
    assert source
    programs = []
    for number in range(options.names):
        letters = "".join(chr(ord("a") + int(digit)) for digit in str(number))
        programs.append(options.folder / f"restless-{letters}")
        shutil.copy(Path(source).resolve(), programs[-1])
    while True:
        choice = chance.choice(programs), chance.randrange(1, 8), chance.uniform(0.1, options.life)
        apart = chance.random() < options.apart
        if os.fork() == 0:
            child(*choice, apart=apart)
        time.sleep(options.every)
        # Children that have ended leave nothing behind.
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    break
            except ChildProcessError:
                break
