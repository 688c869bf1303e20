# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The merge: golden sample, grouping, percentiles, drift, worst first, and hostile numbers of names."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

from ansible_collections.lastack.linux.plugins.plugin_utils.fleet import FleetMerge
from ansible_collections.lastack.linux.plugins.plugin_utils.json_schema import load_schema, schema_problems
from ansible_collections.lastack.linux.plugins.plugin_utils.render.markdown_fleet import render_markdown
from ansible_collections.lastack.linux.plugins.plugin_utils.render.text import render_fleet
from ansible_collections.lastack.linux.plugins.plugin_utils.worst import Worst
from hypothesis import given
from hypothesis import strategies as st

REPORTS = Path(__file__).parent.parent / "fixtures" / "reports"
RUN = {
    "id": "20261123T043000Z",
    "made_by": "tcp_audit",
    "version": "0.1.0",
    "started_at": "2026-11-23T04:30:00Z",
    "finished_at": "2026-11-23T04:30:41Z",
}
SOMAXCONN = {"current": "128", "configured": "128", "winner": "/etc/sysctl.d/10-old.conf:3"}


def sample(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((REPORTS / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def merged(*hosts: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    merge = FleetMerge()
    for name, report in hosts:
        merge.add(name, report)
    fleet = merge.result(RUN)
    assert schema_problems(fleet, load_schema("lastack.fleet/1")) == []
    return fleet


def test_the_sample_is_what_the_merge_makes_in_any_order() -> None:
    reports = [sample("sick"), sample("healthy"), sample("partial"), sample("healthy")]
    reports[3]["host"].update(name="web-19", inventory_name="web-19.example.org")
    reports[3]["sysctls"] = {"net.core.somaxconn": SOMAXCONN}
    golden = sample("fleet")
    for seed in range(5):
        merge = FleetMerge()
        shuffled = random.Random(seed).sample(reports, len(reports))
        for report in shuffled:
            merge.add(report["host"]["inventory_name"], report)
        for entry in golden["hosts"]["not_audited"]:
            merge.add_not_audited(entry["host"], entry["outcome"], entry["reason"])
        assert merge.result(RUN) == golden


def test_what_hosts_were_told_to_leave_out_is_counted() -> None:
    narrow = sample("healthy")
    narrow["options"] |= {"gather": ["close_wait", "time_wait"], "namespaces": "host"}
    left_out = merged(("a", narrow), ("b", sample("healthy")))["hosts"]["left_out"]
    assert (left_out["sysctls"], left_out["other namespaces"]) == (1, 1)
    assert "close_wait" not in left_out


def test_an_empty_fleet_is_a_fleet() -> None:
    fleet = merged()
    assert fleet["hosts"]["meant"] == 0
    assert fleet["states"]["LISTEN"] == {
        "sum": None,
        "p50": None,
        "p90": None,
        "p99": None,
        "max": None,
        "worst_host": None,
    }
    assert fleet["time_wait"]["worst"] is None


@given(st.lists(st.integers(0, 2**63), min_size=1, max_size=200))
def test_percentiles_are_nearest_rank(counts: list[int]) -> None:
    merge = FleetMerge()
    report = sample("healthy")
    for number, count in enumerate(counts):
        report["states"]["ESTABLISHED"] = count
        merge.add(f"h{number:03}", report)
    state = merge.result(RUN)["states"]["ESTABLISHED"]
    assert (state["sum"], state["max"]) == (sum(counts), max(counts))
    for percent in (50, 90, 99):
        value = state[f"p{percent}"]
        at_most = sum(1 for count in counts if count <= value)
        below = sum(1 for count in counts if count < value)
        # The smallest value that so many per cent of the hosts do not exceed.
        assert at_most * 100 >= percent * len(counts) > below * 100


def test_hosts_that_cannot_see_a_state_do_not_lower_it() -> None:
    blind = sample("healthy")
    blind["states"]["CLOSE_WAIT"] = None
    state = merged(("a", sample("sick")), ("b", blind))["states"]["CLOSE_WAIT"]
    assert (state["sum"], state["p50"], state["worst_host"]) == (2441, 2441, "a")


def test_applications_are_one_over_all_hosts() -> None:
    other = sample("sick")
    other["close_wait"]["offenders"] = other["close_wait"]["offenders"][:1]
    offender = other["close_wait"]["offenders"][0]
    offender.update(count=10, causes={"eof_read": 10}, age_s={"at_least": 20000.0, "at_most": 20001.0})
    offender["descriptors"]["used_percent"] = 99.0
    fleet = merged(("a", sample("sick")), ("b", other))
    app = fleet["apps"][0]
    assert (app["app"], app["hosts"], app["sockets"]) == ("checkout-api", 2, 2214)
    assert app["causes"] == {"unread_data": 2198, "eof_read": 16}
    assert app["finding"] == "close_wait.unread_body"
    # One of the two has no upper bound, so the oldest has none.
    assert app["oldest_s"] == {"at_least": 20000.0, "at_most": None}
    assert app["worst_host"] == {"host": "a", "sockets": 2204}
    assert app["worst_descriptors"]["host"] == "b"
    assert fleet["close_wait"]["leaked"] == 2204 + 190 + 37 + 10


def test_offenders_that_were_cut_on_the_host_still_count() -> None:
    report = sample("sick")
    report["close_wait"]["truncated"] = 2
    report["close_wait"]["offenders"] = report["close_wait"]["offenders"][:1]
    assert merged(("a", report))["close_wait"]["leaked"] == 2441 - 7 - 3


def test_pressure_only_from_its_threshold_on() -> None:
    healthy = merged(("a", sample("healthy")))["pressure"]
    assert all(not value for value in healthy.values())
    report = sample("healthy")
    report["descriptors"]["processes"][0]["used_percent"] = 69.9
    report["memory"].update(orphans=20, max_orphans=100, pages=79, pressure_pages=100)
    pressure = merged(("a", report))["pressure"]
    assert pressure["descriptors"] == pressure["memory"] == []
    assert pressure["orphans"] == [{"host": "a", "orphans": 20, "max_orphans": 100, "used_percent": 20.0}]


def test_findings_are_grouped_and_the_worst_host_speaks() -> None:
    mild = sample("sick")
    finding = next(item for item in mild["findings"] if item["id"] == "close_wait.unread_body")
    finding.update(severity="warning", summary="mild", evidence={"count": 9999})
    fleet = merged(("b", mild), ("a", sample("sick")))
    group = next(item for item in fleet["findings"] if item["id"] == "close_wait.unread_body")
    assert (group["hosts"], group["severity"], group["worst_host"]) == (2, "critical", "a")
    severities = [item["severity"] for item in fleet["findings"]]
    assert severities == sorted(severities, key=["critical", "warning", "info"].index)


def test_drift_needs_two_values() -> None:
    def with_value(value: str | None, winner: str | None = None) -> dict[str, Any]:
        report = sample("healthy")
        report["sysctls"] = {"net.core.somaxconn": {"current": value, "configured": value, "winner": winner}}
        return report

    assert merged(("a", with_value("1")), ("b", with_value(None)))["drift"] == []
    drift = merged(
        ("a", with_value("1", "/x:1")),
        ("b", with_value("1", "/y:2")),
        ("c", with_value("1", "/y:2")),
        ("d", with_value("2")),
    )["drift"]
    assert [entry["key"] for entry in drift] == ["net.core.somaxconn"]
    assert [(entry["value"], entry["hosts"], entry["winner"]) for entry in drift[0]["values"]] == [
        ("1", 3, "/y:2"),
        ("2", 1, None),
    ]


def test_lists_are_cut_and_the_cut_is_counted() -> None:
    merge = FleetMerge()
    for number in range(60):
        report = sample("sick")
        for offender in report["close_wait"]["offenders"]:
            offender["app"] = f"{offender['app']}-{number}"
        merge.add(f"host-{number:02}", report)
        merge.add_not_audited(f"gone-{number:02}", "unreachable", None)
    fleet = merge.result(RUN)
    assert schema_problems(fleet, load_schema("lastack.fleet/1")) == []
    assert (len(fleet["apps"]), fleet["apps_truncated"]) == (50, 130)
    assert (len(fleet["hosts"]["not_audited"]), fleet["hosts"]["not_audited_truncated"]) == (20, 40)
    assert fleet["hosts"]["not_audited"][0]["host"] == "gone-00"
    why = {"outcome": "unreachable", "reason": "no reason was given"}
    assert fleet["hosts"]["not_audited_reasons"] == [{**why, "hosts": 60}]
    assert len(merge.worst_reports()) == 50


def test_every_host_that_was_not_seen_is_counted_with_its_reason() -> None:
    merge = FleetMerge()
    merge.add("web", sample("healthy"))
    for number in range(60):
        merge.add_not_audited(f"gone-{number:02}", "unreachable", "no route" if number % 3 else "timed out")
    for number in range(5_000):
        merge.add_not_audited(f"odd-{number:04}", "missing", f"reason of {number}")
    fleet = merge.result(RUN)
    assert schema_problems(fleet, load_schema("lastack.fleet/1")) == []
    assert [row["hosts"] for row in fleet["hosts"]["not_audited_reasons"][:3]] == [40, 20, 1]
    assert len(fleet["hosts"]["not_audited_reasons"]) == 20
    screen = " ".join(render_fleet(fleet).split())
    assert "gone-01, gone-02, gone-04, gone-05, gone-07 and 35 more unreachable (no route)" in screen
    assert "and 15 more unreachable (timed out)" in screen
    assert "… 5,000 more hosts in the whole report" in screen
    page = render_markdown(fleet)
    assert "and 15 more: unreachable, `timed out`" in page
    assert "… 5,000 more hosts in the whole report" in page


def test_reports_without_optional_parts_merge() -> None:
    report = {key: sample("healthy")[key] for key in load_schema("lastack.host/1")["required"]}
    assert merged(("a", report))["hosts"]["audited"] == 1


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("abc")), max_size=30), st.integers(1, 5))
def test_worst_keeps_what_a_full_sort_would(entries: list[tuple[int, str]], limit: int) -> None:
    worst = Worst(limit)
    for score, tie in entries:
        worst.add((score,), tie, (score, tie))
    assert worst.ranked() == sorted(copy.copy(entries), key=lambda entry: (-entry[0], entry[1]))[:limit]
    assert worst.truncated == max(0, len(entries) - limit)
