# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts on real programs: leaks are found in ten looks and no earlier than proven, healthy programs are no leak.

Time is compressed by short intervals (a sixtieth of the default), not by a false clock. Looks are counted, not
seconds: a slow machine has longer intervals and the same verdicts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from gallery import HEALTHY, LEAKS, OTHERS, Played, play_all, varied
from stage import changes

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.needs_root

VARIED = range(36)
IN_LOOKS = 10


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Played]:
    return play_all((*LEAKS, *OTHERS, *HEALTHY), tmp_path_factory.mktemp("gallery"))


@pytest.mark.parametrize("name", [case.name for case in LEAKS])
def test_leak_in_ten_looks(played: dict[str, Played], name: str) -> None:
    one = played[name]
    assert changes(one.verdicts) == ["watching", "leak"], one.story()
    assert one.verdicts.index("leak") <= IN_LOOKS, one.story()


@pytest.mark.parametrize("name", [case.name for case in LEAKS])
def test_watching_says_when_it_is_ready(played: dict[str, Played], name: str) -> None:
    one = played[name]
    for entry in one.entries:
        if entry:
            waiting = entry["trend"]["verdict"] == "watching"
            assert (entry["trend"]["ready_in_s"] is not None) == waiting, entry["trend"]


@pytest.mark.parametrize("name", [case.name for case in LEAKS])
def test_figures_of_a_leak(played: dict[str, Played], name: str) -> None:
    one = played[name]
    last = one.entries[-1]
    assert last, one.story()
    trend = last["trend"]
    assert trend["growth_per_min"] > 0, one.story()
    assert trend["arrivals"] - trend["departures"] == trend["count"], one.story()
    assert last["cause"] in {"eof_read", "unread_data", "eof_consumed"}, one.story()
    assert last["remedy"], one.story()
    findings = [finding["id"] for finding in one.looks[-1].fact["findings"] if last["app"] in finding["subject"]]
    assert "close_wait.growing" in findings, findings


def test_never_accepted(played: dict[str, Played]) -> None:
    one = played["never accepted"]
    assert changes(one.verdicts) == ["watching", "stuck"], one.story()
    assert one.verdicts.index("stuck") <= IN_LOOKS, one.story()


def test_idle_sockets_without_end_are_a_leak_at_last(played: dict[str, Played]) -> None:
    one = played["idle and never ending"]
    assert "pool" not in one.verdicts, one.story()
    assert one.verdicts[-1] == "leak", one.story()
    early = next(entry for entry in one.entries if entry and entry["trend"]["verdict"] == "leak")
    assert early["trend"]["count"] > 60, one.story()


def test_leaked_once_and_never_closed(played: dict[str, Played]) -> None:
    """It does not grow, and yet the program knows that these connections are over, and keeps them."""
    one = played["leaked once, for good"]
    assert one.verdicts[-1] == "leak", one.story()
    assert not {"burst", "pool"} & set(one.verdicts), one.story()
    assert "close_wait.growing" not in [finding["id"] for finding in one.looks[-1].fact["findings"]]


@pytest.mark.parametrize("name", [case.name for case in HEALTHY])
def test_healthy_is_never_a_leak(played: dict[str, Played], name: str) -> None:
    one = played[name]
    assert not {"leak", "stuck"} & set(one.verdicts), one.story()


@pytest.mark.parametrize("name", [case.name for case in HEALTHY])
def test_nobody_else_is_named(played: dict[str, Played], name: str) -> None:
    """A socket that is closed between the list and the search for its holder is no unknown program's."""
    one = played[name]
    named = {entry["app"] for look in one.looks for entry in look.fact["offenders"]}
    assert named <= {one.case.app}, named


@pytest.mark.parametrize("name", [case.name for case in HEALTHY if "pool" in case.program])
def test_pools_are_called_pools(played: dict[str, Played], name: str) -> None:
    one = played[name]
    empties = one.case.again_s or "--breathe" in one.case.arguments
    # What has no socket for a moment was a burst, until they come again.
    assert one.verdicts[-1] == "pool" or empties, one.story()
    assert set(one.verdicts) <= {"watching", "pool", *(["burst"] if empties else [])}, one.story()


def test_drained_is_a_burst(played: dict[str, Played]) -> None:
    one = played["late, then done"]
    assert "burst" in one.verdicts, one.story()


def test_half_closed_is_no_offence(played: dict[str, Played]) -> None:
    one = played["half-closing proxy"]
    assert one.looks[-1].fact["close_wait"]["total"] > 5, "the proxy has no half-closed connection"
    assert not one.verdicts or max(entry["count"] for entry in one.entries if entry) == 0, one.story()


@pytest.mark.soak
def test_varied_healthy_runs(tmp_path: Path) -> None:
    """Thirty and more pools and proxies, with figures by chance: never a leak, not in one look of any."""
    runs = play_all([varied(number) for number in VARIED], tmp_path)
    wrong = [one.story() for one in runs.values() if {"leak", "stuck"} & set(one.verdicts)]
    assert not wrong, "\n".join(wrong)
    judged = [one for one in runs.values() if one.verdicts]
    assert len(judged) >= 30, [one.case.name for one in runs.values() if not one.verdicts]
