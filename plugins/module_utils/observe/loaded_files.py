# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that a process has loaded or writes to, by ``/proc/PID``: names that tell which libraries are in it.

The process is not touched and no path that it names is opened; the one file that is read is its executable, through
the kernel's own link, and only if that lies on a file system that answers without a network or another process.
"""

from __future__ import annotations

import itertools
import os
import re
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import try_read_head
from ansible_collections.lastack.linux.plugins.module_utils.observe.go_build_info import read_go_modules
from ansible_collections.lastack.linux.plugins.module_utils.observe.mapped_files import read_mapped_files
from ansible_collections.lastack.linux.plugins.module_utils.observe.processes import read_executable, read_start_ticks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline
    from ansible_collections.lastack.linux.plugins.module_utils.observe.go_build_info import GoModule
    from ansible_collections.lastack.linux.plugins.module_utils.observe.mapped_files import MappedFiles
    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Process

__all__ = ["LoadedFiles", "read_loaded_files"]

# ruff: noqa: PTH115 - pathlib costs several times as much, for every descriptor

_DESCRIPTORS = 4096
"""A Java program opens its jars when it starts, and so in low descriptors."""
_QUIET = 1024
"""So many in a row that are no files (a leaking program's are sockets), and no file is expected any more."""
_CHECK_TIME_EVERY = 256
_ARCHIVES = 1024
_LOG_CANDIDATES = 16
_LOG_FILES = 3
_LINK_LENGTH = 512
_MOUNTS_LIMIT = 1 << 20
_FDINFO_LIMIT = 4096

_NO_FILE = ("/dev/", "/proc/", "/sys/", "/memfd:")

_DISTANT = re.compile(
    r"(?:nfs|cifs|smb|fuse|9p|ceph|afs|coda|ncp|gfs|ocfs|glusterfs|lustre|beegfs|orangefs|pvfs|virtiofs|autofs)"
)
"""File systems that may never answer: a server or a program stands behind them."""


class LoadedFiles(NamedTuple):
    """What one process has loaded or writes to; every path as the kernel shows it, unjudged."""

    pid: int
    mapped: tuple[str, ...]
    """Mapped files with code in them."""
    archives: tuple[str, ...]
    """Open jars."""
    log_files: tuple[str, ...]
    """Files open for writing that are called like logs, at most three."""
    go_modules: tuple[GoModule, ...]


def read_loaded_files(process: Process, *, proc: str = "/proc", deadline: Deadline) -> LoadedFiles | None:
    """Return what a process has loaded; ``None`` when it has vanished, is another by now, or nothing may be read.

    At most 4,096 descriptors are looked at, a megabyte of ``maps`` unless ``process`` brings its own, and of a Go
    program a few short stretches of its executable. When ``deadline`` passes on the way, what is known is returned.
    """
    pid = process.pid
    mapped = process.mapped or read_mapped_files(pid, process.executable, proc=proc)
    links = _Links(f"{proc}/{pid}", deadline)
    modules = _go_modules(process, mapped, proc) if process.runtime == "go" and not deadline.passed() else ()
    if mapped is None and not links.readable:
        return None
    if process.start_ticks is None or read_start_ticks(pid, proc=proc) != process.start_ticks:
        return None
    if read_executable(pid, proc=proc) != process.executable:
        # The same process runs another program by now.
        return None
    return LoadedFiles(pid, mapped.names if mapped else (), tuple(links.archives), tuple(links.log_files), modules)


class _Links:
    """The descriptors of a process, as links."""

    def __init__(self, folder: str, deadline: Deadline) -> None:
        self.readable = False
        self.archives: dict[str, None] = {}
        self.log_files: dict[str, None] = {}
        self._candidates = 0
        self._folder = folder
        for number, link in self._read(deadline):
            if link.endswith((".jar", ".war")):
                if len(self.archives) < _ARCHIVES:
                    self.archives[link] = None
            elif _like_a_log(link) and not link.endswith(" (deleted)"):
                self._take_log(number, link)

    def _read(self, deadline: Deadline) -> Iterator[tuple[str, str]]:
        """Give the paths behind the first descriptors; the kernel lists them in order, and no more than is asked."""
        quiet = 0
        try:
            with os.scandir(f"{self._folder}/fd") as entries:
                self.readable = True
                for count, entry in enumerate(itertools.islice(entries, _DESCRIPTORS), start=1):
                    if quiet >= _QUIET or (count % _CHECK_TIME_EVERY == 0 and deadline.passed()):
                        return
                    link = self._link(entry.name)
                    if link.startswith("/") and len(link) <= _LINK_LENGTH and not link.startswith(_NO_FILE):
                        quiet = 0
                        yield entry.name, link
                    else:
                        quiet += 1
        except OSError:
            return

    def _link(self, number: str) -> str:
        try:
            target = os.readlink(os.fsencode(f"{self._folder}/fd/{number}"))
        except OSError:
            return ""
        return target.decode("utf-8", "backslashreplace")

    def _take_log(self, number: str, link: str) -> None:
        if link in self.log_files or len(self.log_files) >= _LOG_FILES or self._candidates >= _LOG_CANDIDATES:
            return
        self._candidates += 1
        if _written(try_read_head(f"{self._folder}/fdinfo/{number}", _FDINFO_LIMIT) or b""):
            self.log_files[link] = None


def _like_a_log(path: str) -> bool:
    folder, __, base = path.rpartition("/")
    # Rotation puts a number or a date behind the name.
    plain = base.rstrip("0123456789.-_").endswith((".log", ".out", ".err"))
    return plain or path.startswith("/var/log/") or folder.endswith(("/log", "/logs"))


def _written(fdinfo: bytes) -> bool:
    """Return whether a descriptor is open for writing, by the octal ``flags`` of its fdinfo (proc_pid_fdinfo(5))."""
    for line in fdinfo.split(b"\n"):
        key, __, value = line.partition(b":")
        if key == b"flags":
            try:
                return int(value, 8) & os.O_ACCMODE in (os.O_WRONLY, os.O_RDWR)
            except ValueError:
                return False
    return False


def _go_modules(process: Process, mapped: MappedFiles | None, proc: str) -> tuple[GoModule, ...]:
    if mapped is None or mapped.executable_device is None or not _is_near(mapped.executable_device, process.pid, proc):
        return ()
    try:
        descriptor = os.open(f"{proc}/{process.pid}/exe", os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return ()
    try:
        return read_go_modules(descriptor) or ()
    finally:
        os.close(descriptor)


def _is_near(device: tuple[int, int], pid: int, proc: str) -> bool:
    """Return whether a file system is known to be this machine's own, by its number and the lists of mounts.

    A block device is; what has no device (overlay, btrfs, tmpfs) must stand in a list with a type that needs nobody.
    """
    major, minor = device
    wanted = b"%d:%d" % (major, minor)
    kinds = set()
    for who in (str(pid), "self"):
        for line in (try_read_head(f"{proc}/{who}/mountinfo", _MOUNTS_LIMIT) or b"").split(b"\n"):
            fields = line.split(b" ", 3)
            if len(fields) > 3 and fields[2] == wanted:  # noqa: PLR2004 - id, parent, device, and the rest
                kinds.add(line.partition(b" - ")[2].split(b" ", 1)[0].decode("ascii", "replace"))
    return (major > 0 or bool(kinds)) and not any(_DISTANT.match(kind) for kind in kinds)
