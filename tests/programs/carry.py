# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries the bytes between a sweep's conversation and a program that stands for the host, over pipes as ssh would."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.lastack.linux.sweep.conversation import Conversation

__all__ = ["carry"]

_CHUNK = 65_536
_END_S = 10.0
"""How long a program may take to end once nobody talks to it any more."""


def carry(
    talk: Conversation,
    command: Sequence[str],
    *,
    timeout_s: float = 60.0,
    environment: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> int | None:
    """Run ``command`` and let it talk until either has finished; return its exit status as a shell tells it.

    None if it did not end soon after the conversation; then it is ended. Raises ``TimeoutError``.
    """
    pipe = subprocess.PIPE
    program = subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, cwd=cwd, start_new_session=True
    )
    assert program.stdin is not None
    assert program.stdout is not None
    assert program.stderr is not None
    writers = [_send(program.stdin.fileno(), talk.opening())]
    end = time.monotonic() + timeout_s
    try:
        with selectors.DefaultSelector() as streams:
            streams.register(program.stdout, selectors.EVENT_READ, talk.hear_output)
            streams.register(program.stderr, selectors.EVENT_READ, talk.hear_errors)
            while streams.get_map() and not talk.finished:
                for key, __ in streams.select(max(0.0, end - time.monotonic())):
                    data = os.read(key.fd, _CHUNK)
                    if not data:
                        streams.unregister(key.fileobj)
                    elif answer := key.data(data):
                        writers.append(_send(program.stdin.fileno(), answer))
                if time.monotonic() > end:
                    raise TimeoutError(f"{command[0]} had {timeout_s} s")
        program.stdout.close()
        program.stderr.close()
        if not any(writer.is_alive() for writer in writers):
            program.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = program.wait(_END_S)
            return 128 - status if status < 0 else status
        return None
    finally:
        # The whole session: a shell may have started more.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, 9)
        program.wait()
        for writer in writers:
            writer.join()
        for stream in (program.stdin, program.stdout, program.stderr):
            with contextlib.suppress(OSError):
                stream.close()


def _send(descriptor: int, data: bytes) -> threading.Thread:
    def write() -> None:
        view = memoryview(data)
        with contextlib.suppress(OSError):
            while view:
                view = view[os.write(descriptor, view) :]

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    return writer
