# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes that hold sockets, as applications: who is who, who is older, and who belongs together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.identity import UNKNOWN_APP, Identity, identify
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.program_name import interpreter_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Process

__all__ = ["Programs"]


class Programs:
    """Identities by pid, each worked out once."""

    def __init__(self, processes: Mapping[int, Process]) -> None:
        """Take the processes that a look has read, by pid."""
        self.processes = processes
        self.users = {process.uid: process.user for process in processes.values() if process.user}
        self._identities: dict[int, Identity] = {}

    def identity(self, pid: int) -> Identity | None:
        """Return which application a process is; ``None`` when it is not known."""
        if pid not in self._identities:
            process = self.processes.get(pid)
            if process is None:
                return None
            self._identities[pid] = identify(process)
        return self._identities[pid]

    def age(self, pid: int) -> float:
        """Return a process's age in seconds, 0 if unknown."""
        process = self.processes.get(pid)
        return (process.age_s or 0.0) if process else 0.0

    def same_program(self, one: int, other: int) -> bool:
        """Whether two processes are workers of one program, which share sockets by design."""
        first, second = self.processes.get(one), self.processes.get(other)
        if first is None or second is None:
            return False
        same_file = first.executable is not None and first.executable == second.executable
        if same_file and interpreter_of((first.executable or "").rpartition("/")[2]):
            # Many programs share an interpreter, also within one unit: what it runs tells them apart.
            return first.arguments == second.arguments or _same_script(first, second)
        mine, theirs = self.identity(one), self.identity(other)
        return same_file or (mine is not None and theirs is not None and mine.app == theirs.app != UNKNOWN_APP)

    def nobody(self, uid: int, kind: str) -> Identity:
        """Return a stand-in where no process is known: the socket's user is all there is to say."""
        user = self.users.get(uid)
        who = clean_text(f"user {user}" if user else f"uid {uid}", 64)
        return Identity(f"{UNKNOWN_APP} ({who})", kind, None, None, None)


def _same_script(first: Process, second: Process) -> bool:
    one, other = (
        identify(process._replace(cgroup=None, container_name=None, container_id=None, container_image=None))
        for process in (first, second)
    )
    return one.kind == other.kind == "interpreter" and one.app == other.app
