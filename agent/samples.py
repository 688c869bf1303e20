# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bounded series of samples over an unbounded time, and the growth in it that single bursts do not move."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["MOST_POINTS", "Samples", "evenly", "theil_sen"]

MOST_POINTS = 24
"""The slopes of all pairs of so many points (276) are a median worth having, in a fraction of a millisecond."""


class Samples:
    """Samples of ``width`` numbers each, a moment first: the last ``dense`` all kept, older ones ever thinner.

    Never more than ``3 * dense`` samples, whatever the time they cover.
    """

    def __init__(self, width: int, dense: int = 32) -> None:
        """Start empty."""
        self._width = width
        self._dense = dense
        self._numbers = array("d")

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._numbers) // self._width

    def append(self, *sample: float) -> None:
        """Add a sample, the newest."""
        if len(self) >= 3 * self._dense:
            rows = self.rows()
            self._numbers = array("d", (x for row in [*rows[: -self._dense : 2], *rows[-self._dense :]] for x in row))
        self._numbers.extend(sample)

    def rows(self, last: int | None = None) -> list[tuple[float, ...]]:
        """Return the samples, oldest first; only the ``last`` ones if asked for."""
        first = 0 if last is None else max(0, len(self) - last)
        numbers, width = self._numbers, self._width
        return [tuple(numbers[at : at + width]) for at in range(first * width, len(numbers), width)]

    def clear(self) -> None:
        """Forget all samples."""
        self._numbers = array("d")

    def extend(self, rows: Iterable[Sequence[float]]) -> None:
        """Add several samples, oldest first."""
        for row in rows:
            self.append(*row)


def evenly(rows: Sequence[tuple[float, ...]], most: int = MOST_POINTS) -> Sequence[tuple[float, ...]]:
    """Return at most ``most`` of the rows, evenly spread over their time, the first and the last among them."""
    if len(rows) <= most:
        return rows
    moments = [row[0] for row in rows]
    step = (moments[-1] - moments[0]) / (most - 1)
    places = {bisect_left(moments, moments[0] + step * index) for index in range(most - 1)}
    return [rows[place] for place in sorted(places | {len(rows) - 1})]


def theil_sen(points: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    """Return the slope and the intercept (of the first moment) of the Theil-Sen line; ``None`` below two moments.

    The median of the slopes between all pairs: up to 29 % of the points may lie anywhere (Sen 1968).
    """
    slopes = [(y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(points, 2) if x2 > x1]
    if not slopes:
        return None
    slope = _median(slopes)
    return slope, _median([y - slope * (x - points[0][0]) for x, y in points])


def _median(values: list[float]) -> float:
    # the statistics module brings 2 MB of others with it
    values.sort()
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2
