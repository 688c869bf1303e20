# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet of cheap ssh hosts: apart from each other and the machine, ill as they say, gone with their owner."""

from __future__ import annotations

import datetime
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fleet_lab import HERE, FleetError, FleetLab, HostSpec, mixed, why_not

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

pytestmark = pytest.mark.needs_root

_ILL = ("full_disk", "wrong_clock", "old_python", "no_python", "changed_key", "silent", "leaks", "closes", "mute")
_OWNER = """
import sys, time
sys.path[:0] = sys.argv[1:3]
from fleet_lab import FleetLab, mixed
with FleetLab(mixed(2, "leaks")) as fleet:
    print(fleet.folder, fleet.leader, *(fleet.pid(one.spec.name) for one in fleet.hosts), flush=True)
    time.sleep(300)
"""


@pytest.fixture(scope="module")
def fleet(make_fleet: Callable[[Sequence[HostSpec]], FleetLab]) -> FleetLab:
    return make_fleet(
        [
            *mixed(1, *_ILL),
            HostSpec("tuned", sysctls={"net.ipv4.tcp_fin_timeout": "17"}),
            HostSpec("inner", behind="web-000"),
            HostSpec("named", hostname="Ä ö"),
        ]
    )


def _ssh(fleet: FleetLab, host: str, command: str, connect_s: int = 30) -> subprocess.CompletedProcess[str]:
    return fleet.run("ssh", "-F", str(fleet.folder / "ssh_config"), "-o", f"ConnectTimeout={connect_s}", host, command)


def test_a_host_answers_ssh_with_its_own_name(fleet: FleetLab) -> None:
    assert _ssh(fleet, "web-000", "hostname").stdout == "web-000\n"
    assert _ssh(fleet, "inner", "hostname").stdout == "inner\n"
    assert _ssh(fleet, "named", "cat /proc/sys/kernel/hostname").stdout == "Ä ö\n"


def test_a_host_sees_its_own_processes_only(fleet: FleetLab) -> None:
    lines = fleet.execute("web-000", "ps", "-e", "-o", "pid=,args=").splitlines()
    assert len(lines) <= 3
    assert lines[0].split()[0] == "1"
    assert "sshd" in lines[0]


def test_there_is_no_way_out(fleet: FleetLab) -> None:
    assert "default" not in fleet.execute("web-000", "ip", "route")
    assert "default" not in fleet.run("ip", "route").stdout


def test_the_root_of_a_host_has_no_rights_on_the_machine(fleet: FleetLab) -> None:
    with pytest.raises(FleetError):
        fleet.execute("web-000", "sh", "-c", "cat /proc/sys/fs/nr_open > /proc/sys/fs/nr_open")
    status = Path(f"/proc/{fleet.pid('web-000')}/status").read_text(encoding="utf-8")
    uids = next(line for line in status.splitlines() if line.startswith("Uid:"))
    assert "0" not in uids.split()[1:]


def test_a_setting_is_of_one_host(fleet: FleetLab) -> None:
    path = "/proc/sys/net/ipv4/tcp_fin_timeout"
    assert fleet.execute("tuned", "cat", path) == "17\n"
    assert fleet.execute("web-000", "cat", path) != "17\n"


def test_a_full_disk_takes_not_one_byte(fleet: FleetLab) -> None:
    for folder in ("/tmp", "/var/tmp", "/run", "/root", "/dev/shm"):
        with pytest.raises(FleetError, match=r"No space left|I/O error"):
            fleet.execute("full-disk", "sh", "-c", f"echo x > {folder}/new")
    assert fleet.execute("web-000", "sh", "-c", "echo x > /tmp/new && cat /tmp/new") == "x\n"


@pytest.mark.parametrize("how", ["-I", "-ESsB"])
def test_a_wrong_clock_is_years_off(fleet: FleetLab, how: str) -> None:
    program = "import datetime, time; print(datetime.datetime.now().year, time.gmtime(time.time()).tm_year)"
    said = fleet.execute("wrong-clock", "python3", how, "-c", program).split()
    assert [int(year) - datetime.datetime.now(datetime.UTC).year for year in said] in ([8, 8], [9, 9])


@pytest.mark.parametrize("how", ["-I", "-ESsB"])
def test_an_old_python_says_so(fleet: FleetLab, how: str) -> None:
    program = "import sys; print(*sys.version_info[:3], sys.executable)"
    assert fleet.execute("old-python", "/usr/bin/python3", how, "-c", program) == "3 6 8 /usr/bin/python3\n"
    assert fleet.execute("old-python", "python3", "-V") == "Python 3.6.8\n"
    assert fleet.execute("old-python", "sh", "-c", "ls /usr/bin/python3*") == "/usr/bin/python3\n"


def test_where_there_is_no_python_there_is_none(fleet: FleetLab) -> None:
    assert _ssh(fleet, "no-python", "python3 -V").returncode == 127


def test_a_changed_key_is_refused(fleet: FleetLab) -> None:
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in _ssh(fleet, "changed-key", "true").stdout


def test_a_silent_host_lets_connections_time_out(fleet: FleetLab) -> None:
    assert "timed out" in _ssh(fleet, "silent", "true", 3).stdout
    assert "timed out" in _ssh(fleet, "mute", "true", 3).stdout


def test_a_host_that_closes_does_so_within_its_output(fleet: FleetLab) -> None:
    done = _ssh(fleet, "closes", "yes")
    assert done.returncode == 255
    assert 0 < done.stdout.count("y\n") <= 310


def test_a_leak_is_real(fleet: FleetLab) -> None:
    table = fleet.execute("leaks", "ss", "-tan", "state", "close-wait")
    assert table.count(":8099") == 5


def test_a_host_that_was_stopped_does_not_answer(make_fleet: Callable[[Sequence[HostSpec]], FleetLab]) -> None:
    fleet = make_fleet(mixed(2))
    fleet.stop("web-001")
    deadline = time.monotonic() + 10
    while _ssh(fleet, "web-001", "true", 3).returncode == 0:
        assert time.monotonic() < deadline
    assert _ssh(fleet, "web-000", "true").returncode == 0


def _alive(pid: int) -> bool:
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0] != "Z"
        )
    except OSError:
        return False


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_when_the_owner_is_gone(how: signal.Signals) -> None:
    if why_not():
        pytest.skip(why_not())
    paths = [str(HERE), str(HERE.parent / "hosts")]
    with subprocess.Popen(
        [sys.executable, "-c", _OWNER, *paths], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as owner:
        assert owner.stdout is not None
        folder, *pids = owner.stdout.readline().split()
        assert all(_alive(int(pid)) for pid in pids)
        links = socket.if_nameindex()
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
        assert folder not in mounts
        os.kill(owner.pid, how)
    deadline = time.monotonic() + 20
    while any(_alive(int(pid)) for pid in pids) or Path(folder).exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not [name for __, name in links if name == "lab"]
