# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program of the gallery on a stage of its own, a real peer that closes first, and what lastack says of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from stage import Stage
from toolchains import words

if TYPE_CHECKING:
    from entry import Entry
    from stage import Started

__all__ = ["Exhibit", "Report", "version_of"]

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
MIN_AGE_S = 0.5
"""Every FIN of the gallery is older than this at the time of the look: each entry waits ``settle_s``."""
CLOSING_S = 20
"""At most so long after "ready" the last peer has closed: a database is restarted only when nobody talks to it."""
SLACK_S = 0.1
"""Between the moment that a peer writes down and the kernel's own; the counters of tcp_info tick every 4 to 10 ms."""


class Report(NamedTuple):
    """What ``lastack probe --json`` said, and what the test itself knows."""

    report: dict[str, Any]
    looked_at: tuple[float, float]
    """CLOCK_MONOTONIC before and after the look."""
    closed_at: list[float]
    """CLOCK_MONOTONIC of each close by a peer."""
    left: int = 0
    """Connections that the program itself closed first."""

    def offender(self, app: str) -> dict[str, Any] | None:
        found = [one for one in self.report["close_wait"]["offenders"] if one["app"] == app]
        return found[0] if found else None

    def age_is_true(self, offender: dict[str, Any]) -> bool:
        """Whether the bracket of the oldest socket's age holds what the peers wrote down."""
        age = offender["age_s"]
        oldest = min(self.closed_at)
        newest_possible, oldest_possible = self.looked_at[0] - oldest, self.looked_at[1] - oldest
        at_most = float("inf") if age["at_most"] is None else age["at_most"]
        return bool(age["at_least"] <= oldest_possible + SLACK_S and at_most >= newest_possible - SLACK_S)


class Exhibit:
    """One program and its peer, running; all of it ends with ``with``."""

    def __init__(self, entry: Entry, program: Path, folder: Path) -> None:
        self.entry = entry
        self.program = program
        self._stage = Stage(folder)
        self._words = {**words(entry.needs), "program": str(program), "count": str(entry.count), "folder": str(folder)}
        self._peer: Started | None = None
        self._started: Started | None = None

    def __enter__(self) -> Self:
        self._stage.__enter__()
        try:
            self._show()
        except BaseException:
            self._stage.__exit__()
            raise
        return self

    def __exit__(self, *__: object) -> None:
        self._stage.__exit__()

    def _show(self) -> None:
        entry = self.entry
        arguments = entry.peer_arguments or []
        if entry.server:
            self._started = self._start(entry.run)
            port = self._started.line("port ").removeprefix("port ")
            self._peer = self._start(
                [sys.executable, str(HERE / "calling_peer.py"), port, str(entry.count), *arguments]
            )
            self._peer.line("ready")
        else:
            command = entry.peer or [sys.executable, str(HERE / "closing_server.py"), *arguments]
            self._peer = self._start(command)
            self._words["port"] = self._peer.line("port ").removeprefix("port ")
            self._started = self._start(entry.run)
            self._started.line("ready")

    def _start(self, command: list[str]) -> Started:
        argv = [part.format(**self._words) for part in command]
        return self._stage.start(*argv, folder=self.program.parent, LASTACK_GALLERY=str(HERE))

    def look(self, *more: str) -> Report:
        """Return what the probe says now."""
        lastack = Path(sys.executable).with_name("lastack")
        before = time.monotonic()
        run = self._stage.start(
            str(lastack), "probe", "--json", "--min-age-s", str(MIN_AGE_S), *more, folder=self.program.parent
        )
        status = self._stage.wait(run.pid)
        after = time.monotonic()
        assert status == 0, f"lastack probe ended with {status}: {run.errors.read_text(encoding='utf-8')}"
        report = json.loads(run.output.read_text(encoding="utf-8"))
        return Report(report, (before, after), self._moments("closed "), len(self._moments("left ")))

    def settled(self) -> Report:
        """Return what the probe says once the peers have closed and their FINs are old enough."""
        end = time.monotonic() + CLOSING_S
        while len(self._moments("closed ")) < self.entry.count and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(self.entry.settle_s)
        return self.look()

    def close_wait(self) -> int:
        """The CLOSE_WAIT sockets of the stage, as ``ss`` counts them."""
        run = self._stage.start("ss", "-Htn", "state", "close-wait")
        assert self._stage.wait(run.pid) == 0
        return len(run.output.read_text(encoding="utf-8").splitlines())

    def drains(self) -> int:
        """Wait until all connections have ended and no more are left than the page admits; return how many are.

        At most as long as the page says. Before a peer has closed there is nothing to drain.
        """
        end = time.monotonic() + self.entry.fixed["within_s"]
        while True:
            ended = len(self._moments("closed ")) + len(self._moments("left "))
            left = self.close_wait()
            if (ended >= self.entry.count and left <= self.entry.fixed["remaining"]) or time.monotonic() >= end:
                return left
            time.sleep(0.1)

    def works(self) -> str:
        """Return what is wrong with the program itself; empty if it runs."""
        assert self._started is not None
        if self._stage.wait(self._started.pid, 0) is not None:
            return f"it has ended: {self._started.errors.read_text(encoding='utf-8', errors='replace')[-800:]}"
        return ""

    def _moments(self, prefix: str) -> list[float]:
        assert self._peer is not None
        lines = self._peer.output.read_text(encoding="utf-8").splitlines()
        return [float(line.removeprefix(prefix)) for line in lines if line.startswith(prefix)]


def version_of(entry: Entry) -> str:
    """Return the version of the library, as it says itself."""
    command = [part.format(**words(entry.needs), folder=str(entry.folder)) for part in entry.version]
    environment = {**os.environ, "LASTACK_GALLERY": str(HERE)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, env=environment)
    return (done.stdout or done.stderr).splitlines()[0].strip()
