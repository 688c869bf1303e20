# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a roll-out as people give them, and how many hosts a batch takes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible.utils.helpers import pct_to_int
from ansible_collections.lastack.linux.plugins.plugin_utils.rollout_options import (
    RolloutOptionError,
    RolloutOptions,
    batch_sizes,
    check_rollout_options,
)
from hypothesis import given
from hypothesis import strategies as st


def test_nothing_given_is_the_defaults() -> None:
    assert check_rollout_options(dict.fromkeys(RolloutOptions._fields)) == RolloutOptions()


def test_text_from_a_command_line_gets_its_type() -> None:
    given = {"batches": "25%", "soak_s": "90", "least_opens": "0", "false_alarm": "1e-6", "inconclusive": "go_on"}
    assert check_rollout_options(given) == RolloutOptions(
        batches=("25%",), soak_s=90.0, least_opens=0, false_alarm=1e-6, inconclusive="go_on"
    )


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"batches": []}, 'x_batches must be a list of numbers of hosts and of shares such as "25%", not [].'),
        ({"batches": [1, "0%"]}, "x_batches must be a list"),
        ({"batches": [0]}, "x_batches must be a list"),
        ({"batches": ["101%"]}, "x_batches must be a list"),
        ({"batches": [True]}, "x_batches must be a list"),
        ({"batches": {"a": 1}}, "x_batches must be a list"),
        ({"batches": [1, "-5"]}, "x_batches must be a list"),
        ({"soak_s": 0}, "x_soak_s must be a number of seconds from 1 to a week, not 0."),
        ({"soak_s": "soon"}, "x_soak_s must be a number of seconds from 1 to a week, not 'soon'."),
        ({"soak_s": True}, "x_soak_s must be a number of seconds"),
        ({"soak_s": float("nan")}, "x_soak_s must be a number of seconds"),
        ({"baseline_s": [1]}, "x_baseline_s must be a number of seconds"),
        ({"soak_s": 60, "soak_limit_s": 30}, "x_soak_limit_s is shorter than x_soak_s."),
        ({"least_opens": 1.5}, "x_least_opens must be a whole number, 0 or more, not 1.5."),
        ({"least_segments": -1}, "x_least_segments must be a whole number"),
        ({"false_alarm": 1}, "x_false_alarm must be a probability"),
        ({"inconclusive": "hope"}, "x_inconclusive must be stop or go_on, not 'hope'."),
        ({"thresholds": []}, "x_thresholds must be a mapping of counters, not []."),
        ({"thresholds": {"Nothing": {}}}, "x_thresholds: There is no threshold for Nothing: known are "),
        ({"thresholds": {"OutRsts": {"ratio": 0}}}, "x_thresholds: The threshold OutRsts needs a ratio of at least 1."),
        ({"colour": "red"}, "There is no option x_colour."),
        ({"soak_s": "\x1b[2J" * 100}, "x_soak_s must be"),
    ],
)
def test_what_makes_no_sense_gets_one_sentence(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(RolloutOptionError) as caught:
        check_rollout_options(given, "x_")
    assert str(caught.value).startswith(sentence)
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("batches", "hosts", "sizes"),
    [
        ([1, "5%", "25%", "100%"], 500, [1, 25, 125, 349]),
        ([1, "5%", "25%", "100%"], 5, [1, 1, 1, 2]),
        ([1, "5%", "25%", "100%"], 1, [1]),
        ([2], 5, [2, 2, 1]),
        (["50%"], 0, []),
    ],
)
def test_batches(batches: list[object], hosts: int, sizes: list[int]) -> None:
    assert batch_sizes(batches, hosts) == sizes


@given(st.lists(st.one_of(st.integers(1, 50), st.integers(1, 100).map("{}%".format)), min_size=1), st.integers(0, 300))
def test_batches_are_those_of_ansible(batches: list[object], hosts: int) -> None:
    sizes = batch_sizes(check_rollout_options({"batches": batches}).batches, hosts)
    assert sum(sizes) == hosts
    executor = SimpleNamespace(wanted=list(batches), left=hosts, sizes=[])
    # As PlaybookExecutor._get_serialized_batches counts.
    while executor.left:
        size = pct_to_int(executor.wanted[0], hosts)
        executor.sizes.append(min(size, executor.left))
        executor.left -= executor.sizes[-1]
        executor.wanted = executor.wanted[1:] or executor.wanted
    assert sizes == executor.sizes
