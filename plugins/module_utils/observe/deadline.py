# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A point in time after which a look stops looking and says what it cut short."""

from __future__ import annotations

import time

__all__ = ["Deadline"]


class Deadline:
    """A deadline on the monotonic clock; without seconds it never passes."""

    def __init__(self, seconds: float | None = None) -> None:
        """Start now; ``seconds`` from now it has passed."""
        self._end = None if seconds is None else time.monotonic() + seconds

    def passed(self) -> bool:
        """Whether the time is over."""
        return self._end is not None and time.monotonic() >= self._end

    def remaining_s(self) -> float | None:
        """Seconds left, never negative; ``None`` when there is no end."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())
