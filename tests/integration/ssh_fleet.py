# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real ssh hosts for Ansible, in namespaces of the test's own: nothing outside of them is a target.

The controller runs in a network namespace without any way out; each host has its own network, process, mount,
host-name and IPC namespace, its own /proc, and an sshd on a point-to-point link to the controller.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["GONE", "HERE", "ROOT", "HostSpec", "SshFleet", "why_not"]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
GONE = "10.77.200.2"
_NEEDED = ("unshare", "nsenter", "setpriv", "ip", "ssh", "ssh-keygen", "mount")
_SSHD = "/usr/sbin/sshd"
_READY_S = 20.0


class HostSpec(NamedTuple):
    """What a test host is like."""

    hostname: str
    leak: bool = False


def why_not() -> str:
    """Return why the hosts cannot be made here; empty if they can."""
    missing = [name for name in _NEEDED if not shutil.which(name)]
    if not Path(_SSHD).exists():
        missing.append("sshd")
    if missing:
        return f"not installed: {', '.join(missing)}"
    if os.geteuid():
        return "needs root for private namespaces"
    tried = subprocess.run(["unshare", "-n", "-m", "-p", "-u", "-i", "-f", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "private namespaces are not permitted here"


class SshFleet:
    """A controller and its hosts; everything ends with ``with``, or with the test's process."""

    def __init__(self, hosts: Sequence[HostSpec]) -> None:
        self._specs = hosts
        self._processes: list[subprocess.Popen[bytes]] = []
        # Short: a control socket's path has at most 107 characters (unix(7)).
        self.folder = Path(tempfile.mkdtemp(prefix="lastack-", dir="/tmp"))
        self.addresses = [f"10.77.{number}.2" for number, __ in enumerate(hosts)]

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *__: object) -> None:
        for control in (self.folder / "cp").glob("*"):
            self._quiet(["ssh", "-o", f"ControlPath={control}", "-O", "exit", "lastack-test"])
        for process in self._processes:
            process.kill()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def _quiet(command: list[str]) -> None:
        subprocess.run(command, capture_output=True, check=False, timeout=10)

    def _hold(self, command: list[str]) -> int:
        log = (self.folder / f"log-{len(self._processes)}").open("wb")
        with log:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._processes.append(process)
        return process.pid

    def inside(self, pid: int, *command: str) -> None:
        """Run ``command`` in the network namespace of a held process."""
        subprocess.run(["nsenter", "-t", str(pid), "-n", *command], check=True, capture_output=True, timeout=20)

    def _start(self) -> None:
        for name in ("user", "host"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)], check=True, timeout=20
            )
        shutil.copy(self.folder / "user.pub", self.folder / "authorized_keys")
        config = self.folder / "sshd_config"
        config.write_text(
            f"HostKey {self.folder}/host\nAuthorizedKeysFile {self.folder}/authorized_keys\nUsePAM no\n"
            "StrictModes no\nPermitRootLogin yes\nUseDNS no\nPidFile none\nPasswordAuthentication no\n"
            "MaxStartups 100\nMaxSessions 50\nSubsystem sftp internal-sftp\n",
            encoding="ascii",
        )
        public = (self.folder / "host.pub").read_text(encoding="ascii")
        known = "".join(f"{address} {public}" for address in self.addresses)
        (self.folder / "known_hosts").write_text(known, encoding="ascii")
        (self.folder / "ansible.cfg").touch()
        (self.folder / "home").mkdir()
        (self.folder / "cp").mkdir(mode=0o700)
        self.controller = self._hold(["unshare", "-n", "sleep", "3600"])
        self._wait_for_namespace(self.controller)
        self.inside(self.controller, "ip", "link", "set", "lo", "up")
        for number, spec in enumerate(self._specs):
            self._start_host(number, spec, config)
        for address in self.addresses:
            self._wait_for_ssh(address)

    def _start_host(self, number: int, spec: HostSpec, config: Path) -> None:
        # A copy: the project may lie where a host's own mounts hide it.
        leak = str(shutil.copy(HERE / "leaky_client.py", self.folder)) if spec.leak else ""
        given = json.dumps({"hostname": spec.hostname, "config": str(config), "leak": leak})
        namespaces = ["unshare", "-n", "-u", "-i", "-m", "-p", "--fork", "--kill-child", "--mount-proc"]
        init = ["/usr/bin/python3", str(HERE / "ssh_host_init.py"), given]
        host = self._hold([*namespaces, *init])
        self._wait_for_namespace(host)
        link = f"host{number}"
        self.inside(
            self.controller, "ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(host)
        )
        self.inside(self.controller, "ip", "address", "add", f"10.77.{number}.1/30", "dev", link)
        self.inside(self.controller, "ip", "link", "set", link, "up")
        self.inside(host, "ip", "address", "add", f"10.77.{number}.2/30", "dev", "eth0")
        self.inside(host, "ip", "link", "set", "eth0", "up")

    @staticmethod
    def _wait_for_namespace(pid: int) -> None:
        own = Path("/proc/self/ns/net").readlink()
        deadline = time.monotonic() + _READY_S
        while Path(f"/proc/{pid}/ns/net").readlink() == own:
            if time.monotonic() > deadline:
                raise RuntimeError("no private network namespace came up")
            time.sleep(0.01)

    def _wait_for_ssh(self, address: str) -> None:
        probe = f"import socket; socket.create_connection(({address!r}, 22), 1).close()"
        deadline = time.monotonic() + _READY_S
        while True:
            try:
                self.inside(self.controller, sys.executable, "-c", probe)
            except subprocess.CalledProcessError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a controller that leaves no trace outside of the test's folder."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "LASTACK_"))}
        ssh = [
            "-o ControlMaster=auto -o ControlPersist=30s -o StrictHostKeyChecking=yes -o BatchMode=yes",
            f"-o UserKnownHostsFile={self.folder}/known_hosts -o GlobalKnownHostsFile=/dev/null -F /dev/null",
            f"-i {self.folder}/user -o IdentitiesOnly=yes",
        ]
        return {
            **kept,
            "HOME": str(self.folder / "home"),
            "ANSIBLE_HOME": str(self.folder / "home" / ".ansible"),
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORKS": "4",
            "ANSIBLE_TIMEOUT": "8",
            "ANSIBLE_SSH_ARGS": " ".join(ssh),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.folder / "cp"),
            "ANSIBLE_PIPELINING": "1",
            **more,
        }

    def command(self, *arguments: str) -> list[str]:
        """Return the command line that runs a program of this Python's environment on the controller."""
        program = Path(sys.executable).parent / arguments[0]
        return ["nsenter", "-t", str(self.controller), "-n", str(program), *arguments[1:]]

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
            check=False,
            timeout=timeout_s,
        )
