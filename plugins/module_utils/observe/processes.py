# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes as ``/proc/PID`` shows them: who they are, how old, what limits they have."""

from __future__ import annotations

import errno
import functools
import os
import re
import time
from typing import NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import read_head, try_read_head
from ansible_collections.lastack.linux.plugins.module_utils.observe.mapped_files import (
    carries_own_tls,
    read_mapped_files,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Process

__all__ = [
    "ProcessStat",
    "ProcessStatus",
    "all_processes_visible",
    "count_descriptors",
    "descriptor_folder_has_size",
    "list_pids",
    "measure_descriptors",
    "parse_cgroup",
    "parse_limits",
    "parse_stat",
    "parse_status",
    "processes_hidden",
    "read_comm",
    "read_executable",
    "read_limits",
    "read_parent",
    "read_process",
    "read_start_ticks",
]

# ruff: noqa: PTH115, PTH116, PTH208 - pathlib costs several times as much, for every process of the machine

_SMALL_FILE = 16384
_PASSWD_LIMIT = 4 << 20
_ARGUMENTS_LIMIT = 65536
# The inode of the machine's first pid namespace is a constant (PROC_PID_INIT_INO, include/linux/proc_ns.h).
_INITIAL_PID_NAMESPACE = "pid:[4026531836]"
_UNLIMITED = -1


class ProcessStat(NamedTuple):
    """The fields of ``/proc/PID/stat`` that are used (proc_pid_stat(5))."""

    parent: int
    start_ticks: int
    """Clock ticks between the boot and the start of the process."""


class ProcessStatus(NamedTuple):
    """The fields of ``/proc/PID/status`` that are used (proc_pid_status(5)); ``None`` where a line is missing."""

    uid: int | None
    """The effective one."""
    pids: tuple[int, ...]
    """From the namespace of this procfs to the innermost one; empty before Linux 4.1."""
    table_size: int | None
    """Slots of the descriptor table: an upper bound of the open descriptors."""


def list_pids(proc: str = "/proc") -> list[int]:
    """Return the process ids that this procfs shows, lowest first; empty when it cannot be listed."""
    try:
        names = os.listdir(proc)
    except OSError:
        return []
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def all_processes_visible(proc: str = "/proc") -> bool:
    """Return whether this procfs shows every process of the machine to us.

    False with ``hidepid`` in force against us, and inside a pid namespace other than the machine's first: what a
    container shows is all of the container and not all of the machine.
    """
    try:
        first = os.readlink(f"{proc}/self/ns/pid") == _INITIAL_PID_NAMESPACE
    except OSError:
        return False
    return first and not processes_hidden(proc)


def processes_hidden(proc: str = "/proc") -> bool:
    """Return whether ``hidepid`` (proc(5)) keeps other users' processes from us: then the first one is not there."""
    return try_read_head(f"{proc}/1/stat", _SMALL_FILE) is None


def descriptor_folder_has_size(proc: str = "/proc") -> bool:
    """Return whether the size of ``/proc/PID/fd`` is the number of open descriptors (Linux 6.2, fs/proc/fd.c)."""
    try:
        return os.stat(f"{proc}/self/fd").st_size > 0
    except OSError:
        return False


def measure_descriptors(pid: int, *, proc: str = "/proc", has_size: bool) -> int:
    """Return how many descriptors a process has open; raises ``OSError`` when it has vanished or denies it.

    ``has_size`` is the answer of ``descriptor_folder_has_size``, asked once for many processes: with it the count is
    one ``stat``, open to everyone, otherwise the folder is listed, which needs the right to.
    """
    path = f"{proc}/{pid}/fd"
    return os.stat(path).st_size if has_size else len(os.listdir(path))


def count_descriptors(pid: int, *, proc: str = "/proc") -> int | None:
    """Return how many descriptors a process has open; ``None`` when that cannot be read."""
    try:
        return measure_descriptors(pid, proc=proc, has_size=descriptor_folder_has_size(proc))
    except OSError:
        return None


def parse_stat(text: bytes) -> ProcessStat | None:
    """Parse ``/proc/PID/stat``; ``None`` when it is cut short.

    The name stands in parentheses and may itself contain any byte, so the fields count from the last ``)``.
    """
    fields = text[text.rfind(b")") + 1 :].split()
    try:
        return ProcessStat(parent=int(fields[1]), start_ticks=int(fields[19]))
    except (IndexError, ValueError):
        return None


def parse_status(text: bytes) -> ProcessStatus:
    """Parse ``/proc/PID/status``; the kernel escapes newlines in the name, so no name can forge a line."""
    values: dict[bytes, bytes] = {}
    for line in text.split(b"\n"):
        key, colon, value = line.partition(b":")
        if colon:
            values.setdefault(key, value)
    uids = _integers(values.get(b"Uid", b""))
    table_size = _integers(values.get(b"FDSize", b""))
    return ProcessStatus(
        uid=uids[1] if len(uids) > 1 else None,
        pids=_integers(values.get(b"NSpid", b"")),
        table_size=table_size[0] if table_size else None,
    )


def parse_limits(text: bytes) -> tuple[int | None, int | None]:
    """Return soft and hard ``RLIMIT_NOFILE`` of ``/proc/PID/limits``; -1 for unlimited, ``None`` if not there."""
    for line in text.split(b"\n"):
        if line.startswith(b"Max open files "):
            fields = line.split()
            try:
                soft, hard = (_UNLIMITED if word == b"unlimited" else int(word) for word in fields[3:5])
            except ValueError:
                return None, None
            return soft, hard
    return None, None


def parse_cgroup(text: bytes) -> str | None:
    """Return the path of ``/proc/PID/cgroup`` that names the unit or container (cgroups(7)).

    That is the path of the v2 hierarchy, or of ``name=systemd`` where v2 says only ``/``.
    """
    paths = {}
    for line in text.split(b"\n"):
        fields = line.split(b":", 2)
        if len(fields) == 3:  # noqa: PLR2004 - hierarchy, controllers, path
            paths[fields[1]] = _text(fields[2])
    unified, named = paths.get(b""), paths.get(b"name=systemd")
    path = named if named is not None and unified in (None, "/") else unified
    return None if path is None else path.removesuffix(" (deleted)")


def read_comm(pid: int, *, proc: str = "/proc") -> str | None:
    """Return the name of a process as it stands in ``/proc/PID/comm``; ``None`` when it cannot be read."""
    data = try_read_head(f"{proc}/{pid}/comm", _SMALL_FILE)
    return None if not data else _text(data.removesuffix(b"\n"))


def read_limits(pid: int, *, proc: str = "/proc") -> tuple[int | None, int | None]:
    """Return soft and hard ``RLIMIT_NOFILE`` of a process; -1 for unlimited, ``None`` when unreadable."""
    return parse_limits(try_read_head(f"{proc}/{pid}/limits", _SMALL_FILE) or b"")


def read_parent(pid: int, *, proc: str = "/proc") -> int | None:
    """Return the parent of a process; ``None`` when it has vanished or hides."""
    stat = parse_stat(try_read_head(f"{proc}/{pid}/stat", _SMALL_FILE) or b"")
    return None if stat is None else stat.parent


def read_executable(pid: int, *, proc: str = "/proc") -> str | None:
    """Return the path of a process's executable, without a trailing `` (deleted)``; ``None`` when it is not told."""
    try:
        target = os.readlink(os.fsencode(f"{proc}/{pid}/exe"))
    except OSError:
        return None
    return _text(target).removesuffix(" (deleted)")


def read_start_ticks(pid: int, *, proc: str = "/proc") -> int | None:
    """Return when a process started, in clock ticks since the boot; ``None`` when it has vanished or hides."""
    stat = parse_stat(try_read_head(f"{proc}/{pid}/stat", _SMALL_FILE) or b"")
    return None if stat is None else stat.start_ticks


def read_process(
    pid: int, *, proc: str = "/proc", users: str = "/etc/passwd", with_arguments: bool = False
) -> Process | None:
    """Return what ``/proc/PID`` tells about one process; ``None`` when it has vanished, also in between.

    Fields that cannot be read are ``None``; those of the container always are (``containers.find_container`` fills
    them). The user's name comes from the file ``users`` alone, because a name service may hang; a user without a line
    there is named by the number.

    ``with_arguments`` reads the command line and the mapped files too. That may block on the memory lock of the
    process, so ask it only for processes that are named in the report.
    """
    folder = f"{proc}/{pid}"
    try:
        stat = _read_stat(folder)
    except PermissionError:
        return _unknown_process(pid)
    if stat is None:
        return None
    status = parse_status(try_read_head(f"{folder}/status", _SMALL_FILE) or b"")
    uptime_s = _read_uptime(proc)
    soft_limit, hard_limit = read_limits(pid, proc=proc)
    executable = read_executable(pid, proc=proc)
    # Where the answer is known without it, the memory lock of a large process is not waited for.
    own_tls = with_arguments and carries_own_tls(executable)
    mapped = read_mapped_files(pid, executable, proc=proc) if with_arguments and not own_tls else None
    process = Process(
        pid=pid,
        container_pid=status.pids[-1] if len(status.pids) > 1 else None,
        age_s=_age(stat, uptime_s),
        comm=read_comm(pid, proc=proc),
        executable=executable,
        uid=status.uid,
        user=None if status.uid is None else _user_name(status.uid, users),
        cgroup=parse_cgroup(try_read_head(f"{folder}/cgroup", _SMALL_FILE) or b""),
        namespace=_read_network_namespace(folder),
        open_descriptors=count_descriptors(pid, proc=proc),
        soft_limit=soft_limit,
        hard_limit=hard_limit,
        arguments=_read_arguments(folder) if with_arguments else None,
        tls_library=True if own_tls else mapped.tls_library if mapped else None,
        container_name=None,
        container_id=None,
        container_image=None,
        runtime="go" if mapped and mapped.go else None,
        start_ticks=stat.start_ticks,
        mapped=mapped,
    )
    try:
        again = _read_stat(folder)
    except PermissionError:
        # A program that gains rights with exec hides from then on; it is still the same process.
        return process
    # Another start time is another process with a recycled number: the record would be a mixture of both.
    return process if again is not None and again.start_ticks == stat.start_ticks else None


def _unknown_process(pid: int) -> Process:
    return Process(pid, *[None] * (len(Process._fields) - 1 - len(Process._field_defaults)))


def _read_stat(folder: str) -> ProcessStat | None:
    """Return the stat of a process, ``None`` when it has vanished; raises ``PermissionError`` under ``hidepid=1``."""
    try:
        return parse_stat(read_head(f"{folder}/stat", _SMALL_FILE))
    except PermissionError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESRCH):
            return None
        raise PermissionError(error.errno, error.strerror) from error


def _read_uptime(proc: str) -> float | None:
    if proc == "/proc":
        # Containers may have a false /proc/uptime mounted over the kernel's (lxcfs); the clock has not.
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    words = (try_read_head(f"{proc}/uptime", _SMALL_FILE) or b"").split()
    try:
        return float(words[0])
    except (IndexError, ValueError):
        return None


def _age(stat: ProcessStat, uptime_s: float | None) -> float | None:
    if uptime_s is None:
        return None
    return max(0.0, uptime_s - stat.start_ticks / os.sysconf("SC_CLK_TCK"))


def _read_network_namespace(folder: str) -> int | None:
    try:
        target = os.readlink(f"{folder}/ns/net")
    except OSError:
        return None
    match = re.fullmatch(r"net:\[(\d+)\]", target)
    return int(match.group(1)) if match else None


def _read_arguments(folder: str) -> tuple[str, ...] | None:
    data = try_read_head(f"{folder}/cmdline", _ARGUMENTS_LIMIT)
    if data is None:
        return None
    # Programs that rewrite their title leave the rest of the area as NULs.
    data = data.rstrip(b"\0")
    return tuple(_text(argument) for argument in data.split(b"\0")) if data else ()


def _user_name(uid: int, users: str) -> str:
    try:
        stat = os.stat(users)
    except OSError:
        return str(uid)
    return _user_names(users, stat.st_mtime_ns, stat.st_size).get(uid, str(uid))


@functools.lru_cache(maxsize=2)
def _user_names(users: str, _mtime_ns: int, _size: int) -> dict[int, str]:
    names: dict[int, str] = {}
    for line in (try_read_head(users, _PASSWD_LIMIT) or b"").split(b"\n"):
        fields = line.split(b":")
        if len(fields) > 2 and fields[0] and re.fullmatch(rb"[0-9]{1,10}", fields[2]):  # noqa: PLR2004 - name, password, uid
            names.setdefault(int(fields[2]), _text(fields[0]))
    return names


def _integers(value: bytes) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in value.split())
    except ValueError:
        return ()


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
