# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals of the resident agent: SIGTERM and SIGINT end it at once, SIGHUP makes it read its configuration again."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Signals", "StopNow"]

_HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class StopNow(BaseException):
    """SIGTERM or SIGINT came within an interruptible part."""


class Signals:
    """What signals have asked for; while it is open (``with``), they have this meaning."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self.stop = False
        self.reload = False
        self._interruptible = False
        self._before: dict[int, Any] = {}
        self._awake: socket.socket | None = None
        self._waker: socket.socket | None = None
        self._wakeup_before = -1

    def __enter__(self) -> Signals:  # noqa: PYI034 - typing.Self needs Python 3.11
        """Handle signals."""
        self._awake, self._waker = socket.socketpair()
        self._awake.setblocking(False)  # noqa: FBT003 - the standard library's own
        self._waker.setblocking(False)  # noqa: FBT003 - the same
        self._wakeup_before = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, self._handle) for number in _HANDLED}
        return self

    def __exit__(self, *__: object) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        for end in (self._awake, self._waker):
            if end is not None:
                end.close()

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let a signal to stop end this part with ``StopNow``; elsewhere it waits until it is asked for."""
        self._interruptible = True
        try:
            if self.stop:
                raise StopNow
            yield
        finally:
            self._interruptible = False

    def wait(self, seconds: float) -> None:
        """Wait until a signal comes, at most so long."""
        assert self._awake is not None  # noqa: S101 - it is open
        if self.stop or self.reload:
            return
        if select.select([self._awake], [], [], max(0.0, seconds))[0]:
            with contextlib.suppress(BlockingIOError):
                while self._awake.recv(4096):
                    pass

    def _handle(self, number: int, __: object) -> None:
        if number == signal.SIGHUP:
            self.reload = True
            return
        self.stop = True
        if self._interruptible:
            # Only once: what cleans up behind the first must not be interrupted by a second.
            self._interruptible = False
            raise StopNow
