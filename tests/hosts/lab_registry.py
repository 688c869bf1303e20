# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which labs there are, and the end of what a dead one left: its cgroups, its folder, its record.

Every lab has a record, a file that its keeper holds locked for as long as the lab lives. A record that can be locked is
one of a dead lab: no process id is trusted, and no other lab's things can be swept.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from images import cache_folder, locked

__all__ = ["MARK", "NEW_MARK", "cgroup_tree", "clean", "lab_of", "record", "records", "remove_cgroup", "sweep"]

MARK = "lab.json"
NEW_MARK = ".lab.json"
_GONE_S = 30.0


def _folder() -> Path:
    folder = cache_folder() / "labs"
    folder.mkdir(exist_ok=True, mode=0o700)
    return folder


def cgroup_tree() -> Path | None:
    """Return where this machine has cgroup v2: alone, or beside v1 (the hybrid tree); ``None`` if nowhere."""
    lines = [line.split() for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    kinds = {line[1]: line[2] for line in lines}
    trees = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
    return next((Path(tree) for tree in trees if kinds.get(tree) == "cgroup2"), None)


def record(lab: dict[str, Any]) -> int:
    """Write a lab's record; return the descriptor that holds it locked."""
    folder = _folder()
    new = folder / f"{lab['id']}.tmp"
    with locked(folder / "lock"):
        descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, json.dumps(lab).encode())
        new.rename(folder / f"{lab['id']}.json")
    return descriptor


def lab_of(folder: Path) -> dict[str, Any] | None:
    """Return what a folder says of its lab, alive or dead; ``None`` if it is not a lab's."""
    try:
        lab = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return lab if isinstance(lab, dict) and {"id", "hosts", "cgroup"} <= set(lab) else None


def records() -> list[tuple[dict[str, Any], bool]]:
    """Return every lab of this cache and whether it lives."""
    found = []
    for path in sorted(_folder().glob("*.json")):
        try:
            with path.open("rb") as file:
                lab = json.load(file)
                found.append((lab, not _lockable(file.fileno())))
        except (OSError, ValueError):
            continue
    return found


def _lockable(descriptor: int) -> bool:
    try:
        # Shared: two who look at once must not take each other for a keeper.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sweep() -> list[str]:
    """Remove what dead labs left behind; return their folders."""
    swept = []
    folder = _folder()
    with locked(folder / "lock"):
        # A record that was being written when its writer died.
        for path in folder.glob("*.tmp"):
            path.unlink(missing_ok=True)
        for lab, alive in records():
            if not alive:
                clean(lab)
                swept.append(str(lab["folder"]))
    return swept


def clean(lab: dict[str, Any]) -> None:
    """End what a lab left and forget it; each step stands alone, so that one that fails hides no other."""
    tree = cgroup_tree()
    if tree is not None:
        remove_cgroup(tree / str(lab["cgroup"]).lstrip("/"))
    folder = Path(lab["folder"])
    mark = lab_of(folder)
    if mark is not None and mark["id"] == lab["id"]:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        # Its maker died before it wrote anything, or it is no lab's.
        with contextlib.suppress(OSError):
            (folder / NEW_MARK).unlink(missing_ok=True)
            folder.rmdir()
    if lab["short"]:
        shutil.rmtree(lab["short"], ignore_errors=True)
    (_folder() / f"{lab['id']}.json").unlink(missing_ok=True)


def remove_cgroup(top: Path) -> None:
    """Kill every process of a cgroup and its children, then remove them all; bounded in time."""
    deadline = time.monotonic() + _GONE_S
    while top.is_dir() and time.monotonic() < deadline:
        # Not before Linux 5.14; the processes died with their namespace anyway.
        with contextlib.suppress(OSError):
            (top / "cgroup.kill").write_text("1", encoding="ascii")
        for path, __, __ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                Path(path).rmdir()
        if top.is_dir():
            time.sleep(0.02)
