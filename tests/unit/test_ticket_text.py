# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a ticket: recorded reports give the recorded tickets, and no host can act in one."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.explain import load_page, page_ids
from ansible_collections.lastack.linux.plugins.plugin_utils.render import ticket_advice, ticket_pages
from ansible_collections.lastack.linux.plugins.plugin_utils.render.ticket import render_ticket
from ansible_collections.lastack.linux.plugins.plugin_utils.render.ticket_checks import waiting_s
from ansible_collections.lastack.linux.plugins.plugin_utils.render.ticket_facts import title_of
from ansible_collections.lastack.linux.plugins.plugin_utils.ticket_evidence import AppEvidence
from ansible_collections.lastack.linux.plugins.plugin_utils.tickets import ticket_id
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_reports import growing_hosts, sample, with_strings
from test_inert_markdown import NASTY
from ticket_samples import evidence_of, fleet_of, hinted, inline, parsed

GOLDEN = Path(__file__).parent / "golden"
CANARY = "zqx"


def ticket(reports: dict[str, dict[str, Any]], app: str, **silent: str) -> str:
    found = {one.app: one for one in evidence_of(reports)}
    return render_ticket(ticket_id(found[app].key), found[app], fleet_of(reports, **silent))


def three_hosts() -> dict[str, dict[str, Any]]:
    first, second, partial, __ = growing_hosts()
    first["close_wait"]["offenders"][0] = hinted()["close_wait"]["offenders"][0] | {
        "trend": first["close_wait"]["offenders"][0]["trend"]
    }
    return {"web-17.example.org": first, "web-3.example.org": second, "web-40.example.org": partial}


@pytest.mark.parametrize("app", ["checkout-api", "ledger-sync.service", "gateway", "billing-worker", "nginx"])
def test_recorded_tickets(app: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The pages have tests of their own; here only their places count.
    monkeypatch.setattr(ticket_advice, "section", lambda page, heading: f"({page}: {heading})")
    monkeypatch.setattr(ticket_advice, "page_or_none", lambda page: load_page("runtime.java") if page else None)
    text = ticket(three_hosts(), app, **{"db-2": "timed out"})
    golden = GOLDEN / f"ticket_{app}.md"
    if os.environ.get("LASTACK_UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8"), "LASTACK_UPDATE_GOLDEN=1 records the new ticket"


def test_a_ticket_brings_the_pages_with_the_process_filled_in() -> None:
    text = ticket({"web-17": hinted()}, "checkout-api")
    for page in ("close_wait.unread_body", "close_wait.leak", "close_wait.inherited"):
        for heading in ticket_pages.MEANING, ticket_pages.USELESS:
            assert ticket_pages.section(page, heading) in text
    assert "\nsystemctl" not in text
    assert "PID" not in text.partition("## What only the process itself can tell")[2].partition("## How to verify")[0]
    assert re.search(r"\b4121\b", text.partition("## What only the process")[2])
    assert "`Apache HttpClient 4 4.5.14` (a jar, 1 host)" in text
    assert "`/opt/checkout/checkout.jar`" in text
    assert "ss -Htnp state close-wait '( dst 10.2.0.9:8443 )'" in text


def test_the_page_of_a_library_that_was_seen_replaces_the_runtime_s(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = sample("sick")
    bare["close_wait"]["offenders"][0] |= {"hints": None, "advice": ["close_wait.unread_body", "runtime.java"]}
    assert "(`runtime.java`)" in ticket({"web-17": bare}, "checkout-api")
    monkeypatch.setattr(ticket_advice, "section", lambda name, heading: f"({name}: {heading})")
    text = ticket({"web-17": hinted()}, "checkout-api")
    assert "(library.apache_httpclient4: How to fix)" in text
    assert "runtime.java" not in text
    # What a server leaks is not mended in a client library that happens to be loaded: the host's advice decides.
    server = hinted()
    server["close_wait"]["offenders"][0]["advice"] = ["close_wait.stuck_accept", "runtime.java"]
    text = ticket({"web-17": server}, "checkout-api")
    assert "`Apache HttpClient 4 4.5.14`" in text
    assert "library.apache_httpclient4" not in text


def test_without_a_hint_the_ticket_brings_the_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    table = "| a client | `lastack explain library.okhttp`, `library.java_net_http` |\n| a server | `library.nginx` |"
    page = load_page("runtime.python")
    monkeypatch.setattr(
        ticket_advice,
        "section",
        lambda name, heading: table
        if (name, heading) == ("runtime.java", "How to confirm")
        else f"({name}: {heading})",
    )
    monkeypatch.setattr(ticket_advice, "page_or_none", lambda __: page)
    report = sample("sick")
    offender = report["close_wait"]["offenders"][0]
    offender |= {"hints": None, "advice": []}
    shown = {}
    for role in ("client", "server", "mixed"):
        offender["role"] = role
        shown[role] = re.findall(
            r"^\(library\.(\w+): How to fix\)$", ticket({"web": report}, "checkout-api"), re.MULTILINE
        )
    assert shown == {
        "client": ["okhttp", "java_net_http"],
        "server": ["nginx"],
        "mixed": ["okhttp", "java_net_http", "nginx"],
    }


def test_every_page_gives_its_sections() -> None:
    for page in page_ids():
        for heading in (ticket_pages.MEANING, ticket_pages.CONFIRM, ticket_pages.FIX, ticket_pages.USELESS):
            text = ticket_pages.section(page, heading)
            assert text, (page, heading)
            assert "<!--" not in text
            assert not re.search(r"^## ", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)


def test_a_missing_page_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ticket_pages.section("library.of_tomorrow", ticket_pages.FIX) == ""
    assert ticket_pages.page_or_none("../../etc/passwd") is None
    monkeypatch.setattr(ticket_advice, "section", lambda *__: "")
    monkeypatch.setattr(ticket_advice, "page_or_none", lambda __: None)
    monkeypatch.setattr(ticket_pages, "page_or_none", lambda __: None)
    report = hinted()
    report["close_wait"]["offenders"][0]["shared_with"] = []
    text = ticket({"web-17": report}, "checkout-api")
    assert "There is no page about this finding." in text
    assert "The runtime of this program is not known" in text


def test_a_mixed_program_has_a_section_for_each_cause_worst_first() -> None:
    headings = re.findall(r"^## (Cause .*)$", ticket({"web-17": hinted()}, "checkout-api"), re.MULTILINE)
    assert headings == [
        "Cause 1 of 3: 2,204 closed connections also held by another program",
        "Cause 2 of 3: 2,198 sockets in CLOSE_WAIT, body neither read nor closed",
        "Cause 3 of 3: 6 sockets in CLOSE_WAIT, never closed",
    ]


def alone(report: dict[str, Any]) -> dict[str, Any]:
    """The first offender of a report, watched by nobody, with no hint and no other holder."""
    offender: dict[str, Any] = report["close_wait"]["offenders"][0]
    offender |= {"hints": None, "advice": [], "shared_with": [], "trend": None}
    report["close_wait"]["offenders"] = [offender]
    report["dead_sockets"]["offenders"] = []
    return offender


def short_of(report: dict[str, Any]) -> str:
    text = ticket({"web-17": report}, "checkout-api")
    return text.partition("## In short\n\n")[2].partition("\n\n## ")[0]


def test_sockets_that_another_program_holds_too_are_the_first_cause_and_the_title() -> None:
    report = sample("sick")
    offender = alone(report) | {"runtime": "python"}
    offender |= {"shared_with": [{"app": "tee", "pid": 25}], "causes": {"eof_unnoticed": 20}, "count": 20}
    offender["flags"]["shared"] = 19
    report["close_wait"]["offenders"] = [offender]
    text = ticket({"web-17": report}, "checkout-api")
    assert text.startswith("# `checkout-api`: 19 closed connections also held by another program, on 1 host\n")
    assert "On `web-17` it is `tee` (pid 25): look for what starts it" in text
    assert "These are the sockets of cause 1." in text.partition("## Cause 2 of 2")[2]
    assert "library." not in text.partition("## The lines to change")[2].partition("\n## ")[0]
    # Neither of the two alone frees anything.
    assert "A restart closes everything" not in text
    assert "restart the program and those that it started on `web-17`" in text
    assert "- **The change**: start `tee` without the descriptors" in short_of(report)
    # Some only: they leak for a reason of their own.
    offender["flags"]["shared"] = 17
    text = ticket({"web-17": report}, "checkout-api")
    assert text.startswith("# `checkout-api`: 20 sockets in CLOSE_WAIT, forgotten in an idle pool, on 1 host\n")
    assert "These are the sockets of cause 1." not in text


@pytest.mark.parametrize(
    ("percent", "trend", "urgent", "tonight"),
    [
        (0.4, None, "<1 % of 4,096", "nothing"),
        (0.4, None, "no growth known: it can wait for working hours.", "nothing"),
        (80.0, None, "new connections will fail soon", "restart it. On `web-17` that frees 2,204 descriptors for now."),
        (None, None, "How many of its descriptors are used is not known", "nothing"),
        (10.0, 2_000.0, "descriptors gone in ~33 min on `web-17`: then new connections fail", "restart it."),
        (10.0, 2e6, "it grows 12/min, descriptors gone in ~23 d on `web-17`: mend it in the next days", "nothing"),
    ],
)
def test_the_urgency_stands_first(percent: float | None, trend: float | None, urgent: str, tonight: str) -> None:
    report = growing_hosts()[0] if trend else sample("sick")
    watched = report["close_wait"]["offenders"][0]["trend"] if trend else None
    offender = alone(report)
    offender["descriptors"] |= {"used_percent": percent}
    if watched:
        offender["trend"] = {**watched, "growth_per_min": 12.0, "exhaustion_in_s": trend}
    for finding in report["findings"]:
        finding["severity"] = "warning"
    short = short_of(report)
    assert urgent in short.splitlines()[0]
    assert short.splitlines()[1].startswith(f"- **Tonight**: {tonight}")


def test_sockets_younger_than_a_minute_are_no_verdict() -> None:
    report = sample("sick")
    offender = alone(report)
    for bracket, young in (((1.0, 59.0), True), ((1.0, None), False), ((61.0, 70.0), False)):
        offender["age_s"] = {"at_least": bracket[0], "at_most": bracket[1]}
        assert ("a slow program may still close them: look again" in short_of(report)) == young, bracket
    offender |= {"causes": {"eof_unnoticed": 20}, "age_s": {"at_least": 1.0, "at_most": 3.0}, "role": "client"}
    assert "a healthy pool looks the same so early: look again" in short_of(report)
    offender |= {"causes": {"unaccepted": 20}, "role": "server"}
    assert "look again" not in short_of(report)


def test_a_library_that_was_seen_answers_instead_of_the_general_list() -> None:
    text = ticket({"web-17": hinted()}, "checkout-api")
    assert "What fixes it (`close_wait.unread_body`)" not in text
    assert "What fixes it (`close_wait.inherited`)" in text
    useless = ticket_pages.section("library.apache_httpclient4", ticket_pages.USELESS)
    fix = ticket_pages.section("library.apache_httpclient4", ticket_pages.FIX)
    assert f"{fix}\n\n### Tried, and does not help\n\n{useless}" in text
    assert text.count(useless) == 1
    # Another program holds all of them: the library's lines belong to the second cause.
    assert re.search(r"^- \*\*Then\*\*.*; the lines: `library.apache_httpclient4`, below\.$", text, re.MULTILINE)
    assert text.count("; the lines: ") == 1
    assert "`lastack explain close_wait.unread_body`." in text
    report = sample("sick")
    alone(report)
    assert "What fixes it (`close_wait.unread_body`)" in ticket({"web-17": report}, "checkout-api")


def test_what_a_stuck_server_was_serving_is_no_cause_of_its_own() -> None:
    report = sample("sick")
    alone(report).update(causes={"unaccepted": 20, "eof_unnoticed": 1}, count=21, role="server")
    text = ticket({"web-17": report}, "checkout-api")
    assert "they end with cause 1" in text.partition("## Cause 2 of 2")[2]
    assert "save its stacks" in short_of(report)


def candidates(causes: dict[str, int], port: int | None, role: str) -> list[str]:
    report = sample("sick")
    offender = alone(report)
    offender |= {"runtime": "python", "causes": causes, "role": role, "count": sum(causes.values())}
    offender["peers"] = [{"address": "10.2.0.9", "port": port, "count": 3}]
    part = ticket({"web-17": report}, "checkout-api").partition("## The lines to change")[2].partition("\n## ")[0]
    further = re.findall(r"^Further candidates: (.*)\.$", part, re.MULTILINE)
    return [*re.findall(r"^### .*\(`(?:library\.)?([\w.]+)`\)$", part, re.MULTILINE), *further]


def test_only_candidates_that_fit_are_shown() -> None:
    http = ["runtime.python", "requests", "urllib3", "httpx", "`lastack explain library.aiohttp`"]
    assert candidates({"eof_unnoticed": 20}, 8443, "client") == http
    assert candidates({"eof_unnoticed": 20}, 5432, "client") == ["runtime.python", "psycopg_pool"]
    assert candidates({"eof_unnoticed_farewell": 20}, 6432, "client")[:2] == ["runtime.python", "psycopg_pool"]
    for causes in ({"unaccepted": 20}, {"eof_read": 20}, {"eof_unnoticed": 20}):
        assert candidates(causes, None, "server")[0] == "python_servers"
        assert not {"requests", "urllib3", "httpx", "aiohttp", "psycopg_pool"} & set(candidates(causes, None, "server"))


@pytest.mark.parametrize(
    ("causes", "trigger"),
    [
        ({"eof_unnoticed": 20}, "wait for longer than its idle time-out"),
        ({"eof_unnoticed_farewell": 20}, "restart the database in a test"),
        ({"unread_data": 20}, "those that fail or are given up too"),
    ],
)
def test_the_verification_says_how_to_bring_the_leak_about(causes: dict[str, int], trigger: str) -> None:
    report = sample("sick")
    alone(report).update(causes=causes, count=20, role="client")
    text = ticket({"web-17": report}, "checkout-api").partition("## How to verify")[2]
    assert trigger in text
    assert "If such a port has changed" not in text
    report["close_wait"]["offenders"][0]["peers"][0]["port"] = 36_789
    assert "If such a port has changed" in ticket({"web-17": report}, "checkout-api")


def test_the_ports_of_a_page_s_commands_are_those_of_the_worst_host() -> None:
    row = {"peers": [{"port": None}, {"port": 8443}], "local_ports": []}
    assert ticket_pages.with_ports("dport = :443 sport = :80 :443", row) == "dport = :8443 sport = :80 :443"


def test_leads_to_pages_that_the_ticket_brings_are_left_out() -> None:
    for cause in ("unread_data", "eof_unnoticed"):
        report = sample("sick")
        alone(report).update(causes={cause: 20}, count=20)
        fix = ticket({"web-17": report}, "checkout-api").partition("What fixes it")[2].partition("\n## ")[0]
        assert "per library" not in fix
        assert "The lines to change" not in fix
        assert fix.count("\n- ") + fix.count("\n1. ") >= 1


def stripped() -> dict[str, Any]:
    """A static, stripped program in a container whose executable cannot be read, on a host that says little."""
    report = sample("sick")
    offender = report["close_wait"]["offenders"][0]
    offender |= {
        "app": "mystery",
        "runtime": None,
        "exe": None,
        "unit": None,
        "user": None,
        "container": "0123456789ab",
    }
    offender |= {"age_s": None, "pids": [], "descriptors": None, "advice": [], "hints": None, "peers": []}
    report["close_wait"]["offenders"] = [offender]
    return report


def test_what_is_not_known_of_a_program_is_said() -> None:
    text = ticket({"web-17": stripped()}, "mystery")
    for said in (
        "- For how long is not known.",
        "The runtime of this program is not known, so no code is shown",
        "- The path of the executable is not known",
        "- The runtime is not known",
        "- No library was recognised",
        "No process is known that could be asked",
        "container `0123456789ab`",
        "ss -Htnp state close-wait\n",
    ):
        assert said in text, said
    assert "None" not in text


@pytest.mark.parametrize(("app", "kind"), [("unknown program (uid 33)", "unknown"), ("kernel", "kernel")])
def test_a_holder_that_is_no_program_is_said_to_be_none(app: str, kind: str) -> None:
    report = stripped()
    report["close_wait"]["offenders"][0] |= {"app": app, "kind": kind}
    text = ticket({"web-17": report}, app)
    assert ("could not be named" in text) == (kind == "unknown")
    assert ("the kernel itself holds them" in text) == (kind == "kernel")


@pytest.mark.parametrize(
    ("row", "seconds"),
    [
        ({"sockets": 2204, "age_s": {"at_least": 10800.4}}, 600.0),
        ({"sockets": 20, "age_s": {"at_least": 7200.0}}, 3660.0),
        ({"sockets": 2, "age_s": {"at_least": 1e9}}, 86_400.0),
        ({"sockets": 5, "age_s": None}, 3660.0),
        ({"sockets": 40, "age_s": {"at_least": 60.0}, "growth_per_min": 0.5}, 1260.0),
        ({"dead": 12, "age_s": None}, 3660.0),
    ],
)
def test_how_long_to_watch_follows_the_pace_of_the_leak(row: dict[str, Any], seconds: float) -> None:
    assert waiting_s({"sockets": 0, "dead": 0, "growth_per_min": None, **row}) == pytest.approx(seconds)


def test_what_was_not_seen_is_said() -> None:
    text = ticket(three_hosts(), "checkout-api", **{"db-2": "timed out"}).partition("## What was not seen")[2]
    assert "1 host of 4 could not be looked at: `db-2` (unreachable: `timed out`)." in text
    assert "On 1 host of this ticket the look was not complete" in text
    assert "`web-40.example.org`: `" in text
    whole = ticket({"web-17": sample("sick")}, "checkout-api")
    assert "All answered (1 host), and every look at this program was complete." in whole


attack = st.lists(st.one_of(st.sampled_from(NASTY), st.text(max_size=6)), min_size=1, max_size=5).map(
    lambda pieces: CANARY + CANARY.join(pieces) + CANARY
)


def changed(value: dict[str, Any], text: str) -> dict[str, Any]:
    """A host report with an attack after every text that a host may choose, hints and warnings included."""
    report: dict[str, Any] = with_strings(value, lambda before: before + text)
    report["close_wait"]["offenders"][0]["runtime"] = "java"
    return report


@given(attack)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_host_can_act_in_a_ticket(text: str) -> None:
    value = json.loads(json.dumps({**hinted("partial"), "agent": None}))
    benign = {"web-17": changed(value, "zz")}
    hostile = {f"web-17{text}": changed(value, text)}
    for harmless, found in zip(evidence_of(benign), evidence_of(hostile), strict=True):
        usual = parsed(render_ticket(ticket_id(harmless.key), harmless, fleet_of(benign, db="gone")))
        tokens = parsed(render_ticket(ticket_id(found.key), found, fleet_of(hostile, **{f"db{text}": f"gone {text}"})))
        assert [(token.type, token.tag) for token in tokens] == [(token.type, token.tag) for token in usual]
        links = {token.attrGet("href") for token in inline(usual) if token.type == "link_open"}
        for token in inline(tokens):
            assert token.type not in {"html_inline", "image"}
            assert token.type != "link_open" or token.attrGet("href") in links
            assert token.type == "code_inline" or CANARY not in token.content
        for token in tokens:
            assert token.type != "html_block"
            assert token.type == "inline" or CANARY not in token.content
        title = title_of(found)
        assert title.isprintable()
        assert not {token.type for token in inline(parsed(title))} & {"link_open", "image", "html_inline"}


@given(attack)
@settings(max_examples=20, deadline=None)
def test_no_line_of_a_ticket_is_a_command_to_a_tracker(text: str) -> None:
    """A line that begins with a slash is an order in GitLab; nothing of a host ever begins a line."""
    value = hinted()
    for found in evidence_of({f"web{text}": changed(value, text)}):
        shown = render_ticket(ticket_id(found.key), found, fleet_of({f"web{text}": changed(value, text)}))
        outside = re.sub(r"^```.*?^```$", "", shown, flags=re.DOTALL | re.MULTILINE)
        assert not [line for line in outside.splitlines() if line.lstrip().startswith(("/", CANARY))]
        # Tabs are those of the pages' own code.
        assert all(character.isprintable() or character in "\n\t" for character in shown)


def test_evidence_that_is_not_checked_by_the_schema_does_no_harm() -> None:
    peers: list[object] = [{"address": 5, "port": "x", "count": -1}]
    several: tuple[object, ...] = (None, 7, "x", [], {}, {"peers": peers}, {"age_s": {"at_least": "x"}})
    for junk in several:
        report = sample("sick")
        offender = report["close_wait"]["offenders"][0]
        offender |= {"by_cause": {"unread_data": junk, "eof_read": {"peers": [junk], "age_s": junk}}}
        assert "## Evidence" in ticket({"web-17": report}, "checkout-api")


def test_hints_of_dead_sockets_are_not_checked_by_the_schema_either() -> None:
    libraries: list[object] = [None, {}, {"name": [1]}]
    several: tuple[object, ...] = (
        None,
        7,
        {"libraries": "x", "log_files": 3, "program": {}},
        {"libraries": libraries},
    )
    for junk in several:
        report = sample("sick")
        report["dead_sockets"]["offenders"][0] |= {"hints": junk}
        assert "## Evidence" in ticket({"web-17": report}, "billing-worker")


def test_a_moment_that_is_none_is_not_known() -> None:
    for collected, age in (("never", 5.0), ("2026-11-23T04:30:12Z", 1e17), ("0001-01-01T00:00:00+23:59", 5.0)):
        report = sample("sick")
        report["collected_at"] = collected
        report["close_wait"]["offenders"][0]["age_s"] = {"at_least": age, "at_most": None}
        (found,) = (one for one in evidence_of({"web-17": report}) if one.app == "checkout-api")
        assert isinstance(found, AppEvidence)
        assert found.first_seen is None
