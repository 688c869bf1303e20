# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a fork of the fleet's leader to a host: its namespaces, its file systems, its illness, and then its sshd.

Everything that is imported is imported before the fork, and the file systems come up without a program being run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from pathlib import Path
from typing import Any, NoReturn

from illnesses import MOVED_PYTHON, Illness
from linux_calls import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWUTS,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    change_root,
    give_address,
    link_up,
    mount,
    unshare,
)

__all__ = ["become_host"]

_DISK_KIB = 64 * 1024
_SMALL_DISK_KIB = 1024
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_SSHD = ("/usr/sbin/sshd", "-D", "-f", "/etc/ssh/sshd_config", "-E", "/var/log/sshd.log")
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


def become_host(host: dict[str, Any], world: Path, ready: int, go: int) -> NoReturn:
    """Become the first process of a host.

    ``host`` has ``hostname``, ``addresses`` (device, address, mask), ``lower`` (overlay layers), ``illness`` and
    ``sysctls``. A byte goes to ``ready`` when the namespaces are there; the links are there when ``go`` ends.
    """
    illness = Illness(**host["illness"])
    unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC)
    os.write(ready, b".")
    os.close(ready)
    socket.sethostname(host["hostname"])
    _make_root(world, host["lower"], _SMALL_DISK_KIB if illness.full else _DISK_KIB)
    _fall_ill(illness, host)
    os.read(go, 1)
    _configure(host)
    null = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1):
        os.dup2(null, number)
    if illness.full:
        _fill()
    if illness.beside and os.fork() == 0:
        os.execve(illness.beside[0], illness.beside, _ENVIRONMENT)
    first = illness.instead or _SSHD
    os.execve(first[0], first, _ENVIRONMENT)


def _make_root(world: Path, lower: str, size_kib: int) -> None:
    """Mount a root of this host's own over the shared trees, and what every Linux has below it."""
    mount("host", str(world), "tmpfs", MS_NODEV, f"size={size_kib}k,nr_inodes=4096,mode=755")
    for name in ("upper", "work", "root"):
        (world / name).mkdir(mode=0o755)
    layers = f"lowerdir={lower},upperdir={world}/upper,workdir={world}/work"
    root = world / "root"
    try:
        mount("overlay", str(root), "overlay", MS_NODEV, f"{layers},userxattr")
    except OSError:
        # Before Linux 6.6 a tmpfs has no user attributes; then overlayfs does without.
        mount("overlay", str(root), "overlay", MS_NODEV, layers)
    mount("proc", str(root / "proc"), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    with contextlib.suppress(OSError):
        mount("sysfs", str(root / "sys"), "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY)
    mount("dev", str(root / "dev"), "tmpfs", MS_NOSUID, "size=64k,mode=755")
    for name in _DEVICES:
        (root / "dev" / name).touch()
        mount(f"/dev/{name}", str(root / "dev" / name), flags=MS_BIND)
    (root / "dev" / "pts").mkdir()
    with contextlib.suppress(OSError):
        mount("devpts", str(root / "dev/pts"), "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620")
    (root / "dev" / "ptmx").symlink_to("pts/ptmx")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        (root / "dev" / name).symlink_to(f"/proc/self/fd/{number}")
    (root / "dev" / "fd").symlink_to("/proc/self/fd")
    (root / "dev" / "shm").mkdir(mode=0o1777)
    change_root(str(root))


def _fall_ill(illness: Illness, host: dict[str, Any]) -> None:
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    Path("/etc/hostname").write_text(f"{host['hostname']}\n", encoding="utf-8")
    with Path("/etc/hosts").open("a", encoding="utf-8") as file:
        file.write(f"127.0.1.1 {host['hostname']}\n")
    if illness.sshd:
        # The first value of a keyword counts (sshd_config(5)).
        common = Path("/etc/ssh/sshd_config").read_text(encoding="utf-8")
        Path("/etc/ssh/sshd_config").write_text(illness.sshd + common, encoding="utf-8")
    if illness.moved:
        shutil.copy("/usr/bin/python3", MOVED_PYTHON)
    for name in illness.without:
        Path(name).unlink(missing_ok=True)
    for name, text in illness.files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755 if text.startswith("#!") else 0o440 if "sudoers" in name else 0o644)


def _configure(host: dict[str, Any]) -> None:
    link_up("lo")
    for device, address, mask in host["addresses"]:
        with contextlib.suppress(OSError):
            # As on the bridge (fleet_keeper.py); the loopback device keeps its ::1.
            Path(f"/proc/sys/net/ipv6/conf/{device}/disable_ipv6").write_text("1", encoding="utf-8")
        give_address(device, address, mask)
        link_up(device)
    for name, value in host["sysctls"].items():
        Path("/proc/sys", *name.split(".")).write_text(str(value), encoding="utf-8")


def _fill() -> None:
    """Leave no byte and no place for a file anywhere."""
    Path(_SSHD[-1]).touch()
    for name in ("/var/full", "/dev/shm/full", "/run/full"):
        with contextlib.suppress(OSError), Path(name).open("wb", buffering=0) as file:
            for size in (65536, 4096, 1):
                with contextlib.suppress(OSError):
                    while file.write(b"\0" * size):
                        pass
    with contextlib.suppress(OSError):
        for number in range(1 << 16):
            Path(f"/var/cache/full{number}").touch()
