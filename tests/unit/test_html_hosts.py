# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of the page's table of hosts: which, in what order, how few bytes, and that no name leaves its place."""

from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.manifest import Outcome
from ansible_collections.lastack.linux.plugins.plugin_utils.render.html import render_html
from ansible_collections.lastack.linux.plugins.plugin_utils.render.html_data import host_data
from ansible_collections.lastack.linux.plugins.plugin_utils.render.html_hosts import MAX_ROWS, HostRow, HostRows
from ansible_collections.lastack.linux.plugins.plugin_utils.stored_reports import StoredHost
from sample_reports import HOSTILE, hostile, sample

if TYPE_CHECKING:
    import pytest


def _named(kind: str, name: str) -> dict[str, Any]:
    report = sample(kind)
    report["host"]["inventory_name"] = name
    return report


def _decoded(rows: list[HostRow], **anchors: str) -> dict[str, Any]:
    block, listed = host_data(rows, anchors)
    decoded: dict[str, Any] = json.loads(block)
    assert len(decoded["hosts"]) == listed
    return decoded


def test_a_host_is_one_row() -> None:
    rows = HostRows()
    rows.add_report(sample("sick"))
    (row,) = rows.ranked()
    assert row[:10] == ("web-17.example.org", "complete", 2, 4, 2431, 312, 11204, 215641, 97.0, 1024)
    assert row.apps == (("checkout-api", 2204), ("ledger-sync.service", 190), ("gateway", 37))
    assert row.findings[0][0] == "critical"
    assert [finding[0] for finding in row.findings] == sorted(
        (finding[0] for finding in row.findings), key=["critical", "warning", "info"].index
    )


def test_hosts_without_a_report_stand_between_what_asks_and_what_does_not() -> None:
    rows = HostRows()
    rows.add(StoredHost("c", "c", Outcome("ok", None, "hosts/c.json"), _named("healthy", "c")))
    rows.add(StoredHost("b", "b", Outcome("unreachable", None, None), None))
    rows.add(StoredHost("p", "p", Outcome("ok", None, "hosts/p.json"), _named("partial", "p")))
    rows.add(StoredHost("a", "a", Outcome("ok", None, "hosts/a.json"), _named("sick", "a")))
    ranked = rows.ranked()
    assert [row.name for row in ranked[-2:]] == ["b", "c"]
    assert ranked[2].reason == "no reason was given"
    assert ranked[3].view == "complete"
    assert (rows.seen, rows.audited) == (4, 3)


def test_the_worst_are_kept_and_the_others_counted() -> None:
    rows = HostRows(3)
    for number in range(40):
        rows.add_report(_named("sick" if number == 31 else "healthy", f"web-{number:02}"))
    assert [row.name for row in rows.ranked()] == ["web-31", "web-00", "web-01"]
    assert rows.seen == 40


def test_memory_does_not_grow_with_the_hosts() -> None:
    rows, report = HostRows(100), sample("sick")

    def add(first: int, last: int) -> int:
        for number in range(first, last):
            report["host"]["inventory_name"] = f"web-{number:06}"
            rows.add_report(report)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        # Python itself keeps some thousand small tuples for later.
        before = add(0, 2500)
        assert add(2500, 5000) - before < 50_000
    finally:
        tracemalloc.stop()


def test_what_applications_forge_is_not_remembered_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.lastack.linux.plugins.plugin_utils.render.html_hosts._TRACKED", 10)
    rows = HostRows(2)
    for number in range(50):
        report = _named("sick", f"web-{number}")
        for offender in report["close_wait"]["offenders"]:
            offender["app"] += str(number)
        rows.add_report(report)
    assert rows.lead("checkout-api0", "web-0").startswith("pid ")
    assert rows.lead("checkout-api49", "web-49") == ""
    assert [app for row in rows.ranked() for app, __ in row.apps][:1] == ["checkout-api0"]


def test_where_to_look_is_known_of_a_host_that_has_no_details() -> None:
    rows = HostRows()
    for number in range(3):
        report = _named("sick", f"web-{number}")
        report["close_wait"]["offenders"][0]["count"] += number % 2
        report["close_wait"]["offenders"][0]["pids"] = [4000 + number]
        rows.add_report(report)
    assert rows.lead("checkout-api", "web-1") == "pid 4001, to 10.2.0.9:8443"
    assert rows.lead("ledger-sync.service", "web-0").startswith("pid 901")
    assert rows.lead("checkout-api", "web-0") == ""


def test_a_row_is_a_short_list_into_tables() -> None:
    rows = HostRows()
    rows.add_report(_named("sick", "a"))
    rows.add_report(_named("sick", "b"))
    rows.add_report(_named("healthy", "c"))
    rows.add_not_audited("d", "unreachable", "timed out")
    decoded = _decoded(rows.ranked(), a="host-1")
    texts = decoded["texts"]
    first, second, third, fourth = decoded["hosts"]
    assert first[:10] == ["a", texts.index("complete"), 2, 4, 2431, 312, 11204, 215641, 97.0, 1024]
    assert first[10] == [
        texts.index("checkout-api"),
        2204,
        texts.index("ledger-sync.service"),
        190,
        texts.index("gateway"),
        37,
    ]
    assert [decoded["findings"][number][0] for number in first[11]][:2] == ["critical", "critical"]
    assert first[12:] == [0, 0, "host-1"]
    assert second == ["b", *first[1:12]]
    assert third == ["d", texts.index("unreachable"), 0, 0, 0, 0, 0, 0, 0, 0, [], [], 0, texts.index("timed out")]
    assert fourth[0] == "c"
    assert len(fourth) <= 12


def test_unknown_is_never_zero() -> None:
    report = _named("healthy", "a")
    report["options"]["gather"] = ["sysctls"]
    report["states"]["TIME_WAIT"] = None
    rows = HostRows()
    rows.add_report(report)
    assert _decoded(rows.ranked())["hosts"][0][4:7] == [-1, -1, -1]


def test_rows_that_do_not_fit_are_left_out_and_said() -> None:
    rows = HostRows()
    for number in range(100):
        rows.add_report(_named("sick", f"web-{number:02}"))
    block, listed = host_data(rows.ranked(), {}, most=4000)
    assert 10 < listed < 100
    assert len(block.encode()) < 4100
    assert [line[0] for line in json.loads(block)["hosts"]] == [f"web-{number:02}" for number in range(listed)]


def test_no_name_ends_the_block() -> None:
    rows = HostRows()
    for kind in ("sick", "healthy", "partial"):
        rows.add_report(hostile(kind))
    rows.add_not_audited("</script><!--<script>\u2028" + HOSTILE, "failed", "</ScRiPt>" + HOSTILE)
    block, __ = host_data(rows.ranked(), {})
    assert {"<", ">", "&", "\u2028", "\u2029"}.isdisjoint(block)
    names = [line[0] for line in json.loads(block)["hosts"]]
    assert any(name.startswith("</script><!--<script>\\u2028\\x1b[31m") for name in names)
    assert all(name.isprintable() for name in names)


def test_the_least_that_fits_is_an_empty_table() -> None:
    assert json.loads(host_data([], {})[0]) == {"texts": [], "findings": [], "hosts": []}


def test_of_more_hosts_than_the_page_lists_the_worst_are_said() -> None:
    rows = HostRows(2)
    for number in range(5):
        rows.add_report(_named("sick", f"web-{number}"))
    fleet = sample("fleet")
    fleet["hosts"] |= {"meant": 5, "audited": 5}
    page = render_html(fleet, [], rows)
    assert "The worst 2 of 5 hosts; the reports of the others are in the run folder." in page
    assert MAX_ROWS == 10_000


def test_the_page_of_ten_thousand_sick_hosts_stays_below_five_megabytes() -> None:
    rows, report = HostRows(), sample("sick")
    for number in range(MAX_ROWS + 5):
        report["host"]["inventory_name"] = f"web-{number:06}.a-rather-long-domain.example.org"
        for offender in report["close_wait"]["offenders"]:
            offender["app"] = f"application-{number * 7 % 500}"
        rows.add_report(report)
    fleet = sample("fleet")
    fleet["hosts"] |= {"meant": rows.seen, "audited": rows.seen}
    page = render_html(fleet, [_named("sick", f"web-{number:06}") for number in range(50)], rows)
    assert len(page.encode()) < 5_000_000
    assert "The worst 10,000 of 10,005 hosts" in page
