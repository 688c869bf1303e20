# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The system calls that make a namespace, for which Python 3.11 has no functions: unshare(2), mount(2), prctl(2)."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct

__all__ = [
    "CLONE_NEWIPC",
    "CLONE_NEWNET",
    "CLONE_NEWNS",
    "CLONE_NEWPID",
    "CLONE_NEWUSER",
    "CLONE_NEWUTS",
    "MS_BIND",
    "MS_NODEV",
    "MS_NOEXEC",
    "MS_NOSUID",
    "MS_PRIVATE",
    "MS_RDONLY",
    "MS_REC",
    "become_subreaper",
    "change_root",
    "die_with_parent",
    "give_address",
    "link_up",
    "mount",
    "restore_pid_namespace",
    "unshare",
]

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 4096, 16384, 1 << 18
_MNT_DETACH = 2
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41}
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_SIGKILL = 9
_IFF_UP = 1
_SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK = 0x8914, 0x8916, 0x891C  # netdevice(7)

_libc = ctypes.CDLL(None, use_errno=True)


def _check(status: int, what: str) -> None:
    if status < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Move this process (for CLONE_NEWPID: its next children) into new namespaces."""
    _check(_libc.unshare(ctypes.c_int(flags)), f"unshare {flags:#x}")


def restore_pid_namespace(own: int) -> None:
    """Let the next children be born in the pid namespace ``own``, this process's; without it, unshare(2) works once."""
    _check(_libc.setns(ctypes.c_int(own), ctypes.c_int(CLONE_NEWPID)), "setns")


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2); never a remount of /proc or /sys, whose superblocks may be the machine's."""
    given = [text.encode() or None for text in (source, target, kind)]
    _check(
        _libc.mount(*given, ctypes.c_ulong(flags), options.encode() or None),
        f"mount {kind or source} on {target}",
    )


def change_root(root: str) -> None:
    """Make ``root``, a mount point, the root of this mount namespace, and drop the old one."""
    os.chdir(root)
    # The old root ends up on top of the new one, and is then taken away (pivot_root(2), "pivot_root(".", ".")").
    _check(_libc.syscall(ctypes.c_long(_SYS_PIVOT_ROOT[os.uname().machine]), b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", ctypes.c_int(_MNT_DETACH)), "umount")
    os.chdir("/")


def die_with_parent(parent: int) -> None:
    """Be killed when the parent ends; end now if it has ended already. A change of user ids undoes this (prctl(2))."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(_SIGKILL)), "prctl")
    # Zero: the parent is outside of this process's pid namespace.
    if os.getppid() not in {parent, 0}:
        os._exit(1)


def become_subreaper() -> None:
    """Inherit the orphans among all descendants (prctl(2))."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1)), "prctl")


def link_up(name: str) -> None:
    """Bring a network device of this network namespace up."""
    _ask(_SIOCSIFFLAGS, name, struct.pack("h14x", _IFF_UP))


def give_address(name: str, address: str, mask: str) -> None:
    """Give a network device an IPv4 address."""
    for request, text in ((_SIOCSIFADDR, address), (_SIOCSIFNETMASK, mask)):
        _ask(request, name, struct.pack("hH4s8x", socket.AF_INET, 0, socket.inet_aton(text)))


def _ask(request: int, name: str, data: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, request, struct.pack("16s16s", name.encode(), data))
