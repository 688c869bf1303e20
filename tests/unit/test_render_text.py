# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text screens: recorded reports give the recorded screens, and no host can write outside its own words."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.render.table import Column, Screen, cut, display_width
from ansible_collections.lastack.linux.plugins.plugin_utils.render.text import render_fleet, render_host, render_run
from hypothesis import given
from hypothesis import strategies as st
from sample_reports import healthy_fleet, hostile, sample, single_fleet

GOLDEN = Path(__file__).parent / "golden"
SGR = re.compile(r"\x1b\[[0-9;]*m")


def _compare(name: str, screen: str) -> None:
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("LASTACK_UPDATE_GOLDEN"):
        golden.write_text(screen, encoding="utf-8")
    assert screen == golden.read_text(encoding="utf-8"), "LASTACK_UPDATE_GOLDEN=1 records the new screen"


def _plain_words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("name", ["sick", "healthy", "partial"])
def test_host_screen(name: str) -> None:
    _compare(f"host_{name}", render_host(sample(name)))


def test_fleet_screen() -> None:
    _compare("fleet", render_fleet(sample("fleet"), report_path="lastack-runs/20261123T043000Z/report.html"))


def test_healthy_host_takes_two_lines() -> None:
    assert len(render_host(sample("healthy")).splitlines()) == 2


def test_healthy_fleet_takes_two_lines_and_its_report() -> None:
    lines = render_fleet(healthy_fleet(), report_path="report.html").splitlines()
    assert lines[0].startswith("500 hosts audited · run 2026-11-23")
    assert lines[1].startswith("Nothing needs a decision. CLOSE_WAIT 812 in transit, TIME_WAIT 24,032 normal")
    assert [line for line in lines[2:] if line] == ["Report: report.html"]


@pytest.mark.parametrize("name", ["sick", "partial", "fleet"])
def test_every_finding_that_asks_says_what_to_do_and_where_to_read_on(name: str) -> None:
    report = sample(name)
    screen = _plain_words(render_fleet(report) if name == "fleet" else render_host(report))
    asking = [finding for finding in report["findings"] if finding["severity"] != "info"]
    assert asking
    for finding in asking:
        assert finding["next_step"] in screen
        assert f"lastack explain {finding['id']}" in screen


def test_a_finding_without_a_section_is_told_in_full() -> None:
    report = sample("healthy")
    report["findings"] = [
        {
            "id": "syn.cookies_sent",
            "severity": "warning",
            "remedy": "limits",
            "subject": ":443",
            "summary": "1,204 SYN cookies were sent on :443.",
            "evidence": {},
            "next_step": "Raise the backlog of nginx.",
        }
    ]
    screen = _plain_words(render_host(report))
    assert "Nothing needs a decision" not in screen
    assert (
        "1,204 SYN cookies were sent on :443. → Raise the backlog of nginx. lastack explain syn.cookies_sent" in screen
    )


def test_what_no_section_told_is_never_cut_from_the_list() -> None:
    report = sample("healthy")
    told = {**sample("sick")["findings"][5], "id": "sysctl.harmful", "severity": "critical"}
    untold = {**sample("sick")["findings"][0], "id": "listen.backlog_capped", "severity": "warning"}
    report["findings"] = [told] * 14 + [untold]
    screen = render_host(report)
    assert "listen.backlog_capped" in screen
    assert "… 3 more findings in the whole report" in screen


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("name", ["sick", "healthy", "partial", "fleet"])
def test_no_host_writes_control_characters_or_lines(name: str, *, colour: bool) -> None:
    report = hostile(name)
    path = "/srv/\x1b[2Jrun\n/report.html"
    screen = (
        render_fleet(report, report_path=path, colour=colour) if name == "fleet" else render_host(report, colour=colour)
    )
    text = SGR.sub("", screen) if colour else screen
    bad = {character for character in text if unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp", "Cs"}}
    assert bad == {"\n"}
    assert not any(line.lstrip().startswith("FORGED") for line in text.splitlines())
    assert all(display_width(line) <= 100 for line in text.splitlines() if not line.startswith("Report:"))
    # The attack did arrive: without this the test could not fail.
    assert "\\x1b" in text


@pytest.mark.parametrize("name", ["sick", "healthy", "partial", "fleet"])
@pytest.mark.parametrize("width", [80, 100, 140])
def test_no_line_is_wider_than_the_screen(name: str, width: int) -> None:
    report = sample(name)
    screen = render_fleet(report, width=width) if name == "fleet" else render_host(report, width=width)
    assert max(display_width(line) for line in screen.splitlines()) <= width


@pytest.mark.parametrize("name", ["sick", "healthy", "fleet"])
def test_colour_only_adds_codes(name: str) -> None:
    report = sample(name)
    render = render_fleet if name == "fleet" else render_host
    coloured = render(report, colour=True)
    assert SGR.search(coloured)
    assert SGR.sub("", coloured) == render(report)
    assert "\x1b" not in render(report)


@pytest.mark.parametrize(
    ("text", "columns"), [("支付", 4), ("cafe\u0301", 4), ("a\u0308\u0323", 1), ("\uff21", 2), ("→ ≥", 3)]
)
def test_display_width_counts_columns(text: str, columns: int) -> None:
    assert display_width(text) == columns


def test_wide_characters_and_combining_marks_keep_the_columns() -> None:
    report = sample("sick")
    for app, name in zip(
        report["close_wait"]["offenders"], ("支付服务", "cafe\u0301-a\u0308pi", "gateway"), strict=True
    ):
        app["app"] = name
    lines = render_host(report).splitlines()
    ends = {
        display_width(line[: line.index(figure) + len(figure)])
        for figure in ("  2,204", "  190", "  37")
        for line in lines
        if figure in line and "%" in line
    }
    assert len(ends) == 1


def test_a_partial_view_is_no_clean_bill_of_health() -> None:
    report = sample("healthy")
    report["completeness"] |= {"complete": False, "warnings": sample("partial")["completeness"]["warnings"]}
    screen = _plain_words(render_host(report))
    assert "PARTIAL: not root" in screen
    assert "Nothing needs a decision in what was seen." in screen
    assert "Not seen: namespaces of 2 containers" in screen
    fleet = healthy_fleet()
    fleet["hosts"] |= {"audited": 499, "unreachable": 1}
    assert "Nothing needs a decision in what was seen." in render_fleet(fleet)


def test_a_run_without_any_answer_claims_nothing() -> None:
    fleet = healthy_fleet()
    row = {"outcome": "unreachable", "reason": "Connection timed out"}
    fleet["hosts"] |= {"audited": 0, "unreachable": 500, "not_audited_truncated": 480}
    fleet["hosts"]["not_audited"] = [{"host": f"db-{number}", **row} for number in range(20)]
    screen = _plain_words(render_fleet(fleet))
    assert "0 hosts audited · 500 unreachable" in screen
    assert "No host was audited, so nothing is known." in screen
    assert "Nothing needs a decision" not in screen
    assert "db-0, db-1, db-2, db-3, db-4 and 15 more unreachable (Connection timed out)" in screen
    assert "480 more hosts" in screen


def test_unknown_is_never_shown_as_nothing() -> None:
    report = sample("healthy")
    report["states"] |= {"CLOSE_WAIT": None, "TIME_WAIT": None}
    screen = render_host(report)
    assert "CLOSE_WAIT" not in screen
    assert "TIME_WAIT" not in screen


def test_the_least_report_that_the_schema_allows() -> None:
    needed = ("schema", "host", "collected_at", "duration_s", "collector", "completeness", "states", "findings")
    report: dict[str, Any] = {key: value for key, value in sample("sick").items() if key in needed}
    screen = render_host(report)
    assert screen.startswith("web-17.example.org · 215,641 sockets in 3 namespaces")
    assert "lastack explain close_wait.unread_body" in screen


def test_undecided_sockets_ask_for_a_second_look() -> None:
    report = sample("healthy")
    report["completeness"]["close_wait"] |= {"in_transit": 0, "undecided": 2}
    assert "CLOSE_WAIT 2 (2 undecided: look again in a minute)" in render_host(report)


def test_a_run_of_one_host_says_all_that_the_host_says() -> None:
    screen = render_run(single_fleet(), [sample("sick")], report_path="report.html")
    assert screen.startswith("1 host audited · run 2026-11-23 04:30 UTC\n\n")
    assert render_host(sample("sick")) in screen
    assert screen.endswith("\nReport: report.html\n")


def test_a_run_of_many_hosts_is_the_fleet() -> None:
    fleet = sample("fleet")
    assert render_run(fleet, [sample("sick")]) == render_fleet(fleet)


def test_many_applications_are_cut_and_counted() -> None:
    fleet = sample("fleet")
    fleet["apps"] = [{**fleet["apps"][0], "app": f"app-{number}"} for number in range(50)]
    fleet["apps_truncated"] = 7
    screen = render_fleet(fleet)
    assert "… 45 more applications with less in the whole report" in screen


@given(st.text(max_size=400), st.integers(min_value=40, max_value=120))
def test_a_paragraph_stays_within_the_screen(text: str, width: int) -> None:
    screen = Screen(colour=False, width=width)
    screen.paragraph(text, first="  ", rest="    ")
    lines = screen.text().splitlines()
    assert all(display_width(line) <= width for line in lines)


@given(st.lists(st.text("abc xyz", max_size=12), max_size=30))
def test_a_paragraph_loses_no_word(words: list[str]) -> None:
    screen = Screen(colour=False, width=40)
    screen.paragraph(*words, first="  ", rest="    ")
    assert screen.text().split() == " ".join(words).split()


@given(st.text(max_size=60), st.integers(min_value=1, max_value=30))
def test_cut_text_fits(text: str, width: int) -> None:
    assert display_width(cut(text, width)) <= width


def test_a_table_cuts_its_widest_column_only() -> None:
    screen = Screen(colour=False, width=60)
    screen.table([Column("name", least=10), Column("figure", right=True)], [["x" * 200, "1,234"], ["y", "9"]])
    lines = screen.text().splitlines()
    assert lines[1] == "  " + "x" * 49 + "…" + "   1,234"
    assert lines[2].endswith("      9")
