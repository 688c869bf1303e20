# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One sweep over well and sick hosts: each host's trouble stays its own, with its reason in the report."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from fleet_lab import FleetLab, mixed
from illnesses import ILLNESSES, LEAKED, LOOKED_AT, MOVED_PYTHON
from process_tree import TreeCost, measure_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from fleet_files import HostSpec

pytestmark = pytest.mark.needs_root

WELL = 12
SOAK_HOSTS = 300
SOAK_SICK = (
    "banner",
    "changed_key",
    "closes",
    "floods",
    "full_disk",
    "hangs",
    "leaks",
    "no_python",
    "old_python",
    "refused",
    "sudo_refuses",
    "unreachable",
)
LIMIT_S = 300
# A fork that kept what a host sends would need a GiB for one flood.
MOST_KIB = 512 * 1024
REASONS = {
    "changed_key": (
        "unreachable",
        r"has changed: it shows ED25519 SHA256:\S+ ?, \S+known_hosts:\d+ has ED25519 SHA256:\S+; if .* remove",
    ),
    "closes": ("failed", r"the connection ended after \d+ of the report's [\d,]+ bytes"),
    "floods": ("invalid", r"the host sent more than 8 MiB that are no report"),
    "hangs": ("failed", r"timed out: no report within 20 s"),
    "mute": ("unreachable", r"10\.77\.\S+ port 22: sshd sent no greeting within 5 s"),
    "no_python": ("failed", r"no Python 3\.9 or newer was found"),
    "old_python": ("failed", r"no Python 3\.9 or newer: found 3\.6\.8 at /usr/bin/python3"),
    "refused": ("unreachable", r"10\.77\.\S+ port 22: connection refused"),
    "silent": ("unreachable", r"10\.77\.\S+ port 22: no connection within 5 s"),
    "sudo_refuses": ("failed", r"sudo does not let this user"),
    "sudo_wants_password": ("failed", r"sudo asks for a password, and none was given"),
    "sudo_wrong_password": ("failed", r"sudo refused the password"),
    "unreachable": ("unreachable", r"10\.77\.\S+ port 22: no route to host"),
}


class Swept(NamedTuple):
    """What one sweep did."""

    fleet: FleetLab
    cost: TreeCost
    folder: Path
    files_before: set[str]

    @property
    def hosts(self) -> dict[str, dict[str, Any]]:
        manifest = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
        assert manifest["finished"] is True
        hosts: dict[str, dict[str, Any]] = manifest["hosts"]
        return hosts

    def report(self, host: str) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.folder / self.hosts[host]["file"]).read_text(encoding="utf-8"))
        return loaded


def sweep(fleet: FleetLab, folder: Path, *arguments: str) -> Swept:
    before = _files(fleet, "web-000")
    limits = ["--timeout-s=20", "--connect-timeout-s=5", "--min-age-s=0"]
    command = fleet.command("lastack", "sweep", "-i", str(fleet.inventory), "--store", str(folder / "run"), *limits)
    cost = measure_tree([*command, *arguments], fleet.environment(), folder, LIMIT_S)
    return Swept(fleet, cost, folder / "run", before)


def _files(fleet: FleetLab, host: str) -> set[str]:
    """Return every file of a host with its time of change; sshd's own log is none of a sweep's."""
    folders = ("/etc", "/home", "/opt", "/root", "/run", "/tmp", "/usr", "/var", "/dev/shm")
    lines = fleet.execute(host, "find", *folders, "-printf", "%p %C@\\n").splitlines()
    return {line for line in lines if not line.startswith("/var/log/")}


@pytest.fixture(scope="module")
def swept(make_fleet: Callable[[Sequence[HostSpec]], FleetLab], tmp_path_factory: pytest.TempPathFactory) -> Swept:
    fleet = make_fleet(mixed(WELL, *ILLNESSES))
    return sweep(fleet, tmp_path_factory.mktemp("swept"))


def test_every_host_has_an_outcome(swept: Swept) -> None:
    assert swept.cost.status == 0, swept.cost.output
    assert set(swept.hosts) == {one.spec.name for one in swept.fleet.hosts}
    assert set(REASONS) | set(LOOKED_AT) == set(ILLNESSES)


@pytest.mark.parametrize("illness", REASONS)
def test_a_sick_host_has_its_reason_in_the_report(swept: Swept, illness: str) -> None:
    outcome, reason = REASONS[illness]
    host = illness.replace("_", "-")
    entry = swept.hosts[host]
    assert (entry["outcome"], entry["file"]) == (outcome, None)
    assert re.search(reason, entry["reason"]), entry["reason"]
    # One sentence that tells no secret and nothing of the sweep's own inside.
    assert "\n" not in entry["reason"]
    assert not re.search(rf"Traceback|horse|{MOVED_PYTHON}", entry["reason"])
    page = (swept.folder / "report.html").read_text(encoding="utf-8")
    assert host in page


@pytest.mark.parametrize("illness", LOOKED_AT)
def test_what_does_not_hinder_a_look_hinders_no_report(swept: Swept, illness: str) -> None:
    host = illness.replace("_", "-")
    assert (swept.hosts[host]["outcome"], swept.hosts[host]["reason"]) == ("ok", None)
    assert swept.report(host)["host"]["name"] == host


def test_a_wrong_clock_is_said(swept: Swept) -> None:
    completeness = swept.report("wrong-clock")["completeness"]
    assert not completeness["complete"]
    assert any(
        one["code"] == "clock_wrong" and "the controller's: its dates are wrong" in one["detail"]
        for one in completeness["warnings"]
    )
    assert "wrong-clock: its clock is " in swept.cost.output


def test_the_others_are_not_affected(swept: Swept) -> None:
    for number in range(WELL):
        host = f"web-{number:03}"
        assert (swept.hosts[host]["outcome"], swept.hosts[host]["reason"]) == ("ok", None)
        assert swept.report(host)["host"]["name"] == host


def test_a_leak_is_found_on_its_host_alone(swept: Swept) -> None:
    fleet = json.loads((swept.folder / "fleet.json").read_text(encoding="utf-8"))
    apps = [app for app in fleet["apps"] if app["sockets"]]
    assert [(app["app"], app["sockets"], app["worst_host"]["host"]) for app in apps] == [("leak.py", LEAKED, "leaks")]


def test_it_is_one_screen(swept: Swept) -> None:
    shown = swept.cost.output[swept.cost.output.index("hosts audited") - 10 :]
    assert len(shown.splitlines()) <= 40
    assert all(len(line) <= 100 for line in shown.splitlines())
    # All of them that were not looked at, each with its reason.
    assert [name for name in REASONS if name.replace("_", "-") not in shown] == []
    assert "leak.py" in shown
    assert "Not seen" in shown
    assert "Traceback" not in swept.cost.output


def test_a_flood_does_not_fill_the_memory(swept: Swept) -> None:
    assert 0 < swept.cost.peak_rss_kib < MOST_KIB


def test_nothing_is_left_on_a_host(swept: Swept) -> None:
    assert _files(swept.fleet, "web-000") == swept.files_before
    for number in range(WELL):
        programs = swept.fleet.execute(f"web-{number:03}", "ps", "-e", "-o", "comm=").split()
        assert programs == ["sshd", "ps"]


@pytest.mark.soak
def test_twelve_sick_hosts_of_three_hundred_are_found(
    make_fleet: Callable[[Sequence[HostSpec]], FleetLab], tmp_path: Path
) -> None:
    fleet = make_fleet(mixed(SOAK_HOSTS - len(SOAK_SICK), *SOAK_SICK))
    done = sweep(fleet, tmp_path, "--forks=50")
    assert done.cost.status == 0, done.cost.output
    troubled = {host for host, entry in done.hosts.items() if entry["outcome"] != "ok"}
    assert troubled == {name.replace("_", "-") for name in SOAK_SICK if name in REASONS}
    assert len(done.hosts) == SOAK_HOSTS
    assert done.cost.peak_rss_kib < MOST_KIB
    assert "leak.py" in done.cost.output
