# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's fact: enough for a ticket, never longer than 16 KiB, and only what its schema says."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from agent_samples import BOOT_ID, NOW_S, OFFENDER, STATUS, WALL_S, Trends, app, look_at, trend
from ansible_collections.lastack.linux.agent.fact import build_fact, rfc3339
from ansible_collections.lastack.linux.agent.local_schema import (
    CAUSES,
    KINDS,
    LOCAL_SCHEMA,
    MAX_FACT_BYTES,
    RUNTIMES,
    fact_problem,
    render_fact,
)
from ansible_collections.lastack.linux.agent.records import VERDICTS, AppKey
from ansible_collections.lastack.linux.agent.strict_json import InvalidJson, parse_strict
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.causes import CAUSES as CAUSES_OF_A_REPORT
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.growing_findings import (
    growing_findings,
    growth_phrase,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.json_schema import load_schema, schema_problems
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY = AppKey("checkout-api", "unit", "host")
VALIDATOR = Draft202012Validator(LOCAL_SCHEMA)
HOSTILE = "\x1b[31m\r\n\u202e\U0001f4a9\u2028{{ 7*7 }}\x00"


def built(trends: Trends | None = None) -> dict[str, Any]:
    trends = {KEY: (trend(), app())} if trends is None else trends
    data = build_fact(trends, look_at(trends), STATUS)
    assert len(data) <= MAX_FACT_BYTES
    fact: dict[str, Any] = json.loads(data)
    assert fact_problem(fact) is None
    VALIDATOR.validate(fact)
    assert render_fact(fact) == data
    return fact


def test_a_ticket_can_be_written_from_it() -> None:
    fact = built()
    assert fact["schema"] == "lastack.local/1"
    assert fact["collector"] == {"name": "agent", "version": "1.2.3"}
    assert (fact["boot_id"], fact["published_boottime_s"], fact["fresh_for_s"]) == (BOOT_ID, NOW_S, 180.0)
    assert (fact["published_at"], fact["watching_since"]) == ("2026-09-21T14:13:20Z", "2026-09-21T13:13:20Z")
    assert fact["completeness"] == {"complete": True, "warnings": []}
    assert fact["close_wait"]["total"] == 900
    assert fact["close_wait"]["verdicts"] == {"leak": 1, "stuck": 0, "watching": 0, "pool": 0, "burst": 0}
    assert fact["close_wait"]["earliest_exhaustion_s"] == 5_400.0
    (offender,) = fact["offenders"]
    assert (offender["app"], offender["kind"], offender["namespace"]) == ("checkout-api", "unit", "host")
    assert (offender["unit"], offender["user"]) == ("checkout-api.service", "checkout")
    assert (offender["count"], offender["cause"]) == (812, "eof_read")
    assert offender["age_s"] == {"at_least": 3_400.0, "at_most": 3_600.0}
    assert offender["remedy"].startswith("Close the socket on every path of checkout-api (pid 11)")
    assert offender["descriptors"]["used_percent"] == 87.9
    assert (len(offender["pids"]), len(offender["peers"])) == (5, 3)
    assert offender["trend"] == {
        "verdict": "leak",
        "reason": "Grew by 12 a minute over 14 looks.",
        "count": 812,
        "arrivals": 900,
        "departures": 88,
        "growth_per_min": 12.04,
        "turnover_per_min": 1.1,
        "first_seen": "2026-09-21T13:15:00Z",
        "ready_in_s": None,
        "exhaustion_in_s": 5_400.0,
        "exhaustion_pid": 11,
        "observed_at": "2026-09-21T14:13:19Z",
    }
    growing, leak = fact["findings"]
    assert (growing["id"], growing["severity"], leak["id"]) == ("close_wait.growing", "critical", "close_wait.leak")
    assert "812 sockets in CLOSE_WAIT, growing by 12 a minute" in growing["summary"]
    assert "gone in about 90 min" in growing["next_step"]


def test_the_worst_stand_first() -> None:
    order = [
        trend("leak", exhaustion_in_s=60.0, count=1),
        trend("leak", exhaustion_in_s=600.0, count=99),
        trend("leak", exhaustion_in_s=None, count=9),
        trend("leak", exhaustion_in_s=None, count=8),
        trend("stuck"),
        trend("watching"),
        trend("pool"),
        trend("burst"),
    ]
    trends = {AppKey(f"app-{index}", "unit", "host"): (one, app()) for index, one in enumerate(order)}
    backwards = dict(reversed(trends.items()))
    assert [offender["app"] for offender in built(backwards)["offenders"]] == [key.app for key in trends]


def test_only_what_is_proven_is_a_finding() -> None:
    for verdict in ("watching", "pool", "burst"):
        assert built({KEY: (trend(verdict), app())})["findings"] == []
    (finding,) = built({KEY: (trend("stuck"), app(causes={"unaccepted": 3}, kind="listener"))})["findings"]
    assert finding["id"] == "close_wait.stuck_accept"


def test_unknown_is_null() -> None:
    nothing = trend(
        "watching", growth_per_min=None, turnover_per_min=None, oldest=None, ready_in_s=45.0, first_seen_s=NOW_S
    )
    seen = app(count=0, causes={}, unit=None, exe=None, runtime=None, user=None, pids=[], peers=[], descriptors=None)
    (offender,) = built({KEY: (nothing, seen._replace(descriptors=None))})["offenders"]
    for name in ("unit", "exe", "runtime", "user", "age_s", "descriptors"):
        assert offender[name] is None
    assert offender["causes"] == {"eof_read": 1}
    assert offender["remedy"] == "Wait for a verdict: 45 s."
    for name in ("growth_per_min", "turnover_per_min", "exhaustion_in_s", "exhaustion_pid"):
        assert offender["trend"][name] is None
    assert offender["trend"]["ready_in_s"] == 45.0
    (gone,) = built({KEY: (trend("burst", count=0, oldest=None), seen._replace(members={}))})["offenders"]
    assert (gone["count"], gone["cause"], gone["remedy"]) == (0, None, "Do nothing: its sockets are gone.")


def test_what_was_not_seen_is_said() -> None:
    trends: Trends = {}
    look = look_at(trends, unseen=(("owners_denied", 2, "no right to read descriptors\n"),))
    status = STATUS._replace(unseen=(("disk", 1, "no space"),), dropped_sockets=7, dropped_applications=2)
    fact = json.loads(build_fact(trends, look, status))
    assert fact["completeness"]["complete"] is False
    assert [warning["code"] for warning in fact["completeness"]["warnings"]] == ["owners_denied", "disk"]
    assert fact["completeness"]["warnings"][0]["detail"] == "no right to read descriptors\\x0a"
    assert fact["dropped"] == {"sockets": 7, "applications": 2}
    assert fact_problem(fact) is None


def test_a_clock_that_jumps_changes_no_age() -> None:
    for wall_s in (WALL_S, WALL_S - 1e6, WALL_S + 1e9):
        status = STATUS._replace(wall_s=wall_s)
        assert rfc3339(status, NOW_S - 60) == rfc3339(STATUS._replace(wall_s=wall_s - 60), NOW_S)
    assert rfc3339(STATUS._replace(wall_s=0.0), 0.0) == "1970-01-01T00:00:00Z"
    assert rfc3339(STATUS._replace(wall_s=1e300), NOW_S) == "9999-12-31T23:59:59Z"
    assert rfc3339(STATUS._replace(wall_s=float("nan")), NOW_S) == "1970-01-01T00:00:00Z"


def test_secrets_in_a_path_are_masked() -> None:
    trends = {KEY: (trend(), app(exe="/opt/app --password=hunter2"))}
    look = look_at(trends)
    assert b"hunter2" not in build_fact(trends, look, STATUS)
    assert b"hunter2" in build_fact(trends, look, STATUS, redact=False)


def test_what_does_not_fit_is_counted_and_the_worst_stays() -> None:
    trends: Trends = {
        AppKey(f"{index:03}" + "ä" * 250, "unit", "host"): (
            trend("leak" if index < 3 else "pool", reason="r" * 1000),
            app(unit="ü" * 256, exe="/x" * 500),
        )
        for index in range(150)
    }
    fact = built(trends)
    assert len(fact["offenders"]) >= 3
    assert len(fact["offenders"]) + fact["truncated"] == 150
    assert fact["findings_truncated"] > 0
    assert [offender["app"][:3] for offender in fact["offenders"][:3]] == ["000", "001", "002"]
    assert fact["close_wait"]["verdicts"]["pool"] == 147


def test_twenty_ordinary_applications_keep_their_names() -> None:
    trends: Trends = {
        AppKey(f"service-{index}", "unit", "host"): (trend("leak" if index < 4 else "pool"), app(unit=f"s{index}"))
        for index in range(20)
    }
    fact = built(trends)
    assert len(fact["offenders"]) >= 12
    assert all(offender["peers"] for offender in fact["offenders"])


texts = st.text(max_size=300) | st.sampled_from([HOSTILE, HOSTILE * 40, "\U0001f4a9" * 300, "a" * 300, ""])
figures = st.none() | st.floats() | st.floats(0, 1e6)
counts = st.integers(-3, 2**70)
trend_strategy = st.builds(
    trend,
    st.sampled_from(VERDICTS),
    count=st.integers(0, 2**70),
    arrivals=counts,
    departures=counts,
    growth_per_min=figures,
    turnover_per_min=figures,
    first_seen_s=st.floats(),
    oldest=st.none() | st.tuples(st.floats(), figures),
    ready_in_s=figures,
    exhaustion_in_s=figures,
    exhaustion_pid=st.none() | counts,
    reason=texts.map(lambda text: text * 5),
)
app_strategy = st.builds(
    app,
    unit=st.none() | texts,
    container=st.none() | texts,
    exe=st.none() | texts,
    user=st.none() | texts,
    runtime=st.none() | st.sampled_from([*RUNTIMES, "cobol"]),
    role=st.sampled_from(["client", "server", "mixed", "?"]),
    causes=st.dictionaries(st.sampled_from(CAUSES), st.integers(0, 2**40), max_size=4),
    peers=st.lists(
        st.fixed_dictionaries({"address": texts, "port": st.none() | st.integers(0, 65535), "count": counts}),
        max_size=5,
    ),
    advice=st.lists(texts, max_size=12),
)
key_strategy = st.builds(AppKey, texts, st.sampled_from([*KINDS, "other"]), texts)


@settings(max_examples=60, deadline=None)
@given(
    trends=st.dictionaries(key_strategy, st.tuples(trend_strategy, app_strategy), max_size=12),
    warnings=st.lists(st.tuples(texts, counts, texts), max_size=12),
    version=texts,
    times=st.lists(st.floats(), min_size=4, max_size=4),
)
def test_whatever_the_host_is_called_the_fact_is_valid(
    trends: Trends, warnings: Sequence[tuple[str, int, str]], version: str, times: Sequence[float]
) -> None:
    now_s, wall_s, interval_s, fresh_for_s = times
    status = STATUS._replace(
        version=version,
        dropped_sockets=2**80,
        now_s=now_s,
        wall_s=wall_s,
        interval_s=interval_s,
        fresh_for_s=fresh_for_s,
    )
    data = build_fact(trends, look_at(trends, unseen=tuple(warnings)), status)
    assert len(data) <= MAX_FACT_BYTES
    fact = parse_strict(data)
    assert fact_problem(fact) is None
    VALIDATOR.validate(fact)
    assert len(fact["offenders"]) + fact["truncated"] == len(trends)
    assert fact["completeness"]["complete"] == (not warnings)


def test_the_schema_is_the_same_beside_the_controller() -> None:
    assert load_schema("lastack.local/1") == LOCAL_SCHEMA
    Draft202012Validator.check_schema(LOCAL_SCHEMA)


def test_the_words_are_those_of_the_host_report() -> None:
    offender = load_schema("lastack.host/1")["$defs"]["offender"]["properties"]
    assert tuple(offender["kind"]["enum"]) == KINDS
    assert tuple(offender["runtime"]["enum"]) == (*RUNTIMES, None)
    assert set(CAUSES) == set(CAUSES_OF_A_REPORT)


def places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in entries:
        found += places(inner, (*path, step))
    return found


SAMPLE = built()
PLACES = places(SAMPLE)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | texts
    | st.sampled_from([*VERDICTS, *KINDS, -1, 0, 1, 0.5]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


def changed(fact: Any, path: tuple[Any, ...], value: object, *, remove: bool) -> Any:  # noqa: ANN401 - any JSON
    if not path:
        return value
    fact = copy.deepcopy(fact)
    holder = fact
    for step in path[:-1]:
        holder = holder[step]
    if remove:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return fact


@settings(max_examples=200, deadline=None)
@given(path=st.sampled_from(PLACES), value=json_values, remove=st.booleans())
def test_nothing_passes_that_the_schema_refuses(path: tuple[Any, ...], value: object, *, remove: bool) -> None:
    fact = changed(SAMPLE, path, value, remove=remove)
    if fact_problem(fact) is None:
        assert VALIDATOR.is_valid(fact)
        assert schema_problems(fact, LOCAL_SCHEMA) == []
    elif VALIDATOR.is_valid(fact):
        # Stricter in what a schema cannot say: unknown keys, harmless text, numbers of 64 bits and without a point.
        assert not remove


@pytest.mark.parametrize("path", [path for path in PLACES if path and isinstance(path[-1], str)])
def test_every_key_is_needed_and_none_may_be_added(path: tuple[Any, ...]) -> None:
    counted = path[-2:-1] == ("causes",)
    assert (fact_problem(changed(SAMPLE, path, None, remove=True)) is None) == counted
    beside = (*path[:-1], "more")
    problem = fact_problem(changed(SAMPLE, beside, 1, remove=False))
    assert problem is not None
    assert problem.endswith("has a key that does not belong there")


@pytest.mark.parametrize("text", ["\x1b[2J", "a\nb", "a\x00b", "\u202eb", "\u2028", "\x85", "\u2800"])
def test_text_that_is_not_harmless_is_refused(text: str) -> None:
    for path in (("offenders", 0, "app"), ("offenders", 0, "remedy"), ("findings", 0, "summary"), ("boot_id",)):
        problem = fact_problem(changed(SAMPLE, path, text, remove=False))
        assert problem is not None
        assert problem.endswith("holds control or invisible characters")
        assert text not in problem


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"{} {}", "is not JSON"),
        (b"\xef\xbb\xbf{}", "is not JSON"),
        (b'"\xff"', "is not UTF-8 text"),
        (b'"a\nb"', "is not JSON"),
        (b"\x00", "is not JSON"),
        (b"[NaN]", "NaN"),
        (b"[-Infinity]", "-Infinity"),
        (b"[1e999]", "out of range"),
        (b"[" + b"9" * 21 + b"]", "out of range"),
        (b"[" + b"9" * 16_000 + b"]", "out of range"),
        (b'{"a": 1, "a": 1}', "twice"),
        (b'{"a": {"b": 1, "\\u0062": 2}}', "twice"),
        (b"[" * 9 + b"]" * 9, "nested deeper than 8"),
        (b"[" * 16_000, "nested deeper than 8"),
        (b'{"a":' * 3_000, "nested deeper than 8"),
        (b'"\\ud800"', "half a character"),
        (b'{"\\udfff": 1}', "half a character"),
    ],
)
def test_json_is_read_strictly(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidJson, match=reason):
        parse_strict(data)


def test_brackets_in_text_are_no_nesting() -> None:
    value = {"a": "[" * 50 + '\\"' + "{" * 50, "b": [[[[[[[1]]]]]]], "c": "\\"}
    assert parse_strict(json.dumps(value).encode()) == value


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=300) | st.text('[]{}",:\\u0123456789eE+-NaInfty ').map(str.encode))
def test_any_bytes_are_json_or_refused(data: bytes) -> None:
    try:
        value = parse_strict(data)
    except InvalidJson:
        return
    assert json.loads(data) == value
    json.dumps(value, allow_nan=False)


def test_a_growing_leak_is_a_finding() -> None:
    offender = OFFENDER | {
        "trend": {"verdict": "leak", "growth_per_min": 12.0, "count": 812, "exhaustion_in_s": 5_400.0}
    }
    (finding,) = growing_findings([offender])
    assert (finding.severity, finding.subject) == ("critical", "checkout-api")
    assert finding.as_dict()["remedy"] == "app"
    (later,) = growing_findings([offender | {"trend": offender["trend"] | {"exhaustion_in_s": 86_400.0}}])
    assert later.severity == "warning"
    (unforeseen,) = growing_findings([offender | {"trend": offender["trend"] | {"exhaustion_in_s": None}}])
    assert unforeseen.severity == "warning"
    assert "descriptors are gone" not in unforeseen.summary + unforeseen.next_step
    assert finding.weight > later.weight > unforeseen.weight


@pytest.mark.parametrize(
    "trend_of_it",
    [
        None,
        {},
        {"verdict": "pool", "growth_per_min": 3.0},
        {"verdict": "leak", "growth_per_min": None},
        {"verdict": "leak", "growth_per_min": 0.0},
        {"verdict": "leak", "growth_per_min": -1.0},
        {"verdict": "leak", "growth_per_min": float("nan")},
        {"verdict": "leak", "growth_per_min": "12"},
        {"verdict": "leak", "growth_per_min": True},
    ],
)
def test_nothing_else_grows(trend_of_it: object) -> None:
    assert growing_findings([OFFENDER | {"trend": trend_of_it}, OFFENDER]) == []


@pytest.mark.parametrize(
    ("per_min", "phrase"),
    [
        (1234.5, "1,234 a minute"),
        (12.04, "12 a minute"),
        (1.0, "1 a minute"),
        (0.44, "0.4 a minute"),
        (0.05, "3 an hour"),
        (0.0001, "less than 1 in 10 hours"),
    ],
)
def test_growth_in_words(per_min: float, phrase: str) -> None:
    assert growth_phrase(per_min) == phrase
