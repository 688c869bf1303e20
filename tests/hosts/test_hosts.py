# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host of a lab is: a real distribution with systemd, ssh and a network stack of its own, and nothing beyond."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from lab import SUITES, Lab

pytestmark = pytest.mark.needs_root

UNREACHABLE = 4


def ansible(lab: Lab, pattern: str, module: str, *more: str) -> subprocess.CompletedProcess[str]:
    return lab.run("ansible", pattern, "-i", str(lab.inventory), "-m", module, *more)


def value(lab: Lab, host: str, name: str) -> str:
    return lab.execute(host, "sysctl", "-n", name).stdout.strip()


def inode(lab: Lab, host: str, kind: str) -> str:
    return lab.execute(host, "readlink", f"/proc/1/ns/{kind}").stdout.strip()


def test_ansible_reaches_every_host(lab: Lab) -> None:
    done = ansible(lab, "all", "ping")
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert sorted(line.split(" | ")[0] for line in lines if " | SUCCESS" in line) == sorted(lab.state())


def test_each_suite_is_what_it_says(lab: Lab, host: str) -> None:
    inventory = json.loads(lab.inventory.read_text(encoding="utf-8").removeprefix("---\n"))
    groups = inventory["all"]["children"]
    suite = next(name for name, group in groups.items() if host in group["hosts"])
    release = lab.execute(host, "sh", "-c", ". /etc/os-release; echo $VERSION_CODENAME").stdout.strip()
    version = lab.execute(host, "/usr/bin/python3", "-c", "import apt, sys; print(*sys.version_info[:2], sep='.')")
    assert (release, version.stdout.strip()) == (suite, SUITES[suite])
    assert lab.execute(host, "hostname").stdout.strip() == host


def test_systemd_is_the_first_process_and_nothing_failed(lab: Lab, host: str) -> None:
    assert lab.execute(host, "cat", "/proc/1/comm").stdout.strip() == "systemd"
    assert lab.execute(host, "systemctl", "is-system-running").stdout.strip() == "running"
    assert lab.execute(host, "systemctl", "--failed", "--no-legend").stdout.strip() == ""


def test_a_unit_of_a_test_runs_in_its_own_cgroup(lab: Lab, host: str) -> None:
    unit = "[Service]\nExecStart=/bin/sleep 600\nUser=operator\nLimitNOFILE=1234\n"
    lab.execute(host, "tee", "/etc/systemd/system/sleeper.service", text=unit)
    lab.execute(host, "systemctl", "daemon-reload")
    try:
        lab.execute(host, "systemctl", "start", "sleeper")
        pid = lab.execute(host, "systemctl", "show", "-p", "MainPID", "--value", "sleeper").stdout.strip()
        assert lab.execute(host, "cat", f"/proc/{pid}/cgroup").stdout.splitlines()[-1].endswith("/sleeper.service")
        assert "1234" in lab.execute(host, "grep", "open files", f"/proc/{pid}/limits").stdout
        assert lab.execute(host, "ps", "-o", "user=", "-p", pid).stdout.strip() == "operator"
    finally:
        lab.execute(host, "systemctl", "stop", "sleeper", check=False)
        lab.execute(host, "rm", "/etc/systemd/system/sleeper.service")


def test_network_namespaces_are_all_different(lab: Lab) -> None:
    hosts = [inode(lab, host, "net") for host in lab.state()]
    assert len({*hosts, str(Path("/proc/self/ns/net").readlink())}) == len(hosts) + 1


def test_net_is_writable_inside_and_of_that_host_alone(lab: Lab, host: str) -> None:
    before = value(lab, host, "net.ipv4.tcp_keepalive_intvl")
    others = {name: value(lab, name, "net.ipv4.tcp_keepalive_intvl") for name in lab.state() if name != host}
    try:
        lab.execute(host, "sysctl", "-qw", "net.ipv4.tcp_keepalive_intvl=31")
        assert value(lab, host, "net.ipv4.tcp_keepalive_intvl") == "31"
        assert {name: value(lab, name, "net.ipv4.tcp_keepalive_intvl") for name in others} == others
        assert Path("/proc/sys/net/ipv4/tcp_keepalive_intvl").read_text(encoding="ascii").strip() != "31"
    finally:
        lab.execute(host, "sysctl", "-qw", f"net.ipv4.tcp_keepalive_intvl={before}")


@pytest.mark.parametrize(
    "name",
    [
        "fs.file-max",
        "fs.nr_open",
        "fs.inotify.max_user_watches",
        "kernel.panic",
        "kernel.core_pattern",
        "vm.swappiness",
    ],
)
def test_what_belongs_to_the_machine_is_not_writable(lab: Lab, host: str, name: str) -> None:
    """The value that is there already is written, so that even a factory gone wrong would change nothing."""
    path = f"/proc/sys/{name.replace('.', '/')}"
    done = lab.execute(host, "sh", "-c", f'v=$(cat {path}) && printf %s "$v" >{path}', check=False)
    assert done.returncode != 0
    assert "ermission denied" in done.stderr


def test_hosts_find_each_other_by_name_and_nothing_else(lab: Lab, host: str) -> None:
    names = list(lab.state())
    program = (
        "import socket, sys\n"
        "for name in sys.argv[1:]:\n"
        "    for family in (socket.AF_INET, socket.AF_INET6):\n"
        "        try:\n"
        "            where = socket.getaddrinfo(name, 22, family, socket.SOCK_STREAM)[0][4]\n"
        "            with socket.socket(family) as connection:\n"
        "                connection.settimeout(5)\n"
        "                connection.connect(where)\n"
        "                print(connection.recv(4).decode())\n"
        "        except OSError as error:\n"
        "            print(error.errno)\n"
    )
    said = lab.execute(host, "python3", "-c", program, *names).stdout.split()
    # Where the machine has no IPv6, there is none inside either.
    six = ["SSH-"] if Path("/proc/net/if_inet6").exists() else []
    assert said == ["SSH-", *six] * len(names) or said[::2] == ["SSH-"] * len(names)
    assert lab.execute(host, "ip", "route", "show", "default").stdout == ""
    assert lab.execute(host, "python3", "-c", program, "192.0.2.1").stdout.split()[0] == "101"  # ENETUNREACH


def test_a_restart_keeps_files_and_brings_a_new_network_stack(lab: Lab, host: str) -> None:
    address = lab.execute(host, "ip", "-br", "-4", "address", "show", "eth0").stdout.split()[2]
    before = value(lab, host, "net.ipv4.tcp_fin_timeout")
    lab.execute(host, "tee", "/etc/sysctl.d/90-test.conf", text="net.ipv4.tcp_keepalive_time = 1234\n")
    lab.execute(host, "sysctl", "-qw", "net.ipv4.tcp_fin_timeout=33", "net.ipv4.tcp_keepalive_time=4321")
    try:
        lab.restart(host)
        # Not the namespace's inode: the kernel gives the number of one that is gone to the next.
        assert value(lab, host, "net.ipv4.tcp_fin_timeout") == before != "33"
        assert value(lab, host, "net.ipv4.tcp_keepalive_time") == "1234"
        assert lab.execute(host, "ip", "-br", "-4", "address", "show", "eth0").stdout.split()[2] == address
        done = subprocess.run(lab.ssh_command(host, "hostname"), capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.strip() == host
    finally:
        lab.execute(host, "rm", "/etc/sysctl.d/90-test.conf")


def test_a_reboot_from_inside_is_one(lab: Lab) -> None:
    """``ansible.builtin.reboot`` as it is: the hosts boot again, with another boot id and network stack."""

    def boot_id(host: str) -> str:
        return lab.execute(host, "cat", "/proc/sys/kernel/random/boot_id").stdout

    before = {host: boot_id(host) for host in lab.state()}
    assert len(set(before.values())) == len(before)
    for host in before:
        lab.execute(host, "sysctl", "-qw", "net.ipv4.tcp_fin_timeout=34")
    done = ansible(lab, "all", "reboot", "-a", "reboot_timeout=180")
    assert done.returncode == 0, done.stdout
    for host, old in before.items():
        assert boot_id(host) != old
        assert value(lab, host, "net.ipv4.tcp_fin_timeout") != "34"


def test_a_host_that_is_off_is_unreachable(lab: Lab) -> None:
    hosts = lab.state()
    off = next(iter(hosts))
    lab.stop(off)
    try:
        assert lab.state() == {**hosts, off: "off"}
        done = ansible(lab, "all", "ping")
        assert done.returncode == UNREACHABLE
        lines = done.stdout.splitlines()
        assert [line.split(" | ")[0] for line in lines if "UNREACHABLE" in line] == [off]
        assert sum(" | SUCCESS" in line for line in lines) == len(hosts) - 1
        refused = lab.execute(off, "true", check=False)
        assert (refused.returncode, refused.stderr) == (255, f"The host {off} is off.\n")
        lab.stop(off)
    finally:
        lab.start(off)
    lab.start(off)
    assert lab.state() == hosts
    assert lab.execute(off, "true").returncode == 0


def test_a_host_that_powers_itself_off_stays_off(lab: Lab, host: str) -> None:
    lab.execute(host, "systemctl", "poweroff", check=False)
    try:
        deadline = time.monotonic() + 90
        while lab.state()[host] == "on" and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        assert lab.state()[host] == "off"
    finally:
        lab.start(host)
    assert lab.execute(host, "true").returncode == 0


def test_an_unprivileged_user_escalates(lab: Lab) -> None:
    number = len(lab.state())
    done = ansible(lab, "all", "command", "-a", "id -un", "-u", "operator")
    assert done.stdout.splitlines().count("operator") == number, done.stdout
    done = ansible(lab, "all", "command", "-a", "id -un", "-u", "operator", "--become")
    assert done.stdout.splitlines().count("root") == number, done.stdout
    denied = ansible(lab, "all", "command", "-a", "cat /etc/shadow", "-u", "operator")
    assert denied.stdout.count("Permission denied") == number, denied.stdout


def test_limits_d_reaches_sessions(lab: Lab, host: str) -> None:
    path = "/etc/security/limits.d/90-test.conf"
    lab.execute(host, "tee", path, text="operator - nofile 1111\n")
    try:
        done = subprocess.run(
            [*lab.ssh_command(host)[:-1], "-l", "operator", host, "ulimit -n"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert done.stdout.strip() == "1111"
    finally:
        lab.execute(host, "rm", path)


def test_execute_gives_streams_and_status(lab: Lab, host: str) -> None:
    done = lab.execute(host, "sh", "-c", "cat; echo oops >&2; exit 7", check=False, text="some\ninput")
    assert (done.returncode, done.stdout, done.stderr) == (7, "some\ninput", "oops\n")
    with pytest.raises(subprocess.CalledProcessError):
        lab.execute(host, "false")
    assert lab.execute(host, "printf", "%s|", "a b", "$HOME", "'", "-x", "").stdout == "a b|$HOME|'|-x||"
    assert lab.execute(host, "no-such-program", check=False).returncode != 0


def test_what_takes_too_long_is_killed_inside(lab: Lab, host: str) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        lab.execute(host, "sh", "-c", "sleep 4321; true", timeout_s=1)
    deadline = time.monotonic() + 60
    while (found := lab.execute(host, "pgrep", "-fx", "sleep 4321", check=False)).stdout:
        assert time.monotonic() < deadline, found.stdout
        time.sleep(0.05)


def test_namespaces_can_be_made_inside(lab: Lab, host: str) -> None:
    """What container-like services do: a network, mount and process namespace with a /proc of its own."""
    command = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", "ls -d /proc/[0-9]*"]
    assert "/proc/1\n" in lab.execute(host, *command).stdout


def test_ansible_gets_nothing_of_the_caller(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_CONFIG", "/nowhere/ansible.cfg")
    monkeypatch.setenv("ANSIBLE_INVENTORY", "/nowhere/hosts")
    environment = lab.environment(ANSIBLE_FORKS="3")
    assert environment["ANSIBLE_FORKS"] == "3"
    assert "ANSIBLE_INVENTORY" not in environment
    assert Path(environment["HOME"]).parent == Path(environment["ANSIBLE_CONFIG"]).parent == lab.folder
    assert lab.run("sh", "-c", "echo $HOME").stdout.strip() == environment["HOME"]
    assert os.environ["HOME"] != environment["HOME"]
