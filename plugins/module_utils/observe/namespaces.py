# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network namespaces of the machine: finding them all, and calling a function inside one (network_namespaces(7))."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import re
import threading
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ansible_collections.lastack.linux.plugins.module_utils.observe.libc import filesystem_type, setns
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import NetworkNamespace, Unseen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# ruff: noqa: PTH110, PTH116, PTH119, PTH123, PTH208 - pathlib costs several times as much, for every process

__all__ = ["NamespaceUnreadable", "NamespaceVanished", "StrandedInNamespace", "call_inside", "find_namespaces"]

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_NSFS_MAGIC = 0x6E736673
# _IO(0xb7, 3) of include/uapi/linux/nsfs.h; these architectures number the direction "none" differently.
_MOUNT_POINT = 4
_ODD_IOCTL = platform.machine().startswith(("ppc", "mips", "sparc", "alpha"))
_NS_GET_NSTYPE = 0x2000B703 if _ODD_IOCTL else 0xB703


class NamespaceUnreadable(Exception):  # noqa: N818 - a state of the machine, counted and said
    """A network namespace cannot be entered or read; ``reason`` is one clause that says why."""

    def __init__(self, reason: str) -> None:
        """Take the clause for a person."""
        super().__init__(reason)
        self.reason = reason


class NamespaceVanished(NamespaceUnreadable):
    """The way to a network namespace is gone: it died, or lives on with other processes (look for it again)."""


class StrandedInNamespace(RuntimeError):  # noqa: N818 - it says where the thread is
    """The calling thread could not return to its own namespace: nothing it reads from now on can be trusted."""


class _Mount(NamedTuple):
    inode: int
    path: str
    name: str


def find_namespaces(
    *, proc: str = "/proc", run_netns: str = "/run/netns"
) -> tuple[list[NetworkNamespace], list[Unseen]]:
    """Every network namespace that a process is in or a mount keeps alive, each once, the collector's own first.

    ``host`` is the namespace of process 1 if that is readable, else the collector's own. The others are named after
    their bind mount, as ip-netns(8) makes them below ``run_netns`` and container runtimes elsewhere. Processes in a
    namespace that no readable process or mount shows are counted as ``namespace_unknown``.
    """
    unseen: list[Unseen] = []
    own = _own_inode(proc)
    pids, denied = _by_inode(proc)
    views = {_view(proc, pid): inode for inode, pid in pids.items()}
    views.pop(None, None)
    unknown = sum(1 for pid in denied if _view(proc, pid) not in views)
    host = _inode(f"{proc}/1/ns/net") or views.get(_view(proc, 1)) or own
    mounts: dict[int, _Mount] = {}
    for mount in [*_named_mounts(run_netns, proc), *_nsfs_mounts(f"{proc}/self/mountinfo")]:
        mounts.setdefault(mount.inode, mount)
    if unknown:
        unseen.append(Unseen("namespace_unknown", unknown, "processes whose network namespace may not be read"))
    if own is None:
        unseen.append(Unseen("namespace_unknown", 1, "the collector's own network namespace cannot be told"))
    elif not os.path.exists(f"{proc}/1"):
        unseen.append(Unseen("processes_hidden", 1, "procfs hides other users' processes (hidepid)"))
    found = []
    for inode in sorted({*pids, *mounts}, key=lambda inode: (inode != own, inode != host, inode)):
        pid = pids.get(inode)
        named = mounts.get(inode)
        label = "host" if inode == host else named.name if named else ""
        path = named.path if pid is None and named else f"{proc}/{pid}/ns/net"
        found.append(NetworkNamespace(inode, label, path, pid, current=inode == own))
    return found, unseen


def call_inside(namespace: NetworkNamespace, function: Callable[[], T]) -> T:
    """Call ``function`` with the calling thread inside ``namespace`` and go back; exceptions come through.

    Only the calling thread moves, so other threads are not disturbed. The path is trusted only if it is on nsfs, of
    the right kind and still the namespace that was found: a pid may have been used again. Raises
    ``NamespaceUnreadable`` if the namespace cannot be entered, ``StrandedInNamespace`` if the way back fails.
    """
    if namespace.current:
        return function()
    with contextlib.ExitStack() as stack:
        try:
            home = os.open(_own_path("/proc"), os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, home)
            target = os.open(namespace.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            stack.callback(os.close, target)
            _check(target, namespace.inode)
            setns(target, _CLONE_NEWNET)
        except (FileNotFoundError, ProcessLookupError) as error:
            raise NamespaceVanished("it vanished") from error
        except PermissionError as error:
            raise NamespaceUnreadable("entering it needs CAP_SYS_ADMIN and CAP_SYS_PTRACE") from error
        except OSError as error:
            raise NamespaceUnreadable(f"entering it failed: {error.strerror}") from error
        try:
            return function()
        finally:
            _go_back(home)


def _go_back(home: int) -> None:
    try:
        setns(home, _CLONE_NEWNET)
    except OSError as error:
        raise StrandedInNamespace(f"no way back to the own network namespace: {error.strerror}") from error


def _check(descriptor: int, inode: int) -> None:
    if filesystem_type(descriptor) != _NSFS_MAGIC:
        raise NamespaceVanished("its path is no namespace any more")
    if fcntl.ioctl(descriptor, _NS_GET_NSTYPE) != _CLONE_NEWNET:
        raise NamespaceVanished("its path is a namespace of another kind")
    if os.fstat(descriptor).st_ino != inode:
        raise NamespaceVanished("its path is another network namespace by now")


def _own_path(proc: str) -> str:
    path = f"{proc}/thread-self/ns/net"
    # /proc/thread-self is Linux 3.17; a test's tree may have only "self".
    return path if os.path.exists(path) else f"{proc}/self/task/{threading.get_native_id()}/ns/net"


def _own_inode(proc: str) -> int | None:
    return _inode(_own_path(proc)) or _inode(f"{proc}/self/ns/net")


def _inode(path: str) -> int | None:
    try:
        return os.stat(path).st_ino
    except OSError:
        return None


def _by_inode(proc: str) -> tuple[dict[int, int], list[int]]:
    """The lowest pid in each namespace, and the processes that would not say."""
    pids: dict[int, int] = {}
    denied: list[int] = []
    try:
        names = os.listdir(proc)
    except OSError:
        names = []
    for pid in sorted(int(name) for name in names if name.isascii() and name.isdigit()):
        try:
            pids.setdefault(os.stat(f"{proc}/{pid}/ns/net").st_ino, pid)
        except PermissionError:  # noqa: PERF203 - each process answers for itself
            denied.append(pid)
        except OSError:  # it ended
            continue
    return pids, denied


def _view(proc: str, pid: int) -> int | None:
    """A number that processes of one network namespace share and that anyone may read.

    procfs builds ``net/`` per namespace and numbers its inodes uniquely (proc_net_ns_init, proc_alloc_inum).
    """
    return _inode(f"{proc}/{pid}/net/stat")


def _named_mounts(folder: str, proc: str) -> Iterator[_Mount]:
    """Namespaces that ip-netns(8) names, also where mountinfo is not readable."""
    try:
        names = sorted(os.listdir(folder))
        device = os.stat(f"{proc}/self/ns/net").st_dev
    except OSError:
        return
    for name in names:
        path = f"{folder}/{name}"
        try:
            status = os.stat(path)
        except OSError:
            continue
        # Without its mount a name is an empty file of the folder's own file system.
        if status.st_dev == device:
            yield _Mount(status.st_ino, path, _text(name))


def _nsfs_mounts(mountinfo: str) -> Iterator[_Mount]:
    """Bind mounts of network namespaces from proc_pid_mountinfo(5)."""
    try:
        with open(mountinfo, "rb") as lines:
            content = lines.read()
    except OSError:
        return
    for line in content.splitlines():
        before, separator, after = line.partition(b" - ")
        fields = before.split(b" ")
        if not separator or not after.startswith(b"nsfs ") or len(fields) <= _MOUNT_POINT:
            continue
        root = re.fullmatch(rb"net:\[(\d{1,19})\]", fields[3])
        if root:
            path = os.fsdecode(_unescape(fields[_MOUNT_POINT]))
            yield _Mount(int(root[1]), path, _text(os.path.basename(path)))


def _unescape(text: bytes) -> bytes:
    """Undo the octal escapes (blank, tab, newline, backslash) of mount points."""
    return re.sub(rb"\\([0-3][0-7]{2})", lambda found: bytes((int(found[1], 8),)), text)


def _text(name: str) -> str:
    """Decode a file's name as the records want it: UTF-8, what is none escaped."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
