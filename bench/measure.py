# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole processes measured in turns: wall time, peak memory, and the time that a program says of itself."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from typing import NamedTuple

__all__ = ["Candidate", "Measured", "in_turns"]

LIMIT_S = 180


class Candidate(NamedTuple):
    """One program to measure."""

    title: str
    command: tuple[str, ...]
    rounds: tuple[int, ...] | None = None
    """In which rounds it runs; ``None`` is all of them. What takes half a minute does not run nine times."""
    times_itself: bool = False
    """Whether the first line of its output is the seconds of its inner part."""


class Measured(NamedTuple):
    """What was measured of one program."""

    title: str
    seconds: list[float]
    inner_seconds: list[float]
    peak_kib: int

    @property
    def median_s(self) -> float:
        """The median of the whole process."""
        return statistics.median(self.seconds)

    @property
    def inner_median_s(self) -> float:
        """The median of what the program timed itself."""
        return statistics.median(self.inner_seconds)


def in_turns(candidates: dict[str, Candidate], rounds: int) -> dict[str, Measured]:
    """Run every candidate once a round, so that a slow moment of the machine meets all of them."""
    measured = {name: Measured(one.title, [], [], 0) for name, one in candidates.items()}
    for number in range(rounds):
        for name, one in candidates.items():
            if one.rounds is not None and number not in one.rounds:
                continue
            seconds, inner, peak = _run(one)
            before = measured[name]
            more = [] if inner is None else [inner]
            measured[name] = Measured(
                one.title, [*before.seconds, seconds], before.inner_seconds + more, max(before.peak_kib, peak)
            )
    return measured


def _run(candidate: Candidate) -> tuple[float, float | None, int]:
    output = subprocess.PIPE if candidate.times_itself else subprocess.DEVNULL
    start = time.perf_counter()
    process = subprocess.Popen(
        candidate.command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL, text=True
    )
    line = process.stdout.read().partition("\n")[0] if process.stdout else ""
    # wait4 tells the peak of this one process (and of those that it waited for).
    __, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.stdout:
        process.stdout.close()
    if process.returncode or seconds > LIMIT_S:
        raise SystemExit(f"{' '.join(candidate.command)}: status {process.returncode} after {seconds:.0f} s")
    return seconds, float(line) if line else None, usage.ru_maxrss
