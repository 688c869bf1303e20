# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exact test of two rates, against sums of exact fractions and against a simulation."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.event_rates import binomial_tail, chance_of_rise
from hypothesis import given
from hypothesis import strategies as st

COUNTS = st.integers(0, 400)
EXPOSURES = st.floats(0.5, 1e6)


def exact_tail(least: int, trials: int, share: Fraction) -> float:
    terms = (math.comb(trials, k) * share**k * (1 - share) ** (trials - k) for k in range(least, trials + 1))
    return float(sum(terms, Fraction(0)))


@given(st.integers(0, 60), st.integers(1, 60), st.integers(1, 30), st.integers(1, 30))
def test_the_tail_is_that_of_the_binomial_distribution(least: int, trials: int, one: int, other: int) -> None:
    share = Fraction(other, one + other)
    found, expected = binomial_tail(least, trials, float(share)), exact_tail(least, trials, share)
    if least > trials * share:
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-300)
    else:
        # Up to the mean it says 1, which is never too little.
        assert found >= expected


def test_large_counts_neither_overflow_nor_take_long() -> None:
    assert 0 < binomial_tail(500_500_000, 10**9, 0.5) < 1e-200
    assert binomial_tail(10**9, 10**9, 0.5) == 0.0
    # 3.09 standard deviations of 31,623 halves above the mean: the normal distribution says one in a thousand.
    assert binomial_tail(500_048_859, 10**9, 0.5) == pytest.approx(1e-3, rel=0.02)


@given(COUNTS, COUNTS, EXPOSURES, EXPOSURES)
def test_it_is_a_probability_and_falls_with_each_event(before: int, after: int, one: float, other: float) -> None:
    chances = [chance_of_rise(before, count, one, other) for count in (after, after + 1, after + 10)]
    assert all(0 <= chance <= 1 for chance in chances)
    assert chances == sorted(chances, reverse=True)
    assert chance_of_rise(before + 5, after, one, other) >= chances[0] * (1 - 1e-9)


@given(COUNTS, COUNTS, EXPOSURES, EXPOSURES, st.integers(1, 20))
def test_clumps_are_counted_in_doubt_for_chance(before: int, after: int, one: float, other: float, clump: int) -> None:
    single = chance_of_rise(before, after, one, other)
    clumped = chance_of_rise(before, after, one, other, clump=clump)
    assert clumped >= single * (1 - 1e-9) or single > 0.3


def test_no_window_proves_nothing() -> None:
    assert chance_of_rise(0, 100, 0.0, 10.0) == chance_of_rise(0, 100, 10.0, 0.0) == 1.0


def poisson(chance: random.Random, mean: float) -> int:
    """Knuth's way, in pieces small enough for it."""
    total = 0
    while mean > 0:
        piece, mean = min(mean, 20.0), mean - min(mean, 20.0)
        limit, product = math.exp(-piece), chance.random()
        while product > limit:
            total += 1
            product *= chance.random()
    return total


@pytest.mark.parametrize("rate", [0.02, 0.3, 2.0, 15.0])
@pytest.mark.parametrize("level", [0.05, 0.01])
def test_chance_alone_is_called_a_rise_no_more_often_than_it_says(rate: float, level: float) -> None:
    chance = random.Random(20261123)
    rounds = 4000
    wrong = 0
    for _round in range(rounds):
        one, other = chance.uniform(5, 40), chance.uniform(5, 20)
        before, after = poisson(chance, rate * one), poisson(chance, rate * other)
        wrong += chance_of_rise(before, after, one, other) < level
    # Four standard deviations of the share itself; the seed is fixed, so it either holds or does not.
    assert wrong / rounds <= level + 4 * math.sqrt(level / rounds)


def test_a_real_rise_is_seen() -> None:
    assert chance_of_rise(0, 19, 6.0, 6.0) < 2e-6
    assert chance_of_rise(10, 60, 120.0, 120.0) < 1e-8
    assert chance_of_rise(0, 3, 6.0, 6.0) > 0.1
