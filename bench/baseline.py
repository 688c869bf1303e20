# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""lastack's sysctl_baseline against a loop of ansible.posix.sysctl on 20 hosts; run.py starts it as its own process.

Both ways run in one virtual environment with the same ansible-core as ours and PyPI's ``ansible``, which brings the
collection; it is made once, in the cache. The hosts are those of tests/hosts. What run.py puts into docs/bench.md is
written to the named file; the exit status is 1 if a limit is not kept.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_values import same_value
from ansible_collections.lastack.linux.plugins.plugin_utils.baseline_settings import baseline_settings
from ansible_collections.lastack.linux.plugins.plugin_utils.catalogue import load_catalogue
from lab import HostSpec, Lab, LabError, why_no_suite, why_not
from measure import Measured
from tables import faster_row, machine
from tool_cache import NoEnvironment, Python, environment_with

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KEYS", "Run", "Way", "client_keys", "document_part", "main", "read_run", "ways"]

ROOT = Path(__file__).resolve().parent.parent
SUITE = "bookworm"
ANSIBLE = "12.3.0"
"""The release of PyPI's ``ansible`` for ansible-core 2.19; it has ansible.posix 2.1.0."""
LEAST = 8
FORKS = 20
LIMIT_S = 600
OURS, THEIRS = "sysctl_baseline", "ansible.posix.sysctl"
DROPINS = ("/etc/sysctl.d/99-tcp-lastack.conf", "/etc/sysctl.d/99-loop.conf")
KEYS = {
    "net.core.somaxconn": "8192",
    "net.ipv4.ip_local_port_range": "16384 65535",
    "net.ipv4.tcp_fastopen": "3",
    "net.ipv4.tcp_fin_timeout": "30",
    "net.ipv4.tcp_keepalive_intvl": "30",
    "net.ipv4.tcp_keepalive_probes": "5",
    "net.ipv4.tcp_keepalive_time": "300",
    "net.ipv4.tcp_max_syn_backlog": "8192",
    "net.ipv4.tcp_mtu_probing": "1",
    "net.ipv4.tcp_notsent_lowat": "131072",
    "net.ipv4.tcp_retries2": "10",
    "net.ipv4.tcp_rfc1337": "1",
    "net.ipv4.tcp_slow_start_after_idle": "0",
    "net.ipv4.tcp_syn_retries": "4",
    "net.ipv4.tcp_synack_retries": "4",
}
"""Fifteen keys that every one of the hosts has, each with another value than the kernel's own."""


class Way(NamedTuple):
    """One way to the same sysctls."""

    title: str
    task: dict[str, object]

    def play(self) -> str:
        """Return the playbook; JSON is YAML."""
        return json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [self.task]}])


class Run(NamedTuple):
    """What one run of a playbook took and did."""

    seconds: float
    executions: float
    """Modules run per host, each of them a round trip or more."""
    changed: int
    """Hosts on which something changed."""


class Situation(NamedTuple):
    """What is asked of the hosts, and both ways to it."""

    title: str
    keys: Mapping[str, str]
    ways: tuple[Way, Way]
    least: int | None
    """How many times faster ours has to be."""


def ways(keys: Mapping[str, str], ours: dict[str, object]) -> tuple[Way, Way]:
    """Return both: ours with these options, and the loop over these keys."""
    loop: dict[str, object] = {
        "ansible.posix.sysctl": {
            "name": "{{ item.key }}",
            "value": "{{ item.value }}",
            "sysctl_file": DROPINS[1],
            "reload": True,
        },
        "loop": [{"key": key, "value": value} for key, value in keys.items()],
        "loop_control": {"label": "{{ item.key }}"},
    }
    return Way(OURS, {"lastack.linux.sysctl_baseline": ours}), Way(f"loop of {THEIRS}", loop)


def client_keys() -> tuple[dict[str, str], list[str]]:
    """Return what the profile ``client`` sets on every host, and the keys that need evidence of port pressure."""
    chosen = baseline_settings(
        load_catalogue(), profile="client", settings=[], exclude=[], idle_cutter=False, values=True
    )
    sets = {one["key"]: one["value"] for one in chosen if not one["gated"] and not one["needs"]}
    return sets, [one["key"] for one in chosen if one["needs"]]


def situations() -> list[Situation]:
    """Return what is measured."""
    declared: list[dict[str, object]] = [{"key": key, "value": value, "match": "exact"} for key, value in KEYS.items()]
    client, gated = client_keys()
    return [
        Situation(f"{len(KEYS)} declared keys", KEYS, ways(KEYS, {"settings": declared}), LEAST),
        Situation(
            f"The profile client: {len(client)} keys, and {len(gated)} that wait for evidence, which the call gathers",
            client,
            ways(client, {"profile": "client"}),
            None,
        ),
    ]


def read_run(output: str, hosts: int, seconds: float) -> Run:
    """Read a playbook's output. ``SystemExit`` unless every host was reached and nothing failed."""
    recap = re.findall(r"^\S+\s*: ok=\d+\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", output, re.MULTILINE)
    if len(recap) != hosts or any(unreachable != "0" or failed != "0" for __, unreachable, failed in recap):
        raise SystemExit(f"The playbook did not do its work on {hosts} hosts:\n{output[-3000:]}")
    executions = len(re.findall(r"^(?:ok|changed): \[", output, re.MULTILINE))
    return Run(seconds, executions / hosts, sum(changed != "0" for changed, __, __ in recap))


class Fleet:
    """The hosts, and the environment that both ways run in."""

    def __init__(self, lab: Lab, count: int, program: Path) -> None:
        self.lab, self.count, self._program = lab, count, program
        self._names = list(lab.state())
        keys = sorted({*KEYS, *client_keys()[0]})
        first = lab.execute(self._names[0], "sysctl", *keys).stdout.splitlines()
        self._start = [re.sub(r"\s+", " ", line.replace(" = ", "=", 1)) for line in first]
        # The first connection is nobody's: from now on they stay open.
        self.run(Way("", {"ansible.builtin.ping": {}}))

    def reset(self) -> None:
        """Take away what a run has left on the hosts."""
        gone = f"rm -rf {' '.join(DROPINS)} /var/lib/lastack"
        for name in self._names:
            self.lab.execute(name, "sh", "-ec", f'{gone}; exec sysctl -qw "$@"', "sh", *self._start)

    def run(self, way: Way) -> Run:
        """Run one playbook over all hosts."""
        playbook = self.lab.folder / "bench.yml"
        playbook.write_text(way.play(), encoding="utf-8")
        environment = self.lab.environment(
            ANSIBLE_FORKS=str(FORKS),
            ANSIBLE_COLLECTIONS_PATH=str(ROOT / "collections"),
            ANSIBLE_SSH_ARGS="-o ControlMaster=auto -o ControlPersist=900s",
        )
        start = time.perf_counter()
        done = subprocess.run(
            [str(self._program), "-i", str(self.lab.inventory), str(playbook)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
        return read_run(done.stdout, self.count, time.perf_counter() - start)

    def check(self, way: Way, keys: Mapping[str, str]) -> None:
        """Hold a way to its word: every host has every value, running and in the file."""
        for name in self._names:
            found = self.lab.execute(name, "sysctl", "-n", *keys).stdout.splitlines()
            kept = self.lab.execute(name, "sh", "-c", f"cat {' '.join(DROPINS)} 2>/dev/null || true").stdout
            for (key, value), has in zip(keys.items(), found, strict=True):
                if not same_value(key, value, has) or key not in kept:
                    raise SystemExit(f"{way.title} left {key} = {has} on {name}, not {value}, or no line for it.")


class Both(NamedTuple):
    """What one way took: from a host without the values, and from one that has them."""

    first: Measured
    second: Measured
    executions: float


def measure(fleet: Fleet, situation: Situation, rounds: int) -> list[Both]:
    """Run both ways in turns, each round in the other order, so that a slow moment meets both."""
    taken: dict[str, list[tuple[Run, Run]]] = {way.title: [] for way in situation.ways}
    for number in range(rounds):
        for way in situation.ways if number % 2 == 0 else reversed(situation.ways):
            fleet.reset()
            first = fleet.run(way)
            fleet.check(way, situation.keys)
            second = fleet.run(way)
            if first.changed != fleet.count or second.changed:
                raise SystemExit(f"{way.title} changed {first.changed} hosts, and {second.changed} the second time.")
            taken[way.title].append((first, second))
            print(f"  {way.title}: {first.seconds:.1f} s, unchanged {second.seconds:.1f} s", flush=True)
    return [
        Both(
            Measured(f"{title}, first run", [first.seconds for first, __ in runs], [], 0),
            Measured(f"{title}, unchanged", [second.seconds for __, second in runs], [], 0),
            runs[0][0].executions,
        )
        for title, runs in taken.items()
    ]


def document_part(situation: Situation, both: list[Both]) -> tuple[str, bool]:
    """Return a situation's tables, and whether its limit is kept."""
    lines = [f"### {situation.title}", "", "| way | median | fastest | slowest | runs | modules run per host |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: |")
    for which in ("first", "second"):
        for one in both:
            seen: Measured = getattr(one, which)
            lines.append(
                f"| {seen.title} | {seen.median_s:.2f} s | {min(seen.seconds):.2f} s | {max(seen.seconds):.2f} s "
                f"| {len(seen.seconds)} | {one.executions:g} |"
            )
    lines += ["", "| ratio | measured | limit | kept |", "| --- | ---: | ---: | --- |"]
    ours, theirs = both
    verdicts = [
        faster_row(ours.first, theirs.first, situation.least),
        faster_row(ours.second, theirs.second, situation.least),
    ]
    return "\n".join([*lines, *(row for row, __ in verdicts)]), all(kept for __, kept in verdicts)


def head(hosts: int, rounds: int) -> str:
    """Say what was measured, and how."""
    core = importlib.metadata.version("ansible-core")
    return f"""## A baseline on {hosts} hosts

Written by `make bench BENCH_ARGS="--only baseline --save"`. {machine()}

{hosts} Debian 12 hosts on this machine, ansible-core {core}, {FORKS} forks, pipelining, connections that stay open. The
other way is a loop of `ansible.posix.sysctl` (from `ansible` {ANSIBLE}) over the same keys, with `sysctl_file` and
`reload`; both run in one virtual environment. In {rounds} rounds, in turns; whole `ansible-playbook` processes, the
median counts. After each first run every value is read back on every host, running and in the file; the second run
changes nothing. All hosts share this machine's CPUs with the controller, so what counts here is mostly the work of
both; a network adds its round trips, one to each run of a module."""


def main(arguments: list[str]) -> int:
    """Measure, write the part of the document; return 1 if a limit was not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="where the part of docs/bench.md goes")
    parser.add_argument("--hosts", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    if reason := why_not() or why_no_suite(SUITE):
        raise SystemExit(f"No hosts to measure on: {reason}")
    python = Python(f"{sys.version_info.major}.{sys.version_info.minor}", Path(sys.executable))
    requirements = [f"ansible=={ANSIBLE}", f"ansible-core=={importlib.metadata.version('ansible-core')}"]
    parts, kept = [head(options.hosts, options.rounds)], True
    try:
        program = environment_with("ansible", requirements, [python]) / "ansible-playbook"
        with Lab([HostSpec(f"h{number}", SUITE) for number in range(options.hosts)]) as lab:
            fleet = Fleet(lab, options.hosts, program)
            for situation in situations():
                print(f"\n{situation.title}", flush=True)
                part, good = document_part(situation, measure(fleet, situation, options.rounds))
                parts.append(part)
                kept = kept and good
                print(f"\n{part}", flush=True)
    except (LabError, NoEnvironment) as error:
        raise SystemExit(str(error)) from None
    options.file.write_text("\n\n".join(parts), encoding="utf-8")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
