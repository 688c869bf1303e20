# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module over real ssh, in playbooks that people write themselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from ssh_fleet import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lab

pytestmark = pytest.mark.needs_root


def play(tmp_path: Path, hosts: str, *tasks: dict[str, Any]) -> str:
    path = tmp_path / "play.yml"
    path.write_text(json.dumps([{"hosts": hosts, "gather_facts": False, "tasks": list(tasks)}]), encoding="utf-8")
    return str(path)


def test_fact_async_store_and_delegation(lab: Lab, tmp_path: Path) -> None:
    """One playbook, because each costs seconds: whole fact, async with store, async refused, delegate_to."""
    folder = tmp_path / "run"
    facts = "lastack.linux.tcp_facts"
    done = lab.playbook(
        play(
            tmp_path,
            "web-1",
            {facts: {"gather": ["close_wait"]}, "name": "whole"},
            {
                "ansible.builtin.assert": {
                    "that": [
                        "ansible_facts.lastack.schema == 'lastack.host/1'",
                        "ansible_facts.lastack.collector.name == 'tcp_facts'",
                        "ansible_facts.lastack.close_wait.offenders is defined",
                        "ansible_facts.lastack.sysctls is not defined",
                        "lastack is not defined",
                    ]
                }
            },
            {facts: {"store": str(folder)}, "async": 30, "poll": 1, "register": "waited"},
            {
                "ansible.builtin.assert": {
                    "that": [
                        "ansible_facts.lastack.stored is defined",
                        "waited.ansible_job_id is not defined",
                        "ansible_facts.lastack.totals.close_wait is number",
                        "(ansible_facts.lastack | to_json | length) < 4096",
                    ]
                }
            },
            {facts: {}, "async": 30, "poll": 1, "register": "waited"},
            {"ansible.builtin.assert": {"that": ["waited.ansible_facts.lastack.sysctls | length > 5"]}},
            {
                facts: {"store": str(folder)},
                "async": 30,
                "poll": 0,
                "register": "refused",
                "failed_when": "'poll 0 does not wait' not in refused.msg",
            },
            {facts: {"store": str(folder), "min_age_s": 0}, "delegate_to": "../../x"},
            {facts: {"top": 0}, "register": "wrong", "failed_when": "'top must be a whole number' not in wrong.msg"},
            {"lastack.linux.tcp_run": {"state": "finished", "path": str(folder)}},
        ),
        cwd=ROOT,
        ANSIBLE_INJECT_FACT_VARS="False",
    )
    assert done.returncode == 0, done.stdout
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert {host: entry["outcome"] for host, entry in manifest["hosts"].items()} == {"web-1": "ok", "../../x": "ok"}
    # The report belongs to the host that was looked at.
    delegated = json.loads((folder / manifest["hosts"]["../../x"]["file"]).read_text(encoding="utf-8"))
    assert (delegated["host"]["name"], delegated["host"]["inventory_name"]) == ("leaky", "../../x")
    assert delegated["close_wait"]["offenders"][0]["app"] == "leaky_client.py"
    assert "2 hosts audited" in done.stdout


def test_only_delegated_hosts_are_meant(lab: Lab, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = lab.playbook(
        play(
            tmp_path,
            "gone",
            {"lastack.linux.tcp_run": {"state": "started", "path": str(folder)}},
            {"lastack.linux.tcp_facts": {"store": str(folder)}, "delegate_to": "web-1"},
            {"lastack.linux.tcp_run": {"state": "finished", "path": str(folder), "screen": False}},
        ),
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert {host: entry["outcome"] for host, entry in manifest["hosts"].items()} == {"web-1": "ok"}


def test_a_host_sets_no_other_fact(lab: Lab, tmp_path: Path) -> None:
    done = lab.playbook(
        play(
            tmp_path,
            "forged-valid",
            {"lastack.linux.tcp_facts": {}, "register": "look"},
            {
                "ansible.builtin.assert": {
                    "that": [
                        "ansible_facts.lastack.host.inventory_name == 'forged-valid'",
                        "ansible_facts.stolen is not defined",
                        "ansible_facts.connection is not defined",
                        "not look.changed",
                        "look.add_host is not defined",
                    ]
                }
            },
        ),
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout


def test_no_host_variable_breaks_the_controller_tasks(lab: Lab, tmp_path: Path) -> None:
    """Connection variables that cannot work fail their host; the host has no outcome and is missing."""
    folder = tmp_path / "run"
    inventory = tmp_path / "odd.yml"
    odd = {
        "a-broken": {"ansible_connection": "no_such_plugin"},
        "b-broken": {"ansible_host": "{{ nothing_defines_this }}"},
        "localhost": {"ansible_connection": "ssh", "ansible_host": "10.77.200.9"},
    }
    inventory.write_text(json.dumps({"all": {"hosts": odd}}), encoding="utf-8")
    for strategy in ("linear", "free"):
        done = lab.fleet.run(
            *("ansible-playbook", "tcp-audit.yml", "-i", str(inventory)),
            *("-e", f"tcp_audit_store={folder}", "-e", f"tcp_audit_strategy={strategy}"),
        )
        assert done.returncode == 0, done.stdout
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        outcomes = {host: entry["outcome"] for host, entry in manifest["hosts"].items()}
        assert outcomes == {"a-broken": "missing", "b-broken": "missing", "localhost": "unreachable"}
        assert manifest["finished"] is True
