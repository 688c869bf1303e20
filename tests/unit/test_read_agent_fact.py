# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit reads the agent's fact as data: what stands there is taken whole, refused with a reason, or stale."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any

import agent_samples
import pytest
from agent_facts import BOOT, NOW_S, fact, offender, put, trend
from ansible_collections.lastack.linux.agent.fact import build_fact
from ansible_collections.lastack.linux.agent.local_schema import LOCAL_SCHEMA
from ansible_collections.lastack.linux.agent.local_schema import VERDICTS as PUBLISHED_VERDICTS
from ansible_collections.lastack.linux.agent.records import AppKey
from ansible_collections.lastack.linux.plugins.module_utils.observe import agent_fact
from ansible_collections.lastack.linux.plugins.module_utils.observe.agent_fact import (
    MAX_FACT_BYTES,
    VERDICTS,
    AgentFact,
    read_agent_fact,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Unseen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path


def read(root: Path, boot: str | None = BOOT) -> AgentFact | Unseen | None:
    return read_agent_fact(str(root), boot, NOW_S)


def heard(root: Path) -> AgentFact:
    found = read(root)
    assert isinstance(found, AgentFact)
    return found


def refused(root: Path) -> str:
    found = read(root)
    assert isinstance(found, Unseen), found
    assert found.code == "agent_unusable"
    assert found.detail.startswith("/etc/ansible/facts.d/lastack.fact ")
    return found.detail


def test_a_fresh_fact_is_taken_with_its_trends(tmp_path: Path) -> None:
    put(tmp_path, fact(offender(), offender("web", "container", "web", verdict="pool", growth_per_min=None)))
    found = heard(tmp_path)
    assert (found.version, found.age_s, found.stale, found.complete) == ("0.1.0", 20.0, False, True)
    assert set(found.trends) == {("api", "unit", "host"), ("web", "container", "web")}
    assert found.trends["web", "container", "web"]["growth_per_min"] is None
    # The agent counted from its publication, 20 s ago.
    assert found.trends["api", "unit", "host"] == {**trend(), "exhaustion_in_s": 7_180.0}


def test_what_is_due_is_never_in_the_past(tmp_path: Path) -> None:
    put(tmp_path, fact(offender(exhaustion_in_s=5.0), offender("b", verdict="watching", ready_in_s=50.0)))
    trends = heard(tmp_path).trends
    assert trends["api", "unit", "host"]["exhaustion_in_s"] == 0.0
    assert trends["b", "unit", "host"]["ready_in_s"] == 30.0


def test_no_agent_is_no_word(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    (tmp_path / "etc" / "ansible" / "facts.d").mkdir(parents=True)
    assert read(tmp_path) is None
    assert read(tmp_path / "missing") is None


def test_the_execute_bit_changes_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    path = put(tmp_path, f"#!/bin/sh\ntouch {marker}\n".encode())
    path.chmod(0o755)
    assert "is not JSON" in refused(tmp_path)
    put(tmp_path, fact(offender())).chmod(0o755)
    assert heard(tmp_path).trends
    assert not marker.exists()


def test_stale_is_said_and_gives_no_trend(tmp_path: Path) -> None:
    put(tmp_path, fact(offender(), age_s=180.5))
    found = heard(tmp_path)
    assert (found.stale, found.age_s, found.trends) == (True, 180.5, {})
    put(tmp_path, fact(offender(), age_s=179.5))
    assert not heard(tmp_path).stale


@pytest.mark.parametrize(("written", "own"), [("another", BOOT), (None, None), (BOOT, None), (None, BOOT)])
def test_another_boot_or_an_unknown_one_is_stale(tmp_path: Path, written: str | None, own: str | None) -> None:
    put(tmp_path, fact(offender(), boot_id=written))
    found = read(tmp_path, own)
    assert isinstance(found, AgentFact)
    assert (found.stale, found.age_s, found.trends) == (True, None, {})


def test_the_future_is_refused_but_for_rounding(tmp_path: Path) -> None:
    put(tmp_path, fact(offender(), age_s=-0.4))
    assert heard(tmp_path).age_s == 0.0
    put(tmp_path, fact(offender(), age_s=-5.0))
    assert "in the future" in refused(tmp_path)
    put(tmp_path, fact(offender(), fresh_for_s=86_401))
    assert "longer than a day" in refused(tmp_path)


@pytest.mark.parametrize("linked", ["etc", "etc/ansible", "etc/ansible/facts.d", "etc/ansible/facts.d/lastack.fact"])
def test_no_link_is_followed(tmp_path: Path, linked: str) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    root.mkdir()
    put(root, fact(offender()))
    assert heard(root)
    (root / linked).rename(elsewhere)
    (root / linked).symlink_to(elsewhere)
    assert "link, which is not followed" in refused(root)
    (root / linked).unlink()
    (root / linked).symlink_to("nowhere")
    if linked.endswith(".fact"):
        assert "link, which is not followed" in refused(root)
    else:
        # Folders are linked for many reasons; without a fact behind them there is no agent to speak of.
        assert read(root) is None


def test_only_a_regular_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, fact())
    path.unlink()
    os.mkfifo(path, 0o644)
    assert "is no regular file" in refused(tmp_path)
    path.unlink()
    path.mkdir()
    assert "is no regular file" in refused(tmp_path)
    path.rmdir()
    # The path of a socket is short.
    monkeypatch.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path.name)
        found = read(tmp_path)
    assert isinstance(found, Unseen)
    assert found.code == "agent_unreadable"


def test_a_file_that_others_may_write_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path, fact(offender()))
    for mode in (0o664, 0o646, 0o666):
        path.chmod(mode)
        assert "can be written by others" in refused(tmp_path)
    path.chmod(0o644)
    assert heard(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file away")
def test_a_file_of_another_owner_than_its_folder_is_refused(tmp_path: Path) -> None:
    os.chown(put(tmp_path, fact(offender())), 12_345, 12_345)
    assert "can be written by others" in refused(tmp_path)


def test_no_permission_is_unknown_not_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, fact(offender()))
    real = os.open

    def denied(path: Any, *args: Any, **more: Any) -> int:  # noqa: ANN401 - as os.open
        if path == "facts.d":
            raise PermissionError(13, "Permission denied", path)
        return real(path, *args, **more)

    monkeypatch.setattr(agent_fact.os, "open", denied)
    found = read(tmp_path)
    assert isinstance(found, Unseen)
    assert found.code == "agent_unreadable"
    assert "may not be read" in found.detail


def test_the_longest_fact_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    data = json.dumps(fact(offender())).encode()
    put(tmp_path, data + b" " * (MAX_FACT_BYTES - len(data)))
    assert heard(tmp_path).trends
    put(tmp_path, data + b" " * (MAX_FACT_BYTES - len(data) + 1))
    assert "is longer than 16,384 bytes" in refused(tmp_path)


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, fact(offender()))
    monkeypatch.setattr(agent_fact.os, "read", lambda _descriptor, size: b" " * min(size, 5_000))
    assert "is longer than 16,384 bytes" in refused(tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 8_000,
        b'{"a":' * 3_000,
        b"[]",
        b"null",
        b'"lastack.local/1"',
        b'{"schema": ["lastack.local/1"]}',
        b'{"schema": "lastack.local/2"}',
    ],
)
def test_what_is_no_fact_is_refused(tmp_path: Path, data: bytes) -> None:
    put(tmp_path, data)
    assert "is not JSON" in refused(tmp_path) or "is no lastack.local/1" in refused(tmp_path)


@pytest.mark.parametrize("name", ["NaN", "Infinity", "-Infinity", "1e999", "-1", "true", '"3"', "[3]", "9" * 4_000])
@pytest.mark.parametrize("key", ["published_boottime_s", "fresh_for_s", "interval_s"])
def test_a_number_is_a_number_in_its_range(tmp_path: Path, key: str, name: str) -> None:
    put(tmp_path, json.dumps({**fact(offender()), key: "HERE"}).replace('"HERE"', name).encode())
    assert refused(tmp_path)


WRONG: tuple[object, ...] = (None, True, -1, 1.5, "", "x", [], {}, [{}], {"a": 1}, 2**60, "x" * 2_000)


def test_every_wrong_type_is_refused_or_harmless(tmp_path: Path) -> None:
    """Whatever stands at any place, the reader answers, and what it takes has the right types."""
    answers = set()
    good = fact(offender())
    places: list[tuple[Any, ...]] = [(key,) for key in good]
    places += [(key, inner) for key in ("collector", "completeness", "dropped") for inner in good[key]]
    places += [("offenders", 0), *(("offenders", 0, key) for key in good["offenders"][0])]
    places += [("offenders", 0, "trend", key) for key in good["offenders"][0]["trend"]]
    for place in places:
        for value in (*WRONG, ...):
            changed = fact(offender())
            holder: Any = changed
            for step in place[:-1]:
                holder = holder[step]
            if value is not ...:
                holder[place[-1]] = value
            elif isinstance(holder, dict):
                del holder[place[-1]]
            put(tmp_path, changed)
            found = read(tmp_path)
            answers.add(type(found))
            for one in found.trends.values() if isinstance(found, AgentFact) else ():
                assert one["verdict"] in VERDICTS
                assert all(one[key].__class__ is int for key in ("count", "arrivals", "departures"))
                assert all(type(one[key]) in (float, type(None)) for key in ("growth_per_min", "exhaustion_in_s"))
                assert type(one["exhaustion_pid"]) in (int, type(None))
    assert answers == {AgentFact, Unseen}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(sorted(fact())), inner, max_size=6),
        max_leaves=12,
    )
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_never_raises(tmp_path: Path, value: object) -> None:
    mixed = {**fact(offender()), **value} if isinstance(value, dict) else value
    put(tmp_path, mixed)
    assert isinstance(read(tmp_path), (AgentFact, Unseen))


def test_reader_and_writer_mean_the_same_fact() -> None:
    properties = LOCAL_SCHEMA["properties"]
    assert VERDICTS == PUBLISHED_VERDICTS
    assert set(fact()) - {"a_key_of_a_newer_agent"} <= set(properties)
    told = properties["offenders"]["items"]["properties"]
    assert set(offender()) <= set(told)
    assert set(trend()) == set(told["trend"]["properties"])


def test_what_the_agent_builds_is_taken_whole(tmp_path: Path) -> None:
    trends = {
        AppKey("checkout-api", "unit", "host"): (agent_samples.trend(), agent_samples.app()),
        AppKey("gateway", "listener", ""): (agent_samples.trend("stuck"), agent_samples.app(count=0)),
    }
    put(tmp_path, build_fact(trends, agent_samples.look_at(trends), agent_samples.STATUS))
    found = read_agent_fact(str(tmp_path), agent_samples.BOOT_ID, agent_samples.NOW_S + 100.0)
    assert isinstance(found, AgentFact)
    assert not found.stale
    assert set(found.trends) == set(trends)
    leak = found.trends["checkout-api", "unit", "host"]
    assert (leak["verdict"], leak["count"], leak["exhaustion_in_s"]) == ("leak", 812, 5_300.0)
