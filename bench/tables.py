# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark's tables, in Markdown."""

from __future__ import annotations

import datetime
import math
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from measure import Measured

__all__ = ["PARTS", "document", "faster_row", "machine", "memory_row", "ratio_rows", "replaced", "table"]

PARTS = ("sockets", "baseline")
"""The parts of the page, in its order; each is measured and written on its own."""


def table(measured: dict[str, Measured]) -> str:
    """Return one line a program: median, range, runs and peak memory."""
    lines = [
        "| program | median | fastest | slowest | runs | peak memory |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in measured.values():
        lines.append(
            f"| {one.title} | {one.median_s:.3f} s | {min(one.seconds):.3f} s | {max(one.seconds):.3f} s "
            f"| {len(one.seconds)} | {one.peak_kib / 1024:.0f} MiB |"
        )
        if one.inner_seconds:
            lines.append(
                f"| … the count itself | {one.inner_median_s:.3f} s | {min(one.inner_seconds):.3f} s "
                f"| {max(one.inner_seconds):.3f} s | {len(one.inner_seconds)} | |"
            )
    return "\n".join(lines)


def ratio_rows(measured: dict[str, Measured], limits: list[tuple[str, str, str, float]]) -> tuple[str, bool]:
    """Return the ratios as a table, and whether every limit is kept; (ours, theirs, what, largest ratio) each."""
    lines = ["| ratio | measured | limit | kept |", "| --- | ---: | ---: | --- |"]
    kept = True
    for ours, theirs, what, limit in limits:
        if ours not in measured or theirs not in measured:
            continue
        left, right = measured[ours], measured[theirs]
        inner = what != "whole process"
        ratio = left.inner_median_s / right.inner_median_s if inner else left.median_s / right.median_s
        good = ratio <= limit
        kept = kept and good
        if limit < 1 / 2:
            # "Times faster" reads better than a small fraction.
            said, bound = f"{1 / ratio:.1f} times faster", f"≥ {1 / limit:.0f} times"
        else:
            said, bound = f"{ratio:.2f}", f"≤ {limit:.1f}"
        lines.append(f"| {left.title} to {right.title}, {what} | {said} | {bound} | {'yes' if good else 'NO'} |")
    return "\n".join(lines), kept


def memory_row(one: Measured, limit_kib: int) -> tuple[str, bool]:
    """Return a row for the table of ratios, and whether the limit is kept."""
    good = one.peak_kib <= limit_kib
    said = f"{one.peak_kib / 1024:.0f} MiB"
    return f"| {one.title}, peak memory | {said} | ≤ {limit_kib // 1024} MiB | {'yes' if good else 'NO'} |", good


def faster_row(ours: Measured, theirs: Measured, least: float | None) -> tuple[str, bool]:
    """Return a row that says how many times faster ours is, and whether that is enough; ``None`` is no limit."""
    ratio = theirs.median_s / ours.median_s
    good = least is None or ratio >= least
    bound = "" if least is None else f"≥ {least:g} times"
    verdict = "" if least is None else "yes" if good else "NO"
    # Rounded down: a limit of 8 that is missed by little does not read "8.0".
    return (
        f"| {ours.title} to {theirs.title} | {math.floor(ratio * 10) / 10} times faster | {bound} | {verdict} |",
        good,
    )


def machine() -> str:
    """Say when and on what it was measured."""
    today = datetime.datetime.now(datetime.UTC).date()
    return (
        f"Measured on {today}: Linux {platform.release()}, {platform.machine()},\n"
        f"{os.cpu_count()} CPUs ({_cpu()}), Python {platform.python_version()}."
    )


def replaced(page: str, part: str, text: str) -> str:
    """Return the page with one of its parts replaced, or added in its place; the others stay as they were measured."""
    found = dict(re.findall(r"^<!-- (\w+) -->$(.*?)(?=^<!-- \w+ -->$|\Z)", page, re.DOTALL | re.MULTILINE))
    found[part] = text
    return "# Benchmark\n" + "".join(f"\n<!-- {name} -->\n\n{found[name].strip()}\n" for name in PARTS if name in found)


def document(parts: list[str], rounds: int) -> str:
    """Return the part of the page about sockets: the machine, how it was measured, the results."""
    iproute = subprocess.run(["ss", "-V"], check=False, capture_output=True, text=True).stdout.strip() or "no ss"
    head = f"""Written by `make bench BENCH_ARGS="--only sockets --save"`. {machine()}

Whole processes are measured, output to `/dev/null`, in {rounds} alternated rounds; the median counts. `ss -tanp` and
psutil run in fewer of the rounds because of what they take; the column says in how many. Peak memory is `ru_maxrss`,
which never shows less than the 16 MiB of the benchmark itself.
The sockets are in a private network namespace, spread over processes of at most 19,000 descriptors. {iproute}."""
    return "\n\n".join([head, *parts]) + "\n"


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown model")
