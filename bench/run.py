# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""lastack against other ways to the same, ratios from one run.

    make bench                                        # root; some ten minutes
    make bench BENCH_ARGS=--save                      # and write the tables into docs/bench.md
    make bench BENCH_ARGS="--only baseline --save"    # one part alone; the page keeps the other

``sockets`` is lastack against ss, netstat, psutil and a C program, with 200,000 TCP sockets. They live in a network
namespace of the benchmark's own on its loopback device, and in two cgroups of its own where a cgroup v2 is mounted.
``baseline`` (baseline.py) is a baseline of sysctls against a loop over them, on hosts of tests/hosts. Nothing else of
the machine is changed; all of it is gone afterwards. The exit status is 1 if a limit is not kept.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import importlib.util
import json
import os
import resource
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from descriptors_read import descriptors_read
from measure import Candidate, in_turns
from tables import PARTS, document, memory_row, ratio_rows, replaced, table

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["main"]

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "bench.md"
LASTACK = Path(sys.executable).with_name("lastack")
SCOPE = "lastack-bench"
MEMORY_LIMIT_KIB = 64 * 1024
CLONE_NEWNET = 0x40000000
NETSTAT = "netstat -tan | awk '{n[$6]++} END {for (s in n) print s, n[s]}'"
PSUTIL = """
import collections, psutil
print(collections.Counter(one.status for one in psutil.net_connections("tcp")))
"""


def enter_private_network() -> None:
    """Move this process into a new network namespace and bring its loopback device up."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise SystemExit(f"no private network namespace: {os.strerror(ctypes.get_errno())} (run the benchmark as root)")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        # SIOCSIFFLAGS with IFF_UP | IFF_RUNNING (netdevice(7)).
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 0x41))


@contextlib.contextmanager
def cgroups() -> Iterator[dict[str, Path]]:
    """Make the cgroups ``load`` and ``offender`` of this run; empty where there is no writable cgroup v2."""
    lines = [line.split() for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    mount = next((fields[1] for fields in lines if fields[2] == "cgroup2"), None)
    made: list[Path] = []
    try:
        with contextlib.suppress(OSError):
            if mount is not None:
                parent = Path(mount) / f"{SCOPE}-{os.getpid()}"
                for path in (parent, parent / "load", parent / "offender"):
                    path.mkdir()
                    made.append(path)
        yield {path.name: path for path in made[1:]} if len(made) == 3 else {}
    finally:
        for path in reversed(made):
            # The last process may need a moment to leave.
            for __ in range(100):
                with contextlib.suppress(OSError):
                    path.rmdir()
                    break
                time.sleep(0.1)


class Load:
    """The processes that hold the sockets; they end with ``with`` or with this process."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Load:  # noqa: PYI034 - the only class of this file
        return self

    def __exit__(self, *__: object) -> None:
        self.end(self._processes)

    def start(self, role: str, address: str, count: int, cgroup: Path | None) -> subprocess.Popen[str]:
        """Start one process; it works on while others are started."""
        where = ["--cgroup", str(cgroup)] if cgroup else []
        command = [sys.executable, "-I", str(HERE / "load.py"), role, address, str(count), *where]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._processes.append(process)
        return process

    def wait(self, process: subprocess.Popen[str], word: str) -> None:
        """Wait for a process to say ``word``."""
        assert process.stdout is not None  # noqa: S101 - it was asked for
        said = process.stdout.readline().strip()
        if said != word:
            raise SystemExit(f"the load could not be made: {said or 'a process of it ended'}")

    def end(self, processes: list[subprocess.Popen[str]]) -> None:
        """End these processes and wait for them."""
        for process in processes:
            if process.stdin:
                process.stdin.close()
        for process in processes:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()
        self._processes = [process for process in self._processes if process not in processes]


def make_offender(
    load: Load, number: int, count: int, groups: dict[str, Path], cgroup: str
) -> list[subprocess.Popen[str]]:
    """Start a peer and an offender of ``count`` connections; the offender in the named cgroup."""
    address = f"127.0.2.{number}"
    peer = load.start("peer", address, count, groups.get("load"))
    load.wait(peer, "listening")
    offender = load.start("offender", address, count, groups.get(cgroup))
    load.wait(peer, "ready")
    load.wait(offender, "ready")
    return [peer, offender]


def candidates(folder: Path) -> dict[str, Candidate]:
    """Return what is measured; what the machine does not have is left out and said."""
    program = folder / "count_states"
    ours = (sys.executable, "-I", str(HERE / "count.py"))
    found = {
        "count": Candidate("lastack: all states counted", ours, times_itself=True),
        "probe": Candidate("lastack probe", (str(LASTACK), "probe", "--json", "--min-age-s", "0")),
        "ss": Candidate("ss -tan", ("ss", "-tan")),
        "ss -p": Candidate("ss -tanp", ("ss", "-tanp"), rounds=(0, 4)),
        "netstat": Candidate("netstat -tan \\| awk", ("sh", "-c", NETSTAT)),
        "psutil": Candidate("psutil.net_connections()", (sys.executable, "-c", PSUTIL), rounds=(0, 4, 8)),
    }
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler:
        subprocess.run([compiler, "-O2", "-o", str(program), str(HERE / "count_states.c")], check=True, timeout=60)
        found["C"] = Candidate("C, the same dumps", (str(program),), times_itself=True)
    if importlib.util.find_spec("psutil") is None:
        print(f"left out: {found.pop('psutil').title}: not installed", flush=True)
    for name, needs in {"ss": "ss", "ss -p": "ss", "netstat": "netstat"}.items():
        if shutil.which(needs) is None:
            print(f"left out: {found.pop(name).title}: {needs} is not installed", flush=True)
    return found


def check_counts(found: dict[str, Candidate], least: int) -> dict[int, int]:
    """Return the sockets by state number; the collector and the C program must agree to the last one."""
    answers = []
    for name in ("count", "C"):
        if name in found:
            text = subprocess.run(found[name].command, check=True, capture_output=True, text=True, timeout=60).stdout
            answers.append({int(line.split()[0]): int(line.split()[1]) for line in text.splitlines()[1:]})
    if any(answer != answers[0] for answer in answers) or sum(answers[0].values()) < least:
        raise SystemExit(f"the load is not what it should be: {answers}")
    return answers[0]


def check_probe(probe: Candidate, close_wait: int) -> None:
    """Hold the probe to its answer: every leaked socket has its owner, and it is the offender."""
    text = subprocess.run(probe.command, check=True, capture_output=True, text=True, timeout=60).stdout
    offenders = {one["app"]: one["count"] for one in json.loads(text)["close_wait"]["offenders"]}
    if offenders.get("load.py") != close_wait:
        raise SystemExit(f"lastack probe did not find the offender's {close_wait} sockets: {offenders}")


def measure_all(
    options: argparse.Namespace, found: dict[str, Candidate], groups: dict[str, Path]
) -> tuple[list[str], bool]:
    """Make the load, measure the three situations, return the document's parts and whether every limit was kept."""
    parts: list[str] = []
    kept = True

    def situation(title: str, names: list[str], limits: list[tuple[str, str, str, float]]) -> None:
        nonlocal kept
        present = {name: found[name] for name in names if name in found}
        print(f"\n{title}", flush=True)
        measured = in_turns(present, options.rounds)
        rows, all_kept = ratio_rows(measured, limits)
        kept = kept and all_kept
        if "probe" in measured:
            row, small = memory_row(measured["probe"], MEMORY_LIMIT_KIB)
            rows, kept = f"{rows}\n{row}", kept and small
        parts.extend([f"## {title}", table(measured), rows])
        print(f"{table(measured)}\n\n{rows}", flush=True)

    per_process = min(9500, (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 200) // 2)
    workers = -(-options.sockets // (2 * per_process))
    with Load() as load:
        print(f"Making {2 * per_process * workers:,} sockets in {workers} processes ...", flush=True)
        started = [load.start("pairs", f"127.0.1.{i + 1}", per_process, groups.get("load")) for i in range(workers)]
        for process in started:
            load.wait(process, "ready")
        states = check_counts(found, options.sockets)
        reads = descriptors_read(found["probe"].command)
        kept = kept and not reads.lines
        parts += [f"## {sum(states.values()):,} sockets, no CLOSE_WAIT", reads.sentence]
        print(f"\n{reads.sentence}", flush=True)
        fast = ["count", "C", "ss", "netstat", "psutil"]
        limits = [("count", "ss", "whole process", 1.0), ("count", "C", "the count itself", 1.6)]
        situation("All states counted", fast, limits)
        for number, (cgroup, factor, words) in enumerate(
            [("load", 10, "its cgroup with every socket"), ("offender", 25, "a cgroup of its own")], start=1
        ):
            if not groups and cgroup == "offender":
                parts.append("No writable cgroup v2 here: an offender with a cgroup of its own was not measured.")
                continue
            offender = make_offender(load, number, options.close_wait, groups, cgroup)
            states = check_counts(found, options.sockets)
            check_probe(found["probe"], options.close_wait)
            verb = "shares" if cgroup == "load" else "has"
            title = f"Owners, causes, findings: {states[8]:,} CLOSE_WAIT, the offender {verb} {words}"
            situation(title, ["probe", "ss -p"], [("probe", "ss -p", "whole process", 1 / factor)])
            load.end(offender)
    return parts, kept


def sockets(options: argparse.Namespace, folder: Path) -> tuple[str, bool]:
    """Measure the audit among many sockets; return its part of the page and whether every limit was kept."""
    enter_private_network()
    with cgroups() as groups:
        parts, kept = measure_all(options, candidates(folder), groups)
    return document(parts, options.rounds), kept


def baseline(__: argparse.Namespace, folder: Path) -> tuple[str, bool]:
    """Measure the baseline on hosts, in a process that finds their factory; return as ``sockets`` does."""
    part = folder / "part.md"
    paths = [HERE.parent / name for name in ("collections", "scripts", "tests/hosts")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    command = [sys.executable, str(HERE / "baseline.py"), str(part)]
    status = subprocess.run(command, check=False, env=environment).returncode
    if not part.exists():
        raise SystemExit("The baseline could not be measured.")
    return part.read_text(encoding="utf-8"), status == 0


def main(arguments: list[str]) -> int:
    """Run the benchmark; return 1 if a limit was not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sockets", type=int, default=200_000)
    parser.add_argument("--close-wait", type=int, default=2_400)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this part alone; may be repeated")
    parser.add_argument("--save", action="store_true", help="write the result into docs/bench.md")
    options = parser.parse_args(arguments)
    parts = options.only or PARTS
    kept = True
    # The hosts first: the sockets need a network namespace of their own, and this process stays there.
    for part in (name for name in ("baseline", "sockets") if name in parts):
        with tempfile.TemporaryDirectory() as folder:
            text, good = {"baseline": baseline, "sockets": sockets}[part](options, Path(folder))
        kept = kept and good
        if options.save:
            page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
            PAGE.write_text(replaced(page, part, text), encoding="utf-8")
    print("\nEvery limit is kept." if kept else "\nA limit is NOT kept.", flush=True)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
