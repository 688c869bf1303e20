# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drift: which values, on how many hosts, which file wins, who owns it; in the report, the merge and the command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.limits import limits_section, units_of
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.sysctl_drift import sysctl_section
from ansible_collections.lastack.linux.plugins.module_utils.observe.login_limits import LimitLine
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import DescriptorUse, SysctlState
from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_managers import Manager, Override
from ansible_collections.lastack.linux.plugins.module_utils.observe.unit_limits import FileLimit
from ansible_collections.lastack.linux.plugins.plugin_utils import fleet_drift
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.main import main
from ansible_collections.lastack.linux.plugins.plugin_utils.drift_run import drift_of_run
from ansible_collections.lastack.linux.plugins.plugin_utils.fleet import FleetMerge
from ansible_collections.lastack.linux.plugins.plugin_utils.fleet_drift import DriftMerge
from ansible_collections.lastack.linux.plugins.plugin_utils.json_schema import load_schema, schema_problems
from ansible_collections.lastack.linux.plugins.plugin_utils.render.table import display_width
from ansible_collections.lastack.linux.plugins.plugin_utils.render.text_drift import render_drift
from diagnose_samples import check_section, process
from diff_samples import host_report, run_folder
from sample_reports import HOSTILE, with_strings

if TYPE_CHECKING:
    from pathlib import Path

KEY = "net.core.somaxconn"
FILE = "/etc/sysctl.d/10-old.conf:3"
RUN = {
    "id": "x",
    "made_by": "test",
    "version": "1",
    "started_at": "2026-11-23T04:30:00Z",
    "finished_at": "2026-11-23T04:31:00Z",
}


def state(winner: str | None = None) -> SysctlState:
    return SysctlState(KEY, "128", True, "128" if winner else None, winner, None, None, (), (), True)  # noqa: FBT003 - the record


def manager(name: str, value: str = "1024", *, yields: bool = False) -> Manager:
    return Manager(name, "/x", {KEY: Override(value, f"/{name}:7")}, "later", yields)


@pytest.mark.parametrize(
    ("winner", "managers", "expected"),
    [
        (None, [], None),
        (FILE, [Manager("unknown", "/x", None, "later")], None),
        (FILE, [manager("ufw")], {"name": "ufw", "value": "1024", "place": "/ufw:7"}),
        (FILE, [manager("kube-proxy", "")], {"name": "kube-proxy", "value": None, "place": "/kube-proxy:7"}),
        (FILE, [manager("ufw"), manager("a.service")], {"name": "a.service", "value": "1024", "place": "/a.service:7"}),
        # What tuned applies again is what stands in /etc.
        (FILE, [manager("tuned", yields=True)], None),
        ("/usr/lib/x.conf:1", [manager("tuned", yields=True)], {"name": "tuned", "value": "1024", "place": "/tuned:7"}),
    ],
)
def test_who_sets_a_key_after_the_files(
    winner: str | None, managers: list[Manager], expected: dict[str, Any] | None
) -> None:
    section = sysctl_section([state(winner)], managers, lambda place: "ansible" if place == FILE else None)
    check_section("sysctls", section)
    assert section[KEY].get("manager") == expected
    assert section[KEY].get("owner") == ("ansible" if winner == FILE else None)


def test_limits_of_a_host() -> None:
    api = process(1, cgroup="/system.slice/api.service", executable="/usr/bin/api")
    twin = process(2, cgroup="/system.slice/api.service", executable="/usr/bin/api")
    shell = process(3, cgroup="/user.slice/user-0.slice/session-1.scope", executable="/usr/bin/tool")
    processes = {one.pid: one for one in (api, twin, shell)}
    assert units_of(processes.values()) == ["api.service"]
    uses = [DescriptorUse(pid, "x", 5, 1024, 524_288) for pid in (2, 1, 3, 99)]
    section = limits_section(
        uses,
        processes,
        {"api.service": FileLimit(4096, 8192, "/etc/api.conf", 2)},
        FileLimit(1024, 524_288, "/etc/system.conf", 9),
        [LimitLine("/etc/security/limits.conf", 5, f"user{n}", None, -1) for n in range(25)],
        lambda place: "puppet" if place == "/etc/api.conf:2" else None,
    )
    check_section("limits", section)
    default = {"soft": 1024, "hard": 524_288, "place": "/etc/system.conf:9", "owner": None}
    configured = {"soft": 4096, "hard": 8192, "place": "/etc/api.conf:2", "owner": "puppet"}
    assert section["default"] == default
    assert [(one["app"], one["processes"], one["configured"]) for one in section["applications"]] == [
        ("api.service", 2, configured),
        ("tool", 1, None),
    ]
    assert (len(section["logins"]), section["logins_truncated"]) == (20, 5)
    assert section["logins"][0] == {
        "domain": "user0",
        "soft": None,
        "hard": -1,
        "place": "/etc/security/limits.conf:5",
        "owner": None,
    }


def host(  # noqa: PLR0913 - what a host may say
    value: str | None,
    *,
    winner: str | None = None,
    owner: str | None = None,
    manages: str | None = None,
    soft: int | None = None,
    configured: int | None = None,
    login: int | None = None,
) -> dict[str, Any]:
    """A host with one sysctl; with ``soft`` also with the limits of one application and perhaps of a login."""
    report = host_report()
    entry: dict[str, Any] = {"current": value, "configured": value, "winner": winner}
    if owner:
        entry["owner"] = owner
    if manages:
        entry["manager"] = {"name": manages, "value": "1", "place": f"/{manages}:1"}
    report["sysctls"] = {KEY: entry, "fs.nr_open": {"current": "1048576", "configured": None, "winner": None}}
    report["descriptors"]["processes"] = []
    if soft is not None:
        line = {"soft": configured, "hard": configured, "place": "/etc/api.conf:2", "owner": "ansible"}
        report["limits"] = {
            "default": None,
            "applications": [
                {
                    "app": "api",
                    "unit": "api.service",
                    "processes": 1,
                    "soft": soft,
                    "hard": soft,
                    "configured": line if configured else None,
                }
            ],
            "logins": [{"domain": "*", "soft": login, "hard": None, "place": "/l:1", "owner": None}] if login else [],
        }
    return report


def fleet(*reports: dict[str, Any]) -> dict[str, Any]:
    merge = FleetMerge()
    for number, report in enumerate(reports):
        merge.add(f"host-{number}", report)
    found = merge.result(RUN)
    assert schema_problems(json.loads(json.dumps(found)), load_schema("lastack.fleet/1")) == []
    return found


def test_the_fleet_names_file_owner_and_manager_of_each_value() -> None:
    found = fleet(
        host("128", winner=FILE, owner="puppet"),
        host("128", winner=FILE, owner="puppet"),
        host("128", winner="/b:1", manages="tuned"),
        host("4096"),
        host(None),
    )
    (entry,) = found["drift"]
    assert (entry["key"], entry["away_hosts"]) == (KEY, 1)
    first, second, third = sorted(entry["values"], key=lambda value: -value["hosts"])
    assert (first["value"], first["hosts"]) == ("128", 3)
    assert (first["winner"], first["owner"], first["manager"]) == (FILE, "puppet", None)
    assert first["sources"] == [
        {"winner": FILE, "owner": "puppet", "manager": None, "place": None, "hosts": 2},
        {"winner": "/b:1", "owner": None, "manager": "tuned", "place": "/tuned:1", "hosts": 1},
    ]
    assert {second["value"], third["value"]} == {"4096", None}


def test_limits_that_differ() -> None:
    found = fleet(
        host("1", soft=1024),
        host("1", soft=1024, configured=65_536),
        host("1", soft=65_536, configured=65_536, login=4096),
    )
    by_name = {(entry["what"], entry["name"]): entry for entry in found["limits"]}
    assert set(by_name) == {("application", "api"), ("login", "*")}
    small, large = by_name["application", "api"]["values"]
    assert (small["soft"], small["hosts"], small["stale_hosts"]) == (1024, 2, 1)
    assert (large["soft"], large["hosts"], large["stale_hosts"]) == (65_536, 1, 0)
    assert (large["winner"], large["owner"]) == ("/etc/api.conf:2", "ansible")
    without, with_line = by_name["login", "*"]["values"]
    assert (without["soft"], without["hosts"], without["winner"]) == (None, 2, None)
    assert (with_line["soft"], with_line["hosts"], with_line["winner"]) == (4096, 1, "/l:1")


def test_limits_that_are_the_same_or_not_known_are_no_drift() -> None:
    assert fleet(host("1", soft=1024), host("1", soft=1024), host("1"))["limits"] == []


def test_older_reports_tell_the_limits_of_their_processes() -> None:
    def old(soft: int) -> dict[str, Any]:
        report = host("1")
        use = {"app": "api", "pid": 1, "open": 5, "soft_limit": soft, "hard_limit": 4096, "used_percent": 1.0}
        report["descriptors"]["processes"] = [use, {**use, "pid": 2}]
        return report

    (entry,) = fleet(old(1024), old(1024), old(2048))["limits"]
    assert [(value["soft"], value["hosts"], value["winner"]) for value in entry["values"]] == [
        (1024, 2, None),
        (2048, 1, None),
    ]


def test_a_later_line_of_a_login_decides_its_side_alone() -> None:
    report, other = host("1", soft=1024), host("1", soft=1024)
    line = {"domain": "ann", "soft": 10, "hard": 20, "place": "/l:1", "owner": None}
    report["limits"]["logins"] = [line, {**line, "soft": None, "hard": 30, "place": "/l:2"}]
    (entry,) = fleet(report, other)["limits"]
    assert (entry["name"], entry["values"][0]["soft"], entry["values"][0]["hard"]) in {
        ("ann", 10, 30),
        ("ann", None, None),
    }
    assert {(value["soft"], value["hard"]) for value in entry["values"]} == {(10, 30), (None, None)}


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return run_folder(
        tmp_path / "run",
        {
            "web-1": host("4096", soft=1024, configured=65_536),
            "web-2": host("4096", soft=1024),
            "web-3": host("128", winner=FILE, owner="puppet", manages="tuned", soft=65_536, configured=65_536),
            "web-4": "timed out",
        },
    )


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["drift", *arguments]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert max(map(display_width, output.out.splitlines())) <= 100
    return " ".join(output.out.split())


def test_the_command(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, folder)
    assert "3 hosts audited · 1 not audited" in text
    assert f"{KEY} · 1 host away from the most common value" in text
    assert f"4096 2 no file 128 1 {FILE} tuned" in text
    assert "tuned sets it later (/tuned:1) on 1 host web-3" in text
    assert "open files of api · 1 host away from the most common value" in text
    assert "on 1 host the file says otherwise: a restart changes it" in text
    assert "fs.nr_open" not in text
    assert "fs.nr_open" in shown(capsys, folder, "--all")


def test_one_key_in_full(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, folder, KEY)
    assert "web-1, web-2" in text
    assert "api" not in text
    assert shown(capsys, folder, "net/core/somaxconn") == text
    limits = shown(capsys, folder, "api")
    assert "65,536:65,536 1 /etc/api.conf:2 ansible" in limits
    assert KEY not in limits
    assert "1048576 3 no file" in shown(capsys, folder, "fs.nr_open")


def test_one_manager_over_several_files_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    over = {f"web-{number}": host("1", winner=f"/f:{number % 2}", manages="tuned") for number in range(5)}
    run = run_folder(tmp_path / "run", {**over, "web-9": host("2")})
    text = shown(capsys, run)
    assert text.count("tuned sets it later (/tuned:1)") == 1
    assert "tuned sets it later (/tuned:1) on 5 hosts" in text


def test_the_screen_suggests_a_command_that_can_be_pasted(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, folder)
    assert f"lastack drift {folder} {KEY}" in text
    assert "soft:hard hosts" in text


def test_json_is_valid(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drift", folder, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert schema_problems(printed, load_schema("lastack.drift/1")) == []
    assert printed == json.loads(json.dumps(drift_of_run(folder)))
    assert printed["settings"][0]["values"][1]["examples"] == ["web-3"]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("somaxconn", f"'somaxconn': there is {KEY}."),
        ("nothing", f": there is api, fs.nr_open, {KEY}."),
        ("net.core.somaxcon", f": there is {KEY}."),
    ],
)
def test_an_unknown_key_is_one_sentence(key: str, said: str, folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drift", folder, key]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_hosts_that_are_alike_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alike = run_folder(tmp_path / "run", {"a": host("1", soft=9), "b": host("1", soft=9)})
    assert "No setting and no limit differs between the hosts." in shown(capsys, alike)


def test_what_hosts_wrote_does_nothing(folder: str) -> None:
    text = render_drift(with_strings(drift_of_run(folder), lambda said: said + HOSTILE))
    assert not [character for character in text if not character.isprintable() and character != "\n"]
    assert not any(line.startswith("FORGED") for line in text.splitlines())


def test_a_key_that_differs_everywhere_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_drift, "_TRACKED", 60)
    monkeypatch.setattr(fleet_drift, "_TRACKED_A_KEY", range(5, 50))
    merge = DriftMerge()
    state = {"configured": None, "winner": None, "owner": None, "manager": None}
    for number in range(200):
        merge.add(
            {
                "sysctls": {
                    "net.ipv4.tcp_mem": {**state, "current": str(number)},
                    "fs.file-max": {**state, "current": str(number)},
                    KEY: {**state, "current": "128" if number >= 180 else "4096"},
                    "net.one": {**state, "current": "1", "winner": f"/etc/sysctl.d/{number}:1"},
                }
            }
        )
    entries = {entry["key"]: entry for entry in merge.result()}
    assert [(value["value"], value["hosts"]) for value in entries[KEY]["values"]] == [("4096", 180), ("128", 20)]
    for noisy in ("net.ipv4.tcp_mem", "fs.file-max"):
        assert entries[noisy]["away_hosts"] == 199
        assert entries[noisy]["values_truncated"] > 0
    # One value from many files is no drift, and every host of it counts.
    assert "net.one" not in entries
    every = DriftMerge(everything=True)
    for number in range(200):
        every.add({"sysctls": {"net.one": {**state, "current": "1", "winner": f"/etc/sysctl.d/{number}:1"}}})
    (entry,) = every.result()
    assert (entry["away_hosts"], entry["values"][0]["hosts"]) == (0, 200)


def test_a_run_that_still_goes_on_is_said_to_be_that(tmp_path: Path) -> None:
    drift = drift_of_run(run_folder(tmp_path / "run", {"a": host_report()}))
    assert "not finished" not in render_drift(drift)
    drift["run"]["finished_at"] = None
    assert render_drift(drift).splitlines()[0].endswith("· not finished")
