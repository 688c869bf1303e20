# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The long suites: what `make test` leaves out because it takes too long for every change.

    scripts/soak.py [--only NAME] [--save] [--minutes N]

It prints as it goes. With ``--save`` the result goes to docs/soak.md. A test joins by ``@pytest.mark.soak``.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import os
import platform
import runpy
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import test_all
from leftovers import MARK, Snapshot, left_behind
from test_all import Outcome, judge, read_junit

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["STEPS", "Clock", "Step", "main", "page"]

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "docs" / "soak.md"
BIN = Path(sys.executable).parent
_ENDING_S = 45
_MOLECULE_ROUNDS = 3


class Step(NamedTuple):
    """One part of the soak."""

    name: str
    run: Callable[[Clock], Outcome]
    meaning: str
    """What it holds, for the page."""


class Clock:
    """The time that is left for the whole soak, and programs that never take more."""

    def __init__(self, minutes: float) -> None:
        """Start the clock."""
        self._end = time.monotonic() + minutes * 60

    @property
    def left_s(self) -> float:
        """Seconds until the soak must end."""
        return self._end - time.monotonic()

    def run(self, command: list[str], environment: dict[str, str], limit_s: float) -> int:
        """Run a program of its own process group to its end; the status is 124 when its time was over."""
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, start_new_session=True
        )
        try:
            return process.wait(min(limit_s, max(self.left_s, 0)))
        except subprocess.TimeoutExpired:
            print(f"stopped, the time is over: {' '.join(command)}", flush=True)
            return 124
        finally:
            # As Ctrl-C first: pytest and molecule then remove what they made.
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
                if process.poll() is not None:
                    break
                os.killpg(process.pid, number)
                _wait(process)


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_ENDING_S)
    except subprocess.TimeoutExpired:
        return


def _pytest(name: str, *arguments: str, limit_s: float) -> Callable[[Clock], Outcome]:
    def run(clock: Clock) -> Outcome:
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            junit = Path(folder) / "junit.xml"
            quiet = ["-p", "no:cacheprovider", f"--junitxml={junit}", "--durations=10", "--tb=short"]
            status = clock.run([sys.executable, "-m", "pytest", *quiet, *arguments], {}, limit_s)
            passed, failed, skipped, skips = read_junit(junit) if junit.exists() else (0, 0, 0, {})
        result = judge(status, passed, failed)
        reason = {"DID NOT RUN": "no test of it ran", "FAILED": f"pytest ended with status {status}"}.get(result, "")
        return Outcome(name, result, time.monotonic() - start, passed, failed, skipped, reason, skips)

    return run


def _molecule(clock: Clock) -> Outcome:
    """Run all scenarios several times in a row; nothing may be left after any of them."""
    name = "molecule"
    program = BIN / "molecule"
    if not program.exists():
        return Outcome(name, "DID NOT RUN", reason="molecule is missing: run make dev")
    start = time.monotonic()
    bad = []
    for number in range(1, _MOLECULE_ROUNDS + 1):
        print(f"--- molecule test --all, round {number} of {_MOLECULE_ROUNDS}", flush=True)
        mark = secrets.token_hex(8)
        before = Snapshot.take()
        # Short: a control socket's path has at most 107 characters (unix(7)).
        scratch = Path(tempfile.mkdtemp(prefix="soak-", dir="/tmp"))
        try:
            environment = {
                MARK: mark,
                "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
                "TMPDIR": str(scratch),
                # Molecule names its folders after the clone's base name: two clones would end each other's hosts.
                "ANSIBLE_HOME": str(ROOT / ".ansible"),
            }
            status = clock.run([str(program), "test", "--all"], environment, 600)
            left = left_behind(before, mark, scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        bad += [f"round {number} ended with status {status}"] if status else []
        bad += [f"round {number} left {one}" for one in left]
    result = "FAILED" if bad else "passed"
    return Outcome(name, result, time.monotonic() - start, reason="; ".join(bad[:8]))


def _sanity(clock: Clock) -> Outcome:
    """Run the sanity tests of every ansible-core but the one of .venv, with which the gate runs them."""
    name = "sanity"
    start = time.monotonic()
    bad = []
    for version in [one.split()[1] for one in _controllers() if one.split()[1] != _version("ansible-core")]:
        print(f"--- ansible-test sanity of ansible-core {version}", flush=True)
        status = clock.run([sys.executable, str(ROOT / "scripts" / "check_sanity.py"), "--core", version], {}, 600)
        bad += [f"that of ansible-core {version} ended with status {status}"] if status else []
    return Outcome(name, "FAILED" if bad else "passed", time.monotonic() - start, reason="; ".join(bad))


STEPS = (
    Step(
        "matrix",
        _pytest("matrix", "tests/matrix", "-m", "", "--deselect", "tests/matrix/test_many_hosts.py", limit_s=900),
        "every controller from the oldest to the newest ansible-core over Debian 11, 12 and 13, with pipelining and, "
        "in check mode, without",
    ),
    Step(
        "marked",
        _pytest("marked", "tests", "-m", "soak", "--deselect", "tests/matrix/test_matrix.py", limit_s=2400),
        "the tests with the marker `soak`, of every folder",
    ),
    Step(
        "molecule",
        _molecule,
        f"`molecule test --all`, {_MOLECULE_ROUNDS} times in a row; after each no process, mount, cgroup, interface or "
        "temporary file may be left",
    ),
    Step("sanity", _sanity, "`ansible-test sanity` of every other ansible-core that the matrix has"),
)


def _why_no_labs() -> str:
    """Return the factory's own sentence about why there can be no hosts here; empty if there can."""
    command = [sys.executable, str(ROOT / "tests" / "hosts"), "why"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120)
    return (done.stdout + done.stderr).strip() if done.returncode else ""


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _controllers() -> list[str]:
    """Return the releases of ansible-core that the matrix has, oldest first."""
    table = runpy.run_path(str(ROOT / "tests" / "matrix" / "controllers.py"))["CONTROLLERS"]
    return [one.pins[0].replace("==", " ") for one in table]


def page(outcomes: list[Outcome], seconds: float, today: datetime.date) -> str:
    """Return docs/soak.md; it names no path of this machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**30
    versions = ", ".join(f"{name} {_version(name)}" for name in ("lastack", "ansible-core", "molecule", "pytest"))
    lines = [
        "# Soak",
        "",
        f"Written by `make soak SOAK_ARGS=--save` on {today.isoformat()}.",
        "",
        f"Machine: Linux {platform.release()}, {platform.machine()}, {os.cpu_count()} CPUs, {memory} GiB, Python",
        f"{platform.python_version()}. With {versions}.",
        "",
        f"Controllers: {', '.join(_controllers())}.",
        "",
        "| suite | result | passed | failed | skipped | minutes | what it holds |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    meanings = {step.name: step.meaning for step in STEPS}
    for one in outcomes:
        counts = " | ".join("-" if value is None else str(value) for value in (one.passed, one.failed, one.skipped))
        lines.append(f"| {one.suite} | {one.result} | {counts} | {one.seconds / 60:.1f} | {meanings[one.suite]} |")
    lines += ["", f"All of it took {seconds / 60:.0f} minutes."]
    notes = [f"- {one.suite}: {_without_paths(one.reason)}" for one in outcomes if one.reason]
    notes += [
        f"- {one.suite}, skipped {count}: {_without_paths(why)}" for one in outcomes for why, count in one.skips.items()
    ]
    return "\n".join([*lines, *(["", *notes] if notes else []), ""])


def _without_paths(text: str) -> str:
    return text.replace(str(ROOT), ".").replace(str(Path.home()), "~")


def _end(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def main(arguments: list[str]) -> int:
    """Run the steps; return 1 if one failed or did not run, 2 if this machine can run none."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=[step.name for step in STEPS], help="run only this step")
    parser.add_argument("--save", action="store_true", help="write docs/soak.md")
    parser.add_argument("--minutes", type=float, default=90, help="end after this many minutes (90)")
    options = parser.parse_args(arguments)
    # However it is ended, the programs that it runs end before it.
    signal.signal(signal.SIGTERM, _end)
    # A shell's background job starts with Ctrl-C ignored, and its children would ignore it, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    test_all.install_programs(test_all.suites())
    reason = _why_no_labs()
    if reason:
        print(reason, file=sys.stderr)
        return 2
    start = time.monotonic()
    clock = Clock(options.minutes)
    outcomes = []
    for step in STEPS:
        if options.only and step.name not in options.only:
            continue
        print(f"\n=== {step.name}: {step.meaning}", flush=True)
        outcomes.append(step.run(clock) if clock.left_s > 0 else _too_late(step))
        one = outcomes[-1]
        print(f"=== {step.name}: {one.result} in {one.seconds:.0f} s {one.reason}", flush=True)
    print(f"\n{test_all.table(outcomes)}", flush=True)
    if options.save:
        new = RESULT.with_suffix(".new")
        new.write_text(page(outcomes, time.monotonic() - start, datetime.datetime.now(datetime.UTC).date()), "utf-8")
        new.replace(RESULT)
        print(f"written: {RESULT.relative_to(ROOT)}", flush=True)
    return 1 if any(one.bad for one in outcomes) else 0


def _too_late(step: Step) -> Outcome:
    return Outcome(step.name, "DID NOT RUN", reason="the time was over")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
