# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lastack sweep`` over real ssh: every host is in the report, nothing stays on any of them, Ctrl-C is safe."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.json_schema import load_schema, schema_problems
from leaky_client import LEAKED

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lab

pytestmark = pytest.mark.needs_root

WAIT_S = 90.0


class Sweep(NamedTuple):
    """What one sweep left."""

    output: str
    status: int
    folder: Path

    @property
    def hosts(self) -> dict[str, dict[str, Any]]:
        manifest = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
        assert schema_problems(manifest, load_schema("lastack.run/1")) == []
        assert manifest["finished"] is True
        hosts: dict[str, dict[str, Any]] = manifest["hosts"]
        return hosts

    @property
    def outcomes(self) -> dict[str, str]:
        return {host: entry["outcome"] for host, entry in self.hosts.items()}

    @property
    def reasons(self) -> dict[str, str]:
        return {host: entry["reason"] or "" for host, entry in self.hosts.items()}

    @property
    def fleet(self) -> dict[str, Any]:
        fleet: dict[str, Any] = json.loads((self.folder / "fleet.json").read_text(encoding="utf-8"))
        assert schema_problems(fleet, load_schema("lastack.fleet/1")) == []
        return fleet


def sweep(lab: Lab, folder: Path, *arguments: str, inventory: Path | None = None) -> Sweep:
    hosts = str(inventory or lab.inventory)
    done = lab.fleet.run(
        "lastack", "sweep", "-i", hosts, "--store", str(folder), "-u", "root", *arguments, timeout_s=WAIT_S
    )
    return Sweep(done.stdout, done.returncode, folder)


def written(lab: Lab, folder: Path, text: str) -> Path:
    inventory = folder / "hosts.ini"
    inventory.write_text(text.format(*lab.fleet.addresses), encoding="utf-8")
    return inventory


def on_host(lab: Lab, number: int, command: str) -> str:
    """Run a shell's line on a host over OpenSSH and return what it prints."""
    fleet = lab.fleet
    done = subprocess.run(
        [
            "nsenter",
            "-t",
            str(fleet.controller),
            "-n",
            "ssh",
            "-F",
            "/dev/null",
            "-i",
            str(fleet.folder / "user"),
            "-o",
            f"UserKnownHostsFile={fleet.folder}/known_hosts",
            f"root@{fleet.addresses[number]}",
            command,
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=WAIT_S,
    )
    return done.stdout


def test_good_and_bad_hosts_are_all_in_the_report(lab: Lab, tmp_path: Path) -> None:
    done = sweep(lab, tmp_path / "run", "good:bad", "--min-age-s", "0", "--connect-timeout-s", "3", "--retries", "0")
    assert done.status == 0, done.output
    good = {"web-1", "../../x", "rack 7/Host b"}
    assert done.outcomes == {**dict.fromkeys(good, "ok"), "gone": "unreachable", "no-python": "ok"}
    assert done.reasons["gone"].startswith("10.77.200.2 port 22: ")
    # The interpreter of no-python does not exist, but the host has another one, and the report says which.
    apps = [app for app in done.fleet["apps"] if app["sockets"]]
    assert [(app["app"], app["sockets"], app["worst_host"]["host"]) for app in apps] == [
        ("leaky_client.py", LEAKED, "../../x")
    ]
    assert "leaky_client.py" in done.output
    assert "gone unreachable" in done.output
    assert "Traceback" not in done.output
    assert "\x1b" not in done.output
    report = json.loads((done.folder / done.hosts["../../x"]["file"]).read_text(encoding="utf-8"))
    assert (report["collector"]["name"], report["host"]["inventory_name"]) == ("sweep", "../../x")


def test_the_sweep_and_the_audit_see_the_same(lab: Lab, tmp_path: Path) -> None:
    swept = sweep(lab, tmp_path / "sweep", "good", "--min-age-s", "0")
    audited = lab.audit(tmp_path / "audit")
    assert swept.status == audited.status == 0, swept.output
    for key in ("close_wait", "hosts"):
        assert swept.fleet[key].keys() == audited.fleet[key].keys()
    assert swept.fleet["close_wait"]["leaked"] == audited.fleet["close_wait"]["leaked"]
    assert [(app["app"], app["sockets"]) for app in swept.fleet["apps"] if app["sockets"]] == [
        (app["app"], app["sockets"]) for app in audited.fleet["apps"] if app["sockets"]
    ]


def test_nothing_stays_on_a_host(lab: Lab, tmp_path: Path) -> None:
    # A host has /run, /etc and its processes for itself.
    on_host(lab, 0, "touch /run/before; sleep 0.01")
    assert sweep(lab, tmp_path / "run", "web-1").status == 0
    left = on_host(lab, 0, "find /run /etc -newer /run/before; echo ---; ps -eo comm=")
    files, __, programs = left.partition("---")
    assert files.strip() == ""
    assert "sshd" in programs
    assert "python" not in programs


def test_hosts_behind_a_jump_host_are_reached(lab: Lab, tmp_path: Path) -> None:
    fleet = lab.fleet
    config = tmp_path / "ssh_config"
    config.write_text(
        f"Host *\n  User root\n  IdentityFile {fleet.folder}/user\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {fleet.folder}/known_hosts\n  GlobalKnownHostsFile /dev/null\n"
        f"Host inner-*\n  Hostname 127.0.0.1\n  HostKeyAlias {fleet.addresses[0]}\n  ProxyJump {fleet.addresses[0]}\n",
        encoding="utf-8",
    )
    inventory = written(
        lab, tmp_path, "".join(f"inner-{number}\n" for number in range(6)) + "direct ansible_host={0}\n"
    )
    done = lab.fleet.run(
        "lastack",
        "sweep",
        "-i",
        str(inventory),
        "--store",
        str(tmp_path / "run"),
        "--ssh-config",
        str(config),
        timeout_s=WAIT_S,
        ANSIBLE_SSH_ARGS="-o ControlMaster=auto -o ControlPersist=30s",
    )
    assert done.returncode == 0, done.stdout
    result = Sweep(done.stdout, done.returncode, tmp_path / "run")
    assert set(result.outcomes.values()) == {"ok"}, result.reasons


def test_a_jump_host_that_is_gone_is_the_reason_of_its_hosts_alone(lab: Lab, tmp_path: Path) -> None:
    inventory = written(
        lab,
        tmp_path,
        "a ansible_host={0} ansible_ssh_common_args='-o ProxyJump=root@10.77.200.2'\nb ansible_host={1}\n",
    )
    done = sweep(lab, tmp_path / "run", "--retries", "0", "--connect-timeout-s", "3", inventory=inventory)
    assert done.status == 0, done.output
    assert done.outcomes == {"a": "unreachable", "b": "ok"}
    assert "10.77.200.2" in done.reasons["a"]


def test_a_report_from_a_host_with_a_wrong_key_says_so(lab: Lab, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "stranger")], check=True)
    stranger = " ".join((tmp_path / "stranger.pub").read_text(encoding="ascii").split()[:2])
    lines = (lab.fleet.folder / "known_hosts").read_text(encoding="ascii").splitlines()
    second = next(line for line in lines if line.split()[0] == lab.fleet.addresses[1])
    known.write_text(f"{lab.fleet.addresses[0]} {stranger}\n{second}\n", encoding="ascii")
    inventory = written(lab, tmp_path, "a ansible_host={0}\nb ansible_host={1}\n")
    with inventory.open("a", encoding="ascii") as file:
        file.write(
            "[all:vars]\nansible_ssh_args='-F /dev/null -o IdentitiesOnly=yes -o GlobalKnownHostsFile=/dev/null "
            f"-o UserKnownHostsFile={known} -o StrictHostKeyChecking=no'\n"
            f"ansible_ssh_private_key_file={lab.fleet.folder}/user\n"
        )
    done = sweep(lab, tmp_path / "run", inventory=inventory)
    assert done.outcomes == {"a": "ok", "b": "ok"}, done.reasons
    reports = {
        host: json.loads((done.folder / entry["file"]).read_text(encoding="utf-8"))["completeness"]["warnings"]
        for host, entry in done.hosts.items()
    }
    (doubt,) = (one["detail"] for one in reports["a"] if one["code"] == "host_key_doubtful")
    assert "has changed" in doubt
    assert not [one for one in reports["b"] if one["code"] == "host_key_doubtful"]
    assert "has changed" in done.output


def test_a_host_that_hangs_is_cut_off_and_named(lab: Lab, tmp_path: Path) -> None:
    hangs = lab.fleet.folder / "hangs"
    hangs.write_text("#!/bin/sh\nexec sleep 61\n", encoding="ascii")
    hangs.chmod(0o755)
    inventory = written(
        lab, tmp_path, f"good ansible_host={{0}}\nslow ansible_host={{1}} ansible_python_interpreter={hangs}\n"
    )
    done = sweep(lab, tmp_path / "run", "--timeout-s", "8", inventory=inventory)
    assert done.outcomes == {"good": "ok", "slow": "failed"}
    assert "no report within 8 s" in done.reasons["slow"]


def test_ctrl_c_leaves_a_finished_run(lab: Lab, tmp_path: Path) -> None:
    hangs = lab.fleet.folder / "hangs-too"
    marks = lab.fleet.folder / "marks"
    marks.mkdir()
    hangs.write_text(f"#!/bin/sh\ntouch {marks}/$$-$(hostname | tr -cd a-z)\nexec sleep 62\n", encoding="ascii")
    hangs.chmod(0o755)
    lines = "".join(f"h{number} ansible_host={{1}} ansible_python_interpreter={hangs}\n" for number in range(9))
    inventory = written(lab, tmp_path, "good ansible_host={0}\n" + lines)
    command = lab.fleet.command(
        "lastack", "sweep", "-i", str(inventory), "--store", str(tmp_path / "run"), "-u", "root", "--forks", "4"
    )
    process = subprocess.Popen(
        command,
        env=lab.fleet.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + WAIT_S
        journal = tmp_path / "run" / "outcomes.jsonl"
        while not (len(list(marks.iterdir())) >= 4 and journal.exists()):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        output, __ = process.communicate(timeout=WAIT_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, output
    result = Sweep(output, process.returncode, tmp_path / "run")
    assert result.outcomes == {"good": "ok", **{f"h{number}": "missing" for number in range(9)}}
    assert {result.reasons[f"h{number}"] for number in range(9)} == {"the sweep was interrupted"}
    assert "1 host audited" in output
    assert "Traceback" not in output
