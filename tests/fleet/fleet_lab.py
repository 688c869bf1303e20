# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hundreds of real ssh hosts on this machine, well and sick, for sweeps and audits.

Each host has its own network, mount, process, host-name and IPC namespace, its own root over a shared Debian tree, its
own /proc and its own sshd; all of them live in one user namespace and reach each other and the controller over one
bridge, and nothing else. 300 hosts take a few seconds and some hundred MiB. Everything ends with ``with``, or with the
process that made it, however that ends.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from fleet_files import HostSpec, place, write_files
from images import ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ROOT", "FleetError", "FleetLab", "HostSpec", "mixed", "why_not"]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
_NEEDED = ("ip", "nsenter", "ssh", "ssh-keygen", "unshare")
_UP_S = 180.0
_LIFE_S = 2 * 3600.0


class FleetError(Exception):
    """The fleet cannot be made; the text says why."""


def why_not() -> str:
    """Return why hosts cannot be made here; empty if they can."""
    missing = [name for name in _NEEDED if not shutil.which(name)]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if os.geteuid():
        return "needs root for private namespaces"
    tried = subprocess.run(["unshare", "-n", "-m", "-p", "-u", "-i", "-f", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "private namespaces are not permitted here"


def mixed(well: int, *illnesses: str) -> list[HostSpec]:
    """Return so many healthy hosts, ``web-000`` …, and a sick one of each illness, named after it."""
    sick = [HostSpec(name.replace("_", "-"), name) for name in illnesses]
    return [*(HostSpec(f"web-{number:03}") for number in range(well)), *sick]


class FleetLab:
    """Some hosts and a controller's network, up from ``with`` to its end."""

    def __init__(self, hosts: Sequence[HostSpec], *, life_s: float = _LIFE_S) -> None:
        self.hosts = place(hosts)
        self.folder = Path()
        self.inventory = Path()
        self._life_s = life_s
        self._keeper: subprocess.Popen[bytes] | None = None
        self._leader = 0
        self._pids: dict[str, int] = {}

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *__: object) -> None:
        if self._keeper and self._keeper.stdin:
            # Its end is the fleet's: the keeper ends the rest and removes the folder.
            self._keeper.stdin.close()
            try:
                self._keeper.wait(30)
            except subprocess.TimeoutExpired:
                self._keeper.kill()
                self._keeper.wait()
        if self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        # Short: a control socket's path has at most 107 characters (unix(7)).
        self.folder = Path(tempfile.mkdtemp(prefix="fleet-", dir="/tmp"))
        self.inventory = self.folder / "inventory.yml"
        try:
            write_files(self.folder, self.hosts, self._life_s)
        except ImageError as error:
            raise FleetError(str(error)) from error
        log = self.folder / "log"
        with log.open("wb") as file:
            self._keeper = subprocess.Popen(
                [sys.executable, str(HERE / "fleet_keeper.py"), str(self.folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                cwd="/",
                start_new_session=True,
            )
        assert self._keeper.stdout is not None
        with self._keeper.stdout as said:
            ready = select.select([said], [], [], _UP_S)[0]
            line = said.readline() if ready else b""
        answer = json.loads(line or b'{"error": "its keeper says nothing"}')
        if "error" in answer:
            words = log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:] if log.exists() else []
            raise FleetError("; ".join([str(answer["error"]), *words]))
        self._leader = answer["leader"]
        self._pids = answer["hosts"]

    @property
    def leader(self) -> int:
        """The pid of the fleet's first process; its network namespace is the controller's."""
        return self._leader

    def pid(self, host: str) -> int:
        """Return the pid of a host's first process."""
        return self._pids[host]

    def address(self, host: str) -> str:
        """Return a host's address."""
        return next(one.address for one in self.hosts if one.spec.name == host)

    def execute(self, host: str, *command: str, timeout_s: float = 30.0) -> str:
        """Run a command inside of a host as its root, without ssh; return what it writes. Its failure is an error."""
        inside = ["nsenter", "-t", str(self._pids[host]), "-U", "-m", "-u", "-i", "-n", "-p", "-r", "--"]
        inside += ["/bin/sh", "-c", 'cd / && exec "$@"', "sh"]
        done = subprocess.run(
            [*inside, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout_s,
        )
        if done.returncode:
            raise FleetError(f"{host}: {' '.join(command)}: {done.stdout.strip()}")
        return done.stdout

    def stop(self, host: str) -> None:
        """Take a host off the network for good: its processes are killed."""
        os.kill(self._pids[host], 9)

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a controller that leaves no trace outside of the fleet's folder."""
        dropped = ("ANSIBLE_", "LASTACK_", "SSH_", "XDG_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        return {
            **kept,
            "HOME": str(self.folder / "home"),
            "ANSIBLE_HOME": str(self.folder / "home" / ".ansible"),
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_TIMEOUT": "10",
            # Not the configuration of whoever runs this; ssh hands it on to the jumps that it makes.
            "ANSIBLE_SSH_ARGS": f"-F {self.folder}/ssh_config -o ControlMaster=auto -o ControlPersist=60s",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.folder / "cp"),
            "ANSIBLE_PIPELINING": "1",
            **more,
        }

    def command(self, *arguments: str) -> list[str]:
        """Return the command line that runs a program (of this Python's environment first) on the controller."""
        program = Path(sys.executable).parent / arguments[0]
        named = str(program) if program.exists() else arguments[0]
        return ["nsenter", "-t", str(self._leader), "-n", "--", named, *arguments[1:]]

    def run(
        self, *arguments: str, cwd: Path | None = None, timeout_s: float = 120.0, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on the controller to its end; standard error goes to standard output."""
        return subprocess.run(
            self.command(*arguments),
            cwd=cwd or ROOT,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout_s,
        )

    def close_connections(self) -> None:
        """End what ControlPersist keeps: the masters of the fleet's own control sockets."""
        deadline = time.monotonic() + 30
        for control in (self.folder / "cp").iterdir():
            command = ["ssh", "-F", "/dev/null", "-o", f"ControlPath={control}", "-O", "exit", "fleet"]
            subprocess.run(command, capture_output=True, check=False, timeout=max(1.0, deadline - time.monotonic()))
