# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one run of a gallery program shows, judged by the rules of test_gallery.py but told instead of asserted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from exhibit import Exhibit
from stage import LIMIT_S, Started

if TYPE_CHECKING:
    from pathlib import Path

    from entry import Entry

__all__ = ["Fix", "Leak", "try_fix", "try_leak"]

EVERY_S = 0.2


class Leak(NamedTuple):
    """What lastack says of a leaking program."""

    found: int
    causes: dict[str, int]
    age_is_true: bool
    hints: list[str]
    advice: list[str]
    finding: bool
    """Whether the finding that the entry expects names the program."""
    problem: str
    """Of the program itself; empty if it runs."""

    def is_as_told(self, entry: Entry) -> bool:
        """Whether everything is what ``entry.toml`` and with it the page say."""
        leak = entry.leak
        named = entry.page in self.advice if leak["hints"] else f"runtime.{entry.runtime}" in self.advice
        said = self.causes == leak["causes"] and set(leak["hints"]) <= set(self.hints) and named
        return said and self.found == entry.count and self.age_is_true and self.finding and not self.problem


class Fix(NamedTuple):
    """What is left of a repaired program's load."""

    left: int
    after_s: float
    """From the end of its load to the moment when no more than that was left, or to the end of the wait."""
    ended: int
    """Connections that have ended: the peers closed them, or the program was first."""
    problem: str

    def is_proven(self, entry: Entry) -> bool:
        return self.left <= entry.fixed["remaining"] and self.ended >= entry.count and not self.problem


class _Watched(Started):
    """A program whose early end is noticed while its output is awaited."""

    def line(self, prefix: str = "", seconds: float = LIMIT_S) -> str:
        end = time.monotonic() + seconds
        while True:
            ended = self.stage.wait(self.pid, 0)
            try:
                return super().line(prefix, EVERY_S)
            except AssertionError:
                if ended is not None:
                    complaint = self.errors.read_text(encoding="utf-8", errors="replace").strip()[-800:]
                    raise AssertionError(
                        f"it has ended with status {ended}: {complaint or 'it said nothing'}"
                    ) from None
                if time.monotonic() > end:
                    raise


class _Trial(Exhibit):
    def _start(self, command: list[str]) -> Started:
        return _Watched(*super()._start(command))


def try_leak(entry: Entry, folder: Path) -> Leak:
    """Run the leaking variant on a stage in ``folder``.

    Raises:
        NoProgram: the toolchain cannot be had; the message is one sentence.
        AssertionError: the program or its peer does not come up; the message says what it complained of.
    """
    with _Trial(entry, entry.leaking, folder) as exhibit:
        said = exhibit.settled()
        problem = exhibit.works()
    app = entry.app(entry.leaking)
    offender = said.offender(app)
    if offender is None:
        return Leak(0, {}, age_is_true=False, hints=[], advice=[], finding=False, problem=problem)
    named = [one["id"] for one in said.report["findings"] if app in one["subject"]]
    return Leak(
        found=offender["count"],
        causes=offender["causes"],
        age_is_true=bool(said.closed_at) and said.age_is_true(offender),
        hints=[one["name"] for one in (offender["hints"] or {"libraries": []})["libraries"]],
        advice=offender["advice"],
        finding=entry.leak["finding"] in named,
        problem=problem,
    )


def try_fix(entry: Entry, program: Path, folder: Path) -> Fix:
    """Run a program, the fixed variant or somebody's own, under the entry's load; raises as ``try_leak``."""
    with _Trial(entry, program, folder) as exhibit:
        begin = time.monotonic()
        left = exhibit.drains()
        after_s = time.monotonic() - begin
        said = exhibit.look()
        problem = exhibit.works()
    offender = said.offender(entry.app(program))
    return Fix(max(left, offender["count"] if offender else 0), after_s, len(said.closed_at) + said.left, problem)
