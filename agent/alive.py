# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a process is still the one that wrote its id down: ids are used again, moments of start are not."""

from __future__ import annotations

import os

from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import try_read_head
from ansible_collections.lastack.linux.plugins.module_utils.observe.processes import parse_stat

__all__ = ["is_alive", "read_start_ticks"]

_SMALL_FILE = 4096
_ENDED = (b"Z", b"X")


def read_start_ticks(pid: int, proc: str = "/proc") -> int | None:
    """Return when a process started, in clock ticks since the boot (proc_pid_stat(5)).

    ``None`` when that cannot be read, and for a process that has ended and is only waited for.
    """
    text = try_read_head(f"{proc}/{pid}/stat", _SMALL_FILE) or b""
    stat = parse_stat(text)
    if stat is None or text[text.rfind(b")") + 1 :].split()[0] in _ENDED:
        return None
    return stat.start_ticks


def is_alive(pid: int, start_ticks: int | None, proc: str = "/proc") -> bool:
    """Whether the process ``pid`` runs, and is the one that started at ``start_ticks`` if that is known."""
    if pid <= 0:
        return False
    found = read_start_ticks(pid, proc)
    if found is not None:
        return start_ticks is None or found == start_ticks
    if os.path.lexists(f"{proc}/{pid}"):
        return False
    try:
        # /proc may hide the processes of others (hidepid); kill(2) with no signal tells that they are there.
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True
