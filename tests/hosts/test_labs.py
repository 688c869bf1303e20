# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a lab: the machine is as it was before, and nothing is left, whatever ended it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lab_registry
import machine
import pytest
from lab import HostSpec, Lab, LabError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs_root

HERE = Path(__file__).resolve().parent
COMMAND = [sys.executable, str(HERE)]
OURS = ("/etc", "/lib/systemd", "/run/systemd", "/usr/lib/systemd", "/var/lib/systemd")


@contextlib.contextmanager
def owner(*names: str) -> Iterator[subprocess.Popen[str]]:
    """A process group whose program owns a lab; it is killed at the end."""
    command = [sys.executable, str(HERE / "lab_owner.py"), *names]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=90)


def lab_below(process: subprocess.Popen[str]) -> tuple[dict[str, Any], dict[int, str]]:
    """Wait until the lab of an owner is up; return it and its processes."""
    assert process.stdout is not None
    folder = process.stdout.readline().strip()
    assert folder, "the owner's lab did not come up"
    lab = lab_registry.lab_of(Path(folder))
    assert lab is not None
    members = machine.family(process.pid)
    # Keeper, unshare, leader, and at least systemd, journald and sshd of a host.
    assert len(members) > 5
    return lab, members


def test_the_machine_is_as_it_was(bookworm: str) -> None:
    before = machine.sysctls(), machine.interfaces(), machine.folder_state(*OURS)
    mounts, units = Path("/proc/self/mountinfo").read_text(), Path("/proc/1/cgroup").read_text()
    with Lab([HostSpec("one", bookworm), HostSpec("two", bookworm)]) as lab:
        for host in lab.state():
            lab.execute(host, "sysctl", "-qw", "net.ipv4.tcp_fin_timeout=35", "net.core.somaxconn=99")
            # As systemd does at boot without a user namespace around it.
            lab.execute(host, "sh", "-c", "echo 1000000 >/proc/sys/fs/nr_open", check=False)
            lab.execute(host, "useradd", "somebody")
        lab.restart("one")
        during = machine.sysctls(), machine.interfaces(), machine.folder_state(*OURS)
    after = machine.sysctls(), machine.interfaces(), machine.folder_state(*OURS)
    assert len(before[0]) > 300
    for now in (during, after):
        # A module that the bridge needs may bring settings of its own: what was there has not changed.
        assert {name: now[0].get(name) for name in before[0]} == before[0]
        assert now[1] == before[1]
        assert {path: now[2].get(path) for path in before[2]} == before[2]
    assert Path("/proc/self/mountinfo").read_text() == mounts
    assert Path("/proc/1/cgroup").read_text() == units


def test_after_success_nothing_is_left(bookworm: str, tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 20) / "lab"
    with Lab([HostSpec("one", bookworm)], folder=folder) as lab:
        known = lab_registry.lab_of(folder)
        assert known is not None
        assert lab.folder == folder
        assert lab._keeper is not None
        members = machine.family(lab._keeper.pid)
        # A master of ssh stays behind an Ansible run.
        assert lab.run("ansible", "all", "-i", str(lab.inventory), "-m", "ping").returncode == 0
        assert list((Path(known["short"]) / "cp").iterdir())
    assert machine.wait_until_gone(known, members) == []
    assert not folder.exists()


def test_ssh_masters_end_with_the_lab(bookworm: str) -> None:
    def masters(name: str) -> list[Path]:
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if name.encode() in path.read_bytes() and path.with_name("comm").read_text() == "ssh\n":
                    found.append(path)
        return found

    with Lab([HostSpec("one", bookworm)]) as lab:
        assert lab.run("ansible", "all", "-i", str(lab.inventory), "-m", "ping").returncode == 0
        assert masters(str(lab.folder))
    deadline = time.monotonic() + 90
    while masters(str(lab.folder)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_after_a_failure_in_the_test_nothing_is_left(bookworm: str) -> None:
    lab = Lab([HostSpec("one", bookworm)])

    def fail() -> None:
        with lab:
            assert lab._keeper is not None
            found.append((lab_registry.lab_of(lab.folder), machine.family(lab._keeper.pid)))
            raise ZeroDivisionError

    found: list[tuple[dict[str, Any] | None, dict[int, str]]] = []
    with pytest.raises(ZeroDivisionError):
        fail()
    known, members = found[0]
    assert known is not None
    assert len(members) > 5
    assert machine.left_of(known, members) == []


def test_after_a_failure_at_boot_nothing_is_left(
    bookworm: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "crun").write_text("#!/bin/sh\necho 'no luck today' >&2\nexit 1\n", encoding="ascii")
    (tmp_path / "crun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    lab = Lab([HostSpec("one", bookworm)], folder=tmp_path / "lab")
    before = machine.family(os.getpid())
    with pytest.raises(LabError, match=r"^The lab did not come up: one does not start: no luck today\.$"):
        lab.up()
    assert not (tmp_path / "lab").exists()
    assert str(tmp_path / "lab") not in [known["folder"] for known, __ in lab_registry.records()]
    assert set(machine.family(os.getpid())) <= set(before)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_after_a_sudden_end_of_the_owner_nothing_is_left(bookworm: str, how: signal.Signals) -> None:
    assert bookworm
    with owner("one", "two") as process:
        lab, members = lab_below(process)
        os.killpg(process.pid, how)
        process.wait(90)
    assert machine.wait_until_gone(lab, members) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=lambda how: how.name)
@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.3])
def test_after_a_sudden_end_at_boot_nothing_is_left(bookworm: str, how: signal.Signals, after_s: float) -> None:
    """The moments differ from run to run; whichever they meet, what is there then is gone soon."""
    assert bookworm
    # The record is there before anything else says which lab it is; others may start labs at the same time.
    name = f"one-{secrets.token_hex(8)}"
    with owner(name, "two") as process:
        deadline = time.monotonic() + 90
        while not (new := [lab for lab, __ in lab_registry.records() if lab["hosts"][0]["name"] == name]):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.001)
        time.sleep(after_s)
        members = machine.family(process.pid)
        os.killpg(process.pid, how)
        process.wait(90)
    # Killed before there was a keeper, it is the next lab that sweeps.
    machine.wait_until_gone(new[0], members, 2.0)
    lab_registry.sweep()
    assert machine.wait_until_gone(new[0], members) == []


@pytest.mark.parametrize("what", ["keeper", "unshare", "leader"])
def test_what_a_dead_lab_left_is_swept(bookworm: str, what: str) -> None:
    """Whichever process of a lab is killed, the rest dies with it, and the next sweep finds the remains."""
    assert bookworm
    with owner("one") as process:
        lab, members = lab_below(process)
        found = {}
        for pid in members:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            kind = {b"lab_keeper.py": "keeper", b"lab_leader.py": "leader"}.get(
                Path(os.fsdecode(words[1])).name.encode()
            )
            found[kind or ("unshare" if words[0] == b"unshare" else "")] = pid
        os.kill(found[what], signal.SIGKILL)
        # The owner lives on: nothing else of it may end.
        time.sleep(0.2)
        assert process.poll() is None
        deadline = time.monotonic() + 90
        while (left := machine.left_of(lab, members)) and any(one.startswith("process") for one in left):
            assert time.monotonic() < deadline, left
            time.sleep(0.05)
        lab_registry.sweep()
        assert machine.wait_until_gone(lab, members) == []


def test_a_sweep_leaves_the_living_alone(bookworm: str) -> None:
    with Lab([HostSpec("one", bookworm)]) as lab:
        assert str(lab.folder) not in lab_registry.sweep()
        assert lab.execute("one", "true").returncode == 0


def test_a_sweep_removes_no_folder_that_is_not_the_dead_labs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LASTACK_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "lab"
    folder.mkdir()
    lab = {"id": "0123abcd", "folder": str(folder), "short": "", "cgroup": "/lastack-lab-0123abcd", "hosts": []}
    os.close(lab_registry.record(lab))
    (folder / "lab.json").write_text(json.dumps({**lab, "id": "another0"}), encoding="ascii")
    assert lab_registry.sweep() == [str(folder)]
    assert (folder / "lab.json").exists()
    assert lab_registry.records() == []
    # The same once more, the folder being its own.
    os.close(lab_registry.record(lab))
    (folder / "lab.json").write_text(json.dumps(lab), encoding="ascii")
    (folder / "file").touch()
    assert lab_registry.sweep() == [str(folder)]
    assert not folder.exists()


def test_ten_hosts(bookworm: str) -> None:
    names = [f"host-{number}" for number in range(10)]
    with Lab([HostSpec(name, bookworm) for name in names]) as lab:
        assert lab.state() == dict.fromkeys(names, "on")
        addresses = {lab.execute(name, "hostname", "-I").stdout.split()[0] for name in names}
        assert len(addresses) == len(names)
        assert lab.execute("host-0", "getent", "ahostsv4", "host-9").stdout.split()[0] in addresses


def test_a_host_that_uses_up_a_limit_per_user_harms_no_other(bookworm: str) -> None:
    """inotify instances are counted per user of the machine, and every host has the same root."""
    program = (
        "import ctypes, os, time\n"
        "libc = ctypes.CDLL(None)\n"
        "number = 0\n"
        "while number < 100000 and libc.inotify_init1(0) >= 0:\n"
        "    number += 1\n"
        "open('/run/greedy.part', 'w').write(str(number))\n"
        "os.rename('/run/greedy.part', '/run/greedy')\n"
        "time.sleep(600)\n"
    )
    with Lab([HostSpec("greedy", bookworm), HostSpec("other", bookworm)]) as lab:
        # What it holds itself would be enough for it again.
        lab.stop("other")
        lab.execute(
            "greedy", "systemd-run", "--unit=greedy", "--property=LimitNOFILE=infinity", "python3", "-c", program
        )
        deadline = time.monotonic() + 90
        while not (said := lab.execute("greedy", "cat", "/run/greedy", check=False).stdout):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        most = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text(encoding="ascii"))
        assert 0 < int(said) < most
        lab.start("other")
        assert lab.execute("other", "systemctl", "is-system-running").stdout == "running\n"


def test_two_labs_with_the_same_names_do_not_meet(bookworm: str) -> None:
    with Lab([HostSpec("one", bookworm)]) as first, Lab([HostSpec("one", bookworm)]) as second:
        first.execute("one", "touch", "/root/first")
        for lab, expected in ((first, 0), (second, 2)):
            assert lab.execute("one", "ls", "/root/first", check=False).returncode == expected
            done = lab.run("ssh", "-F", str(lab.folder / "ssh_config"), "one", "ls /root/first")
            assert done.returncode == expected, done.stdout


def test_the_command_line_makes_and_ends_a_lab(bookworm: str, tmp_path: Path) -> None:
    def command(*arguments: str, status: int = 0) -> str:
        done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == status, done.stderr
        return done.stdout

    folder = str(tmp_path / "lab")
    sleeper = subprocess.Popen(["sleep", "600"])
    try:
        assert command("why") == ""
        assert (
            command("up", folder, "--host", f"one={bookworm}", "--owner", str(sleeper.pid))
            == f"{folder}/inventory.yml\n"
        )
        assert f"alive {folder} one={bookworm}" in command("list").splitlines()
        assert command("execute", folder, "one", "--", "sh", "-c", "hostname; exit 3", status=3) == "one\n"
        assert command("ssh", folder, "one", "--", "id", "-un") == "root\n"
        command("stop", folder, "one")
        assert command("state", folder) == "one off\n"
        command("start", folder, "one")
        command("restart", folder, "one")
        assert command("state", folder) == "one on\n"
        known = lab_registry.lab_of(Path(folder))
        assert known is not None
        command("down", folder)
        assert machine.left_of(known, {}) == []
        command("down", folder)
        command("up", folder, "--host", f"one={bookworm}", "--owner", str(sleeper.pid))
        known = lab_registry.lab_of(Path(folder))
        assert known is not None
    finally:
        sleeper.kill()
        sleeper.wait()
    assert machine.wait_until_gone(known, {}) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["up", "{}/new", "--host", "one=buster"], "There is no suite 'buster': it must be one of"),
        (["up", "{}/new", "--host", "one", "--host", "one"], "The host name 'one' is given twice."),
        (["up", "{}/new", "--host", "../one"], "The host name '../one' is not usable"),
        (["up", "{}/new", "--host", "all"], "The host name 'all' is not usable"),
        (["up", "{}/new", "--host", "-x=trixie"], "The host name '-x' is not usable"),
        (["up", "{}", "--host", "one"], "is not a lab, and not empty."),
        (["up", "{}/file", "--host", "one"], "cannot be used: File exists."),
        (["up", "{}/a b", "--host", "one"], "it has a character that ssh_config may not."),
        (["up", "{}/new", "--host", "one", "--owner", "4194399"], "There is no process 4194399 to own the lab."),
        (["build", "buster"], "There is no suite 'buster'"),
        (["execute", "{}", "one", "--", "true"], "There is no lab in {}."),
        (["restart", "{}/new", "one"], "There is no lab in {}/new."),
    ],
)
@pytest.mark.usefixtures("_can_run")
def test_bad_input_is_said_in_one_sentence(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    (tmp_path / "file").touch()
    given = [argument.replace("{}", str(tmp_path)) for argument in arguments]
    given = [f"--host={one}" if before == "--host" else one for before, one in zip(["", *given], given, strict=False)]
    given = [one for one in given if one != "--host"]
    done = subprocess.run([*COMMAND, *given], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert sentence.replace("{}", str(tmp_path)) in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir() if path.name != "new"] == ["file"]


def test_down_touches_no_folder_that_is_not_a_lab(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = subprocess.run([*COMMAND, "down", str(tmp_path)], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "file").exists()
