# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bounded lists of the worst: what keeps the memory of a fleet merge from growing with the fleet."""

from __future__ import annotations

import heapq
from typing import Any

__all__ = ["Worst"]


class Worst:
    """Keeps the ``limit`` entries with the highest score and counts the rest.

    Entries with the same score stand in the order of their ``tie``, lowest first, so that the order of the
    host files never shows.
    """

    def __init__(self, limit: int) -> None:
        """Make an empty list that holds at most ``limit`` entries."""
        self._limit = limit
        self._heap: list[tuple[tuple[float, ...], _Reversed, int, Any]] = []
        self.seen = 0

    def add(self, score: tuple[float, ...], tie: str, entry: Any) -> None:  # noqa: ANN401 - any value may be ranked
        """Rank ``entry``; the lowest one falls out when there are too many."""
        self.seen += 1
        item = (score, _Reversed(tie), -self.seen, entry)
        if len(self._heap) < self._limit:
            heapq.heappush(self._heap, item)
        else:
            heapq.heappushpop(self._heap, item)

    def ranked(self) -> list[Any]:
        """Return the entries, worst first."""
        return [item[3] for item in sorted(self._heap, key=lambda item: item[:3], reverse=True)]

    @property
    def truncated(self) -> int:
        """How many entries did not fit."""
        return self.seen - len(self._heap)


class _Reversed:
    """A string that sorts backwards: a heap of the highest scores wants the lowest names."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __lt__(self, other: _Reversed) -> bool:
        return other.text < self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reversed) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)
