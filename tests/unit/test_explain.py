# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every state, finding, cause, flag, runtime, library and topic has a sound page, and nothing else has one."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.causes import FINDING_OF_CAUSE
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.finding import REMEDIES
from ansible_collections.lastack.linux.plugins.plugin_utils import explain
from ansible_collections.lastack.linux.plugins.plugin_utils.explain import (
    KINDS,
    SECTIONS,
    UnknownPage,
    load_page,
    page_ids,
)
from hypothesis import given
from hypothesis import strategies as st

PLUGIN_UTILS = Path(explain.__file__).parent
SCHEMA = json.loads((PLUGIN_UTILS / "schemas" / "lastack.host-1.json").read_text(encoding="utf-8"))
TOOLS = re.compile(
    r"\b(ss|nstat|lsof|cat|sysctl|jcmd|strace|ls|conntrack|curl|lsns|py-spy|rbspy|gdb|findmnt|lastack probe)\b"
)
#: Libraries of the gallery; one whose page is not written yet is told, not missed.
LIBRARIES = (
    *("aiohttp", "apache_httpclient4", "go_net_http", "haproxy", "httpurlconnection", "httpx", "java_net_http"),
    *("nginx", "node_http_agent", "okhttp", "php_curl", "psycopg_pool", "python_servers", "requests"),
    *("ruby_net_http", "undici", "urllib3"),
)
TOPICS = (
    *("ephemeral_ports", "keep_alive", "killing_processes", "so_reuseaddr", "tcp_fin_timeout", "tcp_keepalive"),
    *("tcp_tw_recycle", "time_wait_cost", "who_closes_first"),
)
#: A source is a place to look at: an RFC's section, a kernel file, a man page, a library's manual, another page.
SOURCE = re.compile(r"RFC \d|\w/\w|\w\(\d\)|, |lastack explain|https://")
#: Settings by name or by the command that writes them.
SETTING = re.compile(r"sysctl -w|net\.(ipv4|core)\.|\btcp_[a-z]+[a-z_0-9]*|somaxconn|keepalive_(time|intvl|probes)\b")


#: Pages that are made of the catalogue (test_setting_pages.py).
PLACEHOLDERS = ("KEY", "snippet", "tcp_tw_recycle", "tcp_tw_reuse")


def sections(page_id: str) -> dict[str, str]:
    parts = re.split(r"^## (.+)$", load_page(page_id).body, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def flat(text: str) -> str:
    return " ".join(text.split())


def close_wait_pages() -> list[str]:
    findings = [name for name in page_ids("finding") if name.startswith("close_wait.")]
    return ["CLOSE_WAIT", *findings, *page_ids("cause"), *page_ids("flag"), "fd.dead_sockets"]


def test_the_files_are_exactly_the_pages() -> None:
    assert sorted(file.name for file in (PLUGIN_UTILS / "pages").iterdir()) == sorted(f"{i}.md" for i in page_ids())
    assert len(set(page_ids())) == len(page_ids())


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_library_has_its_page(name: str) -> None:
    assert load_page(name).id == f"library.{name}"


def test_nothing_but_the_known_libraries_and_topics_has_a_page() -> None:
    assert set(page_ids("library")) == {f"library.{name}" for name in LIBRARIES}
    assert page_ids("topic") == [f"topic.{name}" for name in TOPICS]


def test_states_causes_and_runtimes_are_those_of_the_schema() -> None:
    states = SCHEMA["$defs"]["states"]["required"]
    runtimes = [name for name in SCHEMA["$defs"]["offender"]["properties"]["runtime"]["enum"] if name]
    assert sorted(page_ids("state")) == sorted(states)
    assert len(states) == 12
    assert page_ids("cause") == SCHEMA["$defs"]["cause"]["enum"]
    assert page_ids("runtime") == [f"runtime.{name}" for name in runtimes]
    assert page_ids("flag") == ["shared", "kernel_owned"]


def test_findings_and_their_remedies_are_those_of_diagnose() -> None:
    assert {name: load_page(name).remedy for name in page_ids("finding")} == REMEDIES


def test_a_cause_leads_to_the_page_of_its_finding() -> None:
    for cause, finding in FINDING_OF_CAUSE.items():
        page = load_page(cause)
        assert page.remedy == ("app" if finding else "none")
        if finding and cause != "unknown":
            assert finding in page.body


@pytest.mark.parametrize("page_id", page_ids())
def test_a_page_is_whole(page_id: str) -> None:
    page = load_page(page_id)
    assert page.id == page_id
    assert page_id in page_ids(page.kind)
    assert 10 < len(page.title) <= 75
    assert not page.title.startswith("#")
    assert page.remedy in (None, "app", "kernel", "limits", "none")
    told = sections(page_id)
    assert tuple(told) == SECTIONS
    assert all(len(text.split()) >= 1 for text in told.values())
    assert all(len(line) <= 100 for line in page.body.splitlines())
    assert page.body.count("```") % 2 == 0
    assert "<!--" not in page.body
    assert TOOLS.search(told["How to confirm"])
    assert told["What does not help"].strip().startswith("- ")
    sources = told["Sources"].strip().split("\n- ")
    assert sources[0].startswith("- ")
    assert len(sources) >= 2
    assert all(SOURCE.search(source) for source in sources)


@pytest.mark.parametrize("page_id", page_ids())
def test_references_lead_to_pages(page_id: str) -> None:
    body = load_page(page_id).body
    named = re.findall(r"lastack explain\s+([\w.]*\w)", body)
    bare = re.findall(r"`((?:close_wait|fd|time_wait|ports|runtime|library|topic)\.\w+)`", body)
    for reference in [*named, *bare]:
        if reference in PLACEHOLDERS:
            continue
        assert load_page(reference).id == reference


@pytest.mark.parametrize("page_id", page_ids())
def test_commands_are_sound_shell(page_id: str) -> None:
    for block in re.findall(r"^```sh\n(.*?)^```", load_page(page_id).body, flags=re.MULTILINE | re.DOTALL):
        checked = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, timeout=10, check=False)
        assert checked.stderr == ""


@pytest.mark.parametrize("page_id", close_wait_pages())
def test_no_close_wait_page_recommends_a_setting(page_id: str) -> None:
    told = sections(page_id)
    for section in ("Who must act", "How to confirm", "How to fix"):
        assert not SETTING.search(told[section].replace("lsmod | grep tcp_diag", ""))
    if page_id not in ("half_close", "kernel_owned", "close_wait.stuck_accept"):
        assert re.search(r"sysctl", told["What does not help"], re.IGNORECASE)


@pytest.mark.parametrize("page_id", ["TIME_WAIT", "time_wait.normal", "time_wait.bucket_overflow"])
def test_time_wait_pages_say_that_it_holds_no_descriptor(page_id: str) -> None:
    assert "holds no descriptor" in flat(load_page(page_id).body).replace("*", "")


def test_folk_answers_are_never_a_fix() -> None:
    for page_id in page_ids():
        fix = sections(page_id)["How to fix"]
        assert "tcp_tw_recycle" not in fix
        assert "tcp_max_syn_backlog" not in fix
        assert "limits.conf" not in fix
        assert "ss -K" not in fix
        if page_id != "FIN_WAIT2":
            assert "tcp_fin_timeout" not in fix


@pytest.mark.parametrize(
    ("spelling", "page_id"),
    [
        ("close_wait", "CLOSE_WAIT"),
        ("CLOSE-WAIT", "CLOSE_WAIT"),
        ("close-wait", "CLOSE_WAIT"),
        (" Close Wait ", "CLOSE_WAIT"),
        ("ESTAB", "ESTABLISHED"),
        ("FIN-WAIT-1", "FIN_WAIT1"),
        ("fin_wait_2", "FIN_WAIT2"),
        ("SYN-RECEIVED", "SYN_RECV"),
        ("UNCONN", "CLOSE"),
        ("closed", "CLOSE"),
        ("Time_Wait.Normal", "time_wait.normal"),
        ("java", "runtime.java"),
        ("EOF_READ", "eof_read"),
        ("keep-alive", "topic.keep_alive"),
        ("Topic.Who Closes First", "topic.who_closes_first"),
    ],
)
def test_spellings_of_ss_netstat_and_the_rfc(spelling: str, page_id: str) -> None:
    assert load_page(spelling).id == page_id


@pytest.mark.parametrize(
    ("wrong", "close"),
    [("close_wait.leek", "close_wait.leak"), ("TIMEWAITS", "TIME_WAIT"), ("idle", "close_wait.idle_pool")],
)
def test_an_unknown_id_names_close_ones(wrong: str, close: str) -> None:
    with pytest.raises(UnknownPage, match=re.escape(close)):
        load_page(wrong)


@pytest.mark.parametrize("hostile", ["", ".", "../pages/unknown", "/etc/passwd", "\x1b[31mred", "a\nb", "x" * 10_000])
def test_a_hostile_id_is_told_in_one_clean_line(hostile: str) -> None:
    with pytest.raises(UnknownPage) as caught:
        load_page(hostile)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


@given(st.text(max_size=40))
def test_any_text_is_a_page_or_unknown(text: str) -> None:
    try:
        said = load_page(text).title
    except UnknownPage as error:
        said = str(error)
    assert said.isprintable()


def test_an_unknown_kind_is_an_error() -> None:
    assert [name for kind in KINDS for name in page_ids(kind)] == page_ids()
    with pytest.raises(KeyError):
        page_ids("kind")
