# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts: no leak on what is healthy, a leak within ten looks, and a wait that is as long as said."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import agent_programs as programs
import pytest
from agent_programs import HEALTHY, INTERVAL_S, LEAKING, follow
from ansible_collections.lastack.linux.agent.records import (
    BURST,
    LEAK,
    POOL,
    STUCK,
    THRESHOLD_RANGES,
    VERDICTS,
    WATCHING,
    Thresholds,
    Trend,
)
from ansible_collections.lastack.linux.agent.trend import GROUP_OF_CAUSE
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.causes import CAUSES

if TYPE_CHECKING:
    from agent_programs import Said, Scenario

__all__: list[str] = []

WITHIN = 10
PATIENT = 3 * WITHIN


def verdicts(said: list[Said]) -> list[str]:
    """Return the verdicts from the first look on in which the application was seen."""
    return [one.trend.verdict for one in said if one.trend is not None]


def runs(found: list[str]) -> list[str]:
    """Return the verdicts without repetitions."""
    return found[:1] + [later for earlier, later in pairwise(found) if later != earlier]


def last(said: list[Said]) -> Trend:
    """Return the last trend."""
    return [one.trend for one in said if one.trend is not None][-1]


@pytest.mark.parametrize("name", LEAKING)
@pytest.mark.parametrize("seed", range(25))
def test_leak_is_found_within_ten_looks_and_watched_until_then(name: str, seed: int) -> None:
    """Whatever the rate and the cause, and whether or not it began before the agent."""
    found = verdicts(follow(LEAKING[name], seed, 16, blind=seed % 3 * 10, soft_limit=None))
    assert LEAK in found[:WITHIN]
    assert runs(found) == [WATCHING, LEAK]


@pytest.mark.parametrize("name", HEALTHY)
@pytest.mark.parametrize("seed", range(12))
def test_no_leak_on_healthy_programs(name: str, seed: int) -> None:
    """Pools that fill, turn over, breathe and restart; programs that half-close, close late, drain."""
    found = verdicts(follow(HEALTHY[name], seed, 120, blind=seed % 3 * 20))
    assert not {LEAK, STUCK} & set(found)


@pytest.mark.soak
@pytest.mark.parametrize("name", HEALTHY)
@pytest.mark.parametrize("seed", range(100, 160))
def test_no_leak_on_healthy_programs_for_hours(name: str, seed: int) -> None:
    """As above, longer."""
    found = verdicts(follow(HEALTHY[name], seed, 700, blind=seed % 3 * 20))
    assert not {LEAK, STUCK} & set(found)


@pytest.mark.parametrize(
    ("name", "verdict"), [("fills", POOL), ("turns over", POOL), ("idles", POOL), ("half-closes", POOL)]
)
@pytest.mark.parametrize("seed", range(4))
def test_a_pool_is_called_one(name: str, verdict: str, seed: int) -> None:
    """Once it has filled, or its members turn over, or it only half-closes."""
    scenario = HEALTHY[name]
    assert last(follow(scenario, seed, 400 if name == "fills" else 100, blind=100)).verdict == verdict


@pytest.mark.parametrize("seed", range(12))
def test_a_burst_that_drains_is_called_one(seed: int) -> None:
    """Whether it is worked off one by one or at once; the application is told for a while after."""
    found = verdicts(follow(HEALTHY["drains"], seed, 40))
    assert set(found) <= {WATCHING, BURST}
    assert not found or found[-1] == BURST


@pytest.mark.parametrize("first", [1, 2, 5])
def test_the_first_that_leave_make_no_pool_of_a_burst(first: int) -> None:
    """One that is closed before the others says nothing of them yet, and nothing came again."""

    def late(program: programs.Program) -> programs.Steps:
        span = yield
        program.open(span[0], "eof_read", 40)
        for __ in range(13):
            yield
        program.close(first)
        yield
        yield
        program.close(40)
        while True:
            yield

    assert runs(verdicts(follow(late, 1, 40))) == [WATCHING, BURST]


@pytest.mark.parametrize("seed", range(12))
def test_an_accept_queue_that_stays_is_stuck(seed: int) -> None:
    """And is never called a leak of the program that does not accept."""
    found = verdicts(follow(programs.stuck_accept, seed, 60))
    assert STUCK in found[:WITHIN]
    assert runs(found) == [WATCHING, STUCK]


@pytest.mark.parametrize("seed", range(12))
def test_a_slow_leak_is_found_when_a_socket_has_stayed(seed: int) -> None:
    """One socket in many looks has no growth to show; that the program knows its end and keeps it is enough."""
    limits = Thresholds()
    said = [one for one in follow(programs.slow_leak, seed, 250) if one.trend is not None]
    found = next(one for one in said if one.trend and one.trend.verdict == LEAK)
    assert found.now_s - said[0].now_s <= limits.stay_ages * limits.min_age_s + 2 * INTERVAL_S
    assert runs(verdicts(said)) == [WATCHING, LEAK]


@pytest.mark.parametrize("seed", range(6))
def test_a_leak_in_a_namespace_that_is_lost_now_and_then(seed: int) -> None:
    """Looks that fail are no evidence, neither that sockets left nor that they came."""
    found = verdicts(follow(programs.unread_leak, seed, PATIENT, soft_limit=None))
    assert LEAK in found[: 2 * WITHIN]
    assert runs(found) == [WATCHING, LEAK]


def fast_idle_leak(program: programs.Program) -> programs.Steps:
    """Connections forgotten in a pool each: nobody notices their end."""
    every_s = 1 / program.random.uniform(1.5, 3.0)
    span = yield
    at_s = span[0]
    while True:
        while at_s < span[1]:
            program.open(at_s, "eof_unnoticed")
            at_s += every_s
        span = yield


@pytest.mark.parametrize("seed", range(4))
def test_idle_sockets_beyond_any_pool_are_a_leak(seed: int) -> None:
    """They are watched until there are more than the largest pool, for so long they may be one that fills."""
    said = follow(fast_idle_leak, seed, 40, soft_limit=None)
    assert runs(verdicts(said)) == [WATCHING, LEAK]
    found = next(one.trend for one in said if one.trend and one.trend.verdict == LEAK)
    assert found.count > Thresholds().largest_pool


@pytest.mark.parametrize("seed", range(4))
def test_a_large_pool_is_no_leak_once_it_is_full(seed: int) -> None:
    """Real: 400 idle connections that came within 32 looks and rested were a leak for ever."""

    def fills(program: programs.Program) -> programs.Steps:
        leak = fast_idle_leak(program)
        next(leak, None)
        for __ in range(15):
            leak.send((yield))
        while True:
            yield

    found = runs(verdicts(follow(fills, seed, 60, soft_limit=None)))
    assert found == [WATCHING, LEAK, POOL]


def test_idle_sockets_that_only_grow_for_too_long_are_a_leak() -> None:
    """However slowly: no pool's rhythm is longer than a day, here an hour."""

    def slow(program: programs.Program) -> programs.Steps:
        while True:
            span = yield
            program.open(span[0], "eof_unnoticed")
            for __ in range(3):
                yield

    limits = Thresholds(idle_leak_s=3_600.0)
    said = follow(slow, 1, 320, soft_limit=None, thresholds=limits)
    found = next(one for one in said if one.trend and one.trend.verdict == LEAK)
    assert 3_600 <= found.now_s - said[0].now_s <= 4_000
    assert LEAK not in verdicts(follow(slow, 1, 320, soft_limit=None))


@pytest.mark.parametrize(
    "scenario",
    [*LEAKING.values(), programs.slow_leak, programs.stuck_accept, programs.filling_pool, programs.idle_pool],
    ids=lambda scenario: scenario.__name__,
)
@pytest.mark.parametrize("seed", range(5))
def test_watching_lasts_no_longer_than_said(scenario: Scenario, seed: int) -> None:
    """A verdict is there after ``ready_in_s`` (with two looks of grace, for looks fall when they fall)."""
    said = follow(scenario, seed, 120, blind=seed % 2 * 10, soft_limit=None)
    checked = 0
    for index, one in enumerate(said):
        if one.trend is None:
            continue
        ready_in_s = one.trend.ready_in_s
        assert (ready_in_s is not None) == (one.trend.verdict == WATCHING)
        if ready_in_s is None:
            continue
        assert ready_in_s > 0
        due_s = one.now_s + ready_in_s + 2 * INTERVAL_S
        due = [other.trend for other in said[index:] if other.trend and other.now_s <= due_s]
        if scenario is programs.filling_pool and due[-1].count > one.trend.count and not one.trend.growth_per_min:
            continue  # nobody can tell that it will grow
        after = [trend.verdict for trend in due]
        if said[-1].now_s >= due_s:
            checked += 1
            assert set(after) != {WATCHING}, one
    assert checked or scenario is programs.filling_pool  # may say hours


def restarted_leak(program: programs.Program) -> programs.Steps:
    """A leak whose process is restarted now and then."""
    leak = programs.steady_leak(program)
    next(leak)
    for index in range(1_000):
        leak.send((yield))
        if index % 40 == 39:
            program.restart()


def test_a_restart_begins_anew() -> None:
    """What went with the process says nothing of how long its sockets live."""
    found = runs(verdicts(follow(restarted_leak, 3, 115, soft_limit=None)))
    assert found.count(LEAK) == 3
    assert POOL not in found


def reset_leak(program: programs.Program) -> programs.Steps:
    """A leak behind a proxy that uses its ports again: now and then the kernel resets an old connection."""
    chance = program.random
    rate, share = chance.uniform(0.2, 2.0), chance.uniform(0.002, 0.01)
    cause = chance.choice(programs.LEAKY)
    at_s, restart_after = 0.0, chance.randint(12, 60)
    at_s, index, span = 0.0, 0, (yield)
    at_s = span[0]
    while True:
        while at_s < span[1]:
            life_s = chance.uniform(60, 130) if chance.random() < share else math.inf
            program.open(at_s, cause, life_s=life_s)
            at_s += 1 / rate
        index += 1
        if index % restart_after == 0:
            program.restart()
        span = yield


@pytest.mark.parametrize("seed", range(40))
def test_the_few_that_are_reset_make_no_pool_of_a_leak(seed: int) -> None:
    """Also after a restart of its process, which knows of them."""
    said = follow(reset_leak, seed, 120, soft_limit=None)
    found = [(one.pid, one.trend.verdict) for one in said if one.trend is not None]
    assert POOL not in {verdict for __, verdict in found}
    for pid in {pid for pid, __ in found}:
        of_it = [verdict for one, verdict in found if one == pid]
        if len(of_it) >= 2 * WITHIN:
            assert LEAK in of_it[: 2 * WITHIN]


def test_a_leak_that_stops_remains_one_while_its_sockets_do() -> None:
    """It does not become a pool because it no longer grows."""

    def stops(program: programs.Program) -> programs.Steps:
        leak = programs.steady_leak(program)
        next(leak, None)
        for __ in range(15):
            leak.send((yield))
        while True:
            yield

    assert runs(verdicts(follow(stops, 1, 100, soft_limit=None))) == [WATCHING, LEAK]


ALL: dict[str, Scenario] = {**LEAKING, **HEALTHY}


@pytest.mark.parametrize("name", ALL)
def test_a_restart_of_the_agent_changes_no_word(name: str) -> None:
    """From its state a new agent says what the old one would have said."""
    scenario = ALL[name]
    kept = follow(scenario, 5, 80, soft_limit=None)
    again = follow(scenario, 5, 80, soft_limit=None, restart_agent_at=11)
    assert any(one.trend and one.trend.count for one in again[11:])
    for before, after in zip(kept, again, strict=True):
        if after.trend is None and before.trend is not None:
            assert before.trend.count == 0, "one that has drained is only told again when it has sockets"
        else:
            assert after == before


@pytest.mark.parametrize("seed", range(3))
def test_reasons_are_one_sentence_with_figures(seed: int) -> None:
    """For every verdict."""
    said = [one for make in ALL.values() for one in follow(make, seed, 30)]
    for reason in {one.trend.reason for one in said if one.trend}:
        assert reason.endswith(".")
        assert "\n" not in reason
        assert ". " not in reason
        assert any(letter.isdigit() for letter in reason) or reason.startswith("No socket")


def test_rates_and_counts() -> None:
    """Four sockets a minute are told as that, with the arrivals that made them."""

    def even(program: programs.Program) -> programs.Steps:
        while True:
            span = yield
            program.open(span[0], "eof_read")

    trend = last(follow(even, 1, 40, soft_limit=None))
    assert trend.growth_per_min == pytest.approx(4, rel=0.1)
    assert trend.turnover_per_min == 0
    assert trend.departures == 0
    assert trend.arrivals == trend.count


def test_every_cause_has_a_group_and_every_threshold_a_range() -> None:
    """A new cause or threshold must be decided on."""
    assert set(GROUP_OF_CAUSE) == set(CAUSES)
    assert set(THRESHOLD_RANGES) == set(Thresholds._fields)
    for name, (smallest, largest) in THRESHOLD_RANGES.items():
        assert smallest <= getattr(Thresholds(), name) <= largest
    assert len(set(VERDICTS)) == len(VERDICTS)
