# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Labs: systemd hosts of real distributions on this machine, reached by plain ssh and Ansible.

A lab is a folder and a private world of namespaces. The hosts see each other by name and nothing else; the machine's
own sysctls, interfaces, units and users are never touched. The lab ends with its owner, whatever ends that.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

import lab_control
import lab_registry
from images import SUITES, why_no_suite
from lab_files import sockets
from lab_start import HostSpec, LabError, down, start, why_not

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SUITES", "HostSpec", "Lab", "LabError", "down", "why_no_suite", "why_not"]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
THIS_PROCESS = 0


class Lab:
    """Some hosts, up from ``with`` to its end.

    The lab ends with the process ``owner`` (default: this one), however that ends; ``None`` is nobody: then it ends
    after eight hours. The folder (new or empty; default: one in /tmp) is the lab's and goes with it.
    """

    def __init__(
        self, hosts: Sequence[HostSpec], *, folder: Path | None = None, owner: int | None = THIS_PROCESS
    ) -> None:
        self._hosts = list(hosts)
        self._wanted = folder
        self._owner = os.getpid() if owner == THIS_PROCESS else owner
        self._keeper: subprocess.Popen[bytes] | None = None
        self.folder = Path()
        self.inventory = Path()

    @classmethod
    def at(cls, folder: Path) -> Self:
        """Return the lab that lives in a folder. ``LabError`` if there is none."""
        known = lab_registry.lab_of(folder)
        if known is None:
            raise LabError(f"There is no lab in {folder}.")
        lab = cls([HostSpec(host["name"], host["suite"]) for host in known["hosts"]])
        lab._found(folder.absolute())
        return lab

    def _found(self, folder: Path) -> None:
        self.folder = folder
        self.inventory = folder / "inventory.yml"

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *__: object) -> None:
        self.down()

    def up(self) -> None:
        """Boot every host; return when all answer ssh and run. After a failure (``LabError``) nothing is left."""
        folder, self._keeper = start(self._hosts, self._wanted, self._owner)
        self._found(folder)

    def down(self) -> None:
        """End every host and remove the lab's folder; no error if there is nothing."""
        if self.folder != Path():
            down(self.folder, self._keeper)
            self._keeper = None

    def _ask(self, what: str, **more: object) -> dict[str, object]:
        try:
            answer, __ = lab_control.ask(str(self.folder), {"do": what, **more})
        except OSError as error:
            raise LabError(f"The lab {self.folder} does not answer: {error.strerror or error}.") from None
        if answer.get("error"):
            raise LabError(str(answer["error"]))
        return answer

    def restart(self, host: str) -> None:
        """Shut a host down and boot it again: same files and address, a new network stack. Returns when it is up."""
        self._ask("restart", host=host)

    def stop(self, host: str) -> None:
        """Shut a host down; it is unreachable then."""
        self._ask("stop", host=host)

    def start(self, host: str) -> None:
        """Boot a host that is off; returns when it is up."""
        self._ask("start", host=host)

    def state(self) -> dict[str, str]:
        """Return ``on`` or ``off`` for every host."""
        hosts = self._ask("state")["hosts"]
        assert isinstance(hosts, dict)
        return hosts

    def check_host(self, host: str) -> None:
        """Raise ``LabError`` if the lab has no host of this name."""
        if host not in {spec.name for spec in self._hosts}:
            raise LabError(f"There is no host {host!r} in this lab.")

    def execute(
        self, host: str, *command: str, check: bool = True, timeout_s: float = 60.0, text: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside a host as root, not over ssh; ``text`` is its standard input.

        It is killed after ``timeout_s`` seconds (``subprocess.TimeoutExpired``); with ``check`` a status other than 0
        is ``subprocess.CalledProcessError``, whose ``stderr`` tells more.
        """
        program = [sys.executable, "-ISs", str(HERE / "lab_control.py")]
        program += ["execute", str(self.folder), host, "--", *command]
        return subprocess.run(program, input=text, capture_output=True, text=True, check=check, timeout=timeout_s)

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment for Ansible: nothing of the caller's settings, no trace outside the folder."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "LASTACK_"))}
        known = lab_registry.lab_of(self.folder)
        if known is None:
            raise LabError(f"There is no lab in {self.folder}.")
        return {
            **kept,
            "HOME": str(self.folder / "home"),
            "ANSIBLE_HOME": str(self.folder / "home" / ".ansible"),
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORKS": "10",
            "ANSIBLE_TIMEOUT": "20",
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=60s",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(sockets(known)),
            **more,
        }

    def run(
        self, *command: str, cwd: Path | None = None, timeout_s: float = 300.0, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of this Python's environment on the machine; standard error goes to standard output."""
        program = Path(sys.executable).parent / command[0]
        return subprocess.run(
            [str(program) if program.exists() else command[0], *command[1:]],
            cwd=cwd or ROOT,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=timeout_s,
        )

    def ssh_command(self, host: str, *command: str) -> list[str]:
        """Return the command line that opens a shell, or runs a command, on a host over ssh."""
        return ["ssh", "-F", str(self.folder / "ssh_config"), host, *([shlex.join(command)] if command else [])]
