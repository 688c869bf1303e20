# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forecasts of descriptor exhaustion: right from half of the limit on for steady growth, none for unsteady growth."""

from __future__ import annotations

import random

import agent_programs as programs
import pytest
from agent_programs import INTERVAL_S, follow
from ansible_collections.lastack.linux.agent.forecast import DescriptorSeries, exhaustion
from ansible_collections.lastack.linux.agent.records import DescriptorUse, Thresholds
from ansible_collections.lastack.linux.agent.samples import Samples, evenly, theil_sen

__all__: list[str] = []

LIMITS = Thresholds()
PROMISED = 0.2
LIMIT = 400


def errors(said: list[programs.Said], limit: int) -> tuple[int, list[float]]:
    """Return how many forecasts there were, and the share by which those from half of the limit on were wrong."""
    end_s = next(one.now_s for one in said if one.open >= limit)
    given = [
        (one.now_s, one.trend.exhaustion_in_s, one.open)
        for one in said
        if one.trend and one.trend.exhaustion_in_s is not None and one.now_s < end_s
    ]
    wrong = []
    for now_s, in_s, used in given:
        # the end itself is only known to have been between two looks
        off_s = max(0.0, abs(now_s + in_s - end_s) - 1.1 * INTERVAL_S)
        if 2 * used >= limit:
            wrong.append(off_s / (end_s - now_s))
    return len(given), wrong


@pytest.mark.parametrize("seed", range(20))
def test_steady_growth_is_foretold(seed: int) -> None:
    """At least once, and never wrong by more than a fifth once half of the limit is used."""

    def leak(program: programs.Program) -> programs.Steps:
        every_s = 1 / program.random.uniform(0.05, 0.8)
        span = yield
        at_s = span[0]
        while True:
            while at_s < span[1]:
                program.open(at_s, "eof_read")
                at_s += every_s
            span = yield

    said = follow(leak, seed, 700, soft_limit=LIMIT)
    given, wrong = errors(said, LIMIT)
    assert given
    assert max(wrong) <= PROMISED
    assert {one.trend.exhaustion_pid for one in said if one.trend and one.trend.exhaustion_in_s is not None} == {100}


@pytest.mark.parametrize("seed", range(8))
def test_unsteady_growth_is_not_foretold(seed: int) -> None:
    """A rate that changes all the time says nothing of when the end comes: still a leak, but no forecast."""

    def leak(program: programs.Program) -> programs.Steps:
        rate = 0.3
        while True:
            span = yield
            rate = min(max(rate * program.random.choice((0.3, 0.5, 1, 2, 3)), 0.01), 1.0)
            program.open(span[0], "eof_read", round(rate * INTERVAL_S * program.random.uniform(0, 2)))

    said = follow(leak, seed, 400, soft_limit=LIMIT)
    assert any(one.trend and one.trend.verdict == "leak" for one in said)
    assert not [one.trend.exhaustion_in_s for one in said if one.trend and one.trend.exhaustion_in_s is not None]


@pytest.mark.parametrize("seed", range(10))
def test_a_leak_with_every_request_at_random_is_foretold_only_from_afar(seed: int) -> None:
    """Near the end chance alone decides when the last descriptor goes."""

    def leak(program: programs.Program) -> programs.Steps:
        rate = program.random.uniform(0.2, 1.0)
        while True:
            span = yield
            program.open(span[0], "eof_read", sum(program.random.random() < rate / 10 for __ in range(150)))

    wrong = errors(follow(leak, seed, 700), 1_024)[1]
    assert max(wrong, default=0.0) <= PROMISED * 1.2


@pytest.mark.parametrize("seed", range(3))
def test_pools_have_no_forecast(seed: int) -> None:
    """Whatever they do."""
    for scenario in programs.HEALTHY.values():
        assert all(one.trend is None or one.trend.exhaustion_in_s is None for one in follow(scenario, seed, 60))


def line(count: int, rate: float, start: float = 20.0) -> list[tuple[float, float]]:
    """Return samples of an exact line, in whole numbers."""
    return [(index * INTERVAL_S, float(int(start + index * INTERVAL_S * rate))) for index in range(count)]


def test_a_line_ends_where_it_ends() -> None:
    """Forty descriptors a minute, two hundred left."""
    points = line(30, 2 / 3)
    found = exhaustion(points, int(points[-1][1]) + 200, LIMITS)
    assert found is not None
    assert found[0] == pytest.approx(300, rel=0.05)
    assert found[1] == pytest.approx(2 / 3, rel=0.05)


@pytest.mark.parametrize(
    ("points", "limit"),
    [
        pytest.param([], 1_024, id="nothing"),
        pytest.param(line(4, 1.0), 200, id="too few"),
        pytest.param(line(30, 0.0), 1_024, id="no growth"),
        pytest.param(line(30, -0.02, 500.0), 1_024, id="shrinks"),
        pytest.param(line(12, 0.01), 1_024, id="too little growth"),
        pytest.param(line(30, 0.1), 1_000_000, id="too far"),
        pytest.param([(x, y * y / 50) for x, y in line(40, 0.5)], 4_096, id="accelerates"),
        pytest.param(line(20, 0.5) + [(x + 300, 170.0) for x, __ in line(20, 0)], 1_024, id="has stopped"),
        pytest.param([(5.0, 1.0)] * 20, 1_024, id="no time"),
    ],
)
def test_no_forecast_without_evidence(points: list[tuple[float, float]], limit: int) -> None:
    """None is better than a wrong one."""
    assert exhaustion(points, limit, LIMITS) is None


def test_a_rate_that_changed_once_is_steady_again() -> None:
    """The later half then speaks for itself."""
    slow = line(30, 0.2)
    fast = [(x + 30 * INTERVAL_S, y + slow[-1][1]) for x, y in line(60, 1.0, 0.0)]
    found = exhaustion(slow + fast, int(fast[-1][1]) + 100, LIMITS)
    assert found is not None
    assert found[0] == pytest.approx(100, rel=0.05)


def test_each_process_has_its_own_series() -> None:
    """Two workers that take turns in being the worst, a pid that comes again, a limit that is not known."""
    series = DescriptorSeries()
    for index in range(40):
        for pid in (1, 2):
            series.add(index * 30.0 + pid, DescriptorUse(pid, 5, 20 + 10 * index * pid, 2_000, 4_096))
    first = series.forecast(DescriptorUse(1, 5, 410, 2_000, 4_096), LIMITS)
    second = series.forecast(DescriptorUse(2, 5, 800, 2_000, 4_096), LIMITS)
    assert first is not None
    assert second is not None
    assert (first.pid, second.pid) == (1, 2)
    assert first.in_s > 2 * second.in_s
    assert series.forecast(DescriptorUse(1, 6, 410, 2_000, 4_096), LIMITS) is None
    assert series.forecast(DescriptorUse(1, 5, 410, None, None), LIMITS) is None
    for pid in range(50):
        series.add(5_000.0 + pid, DescriptorUse(pid, 7, 20, 1_024, 1_024))
    assert len(series.series) < 5


def test_single_bursts_do_not_move_the_growth() -> None:
    """A fifth of the samples may be anything."""
    chance = random.Random(3)
    points = [(x, y + (500 if chance.random() < 0.15 else 0)) for x, y in line(24, 1.0)]
    found = theil_sen(points)
    assert found is not None
    assert found[0] == pytest.approx(1.0, rel=0.1)
    assert theil_sen([(1.0, 1.0)]) is None


def test_samples_are_bounded_and_thin_out_with_age() -> None:
    """The last ones are all there, the first as well, and never more than three times the dense ones."""
    samples = Samples(2, 10)
    for index in range(10_000):
        samples.append(float(index), 2.0 * index)
        assert len(samples) <= 30
    rows = samples.rows()
    assert rows[0] == (0.0, 0.0)
    assert [row[0] for row in rows[-10:]] == list(range(9_990, 10_000))
    assert samples.rows(3) == rows[-3:]
    chosen = evenly(rows, 5)
    assert (chosen[0], chosen[-1]) == (rows[0], rows[-1])
    assert len(chosen) <= 5
