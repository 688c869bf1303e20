# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent costs with 200,000 TCP sockets, against node_exporter's tcpstat and process-exporter: one run.

    .venv/bin/python bench/agent.py           # root; some three minutes
    .venv/bin/python bench/agent.py --save    # and write docs/bench-agent.md

All three are resident programs: each is started once, and then asked (or looks) in turns with the others. The CPU time
is the kernel's account of the process, all threads (``/proc/PID/task/*/schedstat``), the memory its peak (``VmHWM``).
The sockets live as in ``run.py``. The exit status is 1 if a limit is not kept.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from run import Load, cgroups, enter_private_network, make_offender

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
from debian_programs import NoProgram, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["main"]

ROOT = Path(__file__).resolve().parent.parent
LOOK_S = 0.3
"""0.5 % of one core at an interval of 60 s."""
MEMORY_KIB = 24 * 1024
LONGEST_S = 60
START_S = 60


class Cost(NamedTuple):
    """Of one program: CPU seconds of its first answer and of each later one, and its peak memory."""

    title: str
    first_s: float
    later_s: list[float]
    peak_kib: int

    @property
    def median_s(self) -> float:
        """CPU seconds of one answer, once it knows the host."""
        return statistics.median(self.later_s)


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process so far, of all its threads."""
    total = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            total += int(path.read_text(encoding="ascii").split()[0])
    return total / 1e9


def peak_kib(pid: int) -> int:
    """Return the largest resident memory of a process so far, in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


@contextlib.contextmanager
def running(command: list[str], **environment: str) -> Iterator[int]:
    """Run a program; yields its pid and ends it."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def scrape(port: int) -> None:
    """Ask an exporter once, as Prometheus does."""
    urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60).read()


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until it holds; a read that fails is a no."""
    end = time.monotonic() + START_S
    while True:
        with contextlib.suppress(OSError, ValueError, KeyError):
            if condition():
                return
        if time.monotonic() > end:
            raise SystemExit(f"{what} did not come up in {START_S} s")
        time.sleep(0.1)


def listens(port: int) -> bool:
    """Tell whether somebody accepts there, without asking them anything."""
    with socket.create_connection(("127.0.0.1", port), 5):
        return True


class AgentRun:
    """The agent in a folder of its own; each of its looks is one answer."""

    def __init__(self, folder: Path, configuration: dict[str, object]) -> None:
        self.state = folder / "var" / "lib" / "lastack-agent"
        self.state.mkdir(parents=True)
        path = folder / "etc" / "lastack" / "agent.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(configuration), encoding="utf-8")
        module = "ansible_collections.lastack.linux.agent"
        self.command = [sys.executable, "-S", "-B", "-m", module, "run", "--root", str(folder)]

    def status(self) -> dict[str, float]:
        """Return what the agent says of itself."""
        read: dict[str, float] = json.loads((self.state / "status.json").read_bytes())
        return read

    def wait_for_pass(self, number: int) -> dict[str, float]:
        """Wait until it has looked so often."""
        wait_for(lambda: self.status()["passes"] >= number, f"look {number} of the agent")
        return self.status()


def measure_agent(folder: Path, rounds: int, others: dict[str, tuple[int, int]]) -> dict[str, Cost]:
    """Measure all programs in turns: one look of the agent, one scrape of each exporter."""
    # An interval longer than a turn takes, so that one look falls into each turn.
    agent = AgentRun(folder, {"interval_s": 3, "publish_s": 0.1, "cpu_budget_percent": 100, "namespaces": "host"})
    first: dict[str, float] = {}
    later: dict[str, list[float]] = {name: [] for name in ("agent", *others)}
    peaks: dict[str, int] = {}
    with running(agent.command, PYTHONPATH=str(ROOT / "collections")) as pid:
        passes = agent.wait_for_pass(1)["passes"]
        first["agent"] = cpu_s(pid)
        for name, (other, port) in others.items():
            before = cpu_s(other)
            scrape(port)
            first[name] = cpu_s(other) - before
        before_agent = cpu_s(pid)
        for __ in range(rounds):
            for name, (other, port) in others.items():
                before = cpu_s(other)
                scrape(port)
                later[name].append(cpu_s(other) - before)
            looked = agent.wait_for_pass(int(passes) + 1)["passes"]
            # The look is published before it sleeps; what is left of it is microseconds.
            time.sleep(0.1)
            after = cpu_s(pid)
            later["agent"].append((after - before_agent) / (looked - passes))
            passes, before_agent = looked, after
        peaks["agent"] = peak_kib(pid)
        for name, (other, __) in others.items():
            peaks[name] = peak_kib(other)
    titles = {
        "agent": "lastack-agent, a look",
        "tcpstat": "node_exporter, tcpstat alone, a scrape",
        "processes": "process-exporter, a scrape",
    }
    return {name: Cost(titles[name], first[name], later[name], peaks[name]) for name in later}


def kept_budget(folder: Path) -> tuple[float, float]:
    """Return the share of a core that the agent really takes with a budget of 5 %, and the interval of a tenth of it.

    Ten times the default budget, so that the interval settles within the minute.
    """
    agent = AgentRun(folder, {"interval_s": 0.2, "publish_s": 0.1, "cpu_budget_percent": 5, "namespaces": "host"})
    with running(agent.command, PYTHONPATH=str(ROOT / "collections")) as pid:
        # The first look is the dearest; it is paid back over those that follow.
        agent.wait_for_pass(10)
        before, start = cpu_s(pid), time.monotonic()
        agent.wait_for_pass(20)
        share = (cpu_s(pid) - before) / (time.monotonic() - start)
        return share, max(15.0, agent.status()["interval_s"] * 10)


def exporters(folder: Path) -> dict[str, list[str]]:
    """Return the commands of what is measured beside the agent; what cannot be had is said."""
    # As its manual has it: every process, grouped by name.
    groups = folder / "groups.yml"
    groups.write_text('process_names: [{name: "{{.Comm}}", cmdline: [".+"]}]\n', encoding="utf-8")
    wanted = {
        "tcpstat": ("prometheus-node-exporter", ["--collector.disable-defaults", "--collector.tcpstat"], 9100),
        "processes": ("prometheus-process-exporter", ["-config.path", str(groups)], 9256),
    }
    found = {}
    for name, (package, arguments, port) in wanted.items():
        listen = "--web.listen-address" if name == "tcpstat" else "-web.listen-address"
        try:
            found[name] = [str(unpacked(package, package)), *arguments, f"{listen}=127.0.0.1:{port}"]
        except NoProgram as reason:
            print(f"left out: {reason}", flush=True)
    return found


def table(costs: dict[str, Cost], share: float, interval_s: float) -> tuple[str, bool]:
    """Return the tables in Markdown, and whether every limit is kept."""
    lines = ["| program | the first | later ones, median | largest | at 15 s, of one core | peak memory |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: |")
    lines += [
        f"| {one.title} | {one.first_s:.3f} s | {one.median_s:.3f} s | {max(one.later_s):.3f} s "
        f"| {one.median_s / 15:.2%} | {one.peak_kib / 1024:.0f} MiB |"
        for one in costs.values()
    ]
    agent = costs["agent"]
    kept = "≤ 5.5 % over ten looks, of which the last are not yet paid back"
    limits = [
        ("CPU of a look", agent.median_s, LOOK_S, f"{agent.median_s:.3f} s", f"≤ {LOOK_S} s"),
        ("peak memory", agent.peak_kib, MEMORY_KIB, f"{agent.peak_kib / 1024:.1f} MiB", "≤ 24 MiB"),
        ("share of a core with a budget of 5 %", share, 0.055, f"{share:.1%}", kept),
        ("interval at 0.5 % of a core", interval_s, LONGEST_S, f"{interval_s:.0f} s", f"≤ {LONGEST_S} s"),
    ]
    lines += ["", "| limit of the agent | measured | limit | kept |", "| --- | ---: | ---: | --- |"]
    lines += [
        f"| {what} | {said} | {bound} | {'yes' if v <= most else 'NO'} |" for what, v, most, said, bound in limits
    ]
    both = [one for name, one in costs.items() if name != "agent"]
    if both:
        cpu, memory = sum(one.median_s for one in both), sum(one.peak_kib for one in both)
        lines += ["", "| the agent to the others together | ratio |", "| --- | ---: |"]
        lines += [f"| CPU | {agent.median_s / cpu:.2f} |", f"| peak memory | {agent.peak_kib / memory:.2f} |"]
    return "\n".join(lines), all(row[1] <= row[2] for row in limits)


def main(arguments: list[str]) -> int:
    """Run the benchmark; return 1 if a limit was not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sockets", type=int, default=200_000)
    parser.add_argument("--close-wait", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--save", action="store_true", help="write the result into docs/bench-agent.md")
    options = parser.parse_args(arguments)
    enter_private_network()
    per_process = min(9500, (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 200) // 2)
    workers = -(-options.sockets // (2 * per_process))
    with tempfile.TemporaryDirectory() as folder, cgroups() as groups, Load() as load, contextlib.ExitStack() as stack:
        print(f"Making {2 * per_process * workers:,} sockets in {workers} processes ...", flush=True)
        started = [load.start("pairs", f"127.0.1.{i + 1}", per_process, groups.get("load")) for i in range(workers)]
        for process in started:
            load.wait(process, "ready")
        make_offender(load, 1, options.close_wait, groups, "load")
        others = {}
        for name, program in exporters(Path(folder)).items():
            port = int(program[-1].rpartition(":")[2])
            others[name] = stack.enter_context(running(program)), port
            wait_for(lambda port=port: listens(port), program[0])  # type: ignore[misc]
        costs = measure_agent(Path(folder) / "turns", options.rounds, others)
        share, interval_s = kept_budget(Path(folder) / "budget")
    text, kept = table(costs, share, interval_s)
    print(f"\n{text}\n\n{'Every limit is kept.' if kept else 'A limit is NOT kept.'}", flush=True)
    if options.save:
        head = f"""# What the agent costs

Written by `.venv/bin/python bench/agent.py --save` on {datetime.datetime.now(datetime.UTC):%Y-%m-%d}.

Machine: Linux {platform.release()}, {platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}.
{options.sockets:,} TCP sockets on the loopback device of a private network namespace, {options.close_wait:,} more in
CLOSE_WAIT in one process of a cgroup with all the others. In {options.rounds} alternated rounds the agent looked once
and each exporter was scraped once; CPU of the whole process by the kernel's account, memory at its peak. What the three
say differs: tcpstat counts states and names nobody, process-exporter counts descriptors and knows no socket, the agent
names who leaks, since when and why.
"""
        (ROOT / "docs" / "bench-agent.md").write_text(f"{head}\n{text}\n", encoding="utf-8")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
