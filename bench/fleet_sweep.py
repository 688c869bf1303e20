# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at 300 real ssh hosts: lastack sweep, the audit by ansible-playbook, and what Ansible itself costs.

    .venv/bin/python bench/fleet_sweep.py                              # root; some ten minutes
    .venv/bin/python bench/fleet_sweep.py --save                       # and write docs/bench-fleet.md
    .venv/bin/python bench/fleet_sweep.py --hosts 60 --only ping,audit # quickly, and in part

The hosts are those of tests/fleet: an sshd in namespaces of its own each, on this machine, so that hosts and controller
share its processors. Every way has the same inventory, number of forks and ssh settings, begins without connections,
and must reach all hosts. The exit status is 1 if a limit is not kept.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "hosts"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "fleet"))
from fleet_lab import FleetError, FleetLab, HostSpec, why_not
from process_tree import TreeCost, measure_tree
from tables import machine

__all__ = ["main"]

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "bench-fleet.md"
LIMIT_S = 900
LEAKING = 10
"""Hosts of every hundred that hold sockets in CLOSE_WAIT."""
SWEEP, AUDIT, SHELL, PING = "sweep", "audit", "shell", "ping"
TITLES = {
    SWEEP: "`lastack sweep`",
    AUDIT: "`ansible-playbook tcp-audit.yml`",
    SHELL: "`ansible -m shell -a 'ss -tan'`",
    PING: "`ansible -m ping`",
}
LIMITS = [(SWEEP, AUDIT, 0.5), (AUDIT, PING, 2.0)]
"""(ours, theirs, largest ratio of wall times)."""


class Run(NamedTuple):
    """One way over all hosts, once."""

    cost: TreeCost
    host_cpu_s: float
    """CPU seconds on all hosts together: sshd's sessions and what runs in them."""


def specs(hosts: int) -> list[HostSpec]:
    """Return the hosts: one in ten has an application that leaks connections."""
    leaking = [number % 100 < LEAKING for number in range(hosts)]
    return [HostSpec(f"host-{number:03}", "leaks" if leak else "") for number, leak in enumerate(leaking)]


def command(way: str, fleet: FleetLab, forks: int, store: Path) -> list[str]:
    """Return the command line of a way, which stores its reports (if it has any) in ``store``."""
    inventory = ["-i", str(fleet.inventory)]
    if way == SWEEP:
        return fleet.command("lastack", "sweep", *inventory, f"--forks={forks}", "--quiet", "--store", str(store))
    if way == AUDIT:
        variables = json.dumps({"tcp_audit_store": str(store)})
        return fleet.command(
            "ansible-playbook", str(ROOT / "tcp-audit.yml"), *inventory, f"--forks={forks}", "-e", variables
        )
    module = ["-m", "shell", "-a", "ss -tan"] if way == SHELL else ["-m", "ping"]
    return fleet.command("ansible", "all", *inventory, f"--forks={forks}", *module)


def reached(way: str, output: str, store: Path) -> int:
    """Return how many hosts a way reached."""
    if way == PING:
        return output.count("| SUCCESS =>")
    if way == SHELL:
        return output.count("| CHANGED |")
    manifest = json.loads((store / "manifest.json").read_text(encoding="utf-8"))
    return sum(host["outcome"] == "ok" for host in manifest["hosts"].values())


def host_cpu_s(fleet: FleetLab) -> float:
    """Return the CPU seconds of all hosts so far: their sshd and all of its children that have ended."""
    ticks = 0
    for one in fleet.hosts:
        stat = Path(f"/proc/{fleet.pid(one.spec.name)}/stat").read_text(encoding="utf-8", errors="replace")
        ticks += sum(int(text) for text in stat.rpartition(")")[2].split()[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def run_once(way: str, fleet: FleetLab, forks: int) -> Run:
    """Run a way over the fleet; ``SystemExit`` if it did not reach all hosts."""
    before = host_cpu_s(fleet)
    with tempfile.TemporaryDirectory(prefix="fleet-run-") as folder:
        store = Path(folder) / "run"
        cost = measure_tree(command(way, fleet, forks, store), fleet.environment(), Path(folder), LIMIT_S)
        found = reached(way, cost.output, store) if cost.status in {0, 1} else 0
    if found != len(fleet.hosts):
        last = "\n".join(cost.output.splitlines()[-20:])
        raise SystemExit(f"{way} reached {found} of {len(fleet.hosts)} hosts, status {cost.status}:\n{last}")
    return Run(cost, host_cpu_s(fleet) - before)


def measure(ways: list[str], hosts: int, forks: int, rounds: int) -> dict[str, list[Run]]:
    """Run every way once a round, in turns."""
    runs: dict[str, list[Run]] = {way: [] for way in ways}
    with FleetLab(specs(hosts)) as fleet:
        for number in range(rounds):
            for way in ways:
                run = run_once(way, fleet, forks)
                runs[way].append(run)
                print(
                    f"round {number + 1}: {way}: {run.cost.wall_s:.1f} s, controller {run.cost.cpu_s:.1f} s of CPU, "
                    f"hosts {run.host_cpu_s:.1f} s, {run.cost.peak_pss_kib // 1024} MiB, "
                    f"{run.cost.peak_processes} processes",
                    flush=True,
                )
    return runs


def table(runs: dict[str, list[Run]], hosts: int) -> str:
    """Return one line a way; of several rounds the median."""
    lines = [
        "| way | wall time | controller, CPU | peak memory (PSS) | (RSS) | processes | hosts, CPU each |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for way, all_of in runs.items():
        costs = [run.cost for run in all_of]
        lines.append(
            f"| {TITLES[way]} | {_wall_s(all_of):.1f} s "
            f"| {statistics.median(cost.cpu_s for cost in costs):.1f} s "
            f"| {max(cost.peak_pss_kib for cost in costs) / 1024:.0f} MiB "
            f"| {max(cost.peak_rss_kib for cost in costs) / 1024:.0f} MiB "
            f"| {max(cost.peak_processes for cost in costs)} "
            f"| {statistics.median(run.host_cpu_s for run in all_of) / hosts * 1000:.0f} ms |"
        )
    return "\n".join(lines)


def _wall_s(runs: list[Run]) -> float:
    return statistics.median(run.cost.wall_s for run in runs)


def limits(runs: dict[str, list[Run]]) -> tuple[str, bool]:
    """Return the ratios as a table, and whether all limits are kept."""
    lines = ["| ratio of wall times | measured | limit | kept |", "| --- | ---: | ---: | --- |"]
    kept = True
    for ours, theirs, largest in LIMITS:
        if ours in runs and theirs in runs:
            ratio = _wall_s(runs[ours]) / _wall_s(runs[theirs])
            kept = kept and ratio <= largest
            verdict = "yes" if ratio <= largest else "NO"
            lines.append(f"| {TITLES[ours]} to {TITLES[theirs]} | {ratio:.2f} | ≤ {largest:.1f} | {verdict} |")
    return "\n".join(lines), kept


def page(parts: list[str], hosts: int, forks: int, rounds: int) -> str:
    """Return the whole page."""
    core = importlib.metadata.version("ansible-core")
    head = f"""# One look at {hosts} hosts

Written by `.venv/bin/python bench/fleet_sweep.py --save`. {machine()}

{hosts} real ssh hosts on this one machine (`tests/fleet`): each has its own network, process, mount and host-name
namespace, its own root over a shared Debian 12 tree, and its own sshd; one in ten runs an application that leaks
connections. Hosts and controller share the machine's processors, so wall times hold what the hosts do as well: on a
real fleet, the hosts' part runs elsewhere. {forks} forks; pipelining and ControlPersist for Ansible (ansible-core
{core}); no connection is open at the start; median of {rounds} alternated round{"" if rounds == 1 else "s"}. The
controller's CPU time and memory are those of the program and of all processes that it starts, ssh masters included;
memory is sampled twice a second."""
    return "\n\n".join([head, *parts]) + "\n"


def main() -> int:
    """Measure, print, and save if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=300)
    parser.add_argument("--forks", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(TITLES), help=f"of {', '.join(TITLES)}, with commas between")
    parser.add_argument("--save", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    options = parser.parse_args()
    ways = options.only.split(",")
    if unknown := [way for way in ways if way not in TITLES]:
        parser.error(f"no such way: {', '.join(unknown)}")
    if options.save and len(ways) < len(TITLES):
        parser.error("--save needs all ways")
    if reason := why_not():
        parser.error(reason)
    try:
        runs = measure(ways, options.hosts, options.forks, options.rounds)
    except FleetError as error:
        parser.error(str(error))
    ratios, kept = limits(runs)
    text = page([table(runs, options.hosts), ratios], options.hosts, options.forks, options.rounds)
    print(f"\n{text}")
    if options.save:
        PAGE.write_text(text, encoding="utf-8")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
