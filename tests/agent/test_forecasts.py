# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forecasts held against real processes that run into their own RLIMIT_NOFILE."""

from __future__ import annotations

import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import pytest
from stage import INTERVAL_S, Agent, Look, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = pytest.mark.needs_root

APP = "steady_leak.py"
SHARE = 0.2
RUNS = {
    "steady": "--limit 400 --every 0.05",
    "most of the limit is taken by files": "--limit 600 --every 0.08 --files 400",
    "arrivals by chance": "--limit 400 --every 0.05 --random --seed 5",
}
SOAK = {
    **{f"steady, every {every} s": f"--limit 500 --every {every}" for every in (0.03, 0.07, 0.2)},
    **{f"by chance, {seed}": f"--limit 500 --every 0.08 --random --seed {seed}" for seed in range(6)},
    "body unread": "--limit 400 --every 0.1 --kind unread",
}


class Forecast(NamedTuple):
    """What one look foretold, and what came."""

    used: float
    """Share of the limit."""
    foretold_s: float
    took_s: float
    old_s: float
    """How old what was seen may be: the time since the look before, an interval or more on a busy machine."""


class Run(NamedTuple):
    """One process from its start to EMFILE, and what was foretold on the way."""

    emfile_s: float
    """The moment, CLOCK_BOOTTIME."""
    looks: list[Look]
    limit: int

    def forecasts(self) -> list[Forecast]:
        """Every forecast before the end."""
        found = []
        for before, look in itertools.pairwise(self.looks):
            entry = look.offender(APP)
            if entry is None or entry["trend"]["exhaustion_in_s"] is None or look.moment_s >= self.emfile_s:
                continue
            used = entry["descriptors"]["open"] / self.limit
            old_s = max(INTERVAL_S, look.moment_s - before.moment_s)
            found.append(Forecast(used, entry["trend"]["exhaustion_in_s"], self.emfile_s - look.moment_s, old_s))
        return found


def run(arguments: str, folder: Path) -> Run:
    words = arguments.split()
    with Stage(folder) as stage, Agent(stage) as agent:
        agent.wait_for(lambda look: look)
        leak = stage.program("steady_leak", stage.server("closing_peer"), *words)
        emfile_s = float(leak.line("emfile", 150).split()[1])
        return Run(emfile_s, list(agent.looks), int(words[words.index("--limit") + 1]))


def run_all(runs: Sequence[str], folder: Path) -> list[Run]:
    with ThreadPoolExecutor(5) as pool:
        return list(pool.map(lambda pair: run(pair[1], folder / str(pair[0])), enumerate(runs)))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    return dict(zip(RUNS, run_all(list(RUNS.values()), tmp_path_factory.mktemp("forecasts")), strict=True))


def wrong(one: Run, every_s: float = 0.0) -> list[Forecast]:
    """The forecasts from half of the limit on that miss by more than a fifth and the age of the look.

    What is left to chance by arrivals of chance, one every ``every_s`` on average, is no fault of a forecast: three
    standard deviations of their number.
    """
    late = [row for row in one.forecasts() if row.used >= 0.5]
    return [
        row
        for row in late
        if abs(row.foretold_s - row.took_s)
        > SHARE * row.took_s + row.old_s + 3 * every_s * math.sqrt((1 - row.used) * one.limit)
    ]


def chance_s(arguments: str) -> float:
    """The mean time between two arrivals of a run whose arrivals come by chance, else 0."""
    words = arguments.split()
    return float(words[words.index("--every") + 1]) if "--random" in words else 0.0


@pytest.mark.parametrize("name", RUNS)
def test_foretold_within_a_fifth(runs: dict[str, Run], name: str) -> None:
    missed = wrong(runs[name], chance_s(RUNS[name]))
    assert not missed, missed


@pytest.mark.parametrize("name", [name for name in RUNS if "chance" not in name])
def test_steady_growth_is_foretold(runs: dict[str, Run], name: str) -> None:
    """One at least, and early enough to be of use: with half of the way still to go."""
    forecasts = runs[name].forecasts()
    whole = max((row.took_s for row in forecasts), default=0.0)
    assert len(forecasts) >= 5, forecasts
    assert [row for row in forecasts if row.took_s > whole / 2], forecasts


def test_nothing_left_is_said(runs: dict[str, Run]) -> None:
    """The last word before the end counts down to about nothing."""
    last = runs["steady"].forecasts()[-1]
    assert last.foretold_s <= last.took_s + last.old_s + 1


@pytest.mark.soak
def test_more_forecasts(tmp_path: Path) -> None:
    found = dict(zip(SOAK, run_all(list(SOAK.values()), tmp_path), strict=True))
    missed = {name: wrong(one, chance_s(SOAK[name])) for name, one in found.items()}
    assert not {name: rows for name, rows in missed.items() if rows}
    assert not [name for name, one in found.items() if "steady" in name and not one.forecasts()]
