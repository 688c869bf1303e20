# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The signals that end a sweep early: Ctrl-C, kill(1), and a terminal that goes away."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["Interrupt", "ending_in_order"]

# A terminal that goes away, or kill(1).
_ENDS = (signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def ending_in_order() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the command, so that the program that reads the inventory is ended too."""

    def end(number: int, __: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    before = {one: signal.signal(one, end) for one in _ENDS if signal.getsignal(one) is not signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Interrupt:
    """Ctrl-C and kill while a sweep goes on: the first ends it in order, the second at once."""

    def __init__(self) -> None:
        """Take no signal yet."""
        self.number = 0
        """The signal that came; 0 while none did."""
        self._before: dict[int, Any] = {}

    def came(self) -> bool:
        """Tell whether one of the signals came."""
        return self.number != 0

    def __enter__(self) -> Self:
        """Take the signals from now on."""
        for number in (signal.SIGINT, *_ENDS):
            # Under nohup(1), and in the background of a script, it is ignored, and stays so.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *__: object) -> None:
        """Leave them to who had them before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, __: FrameType | None) -> None:
        if self.number:
            self._end(number)
        self.number = number
        _tell("\nlastack: interrupted; the running hosts are closed and the report is made. Again ends at once.\n")

    @staticmethod
    def _end(number: int) -> NoReturn:
        # The cursor that the progress had hidden.
        _tell("\x1b[?25h\n" if sys.stderr.isatty() else "")
        os._exit(128 + number)


def _tell(text: str) -> None:
    # A signal may come in the midst of a write to sys.stderr, which cannot be entered twice.
    with contextlib.suppress(OSError):
        os.write(2, text.encode("ascii"))
