# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent costs, and how long it must rest after a pass so that this stays within its CPU budget."""

from __future__ import annotations

import os
import time

from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import try_read_head

__all__ = ["LONGEST_INTERVAL_S", "CpuBudget", "read_resident_bytes"]

LONGEST_INTERVAL_S = 3600.0
"""However costly a pass is: an agent that looks more seldom is of no use."""

_WEIGHT = 0.25
_SMALL_FILE = 4096


class CpuBudget:
    """Stretches the interval: it is at least the cost of a pass divided by the budget.

    The cost is smoothed by the last passes, each with a quarter of what is left. A pass that happens to be costly is
    paid back over those that follow, to the full, and does not stop the watch for minutes. The first pass is not: it
    looks for the holders of all sockets that there are, as none does after it, and belongs to the start.
    """

    def __init__(self, interval_s: float, budget_percent: float) -> None:
        """Start with the interval that is wanted and the share of one core that may be used, in per cent."""
        self.interval_s = interval_s
        self.budget_percent = budget_percent
        self.last_cost_s = 0.0
        self._typical_cost_s = 0.0
        self._first = True
        self._mark_s = time.process_time()

    def begin(self) -> None:
        """Begin a pass: what was used before, to start up or to reload, is not charged to it."""
        self._mark_s = time.process_time()

    def end(self) -> None:
        """End a pass: what the process has used since ``begin``, user and system, is its cost."""
        cost_s = self.so_far_s()
        if self._first:
            self._first = False
            self.last_cost_s = cost_s
        else:
            self.charge(cost_s)

    def so_far_s(self) -> float:
        """Return what has been used since ``begin``, for what is said before the pass is over."""
        return time.process_time() - self._mark_s

    def charge(self, cost_s: float) -> None:
        """Take the CPU seconds of one pass."""
        self.last_cost_s = cost_s
        self._typical_cost_s += _WEIGHT * (cost_s - self._typical_cost_s)

    def next_interval_s(self) -> float:
        """Return how many seconds to let pass before the next look."""
        needed = self._typical_cost_s * 100 / self.budget_percent
        return min(LONGEST_INTERVAL_S, max(self.interval_s, needed))


def read_resident_bytes(proc: str = "/proc") -> int | None:
    """Return this process's resident memory in bytes (proc_pid_statm(5)); ``None`` when that cannot be read."""
    words = (try_read_head(f"{proc}/self/statm", _SMALL_FILE) or b"").split()
    try:
        return int(words[1]) * os.sysconf("SC_PAGE_SIZE")
    except (IndexError, ValueError):
        return None
