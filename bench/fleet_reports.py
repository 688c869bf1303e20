# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What 10,000 and 100,000 host reports cost: merged from slices, rendered in every form, compared: one run.

    .venv/bin/python bench/fleet_reports.py            # some five minutes, 4 GB of disk
    .venv/bin/python bench/fleet_reports.py --save     # and write docs/bench-fleet-reports.md

The reports are generated (``generated_reports.py``), the commands are those of a user, each a process of its own; time
is wall-clock time, memory the peak of the process as the kernel counts it. The exit status is 1 if a limit is not kept.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tables import machine

__all__ = ["Cost", "main", "measured", "tables"]

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "bench-fleet-reports.md"
LASTACK = Path(sys.executable).parent / "lastack"
SLICES = 4

SECONDS = 60
MIB = 512
DIFF_SECONDS = 20
MEMORY_GROWTH = 1.5
# A process that starts, and a page that has its longest table, cost the small run a larger share than the great one.
TIME_GROWTH = 1.25
_LONGEST_S = 1800


class Cost(NamedTuple):
    """What one command took, of processor time and memory too."""

    title: str
    seconds: float
    cpu_s: float
    peak_mib: float


def measured(title: str, *command: str) -> Cost:
    """Run ``lastack`` once; raises ``SystemExit`` if it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [str(LASTACK), *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    said = process.stderr.read() if process.stderr else ""
    # wait4 tells the peak of this one process.
    __, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.stderr:
        process.stderr.close()
    if process.returncode or seconds > _LONGEST_S:
        raise SystemExit(f"lastack {command[0]}: status {process.returncode} after {seconds:.0f} s: {said.strip()}")
    cost = Cost(title, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
    print(f"  {title}: {seconds:.1f} s, {cost.cpu_s:.1f} s of processor time, {cost.peak_mib:.0f} MiB", flush=True)
    return cost


def generated(*arguments: list[str], hosts: int) -> None:
    """Make run folders in processes of their own: what this one takes, the kernel counts for its children too."""
    program = [sys.executable, str(ROOT / "bench" / "generated_reports.py"), "--hosts", str(hosts)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "collections")}
    started = [subprocess.Popen([*program, *more], env=environment) for more in arguments]
    statuses = [process.wait() for process in started]
    if any(statuses):
        raise SystemExit("The reports could not be made.")


def commands(folder: Path, hosts: int) -> list[Cost]:
    """Make the reports of so many hosts below ``folder`` and measure every command on them."""
    print(f"Making {hosts:,} host reports in {SLICES} slices, and those of a week later ...", flush=True)
    slices = [folder / f"slice-{part}" for part in range(SLICES)]
    generated(
        *([str(path), "--part", str(part), "--parts", str(SLICES)] for part, path in enumerate(slices)), hosts=hosts
    )
    merged, out, later = folder / "merged", folder / "out", folder / "later"
    out.mkdir()
    costs = [measured("merge of the slices", "merge", *map(str, slices), "--store", str(merged), "--json")]
    for path in slices:
        shutil.rmtree(path)
    files = {"--junit": "junit.xml", "--csv": "csv", "--markdown": "summary.md", "--openmetrics": "metrics.prom"}
    wanted = [word for option, name in files.items() for word in (option, str(out / name))]
    costs.append(measured("report in every form", "report", str(merged), "--html", str(out / "report.html"), *wanted))
    costs.append(measured("history add", "history", "add", str(merged), "--file", str(out / "history.sqlite")))
    generated([str(later), "--change"], hosts=hosts)
    costs.append(measured("diff with a week later", "diff", str(merged), str(later)))
    return costs


def tables(runs: dict[int, list[Cost]]) -> tuple[str, bool]:
    """Return the tables in Markdown, and whether every limit is kept; the smallest run is what the others grow from."""
    lines = ["| hosts | command | wall | processor | peak memory |", "| ---: | --- | ---: | ---: | ---: |"]
    for hosts, costs in runs.items():
        lines += [
            f"| {hosts:,} | {one.title} | {one.seconds:.1f} s | {one.cpu_s:.1f} s | {one.peak_mib:.0f} MiB |"
            for one in costs
        ]
    (first, small), *others = sorted(runs.items())
    both = sum(one.seconds for one in small[:2])
    peak = max(one.peak_mib for one in small[:2])
    rows: list[tuple[str, float, float, str, str]] = [
        (f"{first:,} hosts: merge and all renderers", both, SECONDS, f"{both:.1f} s", f"≤ {SECONDS} s"),
        (f"{first:,} hosts: their peak memory", peak, MIB, f"{peak:.0f} MiB", f"≤ {MIB} MiB"),
        (f"{first:,} hosts: diff", small[3].seconds, DIFF_SECONDS, f"{small[3].seconds:.1f} s", f"≤ {DIFF_SECONDS} s"),
    ]
    for hosts, costs in others:
        times = hosts / first
        # Processor time, because the disk of a shared machine is anybody's.
        growth = sum(one.cpu_s for one in costs[:2]) / sum(one.cpu_s for one in small[:2]) / times
        memory = max(one.peak_mib for one in costs[:2]) / peak
        what = f"{hosts:,} to {first:,} hosts"
        rows += [
            (f"{what}: processor time of a host", growth, TIME_GROWTH, f"{growth:.2f}", f"≤ {TIME_GROWTH}"),
            (f"{what}: peak memory", memory, MEMORY_GROWTH, f"{memory:.2f}", f"≤ {MEMORY_GROWTH}"),
        ]
    lines += ["", "| limit | measured | limit | kept |", "| --- | ---: | ---: | --- |"]
    lines += [
        f"| {name} | {said} | {bound} | {'yes' if value <= most else 'NO'} |" for name, value, most, said, bound in rows
    ]
    return "\n".join(lines), all(row[1] <= row[2] for row in rows)


def document(text: str) -> str:
    """Return the page."""
    return f"""# What thousands of host reports cost

Written by `.venv/bin/python bench/fleet_reports.py --save`. {machine()}

Generated host reports of 8 KB on average (60 % healthy, 25 % with a warning, 10 % leaking, 3 % not reached, 2 % seen
in part), in {SLICES} run folders as AWX's job slicing leaves them. `merge` writes the run folder with all reports, the
fleet report, the screen and the HTML page; `report` makes the screen and the page again, and JUnit XML, CSV, Markdown
and OpenMetrics with them. Every command is a process of its own, run once; memory is `ru_maxrss`, which never shows
less than the 20 MiB of the benchmark itself. Whether time is linear is judged by
processor time: wall-clock time includes the disk, and whatever else the machine did.

{text}
"""


def main(arguments: list[str]) -> int:
    """Run the benchmark; return 1 if a limit was not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, action="append", help="may be repeated (default: 10000 and 100000)")
    parser.add_argument("--folder", type=Path, help="where the reports are made (default: the temporary folder)")
    parser.add_argument("--save", action="store_true", help="write the result into docs/bench-fleet-reports.md")
    options = parser.parse_args(arguments)
    runs = {}
    for hosts in options.hosts or [10_000, 100_000]:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            runs[hosts] = commands(Path(folder), hosts)
    text, kept = tables(runs)
    print(f"\n{text}\n\n{'Every limit is kept.' if kept else 'A limit is NOT kept.'}", flush=True)
    if options.save:
        PAGE.write_text(document(text), encoding="utf-8")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
