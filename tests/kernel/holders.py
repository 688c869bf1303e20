# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that hold sockets in known ways, and children with fewer rights, for the tests of owners."""

from __future__ import annotations

import ctypes
import os
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, TypeVar, cast

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import NetworkNamespace

if TYPE_CHECKING:
    from collections.abc import Callable

    from netns import PrivateNamespace

__all__ = ["PRELUDE", "as_nobody", "namespace_record", "start_holder"]

T = TypeVar("T")
NOBODY = 65534
_CLONE_NEWNS = 0x20000
_MS_REC_PRIVATE = 0x4000 | 0x40000

# Programs of these tests print a line when all is set up, and end with their standard input.
PRELUDE = """
import array, ctypes, os, socket, struct, sys, threading, time
def ready(*words):
    print(*words, flush=True)
def wait():
    sys.stdin.read()
def pairs(count, port=7000):
    with socket.create_server(("127.0.0.1", port), backlog=1024) as listener:
        made = []
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", port))
            made.append((listener.accept()[0], client))
        return made
def leak(count, port=7000):
    made = pairs(count, port)
    for _, client in made:
        client.close()
    return [server for server, _ in made]
def reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
"""


def start_holder(netns: PrivateNamespace, code: str, *arguments: str) -> subprocess.Popen[str]:
    """Start ``PRELUDE`` and ``code`` in the namespace and wait for its line; it ends with the namespace."""
    program = netns.start(
        [sys.executable, "-c", PRELUDE + code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    line = program.stdout.readline()
    assert line.startswith("ready"), "the program of this test did not come up"
    return program


def namespace_record(netns: PrivateNamespace) -> NetworkNamespace:
    return NetworkNamespace(netns.inode, "test", netns.path, netns.pid, current=False)


class CannotMountError(Exception):
    """This machine lets not even root mount a procfs in a mount namespace of its own."""


def as_nobody(function: Callable[[], T], *, hidepid: int = 0) -> T:
    """Call a function in a forked child that has given all rights away; its result has to pickle.

    The child has a mount namespace and a /proc of its own, a new mount and not a remount: that would change the
    machine's. So the answer does not depend on how the machine mounts it.
    """

    def inside() -> T:
        libc = ctypes.CDLL(None, use_errno=True)
        steps = (
            lambda: libc.unshare(_CLONE_NEWNS),
            lambda: libc.mount(b"none", b"/", None, _MS_REC_PRIVATE, None),
            lambda: libc.mount(b"proc", b"/proc", b"proc", 0, f"hidepid={hidepid}".encode()),
        )
        for step in steps:
            if step():
                raise CannotMountError(os.strerror(ctypes.get_errno()))
        _become_nobody()
        return function()

    try:
        return _in_child(inside)
    except CannotMountError as error:
        pytest.skip(f"no procfs can be mounted here: {error}")


def _become_nobody() -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def _in_child(function: Callable[[], T]) -> T:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            try:
                answer: tuple[T | None, Exception | None] = (function(), None)
            except Exception as error:  # noqa: BLE001 - handed to the parent
                answer = (None, error)
            with os.fdopen(writer, "wb") as stream:
                pickle.dump(answer, stream)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        data = stream.read()
    os.waitpid(pid, 0)
    result, failure = pickle.loads(data)
    if failure is not None:
        raise failure
    return cast("T", result)
