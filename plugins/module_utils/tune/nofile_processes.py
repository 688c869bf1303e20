# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptor limits of running processes: found by unit, pid or program, raised and never lowered (prlimit(2))."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import try_read_head
from ansible_collections.lastack.linux.plugins.module_utils.observe.processes import (
    list_pids,
    parse_cgroup,
    parse_stat,
    read_comm,
    read_limits,
)
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_wishes import Limits, settle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lastack.linux.plugins.module_utils.tune.ledger import Ledger
    from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_results import Ceiling
    from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_wishes import ProcessWish

__all__ = [
    "ProcessResult",
    "RunningProcess",
    "forget_ended",
    "pids_by_cgroup",
    "pids_of_program",
    "raise_limits",
    "read_running",
    "started_at",
]

_SMALL_FILE = 16384


class RunningProcess(NamedTuple):
    """A process that can be told from a later one with the same number."""

    pid: int
    start_ticks: int
    """Clock ticks between the boot and its start."""
    limits: Limits


class ProcessResult(NamedTuple):
    """What became of one process."""

    pid: int
    name: str | None
    status: str
    """``ok``, ``changed``, ``kept``, ``capped``, ``absent`` or ``refused``."""
    before: Limits
    after: Limits
    reason: str = ""


def read_running(pid: int, *, proc: str = "/proc") -> RunningProcess | None:
    """Return a process with its limits; ``None`` when it has ended or hides."""
    start = _start(pid, proc)
    soft, hard = read_limits(pid, proc=proc)
    if start is None or soft is None or hard is None or _start(pid, proc) != start:
        return None
    return RunningProcess(pid, start, Limits(soft, hard))


def pids_by_cgroup(wanted: Mapping[str, str], *, proc: str = "/proc") -> dict[str, list[int]]:
    """Return the processes in or below each control group, by the key of ``wanted``; one look at every process.

    /proc/PID/cgroup names the path as systemd does, whatever is mounted where.
    """
    found: dict[str, list[int]] = {key: [] for key in wanted}
    if not any(wanted.values()):
        return found
    for pid in list_pids(proc):
        path = parse_cgroup(try_read_head(f"{proc}/{pid}/cgroup", _SMALL_FILE) or b"")
        for key, group in wanted.items():
            if path is not None and group and (path == group or path.startswith(f"{group.rstrip('/')}/")):
                found[key].append(pid)
    return found


def pids_of_program(name: str, *, proc: str = "/proc") -> list[int]:
    """Return the processes that are called so; the kernel keeps 15 bytes of a name (proc_pid_comm(5))."""
    short = name.encode()[:15].decode("utf-8", "ignore")
    return [pid for pid in list_pids(proc) if read_comm(pid, proc=proc) == short]


def started_at(start_ticks: int, *, proc: str = "/proc", ticks_per_second: int) -> float | None:
    """Return when a process started, in seconds since 1970; ``None`` when the kernel does not tell the boot time."""
    for line in (try_read_head(f"{proc}/stat", 1 << 20) or b"").split(b"\n"):
        fields = line.split()
        if len(fields) > 1 and fields[0] == b"btime" and fields[1].isdigit():
            return int(fields[1]) + start_ticks / ticks_per_second
    return None


def raise_limits(  # noqa: PLR0913 - keyword arguments; each is one side of the host
    pid: int, wish: ProcessWish, ledger: Ledger, *, ceiling: Ceiling, proc: str = "/proc", check: bool = False
) -> ProcessResult:
    """Raise the limits of one process, with what they were in the ledger first.

    Raises ``LedgerError`` when that cannot be written; then nothing is changed.
    """
    nothing = Limits(None, None)
    name = read_comm(pid, proc=proc)
    running = read_running(pid, proc=proc)
    if running is None:
        return ProcessResult(pid, name, "absent", nothing, nothing, f"Process {pid} has ended or may not be read.")
    settled = settle(wish, running.limits, nr_open=ceiling.value, usual_hard=0)
    # What is endless stays so.
    after = Limits(*(now if now == -1 else new for now, new in zip(running.limits, settled.limits)))
    if after == running.limits:
        status = "capped" if settled.capped else "kept" if settled.stronger else "ok"
        return ProcessResult(pid, name, status, after, after, _cap(wish, ceiling) if settled.capped else "")
    result = ProcessResult(pid, name, "capped" if settled.capped else "changed", running.limits, after)
    if settled.capped:
        result = result._replace(reason=_cap(wish, ceiling))
    if check:
        return result
    key = f"{pid}:{running.start_ticks}"
    is_new = key not in ledger.processes
    ledger.record_process(key, before=_pair(running.limits), wanted=_pair(after))
    try:
        same = _set_limits(running, _pair(after), proc)
        failure = "" if same else f"Process {pid} has ended."
    except (OSError, ValueError) as error:
        same = True
        failure = f"The limits of process {pid} cannot be raised ({getattr(error, 'strerror', None) or error})."
    if not failure:
        return result
    if is_new:
        ledger.forget(processes=[key])
    unchanged = running.limits if same else nothing
    return ProcessResult(pid, name, "refused" if same else "absent", running.limits, unchanged, failure)


def _set_limits(running: RunningProcess, limits: tuple[int, int], proc: str) -> bool:
    """Set the limits of this process and of no other; false when it has ended."""
    if _start(running.pid, proc) != running.start_ticks:
        return False
    try:
        replaced = resource.prlimit(running.pid, resource.RLIMIT_NOFILE, limits)
    except ProcessLookupError:
        return False
    if _start(running.pid, proc) in (running.start_ticks, None):
        return True
    # The number was used again just now: what another process had goes back to it.
    resource.prlimit(running.pid, resource.RLIMIT_NOFILE, replaced)
    return False


def forget_ended(ledger: Ledger, *, proc: str = "/proc") -> None:
    """Drop processes from the ledger that have ended: there is nothing left to restore."""
    ended = []
    for key in ledger.processes:
        pid, __, start = key.partition(":")
        if _start(int(pid), proc) != int(start):
            ended.append(key)
    ledger.forget(processes=ended)


def _start(pid: int, proc: str) -> int | None:
    found = parse_stat(try_read_head(f"{proc}/{pid}/stat", _SMALL_FILE) or b"")
    return None if found is None else found.start_ticks


def _pair(limits: Limits) -> tuple[int, int]:
    return (limits.soft or 0, limits.hard or 0)


def _cap(wish: ProcessWish, ceiling: Ceiling) -> str:
    wanted = max(wish.soft or 0, wish.hard or 0)
    return f"{wanted} is wanted for {wish.by} {wish.name} and this host allows {ceiling.value}: {ceiling.why}."
