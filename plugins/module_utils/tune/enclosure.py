# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a sysctl is this host's own to set: from inside a container nothing is written that the machine shares."""

from __future__ import annotations

import os

__all__ = ["enclosure", "is_shared"]

# PROC_USER_INIT_INO and PROC_PID_INIT_INO of include/linux/proc_ns.h.
_INITIAL = {"user": "user:[4026531837]", "pid": "pid:[4026531836]"}
_OF_THE_MACHINE = ("net/ipv4/tcp_max_orphans", "net/ipv4/tcp_mem")
_OF_EVERY_NAMESPACE = "net/ipv4/tcp_retries2"

# Beside net.*, these have a value a namespace: of IPC (ipc/ipc_sysctl.c), UTS (kernel/utsname_sysctl.c) and users
# (kernel/ucount.c).
_OF_A_NAMESPACE = ("net.", "fs.mqueue.", "user.", "kernel.shm", "kernel.msg")
_SINGLE = ("kernel.sem", "kernel.hostname", "kernel.domainname", "kernel.auto_msgmni")


def enclosure(*, proc: str = "/proc") -> str:
    """Return what this process is enclosed in, ``a container`` for example; empty on the machine itself.

    Told by the namespaces (namespaces(7)), not by marker files, which images of virtual machines hold too. What may
    not be read counts as the machine's own. Never raises.
    """
    for kind, initial in _INITIAL.items():
        if _link(f"{proc}/self/ns/{kind}") not in (initial, None):
            return "a container"
    own, first = _link(f"{proc}/thread-self/ns/net") or _link(f"{proc}/self/ns/net"), _link(f"{proc}/1/ns/net")
    if own is not None and first is not None:
        elsewhere = own != first
    else:
        # Keys of the machine are not shown in any other network namespace than the first.
        there = os.path.exists(f"{proc}/sys/{_OF_EVERY_NAMESPACE}")  # noqa: PTH110 - never raises
        elsewhere = there and not any(os.path.exists(f"{proc}/sys/{path}") for path in _OF_THE_MACHINE)  # noqa: PTH110
    if elsewhere:
        return "a network namespace of its own"
    return "a root directory of its own" if _is_other_root(proc) else ""


def is_shared(key: str, scope: str) -> bool:
    """Whether the whole machine has one value of ``key``; ``scope`` is ``ns`` where it is known to be otherwise."""
    if scope:
        return scope != "ns"
    return not (key.startswith(_OF_A_NAMESPACE) or key in _SINGLE)


def _is_other_root(proc: str) -> bool:
    try:
        first, own = os.stat(f"{proc}/1/root/."), os.stat("/")  # noqa: PTH116 - no Path needed
    except OSError:
        return False
    return (first.st_dev, first.st_ino) != (own.st_dev, own.st_ino)


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)  # noqa: PTH115 - no Path needed
    except OSError:
        return None
