# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who writes a run folder: one controller process and one play, and whether that process still runs."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path
from typing import NamedTuple

__all__ = ["Owner", "controller_name"]


def controller_name() -> str:
    """Return the name of this machine as uname(2) tells it."""
    return os.uname().nodename


class Owner(NamedTuple):
    """The writer of a run folder, as its manifest keeps it."""

    controller: str
    pid: int
    process: str
    """Tells this process from an earlier one with the same pid: pid and start time."""
    play: str
    """Tells two plays of one process apart."""

    @classmethod
    def current(cls, play: str = "") -> Owner:
        """Return the owner that speaks for this process and ``play``.

        Ansible forks a worker per task and host: all of them belong to the ``ansible-playbook`` that started them.
        """
        parent = multiprocessing.parent_process()
        pid = os.getpid() if parent is None or parent.pid is None else parent.pid
        return cls(controller_name(), pid, _process_mark(pid), play)

    def same_process(self, other: Owner) -> bool:
        """Tell whether both were written by one process."""
        return (self.controller, self.process) == (other.controller, other.process)

    def is_alive(self) -> bool | None:
        """Tell whether the process still runs; ``None`` if it belongs to another controller."""
        if self.controller != controller_name():
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        except OverflowError:
            # A manifest may come from anywhere; no process has such a number.
            return False
        return _process_mark(self.pid) == self.process


def _process_mark(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        # No /proc (macOS) or another user's: the pid alone has to do.
        return str(pid)
    # proc_pid_stat(5): starttime is field 22; the name, field 2, may hold blanks and brackets.
    return f"{pid}@{stat.rpartition(b')')[2].split()[19].decode('ascii')}"
