# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of one attempt to look at a host: how long it may last, and how another thread ends it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from typing import Any, Protocol, runtime_checkable

__all__ = ["CutError", "Lifeline", "Shuttable"]

_REAP_S = 1.0


class _Closable(Protocol):
    def close(self) -> object: ...


@runtime_checkable
class Shuttable(Protocol):
    """What can be shut without waiting: neither a lock that somebody holds while sending, nor the network."""

    def shut(self) -> None:
        """Wake whoever waits for it."""

    def close(self) -> None:
        """Let it go, without waiting too."""


class CutError(Exception):
    """The attempt has been ended from outside, or its time is over; the text says why."""


class Lifeline:
    """Holds what an attempt waits for; thread-safe.

    Much of what a connection does cannot be given a time-out (a name server, ``exec_command`` of paramiko, a proxy
    command). All of it ends when its socket is shut or its process killed, and that is what ``cut`` does.
    """

    def __init__(self, life_s: float) -> None:
        """Start to count ``life_s`` seconds."""
        self.started = time.monotonic()
        self.ends = self.started + life_s
        self.life_s = life_s
        self.phase = "connecting"
        """What the attempt is at: ``connecting`` and the like, ``logging in`` or ``looking``."""
        self._lock = threading.Lock()
        self._cut = threading.Event()
        self._reason = ""
        self._held: list[socket.socket | subprocess.Popen[bytes] | _Closable] = []

    @property
    def reason(self) -> str:
        """Why the attempt was given up before its time; empty while it was not."""
        return self._reason

    @property
    def is_over(self) -> bool:
        """Whether the attempt was cut or its time is over."""
        return self._cut.is_set() or time.monotonic() >= self.ends

    @property
    def seconds_late(self) -> float:
        """How long its time has been over; negative before."""
        return time.monotonic() - self.ends

    @property
    def age_s(self) -> float:
        """How long it has lasted."""
        return time.monotonic() - self.started

    def seconds_left(self, at_most: float | None = None) -> float:
        """Return the seconds that are left, more than 0; raises ``CutError`` if none are."""
        left = self.ends - time.monotonic()
        if self._cut.is_set() or left <= 0:
            raise CutError(self._reason or self.overdue())
        return left if at_most is None else min(left, at_most)

    def overdue(self) -> str:
        """Return the sentence for a host that took too long."""
        return f"timed out: no report within {self.life_s:g} s (it was {self.phase})"

    def pause(self, seconds: float) -> None:
        """Wait so long; raises ``CutError`` if the attempt ends before."""
        if seconds >= self.seconds_left() or self._cut.wait(seconds):
            raise CutError(self._reason or self.overdue())

    def hold(self, thing: socket.socket | subprocess.Popen[bytes] | _Closable) -> None:
        """Let ``thing`` be shut when the attempt is cut; raises ``CutError`` if it was already.

        A process has to lead a session of its own.
        """
        with self._lock:
            self._held.append(thing)
            cut = self._cut.is_set()
        if cut:
            self.let_go()
            raise CutError(self._reason or self.overdue())

    def cut(self, reason: str = "") -> None:
        """End the attempt from another thread; never waits. Without a reason its time is over."""
        with self._lock:
            if self._cut.is_set():
                return
            self._reason = reason
            self._cut.set()
            held = list(self._held)
        for thing in reversed(held):
            _shut(thing)

    def let_go(self) -> None:
        """Close all that is held; called by the attempt's own thread at its end."""
        with self._lock:
            held, self._held = self._held, []
        # First all of them are shut: a transport whose socket is open takes a tenth of a second to close.
        for thing in held:
            _shut(thing)
        for thing in reversed(held):
            _close(thing)


def _shut(thing: object) -> None:
    """Wake whoever waits for it, without waiting."""
    with contextlib.suppress(OSError):
        if isinstance(thing, socket.socket):
            thing.shutdown(socket.SHUT_RDWR)
        elif isinstance(thing, subprocess.Popen):
            if thing.returncode is None:
                # Each has a session of its own: what the shell has started goes with it.
                os.killpg(thing.pid, signal.SIGKILL)
        elif isinstance(thing, Shuttable):
            # Never a channel's own close(): it sends, and waits while somebody else hangs in sending.
            thing.shut()


def _close(thing: Any) -> None:  # noqa: ANN401 - whatever was held
    # Whatever a broken connection says at its end, it is at its end.
    with contextlib.suppress(Exception):
        if isinstance(thing, subprocess.Popen):
            thing.wait(_REAP_S)
        else:
            thing.close()
