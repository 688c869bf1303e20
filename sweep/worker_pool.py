# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bounded number of threads that each look at one host at a time, and the one thread that takes what they bring.

Threads, because a host is waited for, not worked on. All decisions and all writing stay with the caller's thread.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.sweep.attempt import Answer
from ansible_collections.lastack.linux.sweep.dial import TOO_FEW_THREADS
from ansible_collections.lastack.linux.sweep.lifeline import Lifeline

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.lastack.linux.sweep.target import Target

__all__ = ["Brought", "WorkerPool"]

# What may be late after its time: a name server that does not answer cannot be interrupted.
_GRACE_S = 2.0
_LOOK_AFTER_S = 0.2


class Brought(NamedTuple):
    """What came of one host."""

    host: str
    answer: Answer
    came_s: float
    """When it came, in seconds since 1970; it may have waited to be taken."""


class WorkerPool:
    """Runs ``look`` for at most ``size`` hosts at a time, each for at most ``life_s`` seconds."""

    def __init__(self, look: Callable[[Target, Lifeline], Answer], *, size: int, life_s: float) -> None:
        """Start no thread yet; each host that finds none idle starts one."""
        self._look = look
        self._size = size
        self.life_s = life_s
        self._given: queue.SimpleQueue[tuple[Target, Lifeline] | None] = queue.SimpleQueue()
        self._brought: queue.SimpleQueue[tuple[Lifeline, Answer, float] | None] = queue.SimpleQueue()
        self._running: dict[Lifeline, str] = {}
        self._threads = 0
        # Of whom an answer waits to be taken; it is put there before the answer is.
        self._answered: set[Lifeline] = set()
        self._looked_after_s = 0.0

    @property
    def has_room(self) -> bool:
        """Whether another host may be given."""
        return len(self._running) < self._size

    @property
    def busy(self) -> bool:
        """Whether any host is being looked at."""
        return bool(self._running)

    @property
    def running(self) -> dict[str, Lifeline]:
        """The hosts that are being looked at, the longest first."""
        return {host: line for line, host in self._running.items()}

    def give(self, target: Target) -> None:
        """Begin to look at ``target``."""
        lifeline = Lifeline(self.life_s)
        self._running[lifeline] = target.host
        if self._threads < len(self._running):
            self._threads += 1
            # Daemons: a thread that hangs in a name server must not keep the command from ending.
            thread = threading.Thread(target=self._work, daemon=True, name=f"lastack-sweep-{self._threads}")
            try:
                thread.start()
            except RuntimeError:
                # The others go on with the threads that there are.
                self._threads -= 1
                self._size = max(1, self._threads)
                self._bring(lifeline, Answer("failed", TOO_FEW_THREADS))
                return
        self._given.put((target, lifeline))

    def take(self, wait_s: float) -> Brought | None:
        """Return what came of one host, or ``None`` if nothing came within ``wait_s`` seconds or ``wake`` was called.

        A host whose time is over is cut off, and given up shortly after that even if its thread hangs.
        """
        # First, because in a busy sweep there is always something that came.
        late = self._look_after()
        if late is not None:
            return late
        with contextlib.suppress(queue.Empty):
            while (brought := self._brought.get(timeout=wait_s)) is not None:
                lifeline, answer, came_s = brought
                self._answered.discard(lifeline)
                host = self._running.pop(lifeline, None)
                if host is not None:
                    return Brought(host, answer, came_s)
        return None

    def wake(self) -> None:
        """Let the ``take`` that waits, or the next one that would, return; thread-safe."""
        self._brought.put(None)

    def interrupt(self, reason: str) -> None:
        """End every look at once; what came of them is still to be taken."""
        for lifeline in self._running:
            lifeline.cut(reason)

    def end(self) -> None:
        """Let the idle threads go; those that hang are left behind."""
        for __ in range(self._threads):
            self._given.put(None)

    def _look_after(self) -> Brought | None:
        """Cut off who is overdue; return one that is to be given up."""
        now = time.monotonic()
        if now - self._looked_after_s < _LOOK_AFTER_S:
            return None
        for lifeline, host in list(self._running.items()):
            if lifeline.is_over and lifeline not in self._answered:
                lifeline.cut()
                if lifeline.seconds_late > _GRACE_S:
                    return self._give_up(lifeline, host)
        self._looked_after_s = now
        return None

    def _give_up(self, lifeline: Lifeline, host: str) -> Brought:
        del self._running[lifeline]
        # Its thread is lost; the next host gets a new one.
        self._threads -= 1
        outcome = "failed" if lifeline.phase == "looking" else "unreachable"
        return Brought(host, Answer(outcome, lifeline.overdue()), time.time())

    def _bring(self, lifeline: Lifeline, answer: Answer) -> None:
        self._answered.add(lifeline)
        self._brought.put((lifeline, answer, time.time()))

    def _work(self) -> None:
        while (given := self._given.get()) is not None:
            target, lifeline = given
            try:
                answer = self._look(target, lifeline)
            except OSError as error:
                answer = Answer("failed", f"trouble on the controller: {(error.strerror or str(error)).lower()}")
            except Exception as error:  # noqa: BLE001 - one host's defect must not end the sweep of the others
                what = one_line(f"{type(error).__name__}: {error}", 200)
                answer = Answer("failed", f"a defect of lastack, please report it: {what}")
            self._bring(lifeline, answer)
            del given, target, lifeline, answer
