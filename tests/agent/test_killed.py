# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent is killed at any moment: its files are whole, and the next one goes on where it was."""

from __future__ import annotations

import json
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.agent.local_schema import fact_problem
from ansible_collections.lastack.linux.agent.metrics import parse_metrics
from stage import Agent, Stage, boottime

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.needs_root

APP = "steady_leak.py"
BUSY = {"interval_s": 0.05, "publish_s": 0.05}
"""As many writes a second as it can."""
ALLOWED = {"fact.json", "metrics.prom", "state.json", "status.json"}


def kill_often(folder: Path, seed: int, kills: int) -> int:
    """Kill agents at moments of chance; return how many facts were read on the way, each of them whole."""
    chance, since = random.Random(seed), boottime()
    with Stage(folder) as stage, Agent(stage, BUSY) as agent:
        stage.program("steady_leak", stage.server("closing_peer"), "--every", 0.02, "--until", 300)
        agent.wait_for(lambda look: look.offender(APP))
        for number in range(kills):
            if number % 4:
                # While it looks and writes...
                seen = len(agent.looks)
                until(lambda seen=seen: len(agent.looks) > seen)  # type: ignore[misc]
                time.sleep(chance.uniform(0, 0.2))
            else:
                # ... and while it starts.
                time.sleep(chance.uniform(0, 0.7))
            assert agent.kill() == -signal.SIGKILL, agent.errors
            check_files(agent)
            since = boottime()
            agent.start()
        # Of the last agent, which heeds signals by then; a fact of the one before may be read late.
        agent.wait_for(lambda look: look.moment_s > since)
        assert agent.kill(signal.SIGTERM) == 0, agent.errors
        check_files(agent)
        temporary = [path.name for path in agent.state.iterdir() if path.name not in ALLOWED]
        assert not temporary, temporary
        return len(agent.looks)


def check_files(agent: Agent) -> None:
    """Every file is whole, and at most one temporary file lies beside each."""
    fact = json.loads(agent.fact_path.read_bytes())
    assert fact_problem(fact) is None, fact_problem(fact)
    for name in ("state.json", "status.json"):
        path = agent.state / name
        if path.exists():
            json.loads(path.read_bytes())
    metrics = agent.state / "metrics.prom"
    if metrics.exists():
        parse_metrics(metrics.read_bytes())
    assert len(list(agent.state.iterdir())) <= 2 * len(ALLOWED), sorted(agent.state.iterdir())


def test_killed_at_any_moment(tmp_path: Path) -> None:
    assert kill_often(tmp_path, 1, 16) >= 12


@pytest.mark.soak
def test_killed_two_hundred_times(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda seed: kill_often(tmp_path / str(seed), seed, 50), range(4)))
    assert min(read) >= 37, read


def test_the_next_agent_remembers(stage: Stage) -> None:
    with Agent(stage) as agent:
        stage.program("steady_leak", stage.server("closing_peer"), "--every", 0.1)
        first = agent.wait_for(lambda look: look.verdict(APP) == "leak").offender(APP)
        time.sleep(1)
        agent.kill()
        number = len(agent.looks)
        agent.start()
        agent.wait_for(lambda look: look in agent.looks[number:] and look.offender(APP))
        entries = [entry for look in agent.looks[number:] for entry in [look.offender(APP)] if entry]
        assert first
        assert entries[0]["trend"]["verdict"] == "leak", entries[0]
        assert entries[0]["trend"]["first_seen"] == first["trend"]["first_seen"]
        assert entries[0]["trend"]["arrivals"] >= first["trend"]["arrivals"]


def test_end_and_reload(stage: Stage) -> None:
    """SIGHUP takes a new configuration; a bad one changes nothing and is said; SIGTERM ends at once with status 0."""
    with Agent(stage) as agent:
        stage.program("steady_leak", stage.server("closing_peer"), "--every", 0.1)
        agent.wait_for(lambda look: look.offender(APP))
        good = (agent.root / "etc" / "lastack" / "agent.json").read_text(encoding="utf-8")
        (agent.root / "etc" / "lastack" / "agent.json").write_text('{"interval_s": "often"}', encoding="utf-8")
        agent.signal(signal.SIGHUP)
        until(lambda: "interval_s" in agent.errors)
        number = len(agent.looks)
        agent.wait_for(lambda look: look in agent.looks[number:] and look.fact["interval_s"] < 1)
        agent.configure({**json.loads(good), "exclude": ["steady_*"]})
        agent.signal(signal.SIGHUP)
        agent.wait_for(lambda look: look in agent.looks[number:] and look.offender(APP) is None)
        # What is not wanted is forgotten, not told as gone.
        assert "burst" not in agent.verdicts(APP)
        assert agent.kill(signal.SIGTERM) == 0, agent.errors


def until(condition: object, seconds: float = 30) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
