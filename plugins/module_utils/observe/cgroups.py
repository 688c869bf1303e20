# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control groups of the v2 hierarchy: from the id that a socket carries to the processes inside."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import try_read_head

if TYPE_CHECKING:
    from collections.abc import Collection

    from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline

__all__ = ["find_cgroup_mount", "find_cgroups", "read_cgroup_pids"]

_MOUNTINFO_LIMIT = 4 << 20
_PROCS_LIMIT = 4 << 20
# The id of the root of a hierarchy (kernfs): sockets on hosts with v1 hierarchies all carry it.
_ROOT_ID = 1
# "." and "..": a kernfs directory with no more links than these has no directory below.
_LINKS_OF_LEAF = 2
_ESCAPE = re.compile(rb"\\([0-7]{3})")


def find_cgroup_mount(proc: str = "/proc") -> str | None:
    """Return where the cgroup v2 hierarchy is mounted, wherever that is; ``None`` when it is hidden from us.

    Of several mounts it is the one that shows the most of the hierarchy, of equal ones the last. Never a file: systemd
    binds a unit's own ``memory.pressure`` there. Source: ``/proc/self/mountinfo``, proc_pid_mountinfo(5).
    """
    roots: dict[bytes, bytes] = {}
    for line in (try_read_head(f"{proc}/self/mountinfo", _MOUNTINFO_LIMIT) or b"").split(b"\n"):
        before, __, after = line.partition(b" - ")
        fields = before.split(b" ")
        if after.split(b" ", 1)[0] == b"cgroup2" and len(fields) > 4:  # noqa: PLR2004 - the fifth is the mount point
            root, point = (
                _ESCAPE.sub(lambda match: bytes([int(match.group(1), 8) & 0xFF]), one) for one in fields[3:5]
            )
            # The last at one place covers those before it there.
            roots.pop(point, None)
            roots[point] = root
    last_first = list(roots)[::-1]
    for point in sorted(last_first, key=lambda point: _depth(roots[point])):
        name = os.fsdecode(point)
        if "\0" not in name and (os.path.isdir(name) or not os.path.lexists(name)):  # noqa: PTH112 - pathlib costs several times as much
            return name
    return None


def _depth(root: bytes) -> tuple[int, int]:
    """Return how deep in the hierarchy a mount begins; ``/..`` is above the root of our cgroup namespace."""
    names = [name for name in root.split(b"/") if name]
    above = names.count(b"..")
    return len(names) - above, -above


def find_cgroups(ids: Collection[int], *, mount: str, deadline: Deadline | None = None) -> dict[int, str]:
    """Return the directories of the cgroups with these ids; one that is gone or hidden is absent.

    The id is the inode of the directory; 0 and 1 tell nothing and are not looked for. One walk over the hierarchy,
    ended as soon as everything is found or the deadline has passed.
    """
    wanted = {number for number in ids if number > _ROOT_ID}
    found: dict[int, str] = {}
    left = [mount]
    while left and wanted and not (deadline is not None and deadline.passed()):
        for entry in _subdirectories(left.pop()):
            number = entry.inode()
            if number in wanted:
                wanted.discard(number)
                found[number] = entry.path
            left.append(entry.path)
    return found


def read_cgroup_pids(directory: str) -> list[int]:
    """Return the processes directly inside a cgroup; empty when it has vanished, is denied or is threaded.

    Processes of a foreign pid namespace, shown as 0, are left out. Source: cgroups(7), ``cgroup.procs``.
    """
    data = try_read_head(f"{directory}/cgroup.procs", _PROCS_LIMIT) or b""
    numbers = (int(word) for word in data.split() if word.isdigit())
    return sorted({number for number in numbers if number > 0})


def _subdirectories(path: str) -> list[os.DirEntry[str]]:
    try:
        # Most cgroups have none below them, and reading a directory of sixty control files costs more than a stat.
        if os.stat(path).st_nlink == _LINKS_OF_LEAF:  # noqa: PTH116 - pathlib costs several times as much
            return []
        with os.scandir(path) as entries:
            return [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
