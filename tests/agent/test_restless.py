# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A day of looks in minutes on a restless host: memory stays, nothing fails, what is dropped is counted."""

from __future__ import annotations

import json
import statistics
import time
from typing import Any

import pytest
from stage import Agent, Stage

pytestmark = pytest.mark.needs_root

DAY = 5_760
"""Looks of a day at 15 s."""
SETTLED = 500
CONFIGURATION = {
    "interval_s": 0.05,
    "publish_s": 0.5,
    "namespaces": "all",
    "min_age_s": 0.2,
    "thresholds": {"linger_s": 5},
}


def start_restless(stage: Stage, every_s: float) -> None:
    """Sockets, processes, applications and namespaces that come and go, beside a pool and a leak that stay."""
    folder = stage.folder / "programs"
    folder.mkdir()
    stage.program("restless", "--folder", folder, "--every", every_s)
    stage.program("bounded_pool", stage.server("closing_peer"), "--size", 40, "--every", 0.05)
    stage.program("steady_leak", stage.server("closing_peer"), "--every", 0.2, "--until", 100)


def status(agent: Agent) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((agent.state / "status.json").read_bytes())
    return read


def resident_kib(agent: Agent) -> int:
    """What the kernel says of the agent, not what the agent says of itself."""
    text = (agent.stage.proc / str(agent.pid) / "status").read_text(encoding="ascii", errors="replace")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS:"))


def watch(agent: Agent, passes: int, limit_s: float) -> list[tuple[int, int]]:
    """(looks so far, resident KiB), about twice a second, until so many looks are done."""
    rows: list[tuple[int, int]] = []
    end = time.monotonic() + limit_s
    while not rows or rows[-1][0] < passes:
        assert time.monotonic() < end, (rows[-3:], agent.errors[-500:])
        time.sleep(0.5)
        # The facts of a day are not kept here.
        del agent.looks[:-5]
        rows.append((status(agent)["passes"], resident_kib(agent)))
    return rows


def check_word(agent: Agent) -> None:
    """It still tells the leak from the pool, and no look has failed."""
    last = agent.looks[-1]
    assert last.verdict("steady_leak.py") == "leak", last.offender("steady_leak.py")
    assert last.verdict("bounded_pool.py") == "pool", last.offender("bounded_pool.py")
    assert "look_failed" not in agent.errors + json.dumps(last.fact["completeness"])
    assert "Traceback" not in agent.errors, agent.errors[-2000:]


def test_restless_host(stage: Stage) -> None:
    with Agent(stage, CONFIGURATION) as agent:
        start_restless(stage, 0.1)
        agent.wait_for(lambda look: look)
        watch(agent, 150, 120)
        agent.wait_for(lambda look: look.verdict("steady_leak.py") == "leak")
        agent.wait_for(lambda look: look.verdict("bounded_pool.py") == "pool")
        check_word(agent)
        agent.wait_for(lambda look: len({one["namespace"] for one in look.fact["offenders"]}) > 1)


def change(rows: list[tuple[int, int]]) -> float:
    """How much the resident memory has changed from the first of these looks to the last, by the line through all."""
    slope, start = statistics.linear_regression([row[0] for row in rows], [row[1] for row in rows])
    first, last = start + slope * rows[0][0], start + slope * rows[-1][0]
    print(f"look {rows[0][0]}: {first:.0f} KiB, look {rows[-1][0]}: {last:.0f} KiB")  # noqa: T201
    return last / first - 1


@pytest.mark.soak
def test_memory_over_a_day(stage: Stage) -> None:
    """The allocators' pools still fill up in some steps after the tables are full; then nothing grows."""
    with Agent(stage, CONFIGURATION) as agent:
        start_restless(stage, 0.08)
        agent.wait_for(lambda look: look)
        rows = [row for row in watch(agent, DAY, 720) if row[0] >= SETTLED]
        whole, later = change(rows), change([row for row in rows if row[0] >= DAY / 2])
        assert whole < 0.05, rows[:: len(rows) // 20]
        assert later < 0.01, rows[:: len(rows) // 20]
        check_word(agent)
