# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes that a resident look keeps coming back to: read once, then only what changes.

A process is recognised by pid and start time; its command line, mapped files and container are read again when its name
or its executable changes (it ran another program) and every ten minutes.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import try_read_head
from ansible_collections.lastack.linux.plugins.module_utils.observe.named_processes import NamedProcesses
from ansible_collections.lastack.linux.plugins.module_utils.observe.processes import (
    descriptor_folder_has_size,
    measure_descriptors,
    parse_stat,
    read_limits,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline
    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Process

__all__ = ["KnownProcesses"]

# ruff: noqa: PTH115 - pathlib costs several times as much, for every process of a look

_SMALL_FILE = 16384
_READ_AGAIN_S = 600.0
_MOST = 1000


class _Sign(NamedTuple):
    """What tells that a pid still is the same process and runs the same program."""

    start_ticks: int
    comm: bytes
    executable: str | None


class KnownProcesses:
    """Processes by pid, with what their descriptors and limits are now."""

    def __init__(self, *, proc: str = "/proc", root: str = "/") -> None:
        """Read from ``proc``; container names come from the runtimes' files below ``root``."""
        self.by_pid: dict[int, Process] = {}
        """Also those that have ended, as they were, until they are forgotten."""
        self.gone: set[int] = set()
        """Those of ``by_pid`` that have ended."""
        self._proc = proc
        self._root = root
        self._signs: dict[int, _Sign] = {}
        self._read_at: dict[int, float] = {}
        self._has_size = descriptor_folder_has_size(proc)

    def started(self, pid: int) -> int:
        """Return when a process started, in clock ticks since the boot; 0 if that is not known."""
        sign = self._signs.get(pid)
        return sign.start_ticks if sign else 0

    def refresh(self, deadline: Deadline) -> None:
        """Look what became of every process that is known."""
        now = time.monotonic()
        for pid in list(self.by_pid):
            if deadline.passed():
                return
            if pid in self.gone:
                continue
            sign = self._sign(pid)
            before = self._signs[pid]
            if sign is None or sign.start_ticks != before.start_ticks:
                self.gone.add(pid)
            elif sign != before or now - self._read_at[pid] > _READ_AGAIN_S:
                self._read([pid], deadline)
            else:
                self._measure(pid)

    def read(self, pids: Iterable[int], deadline: Deadline) -> None:
        """Read those of ``pids`` that are not known, or ended and came again as another process."""
        new = [pid for pid in pids if pid not in self.by_pid or pid in self.gone]
        self._read(new[: max(0, _MOST - len(self.by_pid))], deadline)

    def forget_others(self, pids: Collection[int]) -> None:
        """Keep only ``pids``."""
        for pid in [pid for pid in self.by_pid if pid not in pids]:
            del self.by_pid[pid], self._signs[pid], self._read_at[pid]
            self.gone.discard(pid)

    def _read(self, pids: Iterable[int], deadline: Deadline) -> None:
        reader = NamedProcesses(proc=self._proc, root=self._root, deadline=deadline)
        for pid in pids:
            sign = self._sign(pid)
            reader.read([pid])
            process = reader.by_pid.get(pid)
            if sign is None or process is None:
                continue
            self.by_pid[pid] = process
            self._signs[pid] = sign
            self._read_at[pid] = time.monotonic()
            self.gone.discard(pid)

    def _sign(self, pid: int) -> _Sign | None:
        text = try_read_head(f"{self._proc}/{pid}/stat", _SMALL_FILE) or b""
        stat = parse_stat(text)
        if stat is None:
            return None
        try:
            executable = os.readlink(f"{self._proc}/{pid}/exe")
        except OSError:
            executable = None
        return _Sign(stat.start_ticks, text[text.find(b"(") : text.rfind(b")")], executable)

    def _measure(self, pid: int) -> None:
        try:
            count = measure_descriptors(pid, proc=self._proc, has_size=self._has_size)
        except OSError:
            count = None
        soft, hard = read_limits(pid, proc=self._proc)
        started = self._signs[pid].start_ticks / os.sysconf("SC_CLK_TCK")
        self.by_pid[pid] = self.by_pid[pid]._replace(
            open_descriptors=count,
            soft_limit=soft,
            hard_limit=hard,
            age_s=max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started),
        )
