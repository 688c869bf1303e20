# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark of the baseline without its hosts: both ways are asked the same, and what failed is no measurement."""

from __future__ import annotations

import json

import pytest
from baseline import DROPINS, KEYS, LEAST, Both, Situation, client_keys, document_part, read_run, situations, ways
from measure import Measured

RECAP = (
    "PLAY RECAP ***\n"
    "h0   : ok=1    changed=1    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0\n"
    "h1   : ok=1    changed=0    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0\n"
)
LOOP = "changed: [h0] => (item=a)\nok: [h1] => (item=a)\nok: [h0] => (item=b)\nok: [h1] => (item=b)\n\n" + RECAP


def test_a_run_is_read() -> None:
    assert read_run(LOOP, 2, 1.5) == (1.5, 2.0, 1)


@pytest.mark.parametrize(
    "output",
    [
        RECAP.replace("unreachable=0", "unreachable=1", 1),
        RECAP.replace("failed=0", "failed=1", 1),
        RECAP.splitlines()[1],
        "",
    ],
    ids=["unreachable", "failed", "a host too few", "no recap"],
)
def test_a_run_that_failed_is_no_measurement(output: str) -> None:
    with pytest.raises(SystemExit, match="2 hosts"):
        read_run(output, 2, 1.0)


@pytest.mark.parametrize("number", [0, 1])
def test_both_ways_are_asked_for_the_same(number: int) -> None:
    situation = situations()[number]
    (play,) = json.loads(situation.ways[1].play())
    (task,) = play["tasks"]
    assert {item["key"]: item["value"] for item in task["loop"]} == situation.keys
    assert task["ansible.posix.sysctl"]["sysctl_file"] in DROPINS
    (ours,) = json.loads(situation.ways[0].play())[0]["tasks"]
    options = ours["lastack.linux.sysctl_baseline"]
    if number == 0:
        assert {one["key"]: one["value"] for one in options["settings"]} == situation.keys
    else:
        assert options == {"profile": "client"}


def test_what_the_target_is_about() -> None:
    assert len(KEYS) == 15
    assert [situation.least for situation in situations()] == [LEAST, None]
    assert LEAST == 8


def test_the_profile_is_told_apart_from_what_needs_evidence() -> None:
    sets, gated = client_keys()
    assert "net.ipv4.tcp_keepalive_time" in sets
    assert "net.ipv4.tcp_tw_reuse" in gated
    assert not set(sets) & set(gated)


def both(title: str, first: float, second: float, executions: float) -> Both:
    return Both(
        Measured(f"{title}, first run", [first], [], 0), Measured(f"{title}, unchanged", [second], [], 0), executions
    )


@pytest.mark.parametrize(
    ("theirs", "least", "kept"),
    [((8.0, 8.0), 8, True), ((7.9, 9.0), 8, False), ((9.0, 7.9), 8, False), ((2.0, 2.0), None, True)],
)
def test_the_limit_is_for_both_runs(theirs: tuple[float, float], least: int | None, *, kept: bool) -> None:
    situation = Situation("Some keys", KEYS, ways(KEYS, {}), least)
    text, verdict = document_part(situation, [both("ours", 1.0, 1.0, 1.0), both("theirs", *theirs, 15.0)])
    assert verdict is kept
    assert ("| NO |" in text) is not kept
    assert "| theirs, first run | " in text
    assert text.count("| 15 |") == 2
