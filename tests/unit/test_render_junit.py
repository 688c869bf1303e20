# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JUnit XML: what Jenkins' schema asks for, the right ending of each case, and no host that can break the document."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.render.junit import JUnitSink
from hypothesis import given
from hypothesis import strategies as st
from sample_reports import HOSTILE, hostile, sample
from stored_samples import hand_to, not_audited, stored, varied

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.plugins.plugin_utils.stored_reports import StoredHost

# The rules of junit-10.xsd of Jenkins' xunit plugin: needed and allowed attributes, and allowed children.
TOLD = (set[str](), {"type", "message"}, set[str]())
SCHEMA = {
    "testsuites": (set[str](), {"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url"},
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
    ),
    "testcase": ({"name"}, {"time", "classname", "group"}, {"skipped", "error", "failure", "system-out", "system-err"}),
    "failure": TOLD,
    "error": TOLD,
    "skipped": TOLD,
    "system-out": (set[str](), set[str](), set[str]()),
}
SUREFIRE_TIME = re.compile(r"(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]*)?")


def _check(element: ET.Element) -> None:
    needed, allowed, children = SCHEMA[element.tag]
    assert needed <= set(element.attrib) <= needed | allowed
    assert {child.tag for child in element} <= children
    if "time" in element.attrib:
        assert SUREFIRE_TIME.fullmatch(element.attrib["time"])
    for child in element:
        _check(child)


def _document(hosts: list[StoredHost]) -> ET.Element:
    file = io.BytesIO()
    hand_to(JUnitSink(file), hosts)
    root = ET.fromstring(file.getvalue())
    _check(root)
    return root


def _endings(suite: ET.Element) -> dict[str, str]:
    return {case.attrib["name"]: case[0].tag if len(case) else "" for case in suite}


def test_the_file_is_what_the_schema_asks_for_and_its_sums_are_right() -> None:
    root = _document(varied())
    assert [suite.attrib["name"] for suite in root] == [host.name for host in varied()]
    for counted in (root, *root):
        inside = list(counted.iter("testcase"))
        assert int(counted.attrib["tests"]) == len(inside) > 0
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            if counted is not root or attribute != "skipped":
                assert int(counted.attrib[attribute]) == len(list(counted.iter(tag)))
        seconds = sum(float(case.attrib["time"]) for case in inside)
        assert float(counted.attrib["time"]) == pytest.approx(seconds)


def test_how_each_case_ends() -> None:
    sick, healthy, partial, __, unreachable, invalid, missing = _document(varied())
    assert _endings(sick) == {
        "close_wait.stuck_accept gateway": "failure",
        "close_wait.unread_body checkout-api": "failure",
        "close_wait.idle_pool ledger-sync.service": "failure",
        "fd.dead_sockets billing-worker": "failure",
        "ports.near_exhaustion 10.2.0.4 to 10.2.0.7:5432": "failure",
        "sysctl.harmful net.ipv4.tcp_tw_recycle": "failure",
        "time_wait.closed_here :8080": "system-out",
    }
    assert _endings(healthy) == {"nothing needs a decision": ""}
    assert _endings(partial) == {**_endings(sick), "view.incomplete": "skipped"}
    assert "not root" in partial.findall(".//skipped")[0].attrib["message"]
    assert {case.attrib["classname"] for case in sick} == {"web-17"}
    assert sick[0][0].attrib["type"] == "critical"
    assert sick[2][0].attrib["type"] == "warning"
    first = sample("sick")["findings"][0]
    assert sick[0][0].attrib["message"] == first["summary"]
    assert sick[0][0].text == f"{first['summary']}\n→ {first['next_step']}"
    assert [suite[0][0].attrib["message"] for suite in (unreachable, invalid, missing)] == [
        "unreachable: timed out",
        "invalid: hosts/db-3.json is not JSON",
        "missing: no reason was given",
    ]
    assert {suite[0][0].tag for suite in (unreachable, invalid, missing)} == {"error"}


def test_a_view_that_is_a_finding_already_is_told_once() -> None:
    report = sample("partial")
    view = {**report["findings"][0], "id": "view.incomplete", "severity": "warning", "subject": "this view"}
    report["findings"].append({**view, "summary": "Not everything was seen."})
    suite = _document([stored("web-40", report)])[0]
    assert _endings(suite)["view.incomplete"] == "skipped"
    assert len(suite.findall(".//skipped")) == 1
    assert suite.findall(".//skipped")[0].attrib["message"] == "Not everything was seen."


def test_findings_that_were_cut_are_no_success() -> None:
    report = {**sample("healthy"), "findings_truncated": 12}
    suite = _document([stored("web", report)])[0]
    assert "12 findings did not fit" in suite.findall(".//skipped")[0].attrib["message"]


def test_two_findings_of_one_name_are_two_cases() -> None:
    report = sample("sick")
    report["findings"] = [report["findings"][0]] * 3
    assert list(_endings(_document([stored("web", report)])[0])) == [
        "close_wait.stuck_accept gateway",
        "close_wait.stuck_accept gateway (2)",
        "close_wait.stuck_accept gateway (3)",
    ]


def test_a_run_of_no_host_is_a_document() -> None:
    assert _document([]).attrib == {"name": "lastack", "tests": "0", "failures": "0", "errors": "0", "time": "0.000"}


@pytest.mark.parametrize("collected_at", ["T:::Z", "2026-11-23T04Z"])
def test_a_forged_time_is_left_out(collected_at: str) -> None:
    report: dict[str, Any] = {**sample("healthy"), "collected_at": collected_at, "duration_s": 1e300}
    suite = _document([stored("web", report)])[0]
    assert "timestamp" not in suite.attrib
    assert len(suite.attrib["time"]) < 16


def test_totals_of_the_largest_run_fit() -> None:
    file = io.BytesIO()
    sink = JUnitSink(file)
    sink.add(stored("web"))
    sink._counts = dict.fromkeys(sink._counts, 10**8)
    sink._duration_s = 999_999.0 * 10**6
    sink.finish({})
    assert ET.fromstring(file.getvalue()).attrib["tests"] == "100000000"


@pytest.mark.parametrize("name", ["sick", "partial", "growing"])
def test_a_hostile_host_stays_in_its_texts(name: str) -> None:
    plain = _document([stored("web", name)])
    nasty = _document([stored("web" + HOSTILE, hostile(name)), not_audited(HOSTILE, reason=HOSTILE)])
    assert [case.tag for case in nasty[0].iter()] == [case.tag for case in plain[0].iter()]
    told = "".join(nasty.itertext()) + "".join(value for each in nasty.iter() for value in each.attrib.values())
    assert "<script>" in told
    assert "\u202e" not in told


@given(st.text())
def test_any_text_is_allowed(text: str) -> None:
    report = sample("sick")
    report["findings"] = [{**report["findings"][0], "subject": text, "summary": text, "next_step": text}]
    suite, error = _document([stored(text, report), not_audited(text, reason=text)])
    assert len(suite) == len(error) == 1
