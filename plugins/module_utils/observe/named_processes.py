# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes that a report names, with arguments and container: the costly reads, made for these alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.module_utils.observe.containers import Container, find_container
from ansible_collections.lastack.linux.plugins.module_utils.observe.processes import read_process

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline
    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Process

__all__ = ["NamedProcesses"]


class NamedProcesses:
    """Processes by pid, each read once in a look, however many sections name it."""

    def __init__(self, *, proc: str = "/proc", root: str = "/", deadline: Deadline, keep_mapped: int = 0) -> None:
        """Read from ``proc``; container names come from the runtimes' files below ``root``.

        Up to ``keep_mapped`` names of mapped files are kept over all processes, for ``loaded_files``.
        """
        self.by_pid: dict[int, Process] = {}
        self.not_read = 0
        """Processes that the deadline left unread."""
        self._proc = proc
        self._root = root
        self._deadline = deadline
        self._room = keep_mapped
        self._tried: set[int] = set()
        self._containers: dict[str, Container | None] = {}

    def read(self, pids: Iterable[int]) -> None:
        """Read what is not yet known of these processes; vanished ones stay absent."""
        for pid in pids:
            if pid in self._tried:
                continue
            if self._deadline.passed():
                self.not_read += 1
                continue
            self._tried.add(pid)
            process = read_process(pid, proc=self._proc, with_arguments=True)
            if process is not None:
                self.by_pid[pid] = self._with_container(self._with_mapped(process))

    def container_of(self, pid: int) -> str:
        """Return the name or short id of the container that a process is in, empty for none."""
        process = read_process(pid, proc=self._proc)
        if process is None:
            return ""
        process = self._with_container(process)
        return process.container_name or (process.container_id or "")[:12]

    def _with_mapped(self, process: Process) -> Process:
        needed = len(process.mapped.names) if process.mapped else 0
        if needed > self._room:
            return process._replace(mapped=None)
        self._room -= needed
        return process

    def _with_container(self, process: Process) -> Process:
        if not process.cgroup:
            return process
        if process.cgroup not in self._containers:
            self._containers[process.cgroup] = find_container(process.cgroup, root=self._root)
        container = self._containers[process.cgroup]
        if container is None:
            return process
        return process._replace(
            container_name=container.workload or container.name,
            container_id=container.id,
            container_image=container.image,
        )
