# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The health gate: what fails, what is excused, what cannot be said, and how often chance alone stops a roll-out."""

from __future__ import annotations

import random
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.lastack.linux.plugins.filter.tcp_health_verdict import tcp_health_verdict
from ansible_collections.lastack.linux.plugins.plugin_utils.health_gate import (
    Demands,
    Window,
    judge,
    window_between,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.health_thresholds import (
    RULES,
    THRESHOLDS,
    UNITS,
    ThresholdError,
    thresholds,
)
from hypothesis import given
from hypothesis import strategies as st
from test_event_rates import poisson

NAMES = sorted({name for one in THRESHOLDS.values() for name in one.counters})
KEEPALIVE = ("net.ipv4.tcp_keepalive_time",)


def window(seconds: float = 120.0, opens: int | None = 6000, segments: int | None = 60000, **events: int) -> Window:
    return Window(seconds, opens, segments, {**dict.fromkeys(NAMES, 0), **events})


def look(boottime_s: float = 100.0, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - what a host may send
    counters = dict.fromkeys(NAMES, 0)
    return {
        "boot_id": "b",
        "namespace": 1,
        "boottime_s": boottime_s,
        "opens": 0,
        "segments": 0,
        "counters": counters,
        **more,
    }


def test_the_same_passes() -> None:
    busy = dict.fromkeys(NAMES, 40)
    assert judge(window(), window()) == ("passed", (), (), (), ())
    assert judge(window(**busy), window(**busy)).verdict == "passed"


def test_an_overflowing_accept_queue_fails_with_figures() -> None:
    found = judge(window(), window(ListenOverflows=1704, ListenDrops=1704))
    assert found.verdict == "failed"
    assert [reason.counter for reason in found.reasons] == ["ListenOverflows", "ListenDrops"]
    assert found.reasons[0].sentence == "ListenOverflows 0.0 → 14.2 a second since the change (limit 0.1)"


def test_it_fails_in_short_windows_too() -> None:
    small = window(6.0, opens=300, segments=3000)
    assert judge(small, small._replace(counters={**small.counters, "ListenOverflows": 60})).verdict == "failed"


@pytest.mark.parametrize("name", ["TCPReqQFullDrop", "TCPTimeWaitOverflow", "TCPAbortOnMemory"])
def test_what_has_no_healthy_rate_fails_at_once(name: str) -> None:
    assert judge(window(), window(**{name: 1})).verdict == "failed"
    # Where it was so before, it is the host's own rate.
    assert judge(window(**{name: 10}), window(**{name: 12})).verdict == "passed"


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"TW", "TWRecycled", "TWKilled"}))
def test_a_flood_of_anything_is_said(name: str) -> None:
    found = judge(window(), window(**{name: 50_000}))
    said = [reason.counter for reason in (*found.reasons, *found.warnings)]
    assert said == [next(title for title, one in THRESHOLDS.items() if name in one.counters)]


def test_a_few_events_are_chance() -> None:
    few = {name: 3 for name in NAMES if THRESHOLDS.get(name, THRESHOLDS["PAWS"]).rule != "zero"}
    assert judge(window(), window(**few)).verdict == "passed"


def test_loss_is_measured_by_segments() -> None:
    before, half = window(RetransSegs=60), window(opens=3000, segments=30000)
    # 0.1 % before: 0.6 % is the limit.
    assert judge(before, half._replace(counters={**half.counters, "RetransSegs": 150})).verdict == "passed"
    found = judge(before, half._replace(counters={**half.counters, "RetransSegs": 400}))
    assert found.reasons[0].sentence == "RetransSegs 0.1 % → 1.3 % of segments since the change (limit 0.6 %)"


def test_more_traffic_may_bring_more_of_what_there_was() -> None:
    before, after = window(ListenDrops=240), window(opens=18000, segments=180000, ListenDrops=700)
    assert judge(before, after).verdict == "passed"
    assert judge(before, after._replace(opens=6000)).verdict == "failed"


def test_cookies_are_a_warning_unless_there_were_none() -> None:
    assert judge(window(), window(SyncookiesSent=900)).verdict == "failed"
    found = judge(window(SyncookiesSent=300), window(SyncookiesSent=1800))
    assert (found.verdict, [reason.counter for reason in found.warnings]) == ("passed", ["SyncookiesSent"])


def test_timestamps_fail_for_clients_alone() -> None:
    after = window(PAWSEstab=300, PAWSOldAck=300)
    assert judge(window(), after).verdict == "passed"
    assert [reason.events_after for reason in judge(window(), after).warnings] == [600]
    assert judge(window(), after, demands=Demands(client=True)).verdict == "failed"


def test_shorter_keepalive_is_no_failure() -> None:
    # As the kernel counts a connection that keepalive ends: tcp_keepalive_timer() of net/ipv4/tcp_timer.c.
    after = window(TCPAbortOnTimeout=900, EstabResets=900, OutRsts=900)
    assert judge(window(), after).verdict == "failed"
    found = judge(window(), after, changed_keys=KEEPALIVE)
    assert (found.verdict, [reason.counter for reason in found.warnings]) == ("passed", ["TCPAbortOnTimeout"])
    # Resets beyond those are not excused.
    assert judge(window(), window(TCPAbortOnTimeout=900, EstabResets=1800), changed_keys=KEEPALIVE).verdict == "failed"


def test_reuse_of_time_wait_is_what_the_key_is_for() -> None:
    assert judge(window(), window(TWRecycled=5000, TW=0), changed_keys=("net.ipv4.tcp_tw_reuse",)).verdict == "passed"


@pytest.mark.parametrize("quiet", [window(opens=29), window(segments=299), window(opens=None), window(opens=0)])
def test_too_little_traffic_never_passes(quiet: Window) -> None:
    for pair in ((window(), quiet), (quiet, window())):
        found = judge(*pair)
        assert (found.verdict, len(found.doubts)) == ("inconclusive", 1)
    assert judge(window(), quiet._replace(counters={**quiet.counters, "ListenOverflows": 900})).verdict == "failed"


def test_the_doubt_names_the_figures() -> None:
    assert judge(window(), window(opens=3)).doubts == (
        "Too little traffic after the change: 3 opens in 120 s (needs 30 opens and 300 segments).",
    )
    assert judge(window(), window(opens=3), demands=Demands(least_opens=0)).verdict == "passed"


def test_a_counter_that_the_kernel_lacks_is_named_and_unread_ones_are_no_pass() -> None:
    old = Window(120.0, 6000, 60000, {name: 0 for name in NAMES if name != "TCPRetransFail"})
    assert judge(old, old)[0::4] == ("passed", ("TCPRetransFail",))
    unread = Window(120.0, 6000, 60000, {})
    assert judge(window(), unread).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"boot_id": "c"}, "restarted"),
        ({"namespace": 2}, "namespaces"),
        ({"boottime_s": 100.0}, "clock"),
        ({"boottime_s": "soon"}, "clock"),
        ({"opens": 5}, "opens fell from 10 to 5"),
        ({"counters": {"TW": 5}}, "TW fell from 10 to 5"),
    ],
)
def test_looks_that_cannot_be_compared(change: dict[str, Any], word: str) -> None:
    first = look(opens=10, counters={"TW": 10})
    found = window_between(first, {**look(110.0, opens=10), "counters": {"TW": 10}, **change})
    assert isinstance(found, str)
    assert word in found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*NAMES, "x"]), inner, max_size=3),
    max_leaves=5,
)
LOOKS = st.dictionaries(st.sampled_from(list(look())), JSON).map(lambda changed: {**look(), **changed})


@given(LOOKS, LOOKS)
def test_whatever_a_host_sends_is_a_window_or_a_reason(first: dict[str, Any], second: dict[str, Any]) -> None:
    found = window_between(first, second)
    if isinstance(found, Window):
        assert judge(found, found).verdict in ("passed", "inconclusive")
        assert all(count is None or count >= 0 for count in found.counters.values())


EVENTS = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 10_000))


@given(EVENTS, EVENTS, st.sampled_from(NAMES), st.integers(1, 10**6))
def test_more_events_never_make_it_better(before: dict[str, int], after: dict[str, int], name: str, more: int) -> None:
    order = ("passed", "inconclusive", "failed")
    one = judge(window(**before), window(**after))
    other = judge(window(**before), window(**{**after, name: after.get(name, 0) + more}))
    assert order.index(other.verdict) >= order.index(one.verdict)


@given(EVENTS)
def test_the_host_s_own_rate_never_fails(events: dict[str, int]) -> None:
    assert judge(window(**events), window(**events)).verdict == "passed"


def test_twenty_rollouts_over_healthy_hosts_never_stop() -> None:
    """A fixed seed, traffic that fluctuates by a factor of four, and noise on every counter that has a healthy rate."""
    chance = random.Random(20261123)
    noisy = [name for name, one in THRESHOLDS.items() if one.rule not in ("zero", "note")]
    hosts, demands = 30, Demands(false_alarm=0.001 / 30)
    for _round in range(20):
        for _host in range(hosts):
            rates = {name: chance.choice([0.0, 0.001, 0.01]) for name in noisy}
            windows = []
            for seconds in (chance.uniform(5, 120), chance.uniform(5, 120)):
                opens = poisson(chance, seconds * chance.uniform(25, 100))
                events = {THRESHOLDS[name].counters[0]: poisson(chance, rate * opens) for name, rate in rates.items()}
                windows.append(window(seconds, opens, 10 * opens, **events))
            found = judge(*windows, demands=demands)
            assert found.verdict in ("passed", "inconclusive"), found.reasons


def test_the_table_is_sound() -> None:
    for name, one in THRESHOLDS.items():
        assert one.rule in RULES, name
        assert one.client_rule in ("", *RULES), name
        assert one.per in UNITS, name
        assert one.ratio >= 1, name
        assert one.margin > 0, name
        assert one.clump >= 1, name


def test_own_thresholds_change_the_verdict() -> None:
    after = window(OutRsts=900)
    assert judge(window(), after).verdict == "failed"
    assert judge(window(), after, table=thresholds({"OutRsts": {"margin": "0.2"}})).verdict == "passed"
    found = judge(window(), after, table=thresholds({"OutRsts": {"rule": "warn"}}))
    assert (found.verdict, len(found.warnings)) == ("passed", 1)


@pytest.mark.parametrize(
    ("own", "word"),
    [
        ([], "mapping of a counter"),
        ({"Resets": {}}, "no threshold for Resets"),
        ({"OutRsts": 3}, "must be a mapping"),
        ({"OutRsts": {"factor": 3}}, "no factor"),
        ({"OutRsts": {"rule": "stop"}}, "no rule stop"),
        ({"OutRsts": {"ratio": True}}, "number as ratio"),
        ({"OutRsts": {"ratio": "many"}}, "number as ratio"),
        ({"OutRsts": {"ratio": 0.5}}, "ratio of at least 1"),
        ({"OutRsts": {"margin": float("nan")}}, "margin of at least 0"),
    ],
)
def test_wrong_thresholds_are_refused_with_their_name(own: object, word: str) -> None:
    with pytest.raises(ThresholdError, match=word):
        thresholds(own)


def test_the_filter_says_it_all() -> None:
    before = [look(), look(220.0, opens=6000, segments=60000)]
    bad = look(220.0, opens=6000, segments=60000, counters={**dict.fromkeys(NAMES, 0), "ListenOverflows": 1704})
    assert tcp_health_verdict(before, before)["verdict"] == "passed"
    found = tcp_health_verdict(before, [look(), bad])
    assert found["reasons"] == ["ListenOverflows 0.0 → 14.2 a second since the change (limit 0.1)"]
    again = tcp_health_verdict(before, [look(), look(220.0, boot_id="c")])
    assert (again["verdict"], len(again["doubts"])) == ("inconclusive", 1)
    for wrong in ([], [1, 2], before[:1], "two"):
        with pytest.raises(AnsibleFilterError, match="two results of tcp_health after"):
            tcp_health_verdict(before, wrong)
    with pytest.raises(AnsibleFilterError, match="no threshold"):
        tcp_health_verdict(before, before, thresholds={"x": {}})
