# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program and everything that it starts cost together: wall time, CPU, memory.

A program such as ansible leaves processes behind (ssh masters) that outlive it and that wait4(2) leaves out: this
process inherits them (PR_SET_CHILD_SUBREAPER), ends them and counts them too.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["TreeCost", "measure_tree"]

_PR_SET_CHILD_SUBREAPER = 36
_SAMPLE_S = 0.5
_GONE_S = 10.0


class TreeCost(NamedTuple):
    """What one run cost; memory is the largest sum that was sampled."""

    wall_s: float
    cpu_s: float
    peak_pss_kib: int
    """Shared pages counted once, spread over those that share them."""
    peak_rss_kib: int
    """Shared pages counted in each process."""
    peak_processes: int
    status: int
    output: str


def measure_tree(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, limit_s: float, *, sample: bool = True
) -> TreeCost:
    """Run a command to its end, and end what it leaves behind; ``TimeoutError`` after ``limit_s``."""
    before = set(_children([os.getpid()]))
    with _heir_of_orphans(), tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        peaks = (0, 0, 0)
        over = False
        watch = os.pidfd_open(process.pid)
        try:
            while not select.select([watch], [], [], _SAMPLE_S)[0]:
                if sample:
                    now = _memory(_descendants(before))
                    peaks = tuple(max(pair) for pair in zip(peaks, now, strict=True))  # type: ignore[assignment]
                over = time.perf_counter() - start > limit_s
                if over:
                    break
            wall = time.perf_counter() - start
        finally:
            os.close(watch)
            status, cpu = _end(process, before)
        if over:
            raise TimeoutError(f"{command[0]} took more than {limit_s:.0f} s")
        output.seek(0)
        text = output.read().decode(errors="replace")
    return TreeCost(wall, cpu, *peaks, status, text)


@contextlib.contextmanager
def _heir_of_orphans() -> Iterator[None]:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1)):
        raise OSError(ctypes.get_errno(), "prctl")
    try:
        yield
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(0))


def _end(process: subprocess.Popen[bytes], before: set[int]) -> tuple[int, float]:
    """End the tree, politely for ten seconds; return the program's status and the CPU seconds of all."""
    status, cpu = 0, 0.0
    deadline = time.monotonic() + _GONE_S
    while ours := [pid for pid in _children([os.getpid()]) if pid not in before]:
        for pid in ours:
            done, code, usage = os.wait4(pid, os.WNOHANG)
            if not done:
                os.kill(pid, signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
                continue
            cpu += usage.ru_utime + usage.ru_stime
            if pid == process.pid:
                status = process.returncode = os.waitstatus_to_exitcode(code)
        time.sleep(0.02)
    return status, cpu


def _children(parents: Iterable[int]) -> list[int]:
    found = []
    for parent in parents:
        # It may end between any two of these steps.
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                with contextlib.suppress(OSError):
                    found += [int(pid) for pid in (task / "children").read_text(encoding="ascii").split()]
    return found


def _descendants(before: set[int]) -> list[int]:
    """Return all processes of the tree: those below this process that were not there before."""
    found: list[int] = []
    generation = [pid for pid in _children([os.getpid()]) if pid not in before]
    while generation:
        found += generation
        generation = _children(generation)
    return found


def _memory(pids: list[int]) -> tuple[int, int, int]:
    """Return the sums of PSS and RSS in KiB, and the number of processes."""
    pss = rss = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
                if line.startswith("Pss:"):
                    pss += int(line.split()[1])
                elif line.startswith("Rss:"):
                    rss += int(line.split()[1])
    return pss, rss, len(pids)
