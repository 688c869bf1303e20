# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a process will have no descriptor left: from its own open descriptors and its soft limit, or not at all.

Only steady growth supports a forecast: a line that every sample keeps close to, whose later half is as steep as the
earlier one, without chance enough to lead astray, over a time that is not small against the time foretold. No
forecast is better than a wrong one. A process meets ``EMFILE`` when it holds as many descriptors as its soft limit
(``RLIMIT_NOFILE``, getrlimit(2)).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.agent.samples import Samples, evenly, theil_sen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.lastack.linux.agent.records import DescriptorUse, Thresholds

__all__ = ["DescriptorSeries", "Forecast", "exhaustion"]

_MOST_PROCESSES = 3
_DENSE = 32
_LEAST_RISE = 10
"""Below so many descriptors, whole numbers alone hide whether the growth is steady."""
_ROUNDING = 1.0
"""A look falls anywhere between two steps of a count."""
_ROUNDING_VARIANCE = 0.5
_PROMISED = 0.2
"""The accuracy of a forecast, as a share of the time that remains."""
_DEVIATIONS = 3.0
_REACH = 20
"""A forecast reaches at most so many times as far as the growth it rests on has been watched."""


class Forecast(NamedTuple):
    """Seconds from the last sample until the process has no descriptor left, and its growth."""

    in_s: float
    pid: int
    growth_per_s: float


class DescriptorSeries:
    """The open descriptors of the processes that lately were an application's worst.

    Several, as two workers may take turns in being the worst; each has its own series, known by pid and start.
    """

    def __init__(self) -> None:
        """Start without a process."""
        self.series: dict[tuple[int, int], Samples] = {}

    def add(self, moment_s: float, use: DescriptorUse) -> None:
        """Add what one look saw."""
        key = use.pid, use.started
        samples = self.series.pop(key, None) or Samples(2, _DENSE)
        samples.append(moment_s, use.open)
        self.series[key] = samples  # the last place: the most recent
        while len(self.series) > _MOST_PROCESSES:
            del self.series[next(iter(self.series))]

    def forecast(self, use: DescriptorUse, thresholds: Thresholds) -> Forecast | None:
        """Return the forecast for the process of the last look, ``None`` if the evidence supports none."""
        samples = self.series.get((use.pid, use.started))
        if samples is None or use.soft_limit is None:
            return None
        rows = samples.rows()
        found = exhaustion([(row[0], row[1]) for row in rows], use.soft_limit, thresholds)
        return None if found is None else Forecast(found[0], use.pid, found[1])


def exhaustion(
    points: Sequence[tuple[float, float]], soft_limit: int, thresholds: Thresholds
) -> tuple[float, float] | None:
    """Return the seconds until ``points`` (moment, open descriptors) reach the limit, and the growth per second.

    If the whole series is not steady, its later half is tried: a rate that changed once is steady again. ``None`` if
    neither is, or there are too few samples, too little growth, or too long a way.
    """
    for least, part in ((thresholds.forecast_passes, points), (2 * thresholds.forecast_passes, _later_half(points))):
        if len(part) < least:
            continue
        slope = _steady_slope(part, soft_limit, thresholds.forecast_misfit)
        if slope is not None:
            # what the last sample shows, not the line, is where the way to the limit begins
            seconds = max(0.0, (soft_limit - part[-1][1]) / slope)
            span = part[-1][0] - part[0][0]
            if seconds > min(_REACH * span, thresholds.forecast_horizon_s):
                return None
            return (seconds, slope) if _is_certain(part, slope, seconds) else None
    return None


def _later_half(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    if not points:
        return points
    middle = (points[0][0] + points[-1][0]) / 2
    return [point for point in points if point[0] >= middle]


def _steady_slope(points: Sequence[tuple[float, float]], soft_limit: int, misfit: float) -> float | None:
    chosen = [(row[0], row[1]) for row in evenly(points)]
    line = theil_sen(chosen)
    if line is None or line[0] <= 0:
        return None
    slope, intercept = line
    start = points[0][0]
    rise = slope * (points[-1][0] - start)
    if rise < _LEAST_RISE:
        return None
    allowed = misfit * rise + _ROUNDING
    # a straight line hides a random walk, and the other way round: both are looked for
    if any(abs(y - intercept - slope * (x - start)) > allowed for x, y in points):
        return None
    middle = len(chosen) // 2
    early, late = theil_sen(chosen[: middle + 1]), theil_sen(chosen[middle:])
    if early is None or late is None:
        return None
    # a rate that drifts goes on to drift on the way that remains
    way = min(1.0, (soft_limit - points[-1][1]) / rise)
    drift = abs(late[0] - early[0]) - 2 * _ROUNDING * slope / rise
    return slope if drift * (1 + way) <= _PROMISED * slope else None


def _is_certain(points: Sequence[tuple[float, float]], slope: float, seconds: float) -> bool:
    """Return whether chance alone keeps the real moment within the promised share of ``seconds``.

    Arrivals at random make the count a random walk about the line: its variance grows with time, so the rate that was
    watched over a span is uncertain, and so is the way that remains.
    """
    chosen = evenly(points)
    steps = [(x2 - x1, y2 - y1) for (x1, y1), (x2, y2) in zip(chosen, chosen[1:])]
    span = points[-1][0] - points[0][0]
    excess = sum(max(0.0, (y - slope * x) ** 2 - _ROUNDING_VARIANCE) for x, y in steps)
    variance = excess / span
    if variance <= 0:
        return True
    if seconds <= 0:
        return False
    return _DEVIATIONS * math.sqrt(variance * (1 / seconds + 1 / span)) <= _PROMISED * slope
