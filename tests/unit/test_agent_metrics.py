# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's metrics: Prometheus text that holds what was meant, and nothing that somebody else's metric is called."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from agent_samples import NOW_S, STATUS, WALL_S, Trends, app, look_at, trend
from ansible_collections.lastack.linux.agent.metrics import (
    FAMILIES,
    MAX_METRICS_BYTES,
    InvalidMetrics,
    Sample,
    build_metrics,
    parse_metrics,
    render_metrics,
)
from ansible_collections.lastack.linux.agent.records import VERDICTS, AppKey
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.agent.records import Trend

KEY = AppKey("checkout-api", "unit", "host")
TRENDS: Trends = {KEY: (trend(), app())}
NAMES = {family.name for family in FAMILIES}
WHOLE = build_metrics(TRENDS, look_at(TRENDS), STATUS)
FORGED = 'x"} 1\nnode_load1 99\n# EOF\nlastack_agent_complete{a="'


def figures(data: bytes) -> dict[tuple[str, tuple[str, ...]], float]:
    return {(sample.name, sample.labels): sample.value for sample in parse_metrics(data)}


def test_what_one_leak_says() -> None:
    assert figures(WHOLE) == {
        ("lastack_close_wait_sockets", ("checkout-api", "host", "leak")): 812,
        ("lastack_close_wait_growth_per_minute", ("checkout-api", "host")): 12.04,
        ("lastack_close_wait_exhaustion_seconds", ("checkout-api", "host")): 5_400.0,
        ("lastack_close_wait_oldest_seconds", ("checkout-api", "host")): 3_400.0,
        ("lastack_close_wait_applications_left_out", ()): 0,
        ("lastack_agent_last_look_timestamp_seconds", ()): WALL_S - 1,
        ("lastack_agent_interval_seconds", ()): 15.0,
        ("lastack_agent_cpu_seconds_total", ()): 1.25,
        ("lastack_agent_resident_memory_bytes", ()): 20 << 20,
        ("lastack_agent_dropped_total", ("sockets",)): 0,
        ("lastack_agent_dropped_total", ("applications",)): 0,
        ("lastack_agent_complete", ()): 1,
        ("lastack_agent_build_info", ("1.2.3",)): 1,
    }


def test_the_text_is_prometheus() -> None:
    text = WHOLE.decode()
    assert text.startswith(
        "# HELP lastack_close_wait_sockets Sockets in CLOSE_WAIT, without those half-closed by design.\n"
        "# TYPE lastack_close_wait_sockets gauge\n"
        'lastack_close_wait_sockets{app="checkout-api",namespace="host",verdict="leak"} 812\n'
        "# HELP lastack_close_wait_growth_per_minute "
    )
    assert text.endswith('\nlastack_agent_build_info{version="1.2.3"} 1\n# EOF\n')
    assert render_metrics(parse_metrics(WHOLE)) == WHOLE


def test_every_family_has_a_good_name() -> None:
    for family in FAMILIES:
        assert re.fullmatch(r"lastack_[a-z0-9]+(_[a-z0-9]+)*", family.name)
        assert (family.kind == "counter") == family.name.endswith("_total")
        assert family.help.endswith(".")
        assert "\n" not in family.help
        assert "\\" not in family.help
    assert len(NAMES) == len(FAMILIES)


def test_unknown_figures_have_no_series() -> None:
    unknown = trend("watching", growth_per_min=None, oldest=None)
    trends: Trends = {KEY: (unknown, app())}
    status = STATUS._replace(resident_bytes=None, unseen=(("disk", 1, "no space"),))
    found = figures(build_metrics(trends, look_at(trends), status))
    names = {name for name, __ in found}
    assert not names & {"lastack_close_wait_growth_per_minute", "lastack_close_wait_exhaustion_seconds"}
    assert not names & {"lastack_close_wait_oldest_seconds", "lastack_agent_resident_memory_bytes"}
    assert found["lastack_agent_complete", ()] == 0


def test_one_name_in_a_namespace_is_one_series() -> None:
    trends: Trends = {
        AppKey("web", "unit", "host"): (trend(count=5, growth_per_min=1.0, exhaustion_in_s=90.0), app()),
        AppKey("web", "listener", "host"): (trend(count=7, growth_per_min=2.0, exhaustion_in_s=30.0), app()),
        AppKey("web", "unit", "db"): (trend("pool", count=9), app()),
    }
    found = figures(build_metrics(trends, look_at(trends), STATUS))
    assert found["lastack_close_wait_sockets", ("web", "host", "leak")] == 12
    assert found["lastack_close_wait_growth_per_minute", ("web", "host")] == 3.0
    assert found["lastack_close_wait_exhaustion_seconds", ("web", "host")] == 30.0
    assert found["lastack_close_wait_sockets", ("web", "db", "pool")] == 9


def test_the_number_of_series_is_bounded_and_the_worst_stay() -> None:
    trends: Trends = {
        AppKey(f"{index}" + "\U0001f600" * 250, "unit", "host" * 50): (trend("leak" if index == 600 else "pool"), app())
        for index in range(700)
    }
    data = build_metrics(trends, look_at(trends), STATUS)
    assert len(data) <= MAX_METRICS_BYTES
    found = figures(data)
    apps = {labels for name, labels in found if name == "lastack_close_wait_sockets"}
    assert found["lastack_close_wait_applications_left_out", ()] == 700 - len(apps)
    assert [labels[2] for labels in apps if labels[0].startswith("600")] == ["leak"]


@pytest.mark.parametrize("text", [FORGED, "a\\", 'a"b', "a\\n", "\r", "\x85node_load1 1", "\u2028", "}{", "a,b=c", ""])
def test_a_name_forges_nothing(text: str) -> None:
    trends: Trends = {AppKey(text, "unit", text): (trend(), app())}
    data = build_metrics(trends, look_at(trends), STATUS._replace(version=text))
    lines = data.decode().split("\n")
    assert len(lines) == len(WHOLE.decode().split("\n"))
    assert {line.partition("{")[0].partition(" ")[0] for line in lines if line and line[0] != "#"} <= NAMES
    (sample,) = [sample for sample in parse_metrics(data) if sample.name == "lastack_close_wait_sockets"]
    assert sample.value == 812
    assert "\n" not in sample.labels[0]


def with_line(line: str) -> bytes:
    return WHOLE.replace(b"# EOF\n", line.encode("utf-8", "surrogateescape") + b"\n# EOF\n")


@pytest.mark.parametrize(
    "line",
    [
        "node_load1 99",
        "up 1",
        'lastack_close_wait_sockets{app="x",namespace="host",verdict="leak"} 1 1790000000000',
        'lastack_close_wait_sockets{app="x",namespace="host",verdict="leak"} NaN',
        'lastack_close_wait_sockets{app="x",namespace="host",verdict="leak"} +Inf',
        'lastack_close_wait_sockets{app="x",namespace="host",verdict="leak"} 1e999',
        'lastack_close_wait_sockets{app="x",namespace="host",verdict="leak"} 0x10',
        'lastack_close_wait_sockets{app="x",namespace="host",verdict="leak"} 1_000',
        'lastack_close_wait_sockets{app="x",namespace="host",verdict="leak"} \u0661',
        'lastack_close_wait_sockets{app="x",namespace="host",verdict="leak"} ' + "9" * 400,
        'lastack_close_wait_sockets{app="x",namespace="host",verdict="leak"}',
        'lastack_close_wait_sockets{app="x",namespace="host",verdict="LEAK"} 1',
        'lastack_close_wait_sockets{namespace="host",app="x",verdict="leak"} 1',
        'lastack_close_wait_sockets{app="x",namespace="host",verdict="leak",instance="other"} 1',
        'lastack_close_wait_sockets{app="x",namespace="host"} 1',
        'lastack_close_wait_sockets{app="x"} 1 {"} 2',
        'lastack_close_wait_sockets{app="x\\",namespace="host",verdict="leak"} 1',
        'lastack_close_wait_sockets{app="\\x",namespace="host",verdict="leak"} 1',
        'lastack_close_wait_sockets{app="a\\nb",namespace="host",verdict="leak"} 1',
        'lastack_close_wait_sockets{app="\x1b[31m",namespace="host",verdict="leak"} 1',
        'lastack_close_wait_sockets{app="\u202e",namespace="host",verdict="leak"} 1',
        'lastack_close_wait_sockets{app="' + "x" * 257 + '",namespace="host",verdict="leak"} 1',
        'lastack_agent_dropped_total{what="everything"} 1',
        'lastack_agent_complete{app="x"} 1',
        "lastack_agent_complete 1",
        " lastack_agent_complete 1",
        "lastack_agent_complete  1",
        "lastack_agent_complete 1\r",
        "lastack_agent_complete 1\rnode_load1 99",
        "",
        "\x00",
        "# EOF",
        "# a comment",
        "# TYPE lastack_agent_complete counter",
        "# HELP node_load1 1m load average.",
        "# TYPE node_load1 gauge",
    ],
)
def test_no_other_line_is_taken(line: str) -> None:
    with pytest.raises(InvalidMetrics):
        parse_metrics(with_line(line))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "ends before its end"),
        (b"# EOF\n", "ends before its end"),
        (b"\n# EOF\n", "line 1"),
        (WHOLE.replace(b"# EOF\n", b""), "ends before its end"),
        (WHOLE.replace(b"# EOF\n", b"# EOF"), "ends before its end"),
        (WHOLE + b"node_load1 99\n", "ends before its end"),
        (WHOLE + WHOLE, "no metric of the agent"),
        (WHOLE.replace(b"checkout", b"\xff"), "not UTF-8"),
        (with_line('lastack_close_wait_sockets{app="checkout-api",namespace="host",verdict="leak"} 1'), "twice"),
        (b"lastack_agent_complete 1\n# EOF\n", "has no lastack_agent_last_look_timestamp_seconds"),
        (b"lastack_agent_last_look_timestamp_seconds 1\n# EOF\n", "has no lastack_agent_build_info"),
        (
            with_line("\n".join(f'lastack_agent_build_info{{version="{number}"}} 1' for number in range(2_000))),
            "more than 2,000 series",
        ),
    ],
)
def test_the_file_is_taken_whole_or_not_at_all(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidMetrics, match=reason):
        parse_metrics(data)


def test_every_torn_end_is_seen() -> None:
    for length in range(len(WHOLE)):
        with pytest.raises(InvalidMetrics):
            parse_metrics(WHOLE[:length])


texts = st.text(max_size=300) | st.sampled_from([FORGED, "\U0001f600" * 300, "\\" * 256, '"' * 256])
figure = st.none() | st.floats()
trend_strategy = st.builds(
    trend,
    st.sampled_from(VERDICTS),
    count=st.integers(0, 2**60),
    growth_per_min=figure,
    exhaustion_in_s=figure,
    oldest=st.none() | st.tuples(st.floats(), st.none()),
)


@settings(max_examples=80, deadline=None)
@given(
    found=st.dictionaries(st.builds(AppKey, texts, st.just("unit"), texts), trend_strategy, max_size=8),
    wall_s=st.floats(),
    interval_s=st.floats(),
)
def test_whatever_the_host_is_called_the_metrics_are_valid(
    found: dict[AppKey, Trend], wall_s: float, interval_s: float
) -> None:
    trends: Trends = {key: (one, app()) for key, one in found.items()}
    status = STATUS._replace(wall_s=wall_s if abs(wall_s) < 1e15 else WALL_S, interval_s=interval_s, now_s=NOW_S)
    data = build_metrics(trends, look_at(trends), status)
    samples = parse_metrics(data)
    assert render_metrics(samples) == data
    assert len(data) <= MAX_METRICS_BYTES


sample_lines = st.sampled_from(WHOLE.decode().split("\n"))
characters = st.text('lastack_{}"=,\\n 0123456789.e+-#\n\r\x85\u2028', max_size=40)


@settings(max_examples=300, deadline=None)
@given(
    data=st.binary(max_size=200)
    | st.lists(sample_lines | characters, max_size=30).map(lambda lines: ("\n".join(lines) + "\n# EOF\n").encode())
    | st.tuples(st.integers(0, len(WHOLE)), st.binary(max_size=20), st.integers(0, 40)).map(
        lambda cut: WHOLE[: cut[0]] + cut[1] + WHOLE[cut[0] + cut[2] :]
    )
)
def test_any_bytes_are_the_agents_metrics_or_refused(data: bytes) -> None:
    try:
        samples = parse_metrics(data)
    except InvalidMetrics:
        return
    assert {sample.name for sample in samples} <= NAMES
    rendered = render_metrics(samples)
    assert sorted(parse_metrics(rendered)) == sorted(samples)
    for line in rendered.decode().split("\n")[:-1]:
        assert line.startswith(("# HELP lastack_", "# TYPE lastack_", "lastack_", "# EOF"))


def test_a_sample_is_three_things() -> None:
    line = 'lastack_close_wait_sockets{app="a\\\\\\"b",namespace="",verdict="pool"} -1.5e-05'
    assert parse_metrics(with_line(line))[-1] == Sample("lastack_close_wait_sockets", ('a\\"b', "", "pool"), -1.5e-05)
