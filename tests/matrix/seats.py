# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a controller sits: on this machine, or in a host of the lab; what it is given; how it is used.

A seat has one release of ansible-core and the collection from its tarball, and nothing else of this project.
"""

from __future__ import annotations

import abc
import base64
import io
import json
import os
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any, NamedTuple

from controllers import Controller, prepare

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lab import Lab

__all__ = ["Audit", "HostSeat", "MachineSeat", "Seat", "seat_of"]

_LIMIT_S = 300
_QUIET = {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORKS": "6", "ANSIBLE_DEPRECATION_WARNINGS": "1", "LC_ALL": "C.UTF-8"}


class Audit(NamedTuple):
    """What one run of the playbook did."""

    status: int
    output: str
    folder: Path

    def load(self, name: str) -> dict[str, Any]:
        """Return one JSON file of the run folder."""
        loaded: dict[str, Any] = json.loads((self.folder / name).read_text(encoding="utf-8"))
        return loaded

    def report(self, host: str) -> dict[str, Any]:
        """Return the report of one host, by its name in the inventory."""
        return self.load(self.load("manifest.json")["hosts"][host]["file"])


class Seat(abc.ABC):
    """One controller with the collection, ready to manage the hosts of a lab."""

    def __init__(self, controller: Controller, lab: Lab, scratch: Path) -> None:
        self.controller = controller
        self.lab = lab
        self.scratch = scratch
        scratch.mkdir()

    @abc.abstractmethod
    def ansible(self, tool: str, *arguments: str, **environment: str) -> tuple[int, str]:
        """Run ``ansible-TOOL``; return its status and all that it printed."""

    @abc.abstractmethod
    def run_program(self, path: str, text: str) -> tuple[int, str]:
        """Run a Python program of the collection with ``text`` on standard input; return its status and output."""

    @abc.abstractmethod
    def _audit(self, name: str, hosts: Sequence[str], more: Sequence[str], environment: Mapping[str, str]) -> Audit:
        """Audit into a run folder with this name and bring that to this machine."""

    def audit(self, name: str, hosts: Sequence[str], *arguments: str, **environment: str) -> Audit:
        """Run the playbook by its full name over ``hosts``; the run folder is ``scratch``/``name`` afterwards."""
        return self._audit(name, hosts, arguments, environment)

    def _install(self, tarball: str, collections: str) -> None:
        status, output = self.ansible("galaxy", "collection", "install", "--offline", "-p", collections, tarball)
        if status:
            raise RuntimeError(f"ansible-galaxy of {self.controller.name} could not install the collection: {output}")

    @staticmethod
    def _playbook(inventory: str, store: str, hosts: Sequence[str], arguments: Sequence[str]) -> list[str]:
        variables = {"tcp_audit_store": store, "tcp_audit_hosts": ",".join(hosts), "tcp_audit_min_age_s": 0}
        return ["playbook", "lastack.linux.tcp_audit", "-i", inventory, "-e", json.dumps(variables), *arguments]


class MachineSeat(Seat):
    """A controller in a virtual environment of this machine."""

    def __init__(self, controller: Controller, lab: Lab, scratch: Path, tarball: Path) -> None:
        super().__init__(controller, lab, scratch)
        self._python = prepare(controller) / "bin" / "python"
        self._install(str(tarball), str(scratch / "collections"))

    def ansible(self, tool: str, *arguments: str, **environment: str) -> tuple[int, str]:
        """Run ``ansible-TOOL`` on this machine, from a folder that is no clone."""
        collections = {"ANSIBLE_COLLECTIONS_PATH": str(self.scratch / "collections")}
        given = self.lab.environment(**{**_QUIET, **collections, **environment})
        done = subprocess.run(
            [str(self._python), "-m", "ansible", tool, *arguments],
            cwd=self.scratch,
            # Nothing but the environment itself may stand in for a missing piece.
            env={name: value for name, value in given.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_LIMIT_S,
        )
        return done.returncode, done.stdout

    def run_program(self, path: str, text: str) -> tuple[int, str]:
        """Run it with the virtual environment's Python."""
        program = self.scratch / "collections" / "ansible_collections" / "lastack" / "linux" / path
        done = subprocess.run(
            [str(self._python), "-P", str(program)],
            cwd=self.scratch,
            env={"PATH": os.environ["PATH"], "HOME": str(self.scratch)},
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_LIMIT_S,
        )
        return done.returncode, done.stdout

    def _audit(self, name: str, hosts: Sequence[str], more: Sequence[str], environment: Mapping[str, str]) -> Audit:
        store = self.scratch / name
        command = self._playbook(str(self.lab.inventory), str(store), hosts, more)
        return Audit(*self.ansible(*command, **environment), store)


class HostSeat(Seat):
    """A controller in a virtual environment of a host, which manages the others over the lab's network."""

    HOST = "controller"

    def __init__(self, controller: Controller, lab: Lab, scratch: Path, tarball: Path, targets: Sequence[str]) -> None:
        super().__init__(controller, lab, scratch)
        self._home = f"/opt/{controller.name}"
        # Debian's python3 has venv, but pip's own wheel is in the package python3-venv.
        self._inside("python3", "-m", "venv", "--without-pip", self._home)
        self._put(prepare(controller), f"{self._home}/lib/python3.13/site-packages")
        self._put(tarball.parent, self._home)
        self._install(f"{self._home}/{tarball.name}", f"{self._home}/collections")
        self._know(targets)

    def _inside(self, *command: str, text: str = "") -> str:
        done: subprocess.CompletedProcess[str] = self.lab.execute(self.HOST, *command, text=text, timeout_s=_LIMIT_S)
        return done.stdout

    def _put(self, folder: Path, target: str) -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
            for path in sorted(folder.iterdir()):
                if path.name not in {"ansible_test", "bin"}:
                    archive.add(path, path.name)
        command = 'mkdir -p "$0" && base64 -d | tar -xzf - --no-same-owner -C "$0"'
        self._inside("sh", "-c", command, target, text=base64.b64encode(packed.getvalue()).decode("ascii"))

    def _know(self, targets: Sequence[str]) -> None:
        """Give the controller a key of its own, the hosts' keys and an inventory."""
        make = (
            f"test -e {self._home}/key || ssh-keygen -q -t ed25519 -N '' -f {self._home}/key; cat {self._home}/key.pub"
        )
        key = self._inside("sh", "-c", make)
        hosts, known = {}, []
        for target in targets:
            allow = "mkdir -p -m 700 /root/.ssh && cat >>/root/.ssh/authorized_keys"
            self.lab.execute(target, "sh", "-c", allow, text=key)
            address = self.lab.execute(target, "hostname", "-I").stdout.split()[0]
            public = self.lab.execute(target, "cat", "/etc/ssh/ssh_host_ed25519_key.pub").stdout
            known.append(f"{address} {public}")
            hosts[target] = {"ansible_host": address, "ansible_python_interpreter": "/usr/bin/python3"}
        self._inside("sh", "-c", f"cat >{self._home}/known_hosts", text="".join(known))
        inventory = json.dumps({"all": {"hosts": hosts}})
        self._inside("sh", "-c", f"cat >{self._home}/inventory.yml", text=inventory)

    def ansible(self, tool: str, *arguments: str, **environment: str) -> tuple[int, str]:
        """Run ``ansible-TOOL`` in the host."""
        ssh = f"-o IdentitiesOnly=yes -o BatchMode=yes -o UserKnownHostsFile={self._home}/known_hosts"
        given = {
            **_QUIET,
            "HOME": "/root",
            "ANSIBLE_COLLECTIONS_PATH": f"{self._home}/collections",
            "ANSIBLE_PRIVATE_KEY_FILE": f"{self._home}/key",
            "ANSIBLE_SSH_ARGS": f"-o ControlMaster=auto -o ControlPersist=30s {ssh}",
            **environment,
        }
        command = f'cd {self._home} && exec "$@" 2>&1 </dev/null'
        done = self.lab.execute(
            *(self.HOST, "env", *(f"{name}={value}" for name, value in given.items())),
            *("sh", "-c", command, "sh", f"{self._home}/bin/python", "-m", "ansible", tool, *arguments),
            check=False,
            timeout_s=_LIMIT_S,
        )
        return done.returncode, done.stdout

    def run_program(self, path: str, text: str) -> tuple[int, str]:
        """Run it in the host."""
        program = f"{self._home}/collections/ansible_collections/lastack/linux/{path}"
        command = f'cd {self._home} && exec {self._home}/bin/python -P "$0" 2>&1'
        done = self.lab.execute(
            *(self.HOST, "env", "HOME=/root", "sh", "-c", command, program), text=text, check=False, timeout_s=_LIMIT_S
        )
        return done.returncode, done.stdout

    def _audit(self, name: str, hosts: Sequence[str], more: Sequence[str], environment: Mapping[str, str]) -> Audit:
        store = f"{self._home}/{name}"
        command = self._playbook(f"{self._home}/inventory.yml", store, hosts, more)
        status, output = self.ansible(*command, **environment)
        # Made if it is not there: what ansible-playbook said then says more than tar.
        packed = self._inside("sh", "-c", f"cd {self._home} && mkdir -p {name} && tar -czf - {name} | base64")
        with tarfile.open(fileobj=io.BytesIO(base64.b64decode(packed)), mode="r:gz") as archive:
            archive.extractall(self.scratch, filter="data")
        return Audit(status, output, self.scratch / name)


def seat_of(controller: Controller, lab: Lab, scratch: Path, tarball: Path, targets: Sequence[str]) -> Seat:
    """Return the controller's seat in this lab, with the collection installed."""
    if controller.in_host:
        return HostSeat(controller, lab, scratch, tarball, targets)
    return MachineSeat(controller, lab, scratch, tarball)
