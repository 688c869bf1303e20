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
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.libraries import LIBRARIES
from ansible_collections.lastack.linux.plugins.plugin_utils import explain
from ansible_collections.lastack.linux.plugins.plugin_utils.render.table import Column, Screen, cut, display_width
from ansible_collections.lastack.linux.plugins.plugin_utils.render.text import render_fleet, render_host, render_run
from hypothesis import given
from hypothesis import strategies as st
from sample_reports import healthy_fleet, hostile, sample, single_fleet

GOLDEN = Path(__file__).parent / "golden"
PAGES = {library.page for library in LIBRARIES if library.page}
SGR = re.compile(r"\x1b\[[0-9;]*m")


def _compare(name: str, screen: str) -> None:
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("LASTACK_UPDATE_GOLDEN"):
        golden.write_text(screen, encoding="utf-8")
    assert screen == golden.read_text(encoding="utf-8"), "LASTACK_UPDATE_GOLDEN=1 records the new screen"


def _plain_words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("name", ["sick", "healthy", "partial", "growing"])
def test_host_screen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "page_ids", lambda __: sorted(PAGES))
    _compare(f"host_{name}", render_host(sample(name)))


def test_a_page_that_this_lastack_does_not_have_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "page_ids", lambda __: [])
    screen = render_host(sample("sick"))
    assert "loaded: aiohttp\n" in screen
    assert "library." not in screen


@pytest.mark.parametrize("hints", [None, "missing", {"libraries": [], "program": "/srv/a.jar", "log_files": []}])
def test_no_hint_no_line(hints: Any) -> None:  # noqa: ANN401 - any JSON
    report = sample("sick")
    for offender in report["close_wait"]["offenders"]:
        offender["hints"] = hints
        if hints == "missing":
            del offender["hints"]
    assert "loaded" not in render_host(report)


def test_fleet_screen() -> None:
    _compare("fleet", render_fleet(sample("fleet"), report_path="lastack-runs/20261123T043000Z/report.html"))


def test_fleet_screen_with_agents() -> None:
    _compare("growing_fleet", render_fleet(sample("growing_fleet")))


def test_a_growing_leak_says_what_to_do_before_it_is_due() -> None:
    screen = _plain_words(render_host(sample("growing")))
    # The finding is told beside its figures: once there and once in the list.
    assert (
        "grows 12/min · descriptors gone in ~108 min → restart it before then: lastack explain close_wait.growing"
        in screen
    )
    assert "pool: does not grow, 41/min replaced" in screen
    assert "watched, verdict in ~75 s" in screen
    fleet = _plain_words(render_fleet(sample("growing_fleet")))
    assert "grows 16/min on 2 hosts · descriptors gone in ~55 min on web-3.example.org" in fleet
    for text in (screen, fleet):
        assert text.count("close_wait.growing") == 2


def test_growth_without_a_forecast_names_no_deadline() -> None:
    report = sample("growing")
    report["close_wait"]["offenders"][0]["trend"] |= {"growth_per_min": 0.05, "exhaustion_in_s": None}
    screen = _plain_words(render_host(report))
    assert "grows 3/h → lastack explain close_wait.growing" in screen
    assert "gone" not in screen


@pytest.mark.parametrize(("seconds", "said"), [(0, "any moment"), (45, "in ~45 s"), (1e300, ""), (200_000, "in ~2 d")])
def test_a_forecast_is_rounded_and_never_beyond_a_year(seconds: float, said: str) -> None:
    report = sample("growing")
    report["close_wait"]["offenders"][0]["trend"]["exhaustion_in_s"] = seconds
    screen = _plain_words(render_host(report))
    assert f"descriptors gone {said}" in screen if said else "gone" not in screen


def test_a_silent_agent_is_one_line_and_hides_nothing() -> None:
    report = sample("healthy")
    report["agent"] = {"state": "stale", "reason": "the agent's last word is 5 h old: no trend"}
    lines = render_host(report).splitlines()
    assert lines[:2] == render_host(sample("healthy")).splitlines()
    assert lines[2:] == ["Agent: the agent's last word is 5 h old: no trend →  systemctl status lastack-agent"]
    fleet = healthy_fleet()
    fleet["agents"] = {**sample("growing_fleet")["agents"], "fresh": 499}
    assert "Nothing needs a decision." in render_fleet(fleet)
    assert "Agents: 1 of 500 not heard: web-40.example.org (the agent's last word" in _plain_words(render_fleet(fleet))


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
    screen = _plain_words(render_fleet(report) if name.endswith("fleet") else render_host(report))
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
@pytest.mark.parametrize("name", ["sick", "healthy", "partial", "fleet", "growing", "growing_fleet"])
def test_no_host_writes_control_characters_or_lines(name: str, *, colour: bool) -> None:
    report = hostile(name)
    path = "/srv/\x1b[2Jrun\n/report.html"
    screen = (
        render_fleet(report, report_path=path, colour=colour)
        if name.endswith("fleet")
        else render_host(report, colour=colour)
    )
    text = SGR.sub("", screen) if colour else screen
    bad = {character for character in text if unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp", "Cs"}}
    assert bad == {"\n"}
    assert not any(line.lstrip().startswith("FORGED") for line in text.splitlines())
    assert all(display_width(line) <= 100 for line in text.splitlines() if not line.startswith("Report:"))
    # The attack did arrive: without this the test could not fail.
    assert "\\x1b" in text


@pytest.mark.parametrize("name", ["sick", "healthy", "partial", "fleet", "growing", "growing_fleet"])
@pytest.mark.parametrize("width", [80, 100, 140])
def test_no_line_is_wider_than_the_screen(name: str, width: int) -> None:
    report = sample(name)
    screen = render_fleet(report, width=width) if name.endswith("fleet") else render_host(report, width=width)
    assert max(display_width(line) for line in screen.splitlines()) <= width


@pytest.mark.parametrize("name", ["sick", "healthy", "fleet", "growing", "growing_fleet"])
def test_colour_only_adds_codes(name: str) -> None:
    report = sample(name)
    render = render_fleet if name.endswith("fleet") else render_host
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
    report["options"]["min_age_s"] = 120
    report["completeness"]["close_wait"] |= {"in_transit": 0, "undecided": 2}
    screen = _plain_words(render_host(report))
    assert "CLOSE_WAIT 2 (2 undecided)" in screen
    assert "2 sockets undecided: not provably older than 120 s → a second look settles them:" in screen
    assert "lastack probe --watch 30 --min-age-s 120" in screen


def _looked_at_in_part(gather: list[str]) -> dict[str, Any]:
    report = sample("healthy")
    report["options"]["gather"] = gather
    report["states"]["CLOSE_WAIT"] = 535
    report["completeness"]["close_wait"] |= dict.fromkeys(report["completeness"]["close_wait"], 0)
    del report["close_wait"]
    return report


@pytest.mark.parametrize("gather", [["sysctls"], ["!close_wait"], ["dead_sockets", "time_wait"], []])
def test_what_gather_left_out_is_never_called_healthy(gather: list[str]) -> None:
    screen = _plain_words(render_host(_looked_at_in_part(gather)))
    assert "in transit" not in screen
    assert "· complete but for what was left out Nothing needs a decision in what was looked at." in screen
    assert "CLOSE_WAIT 535 (not judged: left out by gather)" in screen
    assert "Left out by gather: close_wait" in screen
    assert ("sysctls" in screen.partition("Left out by gather:")[2]) == (gather not in (["sysctls"], ["!close_wait"]))


def test_a_sick_host_says_what_was_left_out_too() -> None:
    report = sample("sick")
    report["options"]["gather"] = ["dead_sockets", "time_wait", "sysctls"]
    report["close_wait"] = {}
    screen = _plain_words(render_host(report))
    assert "CLOSE_WAIT 2,441 (not judged: left out by gather)" in screen
    assert "Left out by gather: close_wait, ports," in screen


def test_one_namespace_is_not_the_host() -> None:
    report = sample("healthy")
    report["options"]["namespaces"] = "host"
    first, second = render_host(report, width=140).splitlines()
    assert first.endswith("· other namespaces not looked at")
    assert second.startswith("Nothing needs a decision in what was looked at.")


def test_young_sockets_are_told_beside_other_trouble() -> None:
    report = sample("sick")
    report["states"]["CLOSE_WAIT"] = 547
    report["completeness"]["close_wait"] |= {"seen": 547, "in_transit": 547, "undecided": 0}
    report["close_wait"] = {"total": 547, "offenders": [], "truncated": 0}
    assert "CLOSE_WAIT  547, all younger than 60 s: in transit\n" in render_host(report)


def test_a_fleet_never_calls_unjudged_sockets_healthy() -> None:
    fleet = healthy_fleet()
    fleet["states"]["CLOSE_WAIT"]["sum"] = 1347
    screen = _plain_words(render_fleet(fleet))
    assert "Nothing needs a decision in what was looked at." in screen
    assert "CLOSE_WAIT 1,347 (812 in transit, 535 not judged)" in screen
    fleet["close_wait"]["total"] = 0
    assert "CLOSE_WAIT 1,347 (not judged: left out by gather)" in _plain_words(render_fleet(fleet))


def test_a_fleet_says_what_its_hosts_were_told_to_leave_out() -> None:
    fleet = healthy_fleet()
    fleet["hosts"]["left_out"] = {"dead_sockets": 500, "sysctls": 1}
    screen = _plain_words(render_fleet(fleet))
    assert "Nothing needs a decision in what was looked at." in screen
    assert "Left out by gather: dead_sockets on 500 hosts, sysctls on 1 host" in screen


def test_findings_that_the_report_lacks_are_not_promised_in_it() -> None:
    report, fleet = sample("sick"), sample("fleet")
    report["findings_truncated"] = fleet["findings_truncated"] = 4
    screen = render_host(report)
    assert "Findings  at least 2 critical, 4 warnings" in screen
    assert "… 4 more findings: raise --top" in screen
    assert "… 4 more findings: see each host's report" in render_fleet(fleet)


def test_applications_that_the_report_lacks_are_not_promised_in_it() -> None:
    report = sample("sick")
    report["close_wait"] |= {"truncated": 3}
    assert "… 3 more applications not in the report: raise --top" in render_host(report)
    report["close_wait"] |= {"truncated": 1, "offenders": []}
    screen = render_host(report)
    assert "… 1 application not in the report: raise --top" in screen
    assert "with less" not in screen
    assert "  why" not in screen


@pytest.mark.parametrize("name", ["sick", "fleet"])
def test_commands_are_never_broken(name: str) -> None:
    report = sample(name)
    for width in range(58, 101):
        screen = render_fleet(report, width=width) if name.endswith("fleet") else render_host(report, width=width)
        assert all(
            re.search(rf"lastack explain {re.escape(finding['id'])}( |$)", screen, re.MULTILINE)
            for finding in report["findings"]
        )


def test_a_runtime_is_named_once() -> None:
    report = sample("sick")
    for app in report["close_wait"]["offenders"]:
        app["runtime"] = "java"
    screen = _plain_words(render_host(report))
    assert "lastack explain close_wait.unread_body · lastack explain runtime.java" in screen
    assert screen.count("runtime.java") == 1
    report["close_wait"]["offenders"][0]["runtime"] = "java; reboot"
    assert "runtime.java; reboot" not in _plain_words(render_host(report))


def _socket(number: int, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {
        "local_address": "10.2.0.4",
        "local_port": 40000 + number,
        "remote_address": "2001:db8::9",
        "remote_port": 443,
        "receive_queue": 25,
        "age_s": {"at_least": 90.0, "at_most": None},
        "cause": "eof_unnoticed_tls",
        "verdict": "offender",
        "app": "ledger-sync.service",
        **changes,
    }


def test_listed_sockets_are_shown_and_cut() -> None:
    report = sample("sick")
    young = _socket(99, verdict="in_transit", app=None, receive_queue=0)
    report["close_wait"] |= {"sockets": [young, *map(_socket, range(30))], "sockets_truncated": 5}
    screen = render_host(report)
    lines = [line for line in screen.splitlines() if "→ [2001:db8::9]:443" in line]
    assert len(lines) == 20
    assert " ".join(lines[0].split()) == (
        "ledger-sync.service 10.2.0.4:40000 → [2001:db8::9]:443 ≥ 90 s idle pool, likely TLS 24 bytes"
    )
    assert "… 11 more with --json" in screen
    assert "… 5 more are not in the report" in screen
    report = sample("healthy")
    report["close_wait"] |= {"sockets": [young]}
    assert "not looked up" in render_host(report).splitlines()[-1]
    assert render_host(report).endswith("  in transit\n")


def test_a_step_of_a_fleet_names_its_host() -> None:
    screen = _plain_words(render_fleet(sample("fleet")))
    assert "→ on web-17.example.org: Look at the accept loop of gateway (pid 7781)" in screen


def test_fleet_findings_stand_worst_first() -> None:
    fleet = sample("fleet")
    fleet["findings"].reverse()
    fleet["findings"][0]["hosts"] = 7
    listed = render_fleet(fleet).partition("Findings")[2]
    assert listed.index("close_wait.unread_body") < listed.index("close_wait.stuck_accept")
    assert listed.index("close_wait.stuck_accept") < listed.index("sysctl.harmful")


def test_no_time_wait_is_not_worth_a_line() -> None:
    report, fleet = sample("sick"), sample("fleet")
    report["states"]["TIME_WAIT"], fleet["time_wait"]["total"] = 0, 0
    assert "TIME_WAIT" not in render_host(report)
    assert "TIME_WAIT" not in render_fleet(fleet)


def test_the_gravest_warning_stands_in_the_head_with_its_number() -> None:
    report = sample("healthy")
    report["completeness"] |= {
        "complete": False,
        "warnings": [
            {"code": "dead_sockets_incomplete", "count": 1, "detail": "the look for dead sockets was cut short"},
            {"code": "namespace_unknown", "count": 22, "detail": "processes whose network namespace may not be read"},
            {"code": "owners_denied", "count": 22, "detail": "processes whose descriptors may not be read"},
            {"code": "sock_diag_denied", "count": 3, "detail": "the kernel said no"},
        ],
    }
    screen = _plain_words(render_host(report))
    assert "PARTIAL: 22 processes whose descriptors may not be read" in screen
    assert (
        "Not seen: 22 processes whose network namespace may not be read; the kernel said no (3);"
        " the look for dead sockets was cut short" in screen
    )


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
    assert "… 38 more applications with less in the whole report" in screen
    assert "… 7 more applications: see each host's report" in screen


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


@pytest.mark.parametrize("path", ["/usr/lib/tuned/throughput/tuned.conf", "/opt/" + "x" * 90 + "/last"])
def test_no_space_gets_into_a_path(path: str) -> None:
    screen = Screen(colour=False, width=50)
    screen.paragraph("tuned sets it", f"({path})", "on 2 hosts", first="  ", rest="      ")
    assert f"({path})" in "".join(line.strip() for line in screen.text().splitlines())
    if len(path) < 40:
        assert f"({path})" in screen.text(), "what fits in a line is not cut"


@given(st.text(max_size=60), st.integers(min_value=1, max_value=30))
def test_cut_text_fits(text: str, width: int) -> None:
    assert display_width(cut(text, width)) <= width


def test_a_table_cuts_its_widest_column_only() -> None:
    screen = Screen(colour=False, width=60)
    screen.table([Column("name", least=10), Column("figure", right=True)], [["x" * 200, "1,234"], ["y", "9"]])
    lines = screen.text().splitlines()
    assert lines[1] == "  " + "x" * 49 + "…" + "   1,234"
    assert lines[2].endswith("      9")
