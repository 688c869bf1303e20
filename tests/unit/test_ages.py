# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ages: the bracket from one look, what it decides, and what wraps or contradicts itself."""

from __future__ import annotations

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.ages import (
    Age,
    age_bracket,
    age_section,
    oldest,
    verdict,
)
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.wording import (
    age_phrase,
    format_age,
    format_count,
    format_percent,
    plural,
)
from diagnose_samples import info
from hypothesis import given
from hypothesis import strategies as st

_COUNTER = st.integers(0, 2**32 - 1)
_SECONDS = st.floats(0, 1e7)


def test_an_earlier_look_narrows_the_bracket() -> None:
    """Keepalive answers keep the kernel's lower end young for ever."""
    fresh = info(last_ack_recv_ms=400, last_data_recv_ms=151_900)
    assert verdict(age_bracket(fresh), 60) == "undecided"
    assert age_bracket(fresh, None, 66.0) == Age(66.0, 151.9)
    assert verdict(age_bracket(fresh, None, 66.0), 60) == "offender"
    assert age_bracket(None, None, 66.0) == Age(66.0, None)


@pytest.mark.parametrize(
    ("ack", "data", "process_age", "expected"),
    [
        (90_000, 100_000, None, Age(90, 100)),
        (90_000, 90_000, None, Age(90, 90)),
        (90_000, 50_000, None, Age(90, None)),  # wrapped: the bracket looks inverted
        (90_000, 50_000, 95.0, Age(90, 95)),
        (90_000, 100_000, 95.0, Age(90, 100)),  # a younger holder inherited the descriptor
        (90_000, 100_000, 500.0, Age(90, 100)),
        (90_000, 100_000, 10.0, Age(90, 100)),  # the holder inherited the descriptor
    ],
)
def test_bracket(ack: int, data: int, process_age: float | None, expected: Age) -> None:
    assert age_bracket(info(last_ack_recv_ms=ack, last_data_recv_ms=data), process_age) == expected


def test_without_tcp_info_the_age_is_unknown() -> None:
    assert age_bracket(None, 10.0) is None
    assert age_section(None) is None


@pytest.mark.parametrize(
    ("age", "least", "expected"),
    [
        (Age(0, 59.9), 60, "in_transit"),
        (Age(0, 60), 60, "undecided"),
        (Age(59.9, None), 60, "undecided"),
        (Age(60, 60), 60, "offender"),
        (Age(60, None), 60, "offender"),
        (None, 60, "undecided"),
        (None, 0, "offender"),
        (Age(0, 0), 0, "offender"),
    ],
)
def test_verdict(age: Age | None, least: float, expected: str) -> None:
    assert verdict(age, least) == expected


@given(_COUNTER, _COUNTER, st.none() | _SECONDS, _SECONDS)
def test_a_bracket_is_never_inverted_and_decides_only_what_all_its_ages_share(
    ack: int, data: int, process_age: float | None, least: float
) -> None:
    age = age_bracket(info(last_ack_recv_ms=ack, last_data_recv_ms=data), process_age)
    assert age is not None
    assert age.at_most_s is None or age.at_least_s <= age.at_most_s
    decided = verdict(age, least)
    if decided == "offender":
        assert least <= 0 or age.at_least_s >= least
    if decided == "in_transit":
        assert age.at_most_s is not None
        assert age.at_most_s < least


def test_oldest_takes_the_highest_of_both_ends() -> None:
    assert oldest([Age(1, 50), Age(10, 20), None]) == Age(10, 50)
    assert oldest([Age(1, None), Age(10, 20)]) == Age(10, None)
    assert oldest([None]) is None


@pytest.mark.parametrize(
    ("low", "high", "short", "phrase"),
    [
        (10_800.4, None, "≥ 3 h", "at least 3 h"),
        (10_800, 14_400, "3 to 4 h", "3 to 4 h"),
        (2_400, 2_402.1, "40 min", "40 min"),
        (2_400, 8_000, "40 min to 3 h", "40 min to 3 h"),
        (122, 131.5, "2 min", "2 min"),
        (0, 0.4, "< 1 s", "< 1 s"),
        (0, 4, "≤ 4 s", "at most 4 s"),
        (259_200, None, "≥ 3 d", "at least 3 d"),
        (0, None, "unknown", "an unknown time"),
        (None, None, "unknown", "an unknown time"),
        (float("nan"), float("inf"), "unknown", "an unknown time"),
    ],
)
def test_ages_in_words(low: float | None, high: float | None, short: str, phrase: str) -> None:
    age = {"at_least": low, "at_most": high}
    assert (format_age(age), age_phrase(age)) == (short, phrase)


def test_figures_in_words() -> None:
    assert format_age(None) == "unknown"
    assert (format_count(14_200), format_count(None)) == ("14,200", "unknown")
    assert (format_percent(99.9), format_percent(None)) == ("99 %", "unknown")
    assert (plural(1, "socket"), plural(2_204, "socket"), plural(2, "entry", "entries")) == (
        "1 socket",
        "2,204 sockets",
        "2 entries",
    )


@given(st.none() | _SECONDS, st.none() | _SECONDS)
def test_any_age_reads_as_one_short_line(low: float | None, high: float | None) -> None:
    text = format_age({"at_least": low, "at_most": high})
    assert text.isprintable()
    assert 0 < len(text) < 30
