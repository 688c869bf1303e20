# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drift from a profile of the baseline over the fleet: who is away, by which file, on the screen and in HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.baseline_settings import BaselineError
from ansible_collections.lastack.linux.plugins.plugin_utils.fleet import FleetMerge
from ansible_collections.lastack.linux.plugins.plugin_utils.json_schema import load_schema, schema_problems
from ansible_collections.lastack.linux.plugins.plugin_utils.render.html import render_html
from ansible_collections.lastack.linux.plugins.plugin_utils.render.text import render_fleet, render_run
from sample_reports import HOSTILE, sample

if TYPE_CHECKING:
    from collections.abc import Mapping

RUN = sample("fleet")["run"]
SOMAXCONN, REUSE, TIMESTAMPS = "net.core.somaxconn", "net.ipv4.tcp_tw_reuse", "net.ipv4.tcp_timestamps"
PRESSED = [{"destinations": [{"used_percent": 61.0}]}]


def host(sysctls: Mapping[str, str | None], *, winner: str | None = None, **sections: Any) -> dict[str, Any]:  # noqa: ANN401 - sections of a report
    report = sample("healthy")
    report["sysctls"] = {
        key: {"current": value, "configured": value if winner else None, "winner": winner}
        for key, value in sysctls.items()
    }
    return {**report, **sections}


def merged(profile: str | None, *reports: dict[str, Any]) -> dict[str, Any]:
    merge = FleetMerge(profile=profile)
    for number, report in enumerate(reports):
        merge.add(f"web-{number}", report)
    fleet = merge.result(RUN)
    assert schema_problems(fleet, load_schema("lastack.fleet/1")) == []
    return fleet


def away(fleet: dict[str, Any]) -> dict[str, int]:
    return {entry["key"]: entry["away_hosts"] for entry in fleet["baseline"]["settings"]}


def test_without_a_profile_nothing_is_held_against_one() -> None:
    assert "baseline" not in merged(None, host({SOMAXCONN: "16"}))


def test_a_stronger_value_is_no_drift_and_a_weaker_one_names_its_file() -> None:
    old = "/etc/sysctl.d/10-old.conf:3"
    fleet = merged(
        "server",
        host({SOMAXCONN: "128"}, winner=old),
        host({SOMAXCONN: "128"}, winner=old),
        host({SOMAXCONN: "512"}),
        host({SOMAXCONN: "65535"}),
        host({SOMAXCONN: None}),
        host({}),
    )
    (entry,) = fleet["baseline"]["settings"]
    assert entry == {
        "key": SOMAXCONN,
        "match": "at_least",
        "wanted": "4096",
        "judged_hosts": 4,
        "away_hosts": 3,
        "values": [{"value": "128", "hosts": 2, "winner": old}, {"value": "512", "hosts": 1, "winner": None}],
        "values_truncated": 0,
    }


def test_the_worst_key_comes_first() -> None:
    weak = {SOMAXCONN: "1", "net.ipv4.tcp_syncookies": "0"}
    fleet = merged("server", host(weak), host({"net.ipv4.tcp_syncookies": "0"}))
    assert list(away(fleet)) == ["net.ipv4.tcp_syncookies", SOMAXCONN]


def test_what_only_an_operator_knows_is_no_drift() -> None:
    keepalive = {"net.ipv4.tcp_keepalive_time": "7200"}
    assert away(merged("server", host(keepalive))) == {}
    assert away(merged("client", host(keepalive))) == {"net.ipv4.tcp_keepalive_time": 1}


@pytest.mark.parametrize(
    ("timestamps", "pools", "expected"),
    [
        ("1", PRESSED, {REUSE: 1}),
        ("1", [], {}),
        ("1", [{"destinations": [{"used_percent": None}]}], {}),
        ("x", PRESSED, {}),
    ],
)
def test_a_gated_key_is_judged_where_the_report_shows_the_need(
    timestamps: str, pools: list[dict[str, Any]], expected: dict[str, int]
) -> None:
    report = host({REUSE: "2", TIMESTAMPS: timestamps})
    away_keys = FleetMerge(profile="client")
    away_keys.add("a", {**report, "ephemeral_ports": []})
    merge = FleetMerge(profile="client")
    assert merge._baseline is not None
    merge._baseline.add({**report, "ephemeral_ports": pools})
    found = {entry["key"]: entry["away_hosts"] for entry in merge._baseline.result()["settings"]}
    found.pop(TIMESTAMPS, None)
    assert found == expected


def test_another_word_is_no_profile() -> None:
    with pytest.raises(BaselineError):
        FleetMerge(profile="database")


def test_forged_values_are_bounded() -> None:
    fleet = merged("server", *[host({SOMAXCONN: f"x{number}"}) for number in range(25)])
    (entry,) = fleet["baseline"]["settings"]
    assert (len(entry["values"]), entry["values_truncated"], entry["away_hosts"]) == (20, 5, 25)


def test_the_screen_says_key_value_file_and_what_to_do() -> None:
    fleet = merged("server", host({SOMAXCONN: "128"}, winner="/etc/a.conf:3"), host({SOMAXCONN: "4096"}))
    text = render_fleet(fleet)
    said = " ".join(text.split())
    assert "net.core.somaxconn is not at least 4096 on 1 of 2 hosts: 128 on 1 host (/etc/a.conf:3)" in said
    assert "1 of 2 hosts has the profile server (3 keys are only for hosts behind an idle cutter: not judged)" in said
    assert "ansible-playbook lastack.linux.tcp_rollout -i INVENTORY -e tcp_baseline_profile=server" in said
    # The same key is not told a second time as a difference between hosts.
    assert "differs" not in said
    assert max(len(line) for line in text.splitlines()) <= 100


def test_a_fleet_that_is_as_it_should_be_is_said_to_be() -> None:
    fleet = merged("server", host({SOMAXCONN: "4096"}), host({SOMAXCONN: "4096"}))
    assert fleet["baseline"] == {
        "profile": "server",
        "judged_hosts": 2,
        "met_hosts": 2,
        "not_judged": [f"net.ipv4.tcp_keepalive_{word}" for word in ("time", "intvl", "probes")],
        "settings": [],
    }
    met = "2 of 2 hosts have the profile server (3 keys are only for hosts behind an idle cutter: not judged)"
    text = render_fleet(fleet)
    assert met in " ".join(text.split())
    assert "Nothing needs a decision" in text
    assert "tcp_rollout" not in text
    page = render_html(fleet, [])
    assert met in page
    assert 'id="baseline"' in page
    assert "Kernel settings that differ from the baseline" not in page


@pytest.mark.parametrize(
    ("profile", "report", "words"),
    [
        ("mixed", {SOMAXCONN: "4096"}, "1 of 1 host has the profile mixed\n"),
        ("server", {}, "No host shows the settings by which the profile server is judged\n"),
    ],
)
def test_what_is_said_of_a_profile(profile: str, report: dict[str, str], words: str) -> None:
    assert words in render_fleet(merged(profile, host(report)))


def test_a_record_of_before_says_nothing_of_it() -> None:
    fleet = merged("server", host({SOMAXCONN: "4096"}))
    for name in ("judged_hosts", "met_hosts", "not_judged"):
        del fleet["baseline"][name]
    assert schema_problems(fleet, load_schema("lastack.fleet/1")) == []
    assert "profile" not in render_fleet(fleet)


def test_a_run_of_one_host_says_it_too() -> None:
    report = host({SOMAXCONN: "128"})
    text = render_run(merged("server", report), [report])
    assert "is not at least 4096 on 1 of 1 host" in " ".join(text.split())
    # After what the host's own screen says, under a heading of its own.
    assert "\n\nSettings\n  0 of 1 host have the profile server" in text
    fine = host({SOMAXCONN: "4096"})
    assert "1 of 1 host has the profile server" in render_run(merged("server", fine), [fine])


def test_the_page_holds_a_table_and_no_foreign_markup() -> None:
    fleet = merged("client", host({TIMESTAMPS: f"0 {HOSTILE[:60]}"}, winner="/etc/<b>a.conf:3"))
    page = render_html(fleet, [])
    assert "Settings that differ from the client baseline" in page
    assert "/etc/&lt;b&gt;a.conf:3" in page
    assert "<script>alert" not in page
