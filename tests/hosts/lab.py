# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Labs: systemd hosts of real distributions on this machine, reached by plain ssh and Ansible.

A lab is a folder and a private world of namespaces. The hosts see each other by name and nothing else; the machine's
own sysctls, interfaces, units and users are never touched. The lab ends with its owner, whatever ends that.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import lab_control
import lab_registry
from lab_files import write_files
from images import SUITES, ImageError, image, why_no_suite

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SUITES", "HostSpec", "Lab", "LabError", "down", "why_no_suite", "why_not"]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LIFE_S = 8 * 3600.0
MOST_HOSTS = 200
_PACKAGES = {
    "crun": "crun",
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "unshare": "util-linux",
}
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_SAFE_PATH = re.compile(r"[A-Za-z0-9_./+@:=,~-]+")
_GROUPS = {"all", "ungrouped", "localhost", *SUITES}
_UP_S = 300.0
_DOWN_S = 30.0
_SHORT = 60


class HostSpec(NamedTuple):
    """What a host is to be."""

    name: str
    suite: str = "bookworm"


class LabError(Exception):
    """A lab cannot do what was asked; the text is one sentence for the user."""


@cache
def why_not() -> str:
    """Return why labs cannot run here, one sentence; empty if they can."""
    if sys.platform != "linux":
        return "Test hosts need Linux."
    if os.geteuid():
        return "Test hosts need root for their private namespaces."
    missing = sorted({package for name, package in _PACKAGES.items() if not shutil.which(name)})
    if missing:
        return f"Test hosts need the packages {', '.join(missing)}."
    if lab_registry.cgroup_tree() is None:
        return "Test hosts need cgroup v2 mounted at /sys/fs/cgroup or /sys/fs/cgroup/unified."
    command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "true"]
    tried = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    if tried.returncode:
        return f"Test hosts need private namespaces, which are not permitted here ({tried.stderr.strip()})."
    return ""


def _check(hosts: Sequence[HostSpec]) -> None:
    if not 1 <= len(hosts) <= MOST_HOSTS:
        raise LabError(f"A lab has 1 to {MOST_HOSTS} hosts, not {len(hosts)}.")
    names = [host.name for host in hosts]
    for host in hosts:
        if not _NAME.fullmatch(host.name) or host.name in _GROUPS:
            raise LabError(
                f"The host name {host.name!r} is not usable: small letters, digits and hyphens, a letter first, "
                "at most 40, and not a group's name."
            )
        if names.count(host.name) > 1:
            raise LabError(f"The host name {host.name!r} is given twice.")
        if host.suite not in SUITES:
            raise LabError(f"There is no suite {host.suite!r}: it must be one of {', '.join(SUITES)}.")


def _prepare_folder(folder: Path | None, name: str) -> tuple[Path, str]:
    """Return the lab's new folder, and a short path to it where the folder's own is too long for a unix socket."""
    if folder is None:
        return Path(tempfile.mkdtemp(prefix=f"lastack-{name}-", dir="/tmp")), ""
    folder = folder.absolute()
    if not _SAFE_PATH.fullmatch(str(folder)):
        raise LabError(f"The path {str(folder)!r} is not usable for a lab: it has a character that ssh_config may not.")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if any(folder.iterdir()):
            what = "a lab already" if lab_registry.lab_of(folder) else "not a lab, and not empty"
            raise LabError(f"The folder {folder} is {what}.")
        folder.chmod(0o700)
    except OSError as error:
        raise LabError(f"The folder {folder} cannot be used: {error.strerror}.") from None
    return folder, f"/tmp/lastack-{name}" if len(str(folder)) > _SHORT else ""


class Lab:
    """Some hosts, up from ``with`` to its end; ``owner`` is the process whose end is the lab's (default: this one)."""

    def __init__(self, hosts: Sequence[HostSpec], *, folder: Path | None = None, owner: int | None = 0) -> None:
        self._hosts = list(hosts)
        self._wanted = folder
        self._owner = os.getpid() if owner == 0 else owner
        self._keeper: subprocess.Popen[bytes] | None = None
        self.folder = Path()
        self.inventory = Path()

    @classmethod
    def at(cls, folder: Path) -> Self:
        """Return the lab that lives in a folder. ``LabError`` if there is none."""
        known = lab_registry.lab_of(folder)
        if known is None:
            raise LabError(f"There is no lab in {folder}.")
        lab = cls([HostSpec(host["name"], host["suite"]) for host in known["hosts"]], folder=folder)
        lab._found(folder.absolute())
        return lab

    def _found(self, folder: Path) -> None:
        self.folder = folder
        self.inventory = folder / "inventory.yml"

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def up(self) -> None:
        """Boot every host and return when all answer ssh and run; after a failure nothing is left. ``LabError``."""
        _check(self._hosts)
        if reason := why_not():
            raise LabError(reason)
        lab_registry.sweep()
        try:
            images = {suite: str(image(suite)) for suite in {host.suite for host in self._hosts}}
        except ImageError as error:
            raise LabError(str(error)) from None
        name = secrets.token_hex(4)
        folder, short = _prepare_folder(self._wanted, name)
        self._found(folder)
        tree = lab_registry.cgroup_tree()
        lab: dict[str, Any] = {
            "id": name,
            "folder": str(folder),
            "short": short,
            "life_s": LIFE_S,
            "cgroup": f"/lastack-lab-{name}",
            # The hosts must see a tree of v2 alone: on a hybrid one it is bound over the whole (private mounts).
            "cgroup_bind": "" if str(tree) == "/sys/fs/cgroup" else str(tree),
            "gateway": "10.77.0.1",
            "gateway6": "fd4c:6173::1",
            "hosts": [
                {
                    "name": host.name,
                    "suite": host.suite,
                    "number": number,
                    "image": images[host.suite],
                    "address": f"10.77.0.{number}",
                    "address6": f"fd4c:6173::{number:x}",
                }
                for number, host in enumerate(self._hosts, 11)
            ],
        }
        record = lab_registry.record(lab)
        try:
            write_files(folder, lab)
            self._start_keeper(lab, record)
        except BaseException:
            os.close(record)
            self.down()
            lab_registry.sweep()
            raise
        os.close(record)

    def _start_keeper(self, lab: dict[str, Any], record: int) -> None:
        owner = -1
        if self._owner is not None:
            try:
                owner = os.pidfd_open(self._owner)
            except (OSError, OverflowError):
                raise LabError(f"There is no process {self._owner} to own the lab.") from None
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        reading, ready = os.pipe()
        opened = [reading, ready, *([owner] if owner >= 0 else [])]
        try:
            directory = os.open(self.folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.append(directory)
            listener.bind(f"/proc/self/fd/{directory}/{lab_control.SOCKET}")
            listener.listen(128)
            given = (listener.fileno(), ready, owner, record)
            with (self.folder / "log").open("wb") as log:
                self._keeper = subprocess.Popen(
                    [sys.executable, str(HERE / "lab_keeper.py"), str(self.folder), *map(str, given)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[descriptor for descriptor in given if descriptor >= 0],
                    start_new_session=True,
                )
            os.close(ready)
            opened.remove(ready)
            self._wait_until_up(reading)
        finally:
            listener.close()
            for descriptor in opened:
                os.close(descriptor)

    def _wait_until_up(self, reading: int) -> None:
        import json
        import select

        said, deadline = b"", time.monotonic() + _UP_S
        while not said.endswith(b"\n"):
            if not select.select([reading], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise LabError(f"The hosts were not up in {_UP_S:.0f} s.")
            chunk = os.read(reading, 65536)
            if not chunk:
                lines = (self.folder / "log").read_text(encoding="utf-8", errors="replace").splitlines()
                raise LabError(f"The lab ended while it booted: {lines[-1] if lines else 'it says nothing'}.")
            said += chunk
        error = json.loads(said).get("error")
        if error:
            raise LabError(f"The lab did not come up: {error}")

    def down(self) -> None:
        """End every host and remove the lab's folder; no error if there is nothing."""
        if self.folder != Path():
            down(self.folder)
        if self._keeper is not None:
            try:
                self._keeper.wait(_DOWN_S)
            except subprocess.TimeoutExpired:
                self._keeper.kill()
                self._keeper.wait()
                lab_registry.sweep()
            self._keeper = None

    def _ask(self, what: str, **more: object) -> dict[str, object]:
        try:
            answer, _ = lab_control.ask(str(self.folder), {"do": what, **more})
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

    def check_host(self, host: str) -> None:
        """Raise ``LabError`` if the lab has no host of this name."""
        if host not in {spec.name for spec in self._hosts}:
            raise LabError(f"There is no host {host!r} in this lab.")

    def state(self) -> dict[str, str]:
        """Return ``on`` or ``off`` for every host."""
        hosts = self._ask("state")["hosts"]
        assert isinstance(hosts, dict)
        return hosts

    def execute(
        self, host: str, *command: str, check: bool = True, timeout_s: float = 60.0, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside a host as root, not over ssh; ``text`` is its standard input.

        It is killed after ``timeout_s`` seconds (``subprocess.TimeoutExpired``); with ``check`` a status other than 0
        is ``subprocess.CalledProcessError``, whose ``stderr`` tells more.
        """
        program = [sys.executable, "-ISs", str(HERE / "lab_control.py"), "execute", str(self.folder), host, "--", *command]
        return subprocess.run(
            program, input=text or "", capture_output=True, text=True, check=check, timeout=timeout_s
        )

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment for Ansible: nothing of the caller's configuration, nothing left outside the folder."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "LASTACK_"))}
        short = (lab_registry.lab_of(self.folder) or {}).get("short") or self.folder
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
            "ANSIBLE_SSH_CONTROL_PATH_DIR": f"{short}/cp",
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


def down(folder: Path) -> None:
    """End the lab in a folder, alive or dead, and wait until nothing of it is left; no error if there is none."""
    known = lab_registry.lab_of(folder)
    if known is None:
        return
    try:
        lab_control.ask(str(folder), {"do": "down"})
    except (OSError, ValueError):
        pass
    deadline = time.monotonic() + _DOWN_S
    while time.monotonic() < deadline:
        alive = [lab["id"] for lab, lives in lab_registry.records() if lives]
        if known["id"] not in alive:
            lab_registry.sweep()
            return
        time.sleep(0.02)
    raise LabError(f"The lab {folder} did not end in {_DOWN_S:.0f} s.")
