# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit playbook over real ssh: every host is in the report, whatever became of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.json_schema import load_schema, schema_problems
from leaky_client import LEAKED
from ssh_fleet import ROOT

if TYPE_CHECKING:
    from conftest import Audit, Lab

pytestmark = pytest.mark.needs_root

GOOD = {"web-1", "../../x", "rack 7/Host b"}


def holds_contracts(audit: Audit) -> None:
    assert schema_problems(audit.fleet, load_schema("lastack.fleet/1")) == []
    assert schema_problems(audit.manifest, load_schema("lastack.run/1")) == []
    assert audit.manifest["finished"] is True
    assert (audit.folder / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_good_and_bad_hosts_are_all_in_the_report(lab: Lab, tmp_path: Path) -> None:
    audit = lab.audit(tmp_path / "run", hosts="good,bad")
    assert audit.status == 0, audit.output
    holds_contracts(audit)
    assert audit.outcomes == {**dict.fromkeys(GOOD, "ok"), "gone": "unreachable", "no-python": "failed"}
    counted = audit.fleet["hosts"]
    assert (counted["meant"], counted["audited"], counted["unreachable"], counted["failed"]) == (5, 3, 1, 1)
    reasons = {entry["host"]: entry["reason"] for entry in counted["not_audited"]}
    assert "unreachable" in reasons["gone"].lower() or "timed out" in reasons["gone"]
    assert "/nonexistent/python" in reasons["no-python"]
    # The leak is real: so many sockets of one application on one host, and on no other.
    apps = [app for app in audit.fleet["apps"] if app["sockets"]]
    assert [(app["app"], app["sockets"], app["worst_host"]["host"]) for app in apps] == [
        ("leaky_client.py", LEAKED, "../../x")
    ]
    assert "leaky_client.py" in audit.output
    # Inventory names are no paths, and the true name is inside.
    assert sorted(path.parent for path in audit.folder.rglob("*~*.json")) == [audit.folder / "hosts"] * 2
    assert audit.report("../../x")["host"]["inventory_name"] == "../../x"
    assert not list(tmp_path.glob("x*"))
    assert not list(tmp_path.parent.glob("x.json"))
    # A hostile host name reaches neither the terminal nor the page.
    assert "\x1b" not in audit.output
    assert "<b>&amp;" not in (audit.folder / "report.html").read_text(encoding="utf-8")
    assert "\x1b" not in (audit.folder / "fleet.json").read_text(encoding="utf-8")
    assert (audit.folder / "report.txt").read_text(encoding="utf-8").splitlines()[0] in audit.output


# Written on the host as the agent's publisher does; {stale} is how long ago the agent was heard.
PUBLISH = """
import json, os, sys, time
from pathlib import Path
stale, app = float(sys.argv[1]), sys.argv[2]
folder = Path("/etc/ansible/facts.d")
folder.mkdir(parents=True, exist_ok=True)
trend = {
    "verdict": "leak", "reason": "5 came and none went.", "count": 5, "arrivals": 5, "departures": 0,
    "growth_per_min": 4.0, "turnover_per_min": 0.0, "first_seen": "2026-11-23T04:20:00Z", "ready_in_s": None,
    "exhaustion_in_s": 7200.0, "exhaustion_pid": 17, "observed_at": "2026-11-23T04:30:00Z",
}
fact = {
    "schema": "lastack.local/1", "collector": {"name": "agent", "version": "0.1.0"},
    "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
    "published_at": "2026-11-23T04:30:00Z", "watching_since": "2026-11-23T04:00:00Z",
    "published_boottime_s": time.clock_gettime(time.CLOCK_BOOTTIME) - stale, "fresh_for_s": 600.0, "interval_s": 15.0,
    "completeness": {"complete": True, "warnings": []}, "dropped": {"sockets": 0, "applications": 0},
    "offenders": [{"app": app, "kind": "interpreter", "namespace": "host", "trend": trend}],
}
path = folder / "lastack.fact"
path.write_text(json.dumps(fact))
path.chmod(0o644)
"""


def publish(lab: Lab, tmp_path: Path, *arguments: str) -> None:
    """Let the leaky host have a resident agent's fact, or none without arguments."""
    argv = ["/usr/bin/python3", "-c", PUBLISH, *arguments] if arguments else ["rm", "-rf", "/etc/ansible/facts.d"]
    task = {"ansible.builtin.command": {"argv": argv}}
    play = tmp_path / "publish.yml"
    play.write_text(json.dumps([{"hosts": "../../x", "gather_facts": False, "tasks": [task]}]), encoding="utf-8")
    done = lab.playbook(str(play))
    assert done.returncode == 0, done.stdout


def test_what_an_agent_has_watched_is_in_the_report(lab: Lab, tmp_path: Path) -> None:
    machine = Path("/etc/ansible/facts.d/lastack.fact")
    before = machine.exists()
    try:
        publish(lab, tmp_path, "60", "leaky_client.py")
        assert machine.exists() == before, "the hosts of this suite have an /etc of their own"
        audit = lab.audit(tmp_path / "heard")
        assert audit.status == 0, audit.output
        holds_contracts(audit)
        app = audit.fleet["apps"][0]
        assert (app["app"], app["trend"]["growing_hosts"], app["trend"]["growth_per_min"]) == (
            "leaky_client.py",
            1,
            4.0,
        )
        due = app["trend"]["earliest_exhaustion"]
        # Counted from the look, not from the publication a minute before.
        assert (due["host"], 6_000 < due["in_s"] <= 7_140) == ("../../x", True)
        assert audit.fleet["close_wait"]["growing"]["apps"] == 1
        assert {name: audit.fleet["agents"][name] for name in ("fresh", "stale", "none")} == {
            "fresh": 1,
            "stale": 0,
            "none": 2,
        }
        finding = next(one for one in audit.fleet["findings"] if one["id"] == "close_wait.growing")
        assert (finding["severity"], finding["worst_host"]) == ("critical", "../../x")
        assert "grows 4/min on ../../x" in audit.output
        assert audit.report("../../x")["close_wait"]["offenders"][0]["trend"]["exhaustion_pid"] == 17

        unasked = lab.audit(tmp_path / "unasked", "-e", "tcp_audit_agent=false")
        assert unasked.fleet["apps"][0]["trend"] is None
        assert unasked.fleet["agents"]["none"] == 0

        publish(lab, tmp_path, "7200", "leaky_client.py")
        silent = lab.audit(tmp_path / "silent")
        assert silent.fleet["apps"][0]["trend"] is None
        assert "close_wait.growing" not in silent.output
        assert [row["host"] for row in silent.fleet["agents"]["silent"]] == ["../../x"]
        assert "1 of 1 not heard: ../../x (the agent's last word is 2 h old" in silent.output
        assert silent.fleet["hosts"]["incomplete"] == audit.fleet["hosts"]["incomplete"]
    finally:
        publish(lab, tmp_path)


def test_every_host_unreachable(lab: Lab, tmp_path: Path) -> None:
    audit = lab.audit(tmp_path / "run", hosts="gone_all")
    assert audit.status == 0, audit.output
    holds_contracts(audit)
    assert audit.outcomes == {"gone": "unreachable", "gone-too": "unreachable"}
    assert "0 hosts audited" in audit.output


def test_limit_check_mode_and_no_pipelining(lab: Lab, tmp_path: Path) -> None:
    audit = lab.audit(tmp_path / "run", "--check", "--limit", "web-1,gone", hosts="all", ANSIBLE_PIPELINING="0")
    assert audit.status == 0, audit.output
    holds_contracts(audit)
    assert audit.outcomes == {"web-1": "ok", "gone": "unreachable"}


@pytest.mark.parametrize("strategy", ["free", "host_pinned"])
def test_strategies_without_run_once(lab: Lab, tmp_path: Path, strategy: str) -> None:
    audit = lab.audit(tmp_path / "run", "-e", f"tcp_audit_strategy={strategy}", hosts="good,bad", ANSIBLE_FORKS="2")
    assert audit.status == 0, audit.output
    holds_contracts(audit)
    assert audit.outcomes == {**dict.fromkeys(GOOD, "ok"), "gone": "unreachable", "no-python": "failed"}
    # Exactly one host's task merged and showed the screen.
    assert audit.output.count("3 hosts audited") == 1, audit.output


def test_default_folder_is_one_for_all_hosts_of_a_free_run(lab: Lab, tmp_path: Path) -> None:
    done = lab.playbook(
        str(ROOT / "tcp-audit.yml"),
        *("-e", "tcp_audit_hosts=good", "-e", "tcp_audit_strategy=free", "-e", "tcp_audit_screen=false"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    folders = [path for path in (tmp_path / "lastack-runs").iterdir() if path.is_dir()]
    assert len(folders) == 1
    manifest = json.loads((folders[0] / "manifest.json").read_text(encoding="utf-8"))
    assert {host: entry["outcome"] for host, entry in manifest["hosts"].items()} == dict.fromkeys(GOOD, "ok")
    assert "hosts audited" not in done.stdout


def test_become_changes_who_looks(lab: Lab, tmp_path: Path) -> None:
    nobody = {"ansible_become_method": "su", "ansible_become_user": "nobody", "ansible_become_flags": "-s /bin/sh"}
    seen = {}
    for become in (True, False):
        variables = json.dumps({**nobody, "tcp_audit_become": become})
        audit = lab.audit(
            tmp_path / f"run-{become}", "-e", variables, "--limit", "web-1", ANSIBLE_INJECT_FACT_VARS="False"
        )
        assert audit.outcomes == {"web-1": "ok"}, audit.output
        seen[become] = audit.report("web-1")["completeness"]["privileged"]
    assert seen == {True: False, False: True}


def test_forged_reports_are_refused_and_nothing_else_is_lost(lab: Lab, tmp_path: Path) -> None:
    audit = lab.audit(tmp_path / "run", hosts="web-1,forged")
    assert audit.status == 0, audit.output[-3000:]
    holds_contracts(audit)
    outcomes = audit.outcomes
    assert outcomes.pop("web-1") == "ok"
    # A forgery that keeps the contract cannot be told from a report; it only speaks for its own host.
    assert outcomes.pop("forged-valid") == "ok"
    assert outcomes.pop("forged-not-json") == "failed"
    assert set(outcomes.values()) == {"invalid"}, outcomes
    reasons = {host: entry["reason"] for host, entry in audit.manifest["hosts"].items()}
    assert "states.CLOSE_WAIT is a string" in reasons["forged-wrong-types"]
    assert "lastack.host/9" in reasons["forged-wrong-schema"]
    assert "no host report" in reasons["forged-no-report"]
    assert "50,0" in reasons["forged-huge"]
    assert "nested" in reasons["forged-deep"]
    assert "\x1b" not in audit.output
    assert not [line for line in audit.output.splitlines() if line.startswith("intruder")]
    assert "\x1b" not in json.dumps(audit.report("forged-valid"), ensure_ascii=False)
    # It is a recorded report: its date is not of today.
    completeness = audit.report("forged-valid")["completeness"]
    assert (completeness["complete"], [one["code"] for one in completeness["warnings"]]) == (False, ["clock_wrong"])


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"tcp_audit_top": "many"}, "tcp_audit_top must be a whole number from 1 to 1000, not 'many'."),
        ({"tcp_audit_gather": "ports,nonsense"}, "tcp_audit_gather: 'nonsense' is not one of all, close_wait"),
        ({"tcp_audit_gather": "!all"}, "tcp_audit_gather: nothing is left to gather"),
        ({"tcp_audit_store": ""}, "tcp_audit_store is empty"),
        ({"tcp_audit_minage_s": 5}, "Unknown variable tcp_audit_minage_s (did you mean tcp_audit_min_age_s?)"),
        ({"tcp_audit_become": "perhaps"}, "tcp_audit_become must be true or false, not 'perhaps'."),
        ({"tcp_audit_store": "/proc/nothing/here"}, "Cannot write to the run folder /proc/nothing/here: "),
    ],
)
def test_wrong_variables_stop_before_any_host(
    lab: Lab, tmp_path: Path, variables: dict[str, object], said: str
) -> None:
    audit = lab.audit(tmp_path / "run", "-e", json.dumps(variables))
    assert audit.status == 2, audit.output
    assert said in audit.output.replace("\n", " ")
    assert "Look at the host" not in audit.output
    assert not (tmp_path / "run" / "manifest.json").exists()


def test_a_folder_with_other_files_is_left_alone(lab: Lab, tmp_path: Path) -> None:
    precious = tmp_path / "run" / "thesis.tex"
    precious.parent.mkdir()
    precious.write_text("chapter one", encoding="utf-8")
    audit = lab.audit(tmp_path / "run")
    assert audit.status == 2
    assert "holds other files (thesis.tex)" in audit.output
    assert [path.name for path in precious.parent.iterdir()] == ["thesis.tex"]


def test_second_audit_into_a_live_folder_is_refused_and_a_finished_one_replaced(lab: Lab, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    slow = tmp_path / "slow.yml"
    slow.write_text(
        json.dumps(
            [
                {
                    "hosts": "web-1",
                    "gather_facts": False,
                    "tasks": [
                        {"lastack.linux.tcp_run": {"state": "started", "path": str(folder)}},
                        {"lastack.linux.tcp_facts": {"store": str(folder)}},
                        {"ansible.builtin.include_tasks": str(tmp_path / "again.yml")},
                        {"lastack.linux.tcp_run": {"state": "finished", "path": str(folder), "screen": False}},
                    ],
                }
            ]
        ),
        encoding="utf-8",
    )
    # The second audit starts while the first one is in the middle, and ends before it goes on.
    second = lab.fleet.command(
        "ansible-playbook", str(ROOT / "tcp-audit.yml"), "-i", str(lab.inventory), "-e", f"tcp_audit_store={folder}"
    )
    (tmp_path / "again.yml").write_text(
        json.dumps(
            [
                {
                    "ansible.builtin.command": {"argv": second},
                    "delegate_to": "localhost",
                    "vars": {"ansible_connection": "local"},
                    "register": "second",
                    "failed_when": "second.rc != 2 or 'is in use since' not in second.stdout + second.stderr",
                }
            ]
        ),
        encoding="utf-8",
    )
    done = lab.playbook(str(slow), cwd=ROOT)
    assert done.returncode == 0, done.stdout
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["finished"] is True
    assert {host: entry["outcome"] for host, entry in manifest["hosts"].items()} == {"web-1": "ok"}
    replaced = lab.audit(folder, hosts="../../x")
    assert replaced.status == 0, replaced.output
    assert replaced.outcomes == {"../../x": "ok"}
    assert len(list((folder / "hosts").iterdir())) == 1
