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
        for heading in ticket_pages.MEANING, ticket_pages.FIX, ticket_pages.USELESS:
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
    # Any page serves for the test: the library's is found by the hint alone.
    page = load_page("runtime.python")
    monkeypatch.setattr(
        ticket_advice, "page_or_none", lambda name: page if name == "library.apache_httpclient4" else None
    )
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
    text = ticket({"web-17": hinted()}, "checkout-api")
    assert "There is no page about this finding." in text
    assert "The runtime of this program is not known" in text


def test_a_mixed_program_has_a_section_for_each_cause_worst_first() -> None:
    headings = re.findall(r"^## (Cause .*)$", ticket({"web-17": hinted()}, "checkout-api"), re.MULTILINE)
    assert headings == [
        "Cause 1 of 3: 2,198 sockets in CLOSE_WAIT, body neither read nor closed",
        "Cause 2 of 3: 6 sockets in CLOSE_WAIT, never closed",
        "Cause 3 of 3: 2,204 closed connections also held by another program",
    ]


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
