# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the integration tests: one fleet of ssh hosts for all of them, one folder per audit."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml
from ssh_fleet import GONE, HERE, HostSpec, SshFleet, why_not

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

REPORTS = HERE.parent / "fixtures" / "reports"

# Each test host has a /run of its own; the machine's home folders stay clean.
SCRATCH = {"ansible_remote_tmp": "/run/ansible-tmp", "ansible_async_dir": "/run/ansible-async"}

HOSTILE = "\x1b]0;x\x07<b>&amp;\n'"


class Audit(NamedTuple):
    """What one run of the playbook did."""

    output: str
    status: int
    folder: Path

    @property
    def manifest(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
        return loaded

    @property
    def fleet(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.folder / "fleet.json").read_text(encoding="utf-8"))
        return loaded

    @property
    def outcomes(self) -> dict[str, str]:
        return {host: entry["outcome"] for host, entry in self.manifest["hosts"].items()}

    def report(self, host: str) -> dict[str, Any]:
        file = self.folder / self.manifest["hosts"][host]["file"]
        loaded: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return loaded


class Lab:
    """The fleet, its inventory, and the command that audits it."""

    def __init__(self, fleet: SshFleet) -> None:
        self.fleet = fleet
        self.inventory = fleet.folder / "inventory.yml"
        good, leaky, third = fleet.addresses
        for file in (HERE / "forger.py", REPORTS / "healthy.json"):
            shutil.copy(file, fleet.folder)
        python = {"ansible_python_interpreter": "/usr/bin/python3"}
        forged = {}
        for kind in ("wrong-types", "wrong-schema", "no-report", "huge", "deep", "not-json", "valid"):
            wrapper = fleet.folder / f"forge-{kind}"
            wrapper.write_text(
                f"#!/bin/sh\nFORGERY={kind} exec /usr/bin/python3 {fleet.folder}/forger.py\n", encoding="ascii"
            )
            wrapper.chmod(0o755)
            forged[f"forged-{kind}"] = {"ansible_host": third, "ansible_python_interpreter": str(wrapper)}
        groups = {
            "good": {
                "web-1": {"ansible_host": good, **python},
                "../../x": {"ansible_host": leaky, **python},
                "rack 7/Host b": {"ansible_host": third, **python},
            },
            "bad": {
                "gone": {"ansible_host": GONE},
                "no-python": {"ansible_host": good, "ansible_python_interpreter": "/nonexistent/python"},
            },
            "gone_all": {"gone": {}, "gone-too": {"ansible_host": GONE}},
            "forged": forged,
        }
        self.inventory.write_text(
            yaml.safe_dump({name: {"hosts": hosts, "vars": SCRATCH} for name, hosts in groups.items()}),
            encoding="utf-8",
        )

    def audit(
        self, folder: Path, *arguments: str, hosts: str = "good", cwd: Path | None = None, **environment: str
    ) -> Audit:
        variables = json.dumps({"tcp_audit_store": str(folder), "tcp_audit_hosts": hosts, "tcp_audit_min_age_s": 0})
        done = self.playbook("tcp-audit.yml", "-e", variables, *arguments, cwd=cwd, **environment)
        return Audit(done.stdout, done.returncode, folder)

    def playbook(
        self, playbook: str, *arguments: str, cwd: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return self.fleet.run(
            "ansible-playbook", playbook, "-i", str(self.inventory), *arguments, cwd=cwd, timeout_s=120, **environment
        )


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    specs = [HostSpec("web-one"), HostSpec("leaky", leak=True), HostSpec(HOSTILE)]
    with SshFleet(specs) as fleet:
        yield Lab(fleet)
