# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stage: network, process, mount and cgroup namespaces of its own, programs in them, and the real agent watching.

Nothing of the machine is seen or touched: the agent's files are below a folder of the test, ``/proc`` is a new mount
of the stage's processes, and whatever ends the test ends the stage (``unshare --kill-child``, ``setpriv --pdeathsig``).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["AGENT", "INTERVAL_S", "ROOT", "Agent", "Look", "Stage", "Started", "boottime", "changes", "why_no_stage"]

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "tests" / "programs"
AGENT = "ansible_collections.lastack.linux.agent"
INTERVAL_S = 0.25
"""A sixtieth of the default; the thresholds in seconds are the sixtieth, too."""
COMPRESSED: dict[str, Any] = {
    "interval_s": INTERVAL_S,
    "publish_s": 0.1,
    "min_age_s": 1.0,
    "cpu_budget_percent": 100,
    "namespaces": "host",
    "thresholds": {"idle_leak_s": 1500, "linger_s": 15},
}
LIMIT_S = 60


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def why_no_stage() -> str | None:
    """The reason for which this process cannot make a stage, or ``None`` if it can."""
    if os.geteuid() != 0:
        return "needs root to make namespaces"
    command = ["unshare", "--net", "--pid", "--fork", "--mount-proc", "--cgroup", "--", "true"]
    tried = subprocess.run(command, check=False, capture_output=True, text=True)
    return f"unshare: {tried.stderr.strip()}" if tried.returncode else None


class Stage:
    """Programs in namespaces of their own; all of them end with ``with``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._spawner: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._started = 0

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        spaces = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--cgroup"]
        command = ["setpriv", "--pdeathsig", "KILL", "--", "unshare", *spaces, "--"]
        command += [sys.executable, str(Path(__file__).with_name("spawner.py"))]
        self._spawner = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._spawner.stdout is not None
        line = self._spawner.stdout.readline()
        assert line, "no stage: unshare failed"
        return self

    def __exit__(self, *__: object) -> None:
        if self._spawner is not None:
            self._spawner.kill()
            self._spawner.communicate()
            self._spawner = None

    @property
    def network(self) -> str:
        """The path of the stage's network namespace."""
        assert self._spawner is not None
        # unshare(1) has moved itself, too, before it forked.
        return f"/proc/{self._spawner.pid}/ns/net"

    @property
    def proc(self) -> Path:
        """The stage's own /proc, seen from the machine."""
        assert self._spawner is not None
        return Path(f"/proc/{self._spawner.pid}/root/proc")

    def _ask(self, **request: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        with self._lock:
            assert self._spawner is not None
            assert self._spawner.stdin is not None
            assert self._spawner.stdout is not None
            self._spawner.stdin.write(f"{json.dumps(request)}\n")
            self._spawner.stdin.flush()
            answer: dict[str, Any] = json.loads(self._spawner.stdout.readline())
            return answer

    def start(self, *argv: str, folder: Path = PROGRAMS, **environment: str) -> Started:
        """Start a program; its output goes to files of the stage's folder."""
        self._started += 1
        output, errors = self.folder / f"output-{self._started}", self.folder / f"errors-{self._started}"
        request = {"output": str(output), "errors": str(errors), "environment": environment, "folder": str(folder)}
        return Started(self, self._ask(start=argv, **request)["pid"], output, errors)

    def program(self, name: str, *arguments: object) -> Started:
        """Start one of tests/programs."""
        return self.start(sys.executable, f"{name}.py", *map(str, arguments))

    def server(self, name: str, *arguments: object) -> str:
        """Start one of tests/programs that prints its port; return the port."""
        return self.program(name, *arguments).line()

    def signal(self, pid: int, number: signal.Signals) -> None:
        self._ask(signal=pid, number=int(number))

    def wait(self, pid: int, seconds: float = LIMIT_S) -> int | None:
        """Return the exit status, ``None`` if the program still runs after so long."""
        status: int | None = self._ask(wait=pid, seconds=seconds)["status"]
        return status


class Started(NamedTuple):
    """A program on a stage; ``pid`` is that of the stage's own process namespace."""

    stage: Stage
    pid: int
    output: Path
    errors: Path

    def line(self, prefix: str = "", seconds: float = LIMIT_S) -> str:
        """Wait for a whole line of the output that starts so, and return it."""
        end = time.monotonic() + seconds
        while True:
            lines = self.output.read_text(encoding="utf-8").splitlines(keepends=True)
            found = next((line for line in lines if line.startswith(prefix) and line.endswith("\n")), None)
            if found is not None:
                return found.strip()
            problem = self.errors.read_text(encoding="utf-8", errors="replace")[-500:]
            assert time.monotonic() < end, f"no line {prefix!r} in {seconds} s: {problem}"
            time.sleep(0.02)

    def end(self, number: signal.Signals = signal.SIGKILL) -> int | None:
        self.stage.signal(self.pid, number)
        return self.stage.wait(self.pid)


class Look(NamedTuple):
    """One published fact."""

    moment_s: float
    """``published_boottime_s``."""
    fact: dict[str, Any]

    def offender(self, app: str) -> dict[str, Any] | None:
        """The application's entry; there is at most one in these tests."""
        found = [one for one in self.fact["offenders"] if one["app"] == app]
        assert len(found) < 2, f"{app} is there {len(found)} times"
        return found[0] if found else None

    def verdict(self, app: str) -> str | None:
        one = self.offender(app)
        return None if one is None else str(one["trend"]["verdict"])


class Agent:
    """The real agent on a stage, and every fact that it published."""

    def __init__(self, stage: Stage, configuration: Mapping[str, Any] | None = None) -> None:
        self.stage = stage
        self.root = stage.folder / "root"
        self.state = self.root / "var" / "lib" / "lastack-agent"
        self.looks: list[Look] = []
        self._program: Started | None = None
        self._over = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self.configure(configuration or {})

    def configure(self, changes: Mapping[str, Any]) -> None:
        """Write agent.json: the compressed one with these changes."""
        thresholds = {**COMPRESSED["thresholds"], **changes.get("thresholds", {})}
        path = self.root / "etc" / "lastack" / "agent.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.state.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**COMPRESSED, **changes, "thresholds": thresholds}), encoding="utf-8")

    def __enter__(self) -> Self:
        self.start()
        self._reader.start()
        return self

    def __exit__(self, *__: object) -> None:
        self._over.set()
        self._reader.join()
        if self._program is not None:
            self._program.end()

    def start(self) -> None:
        environment = {"PYTHONPATH": str(ROOT / "collections")}
        command = [sys.executable, "-S", "-B", "-m", AGENT, "run", "--root", str(self.root)]
        self._program = self.stage.start(*command, folder=self.stage.folder, **environment)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int | None:
        """End the agent; returns its status."""
        assert self._program is not None
        return self._program.end(number)

    def signal(self, number: signal.Signals) -> None:
        assert self._program is not None
        self.stage.signal(self._program.pid, number)

    @property
    def pid(self) -> int:
        """The present agent's, in the stage."""
        assert self._program is not None
        return self._program.pid

    @property
    def errors(self) -> str:
        """What the present agent has said on its standard error."""
        assert self._program is not None
        return self._program.errors.read_text(encoding="utf-8", errors="replace")

    @property
    def fact_path(self) -> Path:
        return self.state / "fact.json"

    def _read(self) -> None:
        seen = None
        while not self._over.is_set():
            try:
                number = self.fact_path.stat().st_ino, self.fact_path.stat().st_mtime_ns
                if number != seen:
                    fact = json.loads(self.fact_path.read_bytes())
                    seen = number
                    self.looks.append(Look(fact["published_boottime_s"], fact))
            except FileNotFoundError:
                pass
            self._over.wait(INTERVAL_S / 5)

    def wait_for(self, condition: Callable[[Look], object], seconds: float = LIMIT_S) -> Look:
        """Return the first fact for which it holds."""
        end, number = time.monotonic() + seconds, 0
        while True:
            while number < len(self.looks):
                if condition(self.looks[number]):
                    return self.looks[number]
                number += 1
            last = json.dumps(self.looks[-1].fact["offenders"])[:1500] if self.looks else "no fact at all"
            assert self._reader.is_alive(), "a fact could not be read"
            assert time.monotonic() < end, f"not in {seconds} s. {last} {self.errors[-800:]}"
            time.sleep(0.05)

    def verdicts(self, app: str) -> list[str]:
        """The application's verdict in every fact that has it, in order."""
        return [one for look in self.looks for one in [look.verdict(app)] if one is not None]


def changes(verdicts: Sequence[str]) -> list[str]:
    """A series without its repetitions."""
    return [one for number, one in enumerate(verdicts) if number == 0 or verdicts[number - 1] != one]
