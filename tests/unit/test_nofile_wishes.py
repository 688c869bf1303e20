# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wished for descriptor limits: read, refused with a sentence, and settled against what is configured."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_wishes import (
    Limits,
    NofileError,
    ProcessWish,
    Wish,
    parse_process_wishes,
    parse_wishes,
    settle,
)
from hypothesis import given
from hypothesis import strategies as st

ENDLESS = (
    "is refused: it means fs.nr_open, a billion on some systems, and programs that size tables or loop over it hang; "
    "give a number."
)


def test_wishes_are_read() -> None:
    assert parse_wishes([{"name": "web", "soft": 4096}, {"name": "db", "hard": "8192", "match": "exact"}], "units") == [
        Wish("web", 4096, None, "at_least"),
        Wish("db", None, 8192, "exact"),
    ]
    assert parse_process_wishes(
        [{"pid": 7, "soft": 100}, {"program": "web", "hard": 200, "unit": None}], "processes"
    ) == [
        ProcessWish("pid", "7", 100, None),
        ProcessWish("program", "web", None, 200),
    ]


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"soft": "infinity"}, f"units[0] (web): soft infinity {ENDLESS}"),
        ({"soft": 100, "hard": "unlimited"}, f"units[0] (web): hard unlimited {ENDLESS}"),
        ({"hard": -1}, f"units[0] (web): hard -1 {ENDLESS}"),
        ({"soft": 4096, "hard": 1024}, "units[0] (web): soft 4096 is above hard 1024, which no kernel accepts."),
        ({"soft": True}, "units[0] (web): soft 'True' is no whole number from 64 to 1073741824."),
        ({"soft": "many"}, "units[0] (web): soft 'many' is no whole number from 64 to 1073741824."),
        ({"soft": 63}, "units[0] (web): soft '63' is no whole number from 64 to 1073741824."),
        ({"soft": 2**30 + 1}, "units[0] (web): soft '1073741825' is no whole number from 64 to 1073741824."),
        ({"soft": 1.5}, "units[0] (web): soft '1.5' is no whole number from 64 to 1073741824."),
        ({"soft": "1\n[Unit]"}, "units[0] (web): soft '1\\n[Unit]' is no whole number from 64 to 1073741824."),
    ],
)
def test_a_value_is_refused_and_the_others_go_on(fields: dict[str, Any], refusal: str) -> None:
    first, second = parse_wishes([{"name": "web", **fields}, {"name": "db", "soft": 100}], "units")
    assert first.refusal == refusal
    assert second.refusal == ""


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        (["web"], "units[0]: it is no mapping with hard, match, name, soft."),
        ([{"soft": 100}], "units[0]: name is missing or longer than 200 characters."),
        ([{"name": "x" * 201, "soft": 100}], "units[0]: name is missing or longer than 200 characters."),
        ([{"name": 7, "soft": 100}], "units[0]: name is missing or longer than 200 characters."),
        ([{"name": "web"}], "units[0] (web): neither soft nor hard is given."),
        ([{"name": "web", "sotf": 1}], "units[0]: 'sotf' is none of hard, match, name, soft."),
        ([{"name": "web", "soft": 100, "match": "union"}], "units[0] (web): match is neither at_least nor exact."),
        ([{"name": "a", "soft": 100}] * 2, "units[1]: a is named twice; give each name once."),
    ],
)
def test_what_is_no_wish_is_said(entries: list[Any], why: str) -> None:
    with pytest.raises(NofileError) as refused:
        parse_wishes(entries, "units")
    assert str(refused.value) == why


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"soft": 100}, "processes[0]: name exactly one of unit, pid and program."),
        ({"pid": 1, "unit": "a", "soft": 100}, "processes[0]: name exactly one of unit, pid and program."),
        ({"pid": 0, "soft": 100}, "processes[0]: '0' is no pid."),
        ({"pid": -4, "soft": 100}, "processes[0]: '-4' is no pid."),
        ({"pid": "self", "soft": 100}, "processes[0]: 'self' is no pid."),
        ({"pid": 4}, "processes[0] (4): neither soft nor hard is given."),
    ],
)
def test_what_names_no_process_is_said(entry: dict[str, Any], why: str) -> None:
    with pytest.raises(NofileError) as refused:
        parse_process_wishes([entry], "processes")
    assert str(refused.value) == why


@pytest.mark.parametrize(
    ("wish", "configured", "limits", "words"),
    [
        ((4096, None, "at_least"), (1024, 524288), Limits(4096, 524288), "changes"),
        ((4096, None, "at_least"), (64, 64), Limits(4096, 4096), "changes"),
        ((4096, 8192, "at_least"), (4096, 8192), Limits(4096, 8192), ""),
        ((4096, 8192, "at_least"), (9000, 9000), Limits(9000, 9000), "stronger"),
        ((4096, 8192, "exact"), (9000, 9000), Limits(4096, 8192), "changes"),
        ((4096, None, "exact"), (9000, 9000), Limits(4096, 9000), "changes"),
        ((None, 2048, "exact"), (9000, 9000), Limits(2048, 2048), "changes"),
        ((None, 2048, "at_least"), (1024, 1024), Limits(1024, 2048), "changes"),
        ((None, 2048, "at_least"), (None, None), Limits(1024, 524288), "changes stronger"),
        ((10**7, None, "at_least"), (1024, 4096), Limits(10**6, 10**6), "changes capped"),
        ((10**7, 10**7, "exact"), (-1, -1), Limits(10**6, 10**6), "capped"),
        ((4096, None, "at_least"), (1024, -1), Limits(4096, 10**6), "changes"),
        ((4096, None, "at_least"), (-1, -1), Limits(10**6, 10**6), "stronger"),
    ],
)
def test_what_a_wish_comes_to(
    wish: tuple[int | None, int | None, str], configured: tuple[int | None, int | None], limits: Limits, words: str
) -> None:
    settled = settle(Wish("x", *wish), Limits(*configured), nr_open=10**6, usual_hard=524288)
    assert settled.limits == limits
    assert [word for word in ("changes", "stronger", "capped") if getattr(settled, word)] == words.split()


NUMBER = st.none() | st.integers(64, 2**30)


@given(NUMBER, NUMBER, NUMBER | st.just(-1), NUMBER | st.just(-1), st.integers(1024, 2**30))
def test_at_least_never_lowers_and_soft_is_never_above_hard(
    soft: int | None, hard: int | None, soft_now: int | None, hard_now: int | None, nr_open: int
) -> None:
    wish = Wish("x", soft, hard, "at_least")
    limits = settle(wish, Limits(soft_now, hard_now), nr_open=nr_open, usual_hard=4096).limits
    assert limits.soft is not None
    assert limits.hard is not None
    assert 0 < limits.soft <= limits.hard
    for now, value in ((soft_now, limits.soft), (hard_now, limits.hard)):
        assert now is None or value >= (nr_open if now == -1 else now)
    for wanted, value in ((soft, limits.soft), (hard, limits.hard)):
        assert wanted is None or value >= min(wanted, nr_open)
