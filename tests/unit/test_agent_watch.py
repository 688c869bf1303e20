# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The watch: its tables are bounded, its state comes back as it was, and nonsense in it is refused in one sentence."""

from __future__ import annotations

import copy
import gc
import json
import tracemalloc
from typing import Any

import pytest
from ansible_collections.lastack.linux.agent.records import (
    BURST,
    WATCHING,
    AppKey,
    AppLook,
    DescriptorUse,
    Member,
    Pass,
    Thresholds,
)
from ansible_collections.lastack.linux.agent.watch import Dropped, StateError, Watch

__all__: list[str] = []

NAMESPACE = 4_026_531_840
OTHER = 4_026_532_000
INTERVAL_S = 15.0
LIMITS = Thresholds()
KEY = AppKey("shop.service", "unit", "host")
State = dict[str, Any]


def members(first: int, count: int, namespace: int = NAMESPACE, cause: str = "eof_unnoticed") -> dict[Any, Member]:
    """Return so many sockets, an hour old."""
    return {(namespace, first + index): Member(cause, 3_600.0, 3_700.0, first + index) for index in range(count)}


def look(moment_s: float, *apps: tuple[str, dict[Any, Member]], read: tuple[int, ...] = (NAMESPACE, OTHER)) -> Pass:
    """Return a pass with these applications."""
    found = {
        AppKey(name, "unit", "host"): AppLook(sockets, DescriptorUse(7, 5, 20 + len(sockets), 1_024, 4_096), {})
        for name, sockets in apps
    }
    return Pass(moment_s, found, frozenset(read), (), sum(len(sockets) for __, sockets in apps))


def test_changes_are_told_once() -> None:
    """The first sight, then only what is new."""
    watch = Watch(LIMITS)
    first = watch.observe(look(100.0, (KEY.app, members(1, 5))), INTERVAL_S)
    assert [(change.key, change.before, change.trend.verdict) for change in first] == [(KEY, None, WATCHING)]
    changes = [
        change
        for index in range(1, 30)
        for change in watch.observe(look(100.0 + 15 * index, (KEY.app, members(1, 5))), INTERVAL_S)
    ]
    assert [(change.before, change.trend.verdict) for change in changes] == [(WATCHING, "pool")]


def test_a_socket_has_left_only_if_its_namespace_was_read() -> None:
    """Otherwise it is only out of sight, and neither it nor its application is forgotten."""
    watch = Watch(LIMITS)
    watch.observe(look(100.0, (KEY.app, members(1, 5) | members(1, 3, OTHER))), INTERVAL_S)
    watch.observe(look(115.0, (KEY.app, members(1, 5)), read=(NAMESPACE,)), INTERVAL_S)
    trend = watch.trends()[KEY][0]
    assert (trend.count, trend.departures) == (8, 0)
    watch.observe(look(130.0, read=()), INTERVAL_S)
    hidden = watch.trends()[KEY][0]
    assert hidden.oldest is not None
    assert trend.oldest is not None
    assert hidden.oldest[0] == trend.oldest[0] + 15
    watch.observe(look(145.0, (KEY.app, members(1, 5))), INTERVAL_S)
    trend = watch.trends()[KEY][0]
    assert (trend.count, trend.departures) == (5, 3)


def test_a_socket_that_is_there_and_not_placed_has_not_left() -> None:
    """Its holder is still looked for, after a restart for instance: some are known again before the others."""
    watch = Watch(LIMITS)
    for index in range(20):
        watch.observe(look(100.0 + 15 * index, (KEY.app, members(1, 9))), INTERVAL_S)
    before = watch.trends()[KEY][0]
    assert before.verdict == "pool"
    watch = Watch.from_state(json.loads(json.dumps(watch.to_state())), LIMITS)
    everything = frozenset(members(1, 9))
    assert watch.unmet == 1
    assert watch.observe(look(400.0)._replace(unplaced=everything), INTERVAL_S) == []
    assert watch.unmet == 1
    assert not watch.trends()
    some = frozenset(members(5, 5))
    assert watch.observe(look(415.0, (KEY.app, members(1, 4)))._replace(unplaced=some), INTERVAL_S) == []
    assert watch.unmet == 0
    for moment_s in (430.0, 445.0):
        trend = watch.trends()[KEY][0]
        assert (trend.verdict, trend.count, trend.departures) == ("pool", 9, 0)
        assert trend.first_seen_s == before.first_seen_s
        assert watch.observe(look(moment_s, (KEY.app, members(1, 9))), INTERVAL_S) == []
    watch.observe(look(460.0, (KEY.app, members(1, 7)))._replace(unplaced=frozenset(members(8, 1))), INTERVAL_S)
    trend = watch.trends()[KEY][0]
    assert (trend.count, trend.departures) == (8, 1)


def test_a_socket_that_was_not_placed_may_turn_out_to_be_anothers() -> None:
    """Then it has left the one without a departure, and is no arrival's beginning."""
    watch = Watch(LIMITS)
    watch.observe(look(100.0, (KEY.app, members(1, 5))), INTERVAL_S)
    watch.observe(look(115.0)._replace(unplaced=frozenset(members(1, 5))), INTERVAL_S)
    assert watch.trends()[KEY][0].count == 5
    changes = watch.observe(look(130.0, ("other", members(1, 5))), INTERVAL_S)
    assert [change.key.app for change in changes] == ["other"]
    assert [key.app for key in watch.trends()] == ["other"]
    assert set(watch.first_seen_s().items()) == {(key, 100.0) for key in members(1, 5)}


def test_other_thresholds_forget_nothing() -> None:
    """Not even what the last look said of an application that cannot be seen just now."""
    watch = Watch(LIMITS)
    for index in range(4):
        watch.observe(look(100.0 + 15 * index, (KEY.app, members(1, 5))), INTERVAL_S)
    before = watch.trends()
    watch.set_thresholds(LIMITS._replace(leak_passes=5))
    assert watch.trends() == before
    assert watch.thresholds.leak_passes == 5
    changes = [
        change
        for index in range(4, 8)
        for change in watch.observe(look(100.0 + 15 * index, (KEY.app, members(1, 5))), INTERVAL_S)
    ]
    assert [(change.before, change.trend.verdict) for change in changes] == [(WATCHING, "pool")]


def test_the_state_keeps_sockets_without_a_cookie() -> None:
    """The stand-in is negative."""
    watch = Watch(LIMITS)
    watch.observe(look(100.0, (KEY.app, {(NAMESPACE, -77): Member("eof_read", 3_600.0, None, 77)})), INTERVAL_S)
    state = json.loads(json.dumps(watch.to_state()))
    assert Watch.from_state(state, LIMITS).first_seen_s() == {(NAMESPACE, -77): 100.0}
    state["applications"][0]["sockets"][0][-1][0][1] = [-(2**64)]
    with pytest.raises(StateError, match="64 bit"):
        Watch.from_state(state, LIMITS)


def test_a_namespace_that_is_gone_is_forgotten_in_time() -> None:
    """Its sockets would otherwise be kept for ever; nothing is said to have drained."""
    watch = Watch(LIMITS)
    watch.observe(look(100.0, (KEY.app, members(1, 5, OTHER))), INTERVAL_S)
    changes = [change for index in range(1, 90) for change in watch.observe(look(100.0 + 15 * index, read=()), 15.0)]
    assert not changes
    assert not watch.trends()
    assert not watch.to_state()["applications"]


def test_a_drained_application_is_told_for_a_while() -> None:
    """With its last offender, then no more."""
    watch = Watch(LIMITS)
    for index in range(4):
        watch.observe(look(100.0 + 15 * index, (KEY.app, members(1, 9))), INTERVAL_S)
    watch.observe(look(160.0), INTERVAL_S)
    trend, last = watch.trends()[KEY]
    assert (trend.verdict, trend.count, trend.departures, trend.oldest) == (BURST, 0, 9, None)
    assert not last.members
    watch.observe(look(160.0 + LIMITS.linger_s), INTERVAL_S)
    assert KEY in watch.trends()
    watch.observe(look(175.0 + LIMITS.linger_s), INTERVAL_S)
    assert not watch.trends()


def test_ages_are_narrowed_by_observation() -> None:
    """By what was watched, by what was absent, and not widened by counters that were refreshed."""
    watch = Watch(LIMITS)
    watch.observe(look(10100.0), INTERVAL_S)
    unknown = {(NAMESPACE, 1): Member("unknown", 0.0, None, 1)}
    watch.observe(look(10115.0, (KEY.app, unknown)), INTERVAL_S)
    watch.observe(look(10175.0, (KEY.app, unknown)), INTERVAL_S)
    assert watch.trends()[KEY][0].oldest == (60.0, 75.0)
    old = {(NAMESPACE, 2): Member("unknown", 500.0, None, 2)}
    watch.observe(look(10190.0, (KEY.app, old)), INTERVAL_S)
    refreshed = {(NAMESPACE, 2): Member("unknown", 3.0, None, 2)}
    watch.observe(look(10205.0, (KEY.app, refreshed)), INTERVAL_S)
    oldest = watch.trends()[KEY][0].oldest
    assert oldest is not None
    assert oldest[0] == 515.0


def test_a_socket_that_changes_its_application_neither_came_nor_left() -> None:
    """An owner found only at the second look: the first application was a placeholder, and is gone without a word."""
    watch = Watch(LIMITS)
    watch.observe(look(100.0), INTERVAL_S)
    for index in range(1, 5):
        watch.observe(look(100.0 + 15 * index, ("unknown", members(1, 5))), INTERVAL_S)
    changes = watch.observe(look(175.0, (KEY.app, members(1, 5))), INTERVAL_S)
    assert [change.key for change in changes] == [KEY]
    assert set(watch.trends()) == {KEY}
    assert watch.to_state()["applications"][0]["sockets"][0][0] == 115.0


def test_growth_that_has_ended_is_told_no_more() -> None:
    """A hundred a minute, and then nothing: the past is no rate."""
    watch = Watch(LIMITS)
    rates = []
    for index in range(100):
        sockets = members(1, 25 * min(index, 20) + 1)
        watch.observe(look(100.0 + 15 * index, (KEY.app, sockets)), INTERVAL_S)
        rates.append(watch.trends()[KEY][0].growth_per_min)
    assert rates[20] == pytest.approx(100)
    assert set(rates[46:]) == {0.0}


def test_growth_of_one_socket_in_many_looks_is_told() -> None:
    """The last looks alone may show nothing of it."""
    watch = Watch(LIMITS)
    for index in range(400):
        watch.observe(look(100.0 + 15 * index, (KEY.app, members(1, 1 + index // 20))), INTERVAL_S)
    assert watch.trends()[KEY][0].growth_per_min == pytest.approx(0.2, rel=0.1)


def test_a_look_from_another_boot_starts_anew() -> None:
    """And one of the same moment adds nothing."""
    watch = Watch(LIMITS)
    watch.observe(look(10_000.0, (KEY.app, members(1, 5))), INTERVAL_S)
    assert not watch.observe(look(10_000.0, (KEY.app, members(1, 5))), INTERVAL_S)
    assert [change.before for change in watch.observe(look(50.0, (KEY.app, members(1, 5))), INTERVAL_S)] == [None]


def test_sockets_beyond_the_table_are_counted() -> None:
    """One application has at most half of it; its count is right all the same."""
    watch = Watch(LIMITS, most_sockets=100)
    for index in range(12):
        watch.observe(look(100.0 + 15 * index, ("big", members(1, 500)), ("small", members(1_000, 30))), INTERVAL_S)
    assert watch.dropped == Dropped(450, 0)
    counts = {key.app: trend.count for key, (trend, __) in watch.trends().items()}
    assert counts == {"big": 500, "small": 30}


def test_applications_beyond_the_table_are_counted() -> None:
    """A large newcomer takes the place of a small one; a crowd of small ones does not drive out a large one."""
    watch = Watch(LIMITS, most_applications=10)
    small = [(f"app{index}", members(index * 100, 2)) for index in range(30)]
    watch.observe(look(100.0, *small), INTERVAL_S)
    assert watch.dropped == Dropped(40, 20)
    assert len(watch.trends()) == 10
    watch.observe(look(115.0, *small, ("big", members(50_000, 50))), INTERVAL_S)
    assert AppKey("big", "unit", "host") in watch.trends()
    assert len(watch.trends()) == 10
    assert len(watch.to_state()["applications"]) == 10


def test_memory_of_two_thousand_sockets_and_two_hundred_applications() -> None:
    """A few hundred KiB beside the look itself, and a few KiB an application whose history is full."""

    def cost(applications: int, sockets: int, looks: int) -> int:
        def make(moment_s: float) -> Pass:
            apps = [(f"app{index}", members(index * 10_000, sockets)) for index in range(applications)]
            return look(moment_s, *apps)

        watch = Watch(LIMITS)
        gc.collect()
        tracemalloc.start()
        try:
            last = make(90.0)
            alone = tracemalloc.get_traced_memory()[0]
            for index in range(looks):
                last = make(100.0 + 15 * index)
                watch.observe(last, INTERVAL_S)
            gc.collect()
            return tracemalloc.get_traced_memory()[0] - alone
        finally:
            tracemalloc.stop()

    assert cost(1, 2_000, 10) < 500 * 1_024
    assert cost(40, 10, 75) < 40 * 15 * 1_024


def churn(index: int) -> Pass:
    """Return a look with an application that stays, one that turns over, and one that is new every time."""
    return look(
        100.0 + 15 * index,
        ("stays", members(1, 20)),
        ("turns", members(1_000 + 2 * index, 20)),
        (f"new{index}", members(1_000_000 + 10 * index, 3)),
    )


@pytest.mark.parametrize("looks", [1_000, pytest.param(6_000, marks=pytest.mark.soak)])
def test_memory_is_flat(looks: int) -> None:
    """Over more than a day, with sockets and applications that come and go."""
    watch = Watch(Thresholds(linger_s=120.0))
    tracemalloc.start()
    try:
        held = []
        for index in range(looks):
            watch.observe(churn(index), INTERVAL_S)
            if index in (looks // 5, looks // 2, looks - 1):
                gc.collect()
                held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert max(held[1:]) <= held[0] + 16 * 1_024  # a series is between two and three thirds full


@pytest.fixture(name="state", scope="module")
def a_state() -> State:
    """Return the state of a watch that has seen something of everything, through JSON."""
    watch = Watch(LIMITS)
    for index in range(40):
        read = (NAMESPACE,) if index > 35 else (NAMESPACE, OTHER)
        leak = members(9_000, 5 + index, cause="eof_read")
        proxy = members(20_000 + index, 3, cause="half_close")
        elsewhere = members(30_000, 2, OTHER) if OTHER in read else {}
        base = churn(index)
        more = look(0.0, ("leak", leak), ("proxy", proxy | elsewhere)).applications
        apps = {**base.applications, **more}
        watch.observe(Pass(base.moment_s, apps, frozenset(read), (), 0), INTERVAL_S)
    read_back: State = json.loads(json.dumps(watch.to_state()))
    return read_back


def test_the_state_comes_back_as_it_was(state: State) -> None:
    """As JSON, and in what is said afterwards."""
    watch = Watch.from_state(state, LIMITS)
    assert json.loads(json.dumps(watch.to_state())) == state
    assert not watch.trends()
    watch.observe(churn(40), INTERVAL_S)
    assert watch.trends()


def places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value in a state, only the first and last of a list."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key in value:
            found += places(value[key], (*path, key))
    elif isinstance(value, list):
        for index in sorted({0, len(value) - 1} if value else ()):
            found += places(value[index], (*path, index))
    return found


def changed(state: State, path: tuple[Any, ...], value: object) -> State:
    """Return a copy of the state with another value in one place."""
    copied = copy.deepcopy(state)
    inner: Any = copied
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return copied


HOSTILE: tuple[object, ...] = (None, True, -1, 1.5, 10**30, float("nan"), float("inf"), "x" * 10_000, [], [[]], {})


def refusal(state: object) -> str:
    """Return why a state is refused; empty if it is not, and then a watch made of it must work."""
    try:
        watch = Watch.from_state(state, LIMITS)
    except StateError as error:
        return str(error)
    watch.observe(churn(900), INTERVAL_S)
    return ""


def test_hostile_states_are_refused_in_one_sentence(state: State) -> None:
    """Any value in any place is either harmless or refused; a watch that came of it works."""
    small = copy.deepcopy(state)
    small["applications"] = [one for one in small["applications"] if one["key"][0] in ("leak", "proxy")]
    refused = 0
    for path in places(small):
        for value in HOSTILE:
            sentence = refusal(changed(small, path, value))
            refused += bool(sentence)
            assert "\n" not in sentence
            assert len(sentence) < 300
    assert refused > 500


@pytest.mark.parametrize("value", [*HOSTILE, {"version": 1}, {"version": 2, "applications": []}])
def test_what_is_no_state_is_refused(value: object) -> None:
    """Whatever it is."""
    with pytest.raises(StateError):
        Watch.from_state(value, LIMITS)


def test_states_with_too_much_are_refused(state: State) -> None:
    """More applications or sockets than the tables hold, one twice, a socket in two, time that runs back."""
    with pytest.raises(StateError, match="list of the right length"):
        Watch.from_state(state, LIMITS, most_applications=2)
    with pytest.raises(StateError, match="more than 10 sockets"):
        Watch.from_state(state, LIMITS, most_sockets=10)
    first = state["applications"][0]
    with pytest.raises(StateError, match="key of another"):
        Watch.from_state(changed(state, ("applications",), [first, first]), LIMITS)
    twin = changed(first, ("key", 0), "twin")
    with pytest.raises(StateError, match="socket of another"):
        Watch.from_state(changed(state, ("applications",), [first, twin]), LIMITS)
    back = changed(first, ("samples", 0, 0), 1e9)
    with pytest.raises(StateError, match="forward in time"):
        Watch.from_state(changed(state, ("applications",), [back]), LIMITS)
