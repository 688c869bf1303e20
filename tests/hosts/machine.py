# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the machine a lab must not touch, and what of a lab is still there."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lab_registry

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["family", "folder_state", "interfaces", "left_of", "sysctls", "wait_until_gone"]

_COUNTERS = {
    # Counters and adjustments of the kernel's own, which change on any machine at any time.
    "fs/aio-nr",
    "fs/dentry-state",
    "fs/file-nr",
    "fs/inode-nr",
    "fs/inode-state",
    "kernel/ns_last_pid",
    "kernel/perf_event_max_sample_rate",
    "kernel/pty/nr",
    "kernel/random/entropy_avail",
    "kernel/random/uuid",
    "net/netfilter/nf_conntrack_count",
}


def sysctls() -> dict[str, bytes]:
    """Return every readable, stable value of /proc/sys: net, fs, kernel and vm."""
    root = Path("/proc/sys")
    found = {}
    for top in ("fs", "kernel", "net", "vm"):
        for folder, __, names in os.walk(root / top):
            for name in names:
                path = Path(folder) / name
                key = str(path.relative_to(root))
                if key not in _COUNTERS and not key.startswith("fs/quota/"):
                    # Some are write-only, some need what a container does not have.
                    with contextlib.suppress(OSError):
                        found[key] = path.read_bytes()
    return found


def folder_state(*folders: str) -> dict[str, tuple[int, int, int, int, int]]:
    """Return inode, mode, owner, size and change time of everything below some folders."""
    found = {}
    for top in folders:
        for folder, folders_in, names in os.walk(top):
            for name in (*folders_in, *names):
                path = Path(folder) / name
                with contextlib.suppress(OSError):
                    status = path.lstat()
                    found[str(path)] = (
                        status.st_ino,
                        status.st_mode,
                        status.st_uid,
                        status.st_size,
                        status.st_mtime_ns,
                    )
    return found


def interfaces() -> list[Any]:
    """Return the machine's links with their addresses, its routes and its rules."""
    answers = []
    for what in ("address", "route", "rule"):
        done = subprocess.run(["ip", "-json", what], capture_output=True, text=True, check=True, timeout=20)
        answers.append([_timeless(entry) for entry in json.loads(done.stdout or "[]")])
    return answers


def _timeless(entry: dict[str, Any]) -> dict[str, Any]:
    for address in entry.get("addr_info", []):
        for name in ("valid_life_time", "preferred_life_time"):
            address.pop(name, None)
    return entry


def _processes() -> Iterator[tuple[int, int, str]]:
    """Yield (pid, parent, start time); a pid and its start time are of one process only."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] not in {"Z", "X"}:
            yield int(path.name), int(fields[1]), fields[19]


def family(pid: int) -> dict[int, str]:
    """Return the start times of the living processes that descend from ``pid``, without itself."""
    everyone = list(_processes())
    known = {pid}
    members: dict[int, str] = {}
    grown = True
    while grown:
        more = {child: start for child, parent, start in everyone if parent in known and child not in known}
        members |= more
        known |= set(more)
        grown = bool(more)
    return members


def left_of(lab: dict[str, Any], members: dict[int, str]) -> list[str]:
    """Return what is still there of a lab: processes, cgroup, mounts, folder, short link, record."""
    now = {pid: start for pid, __, start in _processes()}
    left = [f"process {pid}" for pid, start in members.items() if now.get(pid) == start]
    tree = lab_registry.cgroup_tree()
    assert tree is not None
    paths = [tree / lab["cgroup"].lstrip("/"), Path(lab["folder"]), *([Path(lab["short"])] if lab["short"] else [])]
    left += [str(path) for path in paths if path.exists() or path.is_symlink()]
    left += [f"mount {line}" for line in Path("/proc/self/mountinfo").read_text().splitlines() if lab["id"] in line]
    left += [f"record of {known['folder']}" for known, __ in lab_registry.records() if known["id"] == lab["id"]]
    return left


def wait_until_gone(lab: dict[str, Any], members: dict[int, str], timeout_s: float = 60.0) -> list[str]:
    """Wait until nothing of a lab is left; return what is left after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while (left := left_of(lab, members)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left
