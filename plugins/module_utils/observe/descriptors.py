# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open descriptors against their limits, of every process and of the system."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import try_read_head
from ansible_collections.lastack.linux.plugins.module_utils.observe.processes import (
    descriptor_folder_has_size,
    list_pids,
    measure_descriptors,
    processes_hidden,
    read_comm,
    read_limits,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import DescriptorUse, Unseen

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline

__all__ = ["read_descriptor_use", "read_system_descriptors"]


def read_descriptor_use(
    *, proc: str = "/proc", top: int | None = None, deadline: Deadline | None = None
) -> tuple[list[DescriptorUse], list[Unseen]]:
    """Return open descriptors and ``RLIMIT_NOFILE`` of every process, the largest used share first.

    Left out are processes without a descriptor (kernel threads). ``top`` keeps only so many. Needs no right from
    Linux 6.2 on; before, the processes of others count as denied. Source: fs/proc/fd.c, proc_pid_limits(5).
    """
    has_size = descriptor_folder_has_size(proc)
    rows: list[tuple[float, int, int, int, int]] = []
    denied = 0
    pids = list_pids(proc)
    looked = 0
    for pid in pids:
        if deadline is not None and deadline.passed():
            break
        looked += 1
        try:
            count = measure_descriptors(pid, proc=proc, has_size=has_size)
        except PermissionError:
            denied += 1
            continue
        except OSError:
            continue
        if count == 0:
            continue
        soft, hard = read_limits(pid, proc=proc)
        # It vanished in between: every process has this line.
        if soft is None or hard is None:
            continue
        rows.append((count / soft if soft > 0 else 0.0, count, pid, soft, hard))
    rows.sort(key=lambda row: (-row[0], -row[1], row[2]))
    uses = [
        DescriptorUse(pid, read_comm(pid, proc=proc), count, soft, hard) for __, count, pid, soft, hard in rows[:top]
    ]
    return uses, _unseen(proc, denied=denied, cut=len(pids) - looked)


def read_system_descriptors(proc: str = "/proc") -> tuple[int | None, int | None]:
    """Return allocated and maximum file handles of the system; ``None`` where unknown.

    Source: ``/proc/sys/fs/file-nr``, proc_sys_fs(5).
    """
    words = (try_read_head(f"{proc}/sys/fs/file-nr", 4096) or b"").split()
    try:
        return int(words[0]), int(words[2])
    except (IndexError, ValueError):
        return None, None


def _unseen(proc: str, *, denied: int, cut: int) -> list[Unseen]:
    unseen = []
    if denied:
        unseen.append(Unseen("descriptors_denied", denied, "open descriptors of other users' processes not counted"))
    if cut:
        unseen.append(Unseen("deadline", cut, "open descriptors of processes not counted before the time was over"))
    if processes_hidden(proc):
        unseen.append(Unseen("processes_hidden", 1, "procfs hides other users' processes (hidepid)"))
    return unseen
