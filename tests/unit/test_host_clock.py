# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host whose clock is wrong says so in its report."""

from __future__ import annotations

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.host_clock import note_wrong_clock
from ansible_collections.lastack.linux.plugins.plugin_utils.validate import check_host_report
from sample_reports import sample

# 2026-11-23T04:30:12Z, the moment of the sample.
MADE_S = 1_795_408_212.0


@pytest.mark.parametrize("now_s", [MADE_S - 119, MADE_S, MADE_S + 149])
def test_a_clock_that_agrees_is_not_mentioned(now_s: float) -> None:
    report = sample("sick")
    note_wrong_clock(report, 30.0, now_s)
    assert report == sample("sick")


@pytest.mark.parametrize(
    ("now_s", "detail"),
    [
        (MADE_S - 121, "its clock is 2 min ahead of the controller's: its dates are wrong"),
        (MADE_S + 151, "its clock is 2 min behind the controller's: its dates are wrong"),
        (MADE_S + 400 * 86_400, "its clock is 400 d behind the controller's: its dates are wrong"),
    ],
)
def test_a_clock_that_is_off_is_a_gap_in_the_view(now_s: float, detail: str) -> None:
    report = sample("sick")
    note_wrong_clock(report, 30.0, now_s)
    assert report["completeness"]["complete"] is False
    assert report["completeness"]["warnings"] == [{"code": "clock_wrong", "count": 1, "detail": detail}]
    assert check_host_report(report) == []


def test_a_date_that_is_none() -> None:
    report = sample("sick")
    report["collected_at"] = "2026-02-31T04:30:12Z"
    note_wrong_clock(report, 30.0, MADE_S)
    assert [one["detail"] for one in report["completeness"]["warnings"]] == [
        "its clock shows no time: what the report dates is not known"
    ]
