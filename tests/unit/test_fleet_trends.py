# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trends over a fleet: growing leaks first, the sum of their growth, the earliest end, and the silent agents."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

from ansible_collections.lastack.linux.plugins.plugin_utils.fleet import FleetMerge
from ansible_collections.lastack.linux.plugins.plugin_utils.json_schema import load_schema, schema_problems
from sample_reports import growing_hosts, sample


def merged(*reports: dict[str, Any]) -> dict[str, Any]:
    merge = FleetMerge()
    for report in reports:
        merge.add(report["host"]["inventory_name"], report)
    fleet = merge.result(sample("fleet")["run"])
    assert schema_problems(fleet, load_schema("lastack.fleet/1")) == []
    return fleet


def app(fleet: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in fleet["apps"] if one["app"] == name)
    return found


def host(name: str, **trends: dict[str, Any] | None) -> dict[str, Any]:
    """The sick host under a name, with these trends by application."""
    report = sample("growing")
    report["host"]["inventory_name"] = name
    for one in report["close_wait"]["offenders"]:
        key = one["app"].partition(".")[0].replace("-", "_")
        one["trend"] = {**one["trend"], **(trends[key] or {})} if trends.get(key) else None
    return report


def leak(per_min: float, in_s: float | None = None) -> dict[str, Any]:
    return {"verdict": "leak", "growth_per_min": per_min, "exhaustion_in_s": in_s}


def test_the_sample_is_what_the_merge_makes_in_any_order() -> None:
    golden = sample("growing_fleet")
    for seed in range(4):
        reports = growing_hosts()
        random.Random(seed).shuffle(reports)
        fleet = merged(*reports)
        for part in ("apps", "close_wait", "agents", "findings"):
            assert fleet[part] == golden[part]


def test_growing_leaks_come_first_and_of_them_what_ends_first() -> None:
    reports = [
        host("a", gateway=leak(0.1)),
        host("b", ledger_sync=leak(0.2, 90_000.0)),
        host("c", checkout_api={"verdict": "pool"}),
    ]
    assert [one["app"] for one in merged(*reports)["apps"]] == ["ledger-sync.service", "gateway", "checkout-api"]
    assert [one["app"] for one in merged(host("a"))["apps"]] == ["checkout-api", "ledger-sync.service", "gateway"]


def test_growth_is_summed_and_the_earliest_end_named() -> None:
    fleet = merged(
        host("a", checkout_api=leak(2.5, 9_000.0), gateway=leak(1.0)),
        host("b", checkout_api=leak(4.0, 3_600.0)),
        host("c", checkout_api=leak(0.0)),
        host("d", checkout_api={"verdict": "watching"}),
        host("e"),
    )
    assert app(fleet, "checkout-api")["trend"] == {
        "verdicts": {"leak": 3, "watching": 1},
        "growing_hosts": 2,
        "growth_per_min": 6.5,
        "fastest": {"host": "b", "growth_per_min": 4.0},
        "earliest_exhaustion": {"host": "b", "in_s": 3_600.0},
    }
    assert app(fleet, "ledger-sync.service")["trend"] is None
    assert fleet["close_wait"]["growing"] == {
        "apps": 2,
        "hosts": 2,
        "growth_per_min": 7.5,
        "earliest_exhaustion": {"app": "checkout-api", "host": "b", "in_s": 3_600.0},
    }


def test_one_host_with_several_offenders_of_one_application_counts_once() -> None:
    report = host("a", checkout_api=leak(2.0, 900.0))
    second = copy.deepcopy(report["close_wait"]["offenders"][0])
    second["namespace"] = "web"
    second["trend"].update(leak(3.0, 600.0))
    third = copy.deepcopy(second)
    third["trend"].update(verdict="pool")
    report["close_wait"]["offenders"] += [second, third]
    trend = app(merged(report), "checkout-api")["trend"]
    assert trend["verdicts"] == {"leak": 1}
    assert trend["growing_hosts"] == 1
    assert trend["growth_per_min"] == 5.0
    assert trend["earliest_exhaustion"] == {"host": "a", "in_s": 600.0}


def test_silent_agents_are_named_longest_silence_first() -> None:
    reports = growing_hosts()
    for number, age_s in enumerate((60.0, None, 7_200.0)):
        report = sample("healthy")
        report["host"]["inventory_name"] = f"s{number}"
        report["agent"] = {"state": "stale", "reason": f"silent for {age_s}", "age_s": age_s}
        reports.append(report)
    broken, unasked, older = sample("healthy"), sample("healthy"), sample("healthy")
    broken["host"]["inventory_name"], broken["agent"] = "s3", {"state": "unusable", "reason": "is not JSON"}
    unasked["host"]["inventory_name"], unasked["agent"] = "s4", None
    unasked["options"]["agent"] = False
    older["host"]["inventory_name"] = "s5"
    agents = merged(*reports, broken, unasked, older)["agents"]
    assert {state: agents[state] for state in ("fresh", "stale", "unusable", "none")} == {
        "fresh": 2,
        "stale": 4,
        "unusable": 1,
        "none": 1,
    }
    assert [row["host"] for row in agents["silent"]] == ["s1", "s3", "web-40.example.org", "s2", "s0"]


def test_a_forged_growth_stays_a_number() -> None:
    reports = [host(f"h{number}", checkout_api=leak(1.7e308, 1.7e308)) for number in range(3)]
    fleet = merged(*reports)
    assert json.dumps(fleet, allow_nan=False)
    assert app(fleet, "checkout-api")["trend"]["growth_per_min"] == 3e9
