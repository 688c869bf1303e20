# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that keeps a fleet: makes its world, says when it is up, and ends it with its owner.

    fleet_keeper.py FOLDER      reads FOLDER/fleet.json

Three processes: the keeper (this one, the machine's root) waits for the end of its standard input, which is the owner's
end, and then removes everything. Its child gives up the machine's rights: a user namespace, and in it namespaces for
mounts, processes and the network, in which the leader is the first process and makes the hosts; the kernel ends
everything in them with the leader. The hosts' root is an unprivileged user of the machine: it may be unable to read
this Python's library, so that nothing may be imported late, not even the name of an encoding but UTF-8.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from fleet_host import become_host
from illnesses import USER
from linux_calls import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_REC,
    become_subreaper,
    die_with_parent,
    mount,
    restore_pid_namespace,
    unshare,
)

__all__: list[str] = []

WORLD = Path("/run")
_READY_S = 120.0
_LISTEN = "0A"
_SSH_PORT = "0016"


class Leader:
    """First process of the fleet's world."""

    def __init__(self, fleet: dict[str, Any], said: int) -> None:
        self._fleet = fleet
        self._said = said
        self._pids: dict[str, int] = {}
        self._own_pid_namespace = -1

    def run(self) -> NoReturn:
        """Make the hosts, say so, and wait until somebody kills this process."""
        try:
            mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
            self._own_pid_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
            self._make_bridge()
            self._make_hosts()
            self._wait()
            answer: dict[str, object] = {"hosts": self._pids}
        except Exception as error:  # noqa: BLE001 - whatever it was, the one who waits must hear of it
            answer = {"error": str(error) or repr(error)}
        os.write(self._said, json.dumps(answer).encode() + b"\n")
        os.close(self._said)
        while True:
            try:
                os.wait()
            except ChildProcessError:
                signal.pause()

    @staticmethod
    def _ip(lines: list[str]) -> None:
        done = subprocess.run(
            ["ip", "-batch", "-"], input="\n".join(lines), capture_output=True, text=True, check=False, timeout=_READY_S
        )
        if done.returncode:
            raise RuntimeError(f"ip: {done.stderr.strip()}")

    def _make_bridge(self) -> None:
        # Hundreds of links that look for routers and duplicates would be all that the bridge does.
        with contextlib.suppress(OSError):
            Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1", encoding="utf-8")
        self._ip(
            [
                "link set lo up",
                "link add lab type bridge forward_delay 0 stp_state 0 mcast_snooping 0",
                f"address add {self._fleet['gateway']}/16 dev lab",
                "link set lab up",
            ]
        )

    def _make_hosts(self) -> None:
        ready, is_ready = os.pipe()
        go, let_go = os.pipe()
        (WORLD / "host").mkdir()
        for host in self._fleet["hosts"]:
            unshare(CLONE_NEWPID)
            pid = os.fork()
            if pid == 0:
                os.close(let_go)
                self._host(host, is_ready, go)
            restore_pid_namespace(self._own_pid_namespace)
            self._pids[host["name"]] = pid
        os.close(is_ready)
        waiting = len(self._pids)
        while waiting:
            got = len(os.read(ready, 4096))
            if not got:
                raise RuntimeError("a host did not get its namespaces: see the log")
            waiting -= got
        links = []
        for host in self._fleet["hosts"]:
            number = host["number"]
            if not host["behind"]:
                links.append(f"link add h{number} type veth peer name eth0 netns {self._pids[host['name']]}")
                links.append(f"link set h{number} master lab up")
            else:
                inner, outer = self._pids[host["name"]], self._pids[host["behind"]]
                links.append(f"link add eth0 netns {inner} type veth peer name eth{number} netns {outer}")
        # Packets to these go to a machine that is not there, as if a firewall dropped them.
        silent = [
            f"neighbour add {one} lladdr 02:00:00:00:00:01 nud permanent dev lab" for one in self._fleet["silent"]
        ]
        self._ip([*links, *silent])
        os.close(let_go)

    @staticmethod
    def _host(host: dict[str, Any], ready: int, go: int) -> NoReturn:
        try:
            become_host(host, WORLD / "host", ready, go)
        except BaseException as error:  # noqa: BLE001 - the child of a fork must never return
            os.write(2, f"{host['name']}: {error!r}\n".encode())
            os._exit(1)

    def _wait(self) -> None:
        """Wait until every host listens; without a connection, which some would count."""
        deadline = time.monotonic() + _READY_S
        waiting = {host["name"]: self._pids[host["name"]] for host in self._fleet["hosts"] if host["listens"]}
        while waiting:
            for name, pid in list(waiting.items()):
                # An end before sshd listens is an error; afterwards it may be meant.
                if os.waitpid(pid, os.WNOHANG)[0]:
                    raise RuntimeError(f"{name} ended: see the log")
                if _listens(pid):
                    del waiting[name]
            if time.monotonic() > deadline:
                raise RuntimeError(f"no sshd on {', '.join(list(waiting)[:5])} after {_READY_S:.0f} s")
            time.sleep(0.05)


def _listens(pid: int) -> bool:
    try:
        lines = Path(f"/proc/{pid}/net/tcp").read_text(encoding="utf-8").splitlines()[1:]
    except OSError:
        return False
    return any(line.split()[1].endswith(f":{_SSH_PORT}") and line.split()[3] == _LISTEN for line in lines)


def _enter_world(fleet: dict[str, Any], unshared: int, mapped: int, said: int, keeper: int) -> NoReturn:
    """In the keeper's child: give up the machine's rights, then be the parent of the leader."""
    os.umask(0o022)
    unshare(CLONE_NEWNS)
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    # Over /run, so that nothing has to be made on the machine.
    mount("fleet", str(WORLD), "tmpfs", MS_NODEV, "mode=755")
    for suite, tree in fleet["trees"].items():
        (WORLD / suite).mkdir()
        mount(tree, str(WORLD / suite), flags=MS_BIND)
    shutil.copytree(fleet["seed"], WORLD / "seed")
    os.chown(WORLD, fleet["uid"], fleet["uid"])
    for folder, __, names in os.walk(WORLD / "seed"):
        for name in (".", *names):
            path = Path(folder, name)
            mode = path.stat().st_mode & 0o7777
            owner = fleet["uid"] + (fleet["user"] if USER in path.parts else 0)
            os.chown(path, owner, owner)
            # chown(2) may take bits away.
            path.chmod(mode)
    unshare(CLONE_NEWUSER)
    os.write(unshared, b".")
    os.read(mapped, 1)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    die_with_parent(keeper)
    unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC)
    here = os.getpid()
    leader = os.fork()
    if leader == 0:
        die_with_parent(here)
        Leader(fleet, said).run()
    os.close(said)
    os.waitpid(leader, 0)
    os._exit(0)


def main() -> None:
    folder = Path(sys.argv[1])
    become_subreaper()
    keeper = os.getpid()
    fleet = json.loads((folder / "fleet.json").read_text(encoding="utf-8"))
    unshared, is_unshared = os.pipe()
    mapped, is_mapped = os.pipe()
    hears, said = os.pipe()
    child = os.fork()
    if child == 0:
        die_with_parent(keeper)
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(2, 1)
        try:
            _enter_world(fleet, is_unshared, mapped, said, keeper)
        except BaseException as error:  # noqa: BLE001 - the child of a fork must never return
            os.write(said, json.dumps({"error": str(error) or repr(error)}).encode() + b"\n")
            os._exit(1)
    os.close(is_unshared)
    os.close(said)
    if os.read(unshared, 1):
        for kind in ("uid_map", "gid_map"):
            Path(f"/proc/{child}/{kind}").write_text(f"0 {fleet['uid']} {fleet['uids']}\n", encoding="utf-8")
        os.write(is_mapped, b".")
    deadline = time.monotonic() + fleet["life_s"]
    end = os.pidfd_open(child)
    try:
        answer = _line(hears, 0, end)
        if "hosts" in answer:
            answer = _outside(answer["hosts"], child)
        os.write(1, json.dumps(answer).encode() + b"\n")
        if "error" not in answer:
            select.select([0, end], [], [], max(0.0, deadline - time.monotonic()))
    finally:
        _end(child, folder)


def _line(hears: int, owner: int, end: int) -> dict[str, Any]:
    """Return what the leader says; an error if the owner or the leader is gone first."""
    text = b""
    while not text.endswith(b"\n"):
        able = select.select([hears, owner, end], [], [], _READY_S)[0]
        more = os.read(hears, 1 << 16) if hears in able else b""
        if not more:
            return {"error": "the fleet's leader ended or took too long: see the log"}
        text += more
    said: dict[str, Any] = json.loads(text)
    return said


def _outside(inside: dict[str, int], child: int) -> dict[str, object]:
    """Return the pids of the leader and the hosts as the machine has them."""
    leader = int(Path(f"/proc/{child}/task/{child}/children").read_text(encoding="utf-8").split()[0])
    by_inside = {}
    for pid in Path(f"/proc/{leader}/task/{leader}/children").read_text(encoding="utf-8").split():
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("NSpid:"):
                by_inside[int(line.split()[-2])] = int(pid)
    return {"leader": leader, "hosts": {name: by_inside[pid] for name, pid in inside.items()}}


def _end(child: int, folder: Path) -> None:
    """Kill the leader's parent, and with it all; wait until nobody is left; remove the folder."""
    os.kill(child, signal.SIGKILL)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
