# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The beginning and the end of a lab, seen from outside: what is asked for is checked, a keeper started and ended."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import select
import shutil
import socket
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import lab_control
import lab_registry
from images import SUITES, ImageError, image
from lab_files import write_files

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["HostSpec", "LabError", "down", "start", "why_not"]

HERE = Path(__file__).resolve().parent
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
_GROUPS = {"all", "ungrouped", "localhost", "lab", *SUITES}
_FIRST_NUMBER = 11
_UP_S = 300.0
_DOWN_S = 30.0
_SHORT = 60
"""A longer path leaves no room for ssh's control sockets (unix(7))."""


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


def start(hosts: Sequence[HostSpec], folder: Path | None, owner: int | None) -> tuple[Path, subprocess.Popen[bytes]]:
    """Make a lab and wait until its hosts are up; return its folder and its keeper.

    It ends with the process ``owner``, or after eight hours where that is ``None``. After a failure (``LabError``) or
    Ctrl-C nothing is left.
    """
    _check(hosts)
    if reason := why_not():
        raise LabError(reason)
    folder = None if folder is None else _check_folder(folder)
    lab_registry.sweep()
    name = secrets.token_hex(4)
    lab = _lab(name, hosts, folder or Path(f"/tmp/lastack-{name}"), _images(hosts))
    with contextlib.ExitStack() as opened:
        owner_fd = _pidfd(owner)
        if owner_fd >= 0:
            opened.callback(os.close, owner_fd)
        # The record goes first: whatever is made after it, and left by a sudden death, is found and swept.
        record = lab_registry.record(lab)
        release = contextlib.ExitStack()
        release.callback(os.close, record)
        keeper = None
        try:
            Path(lab["folder"]).mkdir(parents=True, exist_ok=folder is not None, mode=0o700)
            write_files(Path(lab["folder"]), lab)
            reading, ready = os.pipe()
            opened.callback(os.close, reading)
            release.callback(os.close, ready)
            keeper = _keeper(Path(lab["folder"]), ready, owner_fd, record)
            # The keeper alone holds them now: the lock is its life, and nobody waits if this process dies.
            release.close()
            _wait_until_up(Path(lab["folder"]), reading)
        except BaseException:
            release.close()
            down(Path(lab["folder"]), keeper)
            lab_registry.sweep()
            raise
    return Path(lab["folder"]), keeper


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


def _check_folder(folder: Path) -> Path:
    """Return the absolute path of a folder that is empty, or can be made."""
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
    return folder


def _images(hosts: Sequence[HostSpec]) -> dict[str, str]:
    try:
        return {suite: str(image(suite)) for suite in sorted({host.suite for host in hosts})}
    except ImageError as error:
        raise LabError(str(error)) from None


def _lab(name: str, hosts: Sequence[HostSpec], folder: Path, images: dict[str, str]) -> dict[str, Any]:
    tree = str(lab_registry.cgroup_tree())
    return {
        "id": name,
        "folder": str(folder),
        "short": f"/tmp/lastack-{name}" if len(str(folder)) > _SHORT else "",
        "life_s": LIFE_S,
        "cgroup": f"/lastack-lab-{name}",
        # The hosts must see a tree of v2 alone: on a hybrid one it is bound over the whole, in the lab's own mounts.
        "cgroup_bind": "" if tree == "/sys/fs/cgroup" else tree,
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
            for number, host in enumerate(hosts, _FIRST_NUMBER)
        ],
    }


def _pidfd(owner: int | None) -> int:
    """Return a descriptor that tells the end of the owner, also after its id is another's; -1 for nobody."""
    if owner is None:
        return -1
    try:
        return os.pidfd_open(owner)
    except (OSError, OverflowError, ValueError):
        raise LabError(f"There is no process {owner} to own the lab.") from None


def _keeper(folder: Path, ready: int, owner: int, record: int) -> subprocess.Popen[bytes]:
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        directory = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        opened.callback(os.close, directory)
        listener.bind(f"/proc/self/fd/{directory}/{lab_control.SOCKET}")
        listener.listen(128)
        given = (listener.fileno(), ready, owner, record)
        log = opened.enter_context((folder / "log").open("wb"))
        return subprocess.Popen(
            [sys.executable, str(HERE / "lab_keeper.py"), str(folder), *map(str, given)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[descriptor for descriptor in given if descriptor >= 0],
            cwd="/",
            # Ctrl-C is for the owner alone.
            start_new_session=True,
        )


def _wait_until_up(folder: Path, reading: int) -> None:
    said, deadline = b"", time.monotonic() + _UP_S
    while not said.endswith(b"\n"):
        if not select.select([reading], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise LabError(f"The hosts were not up in {_UP_S:.0f} s.")
        chunk = os.read(reading, 65536)
        if not chunk:
            try:
                lines = (folder / "log").read_text(encoding="utf-8", errors="replace").splitlines()
            except OSError:
                lines = []
            raise LabError(f"The lab ended while it booted: {lines[-1] if lines else 'it says nothing'}.")
        said += chunk
    error = json.loads(said).get("error")
    if error:
        raise LabError(f"The lab did not come up: {error}")


def down(folder: Path, keeper: subprocess.Popen[bytes] | None = None) -> None:
    """End the lab in a folder, alive or dead, and wait until nothing of it is left; no error if there is none."""
    known = lab_registry.lab_of(folder)
    if known is not None:
        with contextlib.suppress(OSError, ValueError):
            lab_control.ask(str(folder), {"do": "down"})
        deadline = time.monotonic() + _DOWN_S
        while any(alive and lab["id"] == known["id"] for lab, alive in lab_registry.records()):
            if time.monotonic() > deadline:
                raise LabError(f"The lab {folder} did not end in {_DOWN_S:.0f} s.")
            time.sleep(0.02)
        lab_registry.sweep()
    if keeper is not None:
        try:
            keeper.wait(_DOWN_S)
        except subprocess.TimeoutExpired:
            keeper.kill()
            keeper.wait()
            lab_registry.sweep()
