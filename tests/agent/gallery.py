# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real programs with real sockets before the real agent, and what it said of them in every look."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from stage import Agent, Look, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["HEALTHY", "LEAKS", "OTHERS", "Case", "Played", "play", "play_all", "varied"]

AT_ONCE = 6
_LIMIT_S = 120


class Case(NamedTuple):
    """One program with its other end; ``visitor`` holds the arguments of visitor.py, for servers."""

    name: str
    program: str
    arguments: str = ""
    peer: str = ""
    visitor: str | None = None
    again_s: float | None = None
    """End the program after so many seconds and start it again, each time."""
    looks: int = 45
    """So many looks at it, at least."""
    configuration: Mapping[str, Any] = {}

    @property
    def app(self) -> str:
        return f"{self.program}.py"

    def start(self, stage: Stage) -> Any:  # noqa: ANN401 - a Started, for whoever restarts it
        if self.visitor is None:
            return stage.program(
                self.program, stage.server("closing_peer", *self.peer.split()), *self.arguments.split()
            )
        server = stage.program(self.program, *self.arguments.split())
        stage.program("visitor", server.line(), *self.visitor.split())
        return server


class Played(NamedTuple):
    """What the agent said of one case, look by look, from its first word on."""

    case: Case
    looks: list[Look]
    entries: list[dict[str, Any] | None]
    errors: str

    @property
    def verdicts(self) -> list[str]:
        """The verdict of every look from the first that had the application; ``gone`` where it no longer did."""
        words = [one["trend"]["verdict"] if one else "gone" for one in self.entries]
        first = next((number for number, word in enumerate(words) if word != "gone"), len(words))
        return words[first:]

    def story(self) -> str:
        """Each verdict with the looks it lasted, and the agent's own last reason, for a failing test."""
        runs: list[list[Any]] = []
        for word in self.verdicts:
            if runs and runs[-1][0] == word:
                runs[-1][1] += 1
            else:
                runs.append([word, 1])
        last = next((one for one in reversed(self.entries) if one), None)
        told = ", ".join(f"{word} x{count}" for word, count in runs)
        return f"{self.case.name}: {told or 'never seen'}. {last and last['causes']} {last and last['trend']}"


LEAKS = (
    Case("end seen", "steady_leak", "--kind seen --every 0.1"),
    Case("end seen, arrivals by chance", "steady_leak", "--kind seen --every 0.15 --random --seed 7"),
    Case("body unread", "steady_leak", "--kind unread --every 0.1", peer="--body 20000"),
    Case("server forgets to close", "missing_close", visitor="--every 0.1"),
    Case("in bursts", "bursty_leak", "--every 0.4 --burst 6"),
)
"""A leak in at most ten looks, watched until then."""

OTHERS = (
    Case("never accepted", "stuck_accept", visitor="--mode silent --every 0.1 --count 40"),
    Case(
        "idle and never ending",
        "steady_leak",
        "--kind unnoticed --every 0.05",
        configuration={"thresholds": {"largest_pool": 60}},
        looks=20,
    ),
    Case("leaked once, for good", "steady_leak", "--kind seen --every 0.01 --until 30"),
)

HEALTHY = (
    Case("pool with turnover", "bounded_pool", "--size 80 --every 0.05"),
    Case("pool that breathes", "bounded_pool", "--size 60 --every 0.05 --breathe 8", looks=64),
    Case("pool that rests", "idling_pool", "--size 25 --fill 1"),
    Case("pool filled in steps", "idling_pool", "--size 30 --fill 4 --steps 3"),
    Case("pool filled slowly", "idling_pool", "--size 60 --fill 8", looks=60),
    Case("pool that is started anew", "bounded_pool", "--size 80 --every 0.05 --fill 1", again_s=4),
    Case("late, then done", "draining_burst", "--burst 40 --hold 3 --over 2"),
    Case("half-closing proxy", "half_closing_proxy", visitor="--mode half --every 0.2 --life 6"),
)


def varied(number: int) -> Case:
    """The healthy case with this number: a shape, and its figures by chance from the number as seed."""
    chance = random.Random(number)
    size = chance.randrange(10, 150)
    # A pool that is through with all its members sooner than a look sees them old enough has no offence to judge.
    every = f"{chance.uniform(2, 8) / size:.3f}"
    after = f"--after {chance.choice([0.15, 0.4, 1.0])}"
    seed = f"--seed {number}"
    shapes = (
        Case("turnover", "bounded_pool", f"--size {size} --every {every} {seed}", after),
        Case("borrowed by chance", "bounded_pool", f"--size {size} --every {every} --random {seed}", after),
        Case(
            "breathes",
            "bounded_pool",
            f"--size {size} --every {every} --breathe {chance.uniform(3, 30):.1f} {seed}",
            after,
        ),
        Case(
            "fills", "bounded_pool", f"--size {size} --every {every} --fill {chance.uniform(1, 20):.1f} {seed}", after
        ),
        Case("rests", "idling_pool", f"--size {size} --fill {chance.uniform(0, 20):.1f}", after),
        Case(
            "rests, in steps",
            "idling_pool",
            f"--size {size} --fill {chance.uniform(3, 25):.1f} --steps {chance.randrange(2, 7)}",
            after,
        ),
        Case(
            "started anew",
            "bounded_pool",
            f"--size {size} --every {every} --fill {chance.uniform(0.5, 6):.1f}",
            after,
            again_s=chance.uniform(2, 9),
        ),
        Case(
            "rests, started anew",
            "idling_pool",
            f"--size {size} --fill {chance.uniform(0.5, 6):.1f}",
            after,
            again_s=chance.uniform(3, 9),
        ),
        Case(
            "late once",
            "draining_burst",
            f"--burst {size} --hold {chance.uniform(0.5, 4):.1f} --over {chance.uniform(0.2, 5):.1f}",
            after,
        ),
        Case(
            "late again and again",
            "draining_burst",
            f"--burst {size} --hold {chance.uniform(0.3, 2):.1f} --over {chance.uniform(0.2, 2):.1f} "
            f"--every {chance.uniform(0.2, 4):.1f}",
            after,
        ),
        Case(
            "half-closing proxy",
            "half_closing_proxy",
            f"--every {chance.choice([0.05, 0.3, 1.0])}",
            visitor=f"--mode half --every {chance.uniform(0.05, 0.5):.2f} --life {chance.uniform(2, 20):.1f}",
        ),
    )
    shape = shapes[number % len(shapes)]
    return shape._replace(name=f"{number} {shape.name}: {shape.arguments} {shape.peer}", looks=110)


def play(case: Case, folder: Path) -> Played:
    """Start one case and the agent; watch until the agent has looked at it often enough."""
    with Stage(folder) as stage, Agent(stage, case.configuration) as agent:
        agent.wait_for(lambda look: look)
        before = len(agent.looks)
        started, again = case.start(stage), time.monotonic() + (case.again_s or _LIMIT_S)
        end = time.monotonic() + _LIMIT_S
        first = None
        while time.monotonic() < end:
            time.sleep(0.1)
            if first is None:
                seen = (number for number, look in enumerate(agent.looks) if look.offender(case.app))
                first = next(seen, None)
            # What is never an offender, as a half-closing proxy, is watched as long.
            if len(agent.looks) >= case.looks + (before + 10 if first is None else first):
                break
            if time.monotonic() > again:
                started.end()
                started, again = case.start(stage), time.monotonic() + (case.again_s or _LIMIT_S)
        looks = list(agent.looks)
        return Played(case, looks, [look.offender(case.app) for look in looks], agent.errors)


def play_all(cases: Sequence[Case], folder: Path, at_once: int = AT_ONCE) -> dict[str, Played]:
    """Play several cases at once, each on a stage of its own."""
    with ThreadPoolExecutor(at_once) as pool:
        played = pool.map(lambda pair: play(pair[1], folder / str(pair[0])), enumerate(cases))
        return {one.case.name: one for one in played}
