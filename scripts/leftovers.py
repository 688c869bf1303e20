# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of tests has left on the machine: processes, mounts, cgroups, temporary files, network interfaces.

Processes are told by a mark in the environment that the run was given, or by an ancestor with it; temporary files by
the folder that it was given as TMPDIR. The rest is compared with how it was before: labs that others make meanwhile
may show as leftovers.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

__all__ = ["MARK", "Snapshot", "left_behind", "marked_processes"]

MARK = "LASTACK_SOAK_MARK"
"""Name of the environment variable that tells a run's processes."""

_CGROUPS = Path("/sys/fs/cgroup")
_SHARED_FOLDERS = (Path("/tmp"), Path("/var/tmp"), Path("/run"), Path("/run/netns"), Path("/dev/shm"))  # noqa: S108 - looked at, never written


class Snapshot(NamedTuple):
    """What of the machine a run must leave as it was; each a set of words that name one thing."""

    mounts: frozenset[str]
    cgroups: frozenset[str]
    interfaces: frozenset[str]
    files: frozenset[str]
    settings: frozenset[str]

    @classmethod
    def take(cls) -> Snapshot:
        """Return how the machine is now."""
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        return cls(
            mounts=frozenset(line.split()[4] for line in mounts),
            # os.walk, since cgroups vanish meanwhile.
            cgroups=frozenset(folder for folder, __, __ in os.walk(_CGROUPS) if _is_empty_cgroup(Path(folder))),
            interfaces=frozenset(path.name for path in Path("/sys/class/net").iterdir()),
            files=frozenset(str(path) for path in _lastack_files()),
            settings=frozenset(_settings()),
        )


def _is_empty_cgroup(folder: Path) -> bool:
    """Tell whether it is a lab's without a process; one that has some is found by them (cgroups(7), cgroup.events)."""
    if not folder.name.startswith("lastack"):
        return False
    try:
        return "populated 0" in (folder / "cgroup.events").read_text(encoding="ascii")
    except OSError:
        return False


def _lastack_files() -> list[Path]:
    """Return temporary files with lastack's name that no process knows of; one in use is found by that process."""
    known = b"".join(_bytes(file) for name in ("cmdline", "environ") for file in Path("/proc").glob(f"[0-9]*/{name}"))
    found = [path for folder in _SHARED_FOLDERS if folder.is_dir() for path in folder.glob("*lastack*")]
    return [path for path in found if os.fsencode(path) not in known]


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _settings() -> list[str]:
    """Return what labs could change by mistake: forwarding, and the limits that systemd raises when it boots."""
    keys = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "fs/nr_open", "fs/file-max", "kernel/pid_max")
    files = [(key, Path("/proc/sys", key)) for key in keys]
    return [f"{key} = {file.read_text(encoding='ascii').strip()}" for key, file in files if file.exists()]


def _status(pid: int) -> tuple[int, str] | None:
    """Return the parent and the name of a process; ``None`` if it is gone or a zombie (proc_pid_stat(5))."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    name, __, rest = text.partition("(")[2].rpartition(")")
    fields = rest.split()
    return None if fields[0] == "Z" else (int(fields[1]), name)


def _has_mark(pid: int, mark: str) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return f"{MARK}={mark}".encode() in environment.split(b"\0")


def marked_processes(mark: str) -> dict[int, str]:
    """Return pid and name of each process with this mark, and of all that descend from one; never the caller."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    known = {pid: found for pid in pids if (found := _status(pid))}
    marked = {pid for pid in known if _has_mark(pid, mark)} - {os.getpid()}
    grew = True
    while grew:
        more = {pid for pid, (parent, __) in known.items() if parent in marked} - marked
        marked |= more
        grew = bool(more)
    return {pid: known[pid][1] for pid in sorted(marked)}


def left_behind(before: Snapshot, mark: str, scratch: Path, patience_s: float = 10.0) -> list[str]:
    """Return one phrase for each thing that a run left; what is still ending gets ``patience_s`` seconds.

    Args:
        before: the machine before the run.
        mark: the value of ``MARK`` in the run's environment.
        scratch: the folder that the run had as TMPDIR; whatever is in it was left.
        patience_s: how long to wait until nothing is left.
    """
    deadline = time.monotonic() + patience_s
    while True:
        now = Snapshot.take()
        left = [f"process {name}" for name in marked_processes(mark).values()]
        left += [f"temporary file {path.name}" for path in sorted(scratch.iterdir())]
        for kind, was, found in zip(Snapshot._fields, before, now, strict=True):
            left += [f"{kind}: {one}" for one in sorted(found - was)]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.5)
