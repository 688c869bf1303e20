# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A new agent, as after an upgrade, goes on with every verdict, even where it must look for the holders of the sockets.

A socket tells the cgroup in which it was made. Where its program is in another one, as that of a service which systemd
starts by its socket, the first search does not find it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe.cgroups import find_cgroup_mount
from stage import INTERVAL_S, Agent, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stage import Look, Started

pytestmark = pytest.mark.needs_root

VERDICTS = {"steady_leak.py": "leak", "stuck_accept.py": "stuck", "idling_pool.py": "pool"}
COUNTS = {"steady_leak.py": 30, "stuck_accept.py": 40, "idling_pool.py": 25}
LOOKS = 6
JOIN = 'echo 0 > "$0"/cgroup.procs && exec "$@"'
MOVE = 'for pid; do echo "$pid" > "$0"/cgroup.procs || exit 1; done'


@pytest.fixture
def birthplace() -> Iterator[Path]:
    """A cgroup for programs that will leave it."""
    mount = find_cgroup_mount()
    if mount is None:
        pytest.skip("no cgroup v2 hierarchy is mounted here")
    folder = Path(mount) / f"lastack-birthplace-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    try:
        yield folder
    finally:
        # Its programs have ended with the stage; the kernel may still be taking them out.
        end = time.monotonic() + 10
        while folder.exists() and time.monotonic() < end:
            try:
                folder.rmdir()
            except OSError:
                time.sleep(0.02)


@pytest.fixture
def stage_in(birthplace: Path, tmp_path: Path) -> Iterator[tuple[Stage, Path]]:
    """A stage that ends before the cgroup of its programs is removed."""
    with Stage(tmp_path / "stage") as stage:
        yield stage, birthplace


def start(stage: Stage, cgroup: Path | None = None) -> list[Started]:
    """Start a leak that ends, a stuck server and a pool, each in the cgroup."""

    def program(name: str, *arguments: object) -> Started:
        if cgroup is None:
            return stage.program(name, *arguments)
        return stage.start("sh", "-c", JOIN, str(cgroup), sys.executable, f"{name}.py", *map(str, arguments))

    leak = program("steady_leak", stage.server("closing_peer"), "--every", 0.05, "--until", COUNTS["steady_leak.py"])
    pool = program("idling_pool", stage.server("closing_peer"), "--size", COUNTS["idling_pool.py"])
    server = program("stuck_accept")
    visits = ["--mode", "silent", "--every", 0.05, "--count", COUNTS["stuck_accept.py"]]
    stage.program("visitor", server.line(), *visits)
    return [leak, pool, server]


def is_settled(look: Look) -> bool:
    """Whether all sockets are there and judged."""
    trends = {app: (entry or {}).get("trend", {}) for app in VERDICTS for entry in [look.offender(app)]}
    return all(trends[app].get("verdict") == VERDICTS[app] for app in VERDICTS) and all(
        trends[app]["count"] == COUNTS[app] for app in VERDICTS
    )


def essence(look: Look) -> dict[str, Any]:
    """What the same sockets have in common in every look."""
    fields = ("verdict", "count", "arrivals", "departures", "first_seen")
    return {one["app"]: {name: one["trend"][name] for name in fields} for one in look.fact["offenders"]}


def ages(look: Look) -> dict[str, float]:
    """The proven age of each application's oldest socket."""
    return {one["app"]: one["age_s"]["at_least"] for one in look.fact["offenders"]}


def looks_after(agent: Agent, number: int) -> list[Look]:
    """Return the looks that were published after so many."""
    agent.wait_for(lambda __: len(agent.looks) >= number + LOOKS)
    return agent.looks[number : number + LOOKS]


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("budget_percent", [100, 0.5])
def test_a_new_agent_goes_on_where_holders_must_be_searched(
    stage_in: tuple[Stage, Path], ending: signal.Signals, budget_percent: float
) -> None:
    stage, birthplace = stage_in
    with Agent(stage) as agent:
        programs = start(stage, birthplace)
        settled = agent.wait_for(is_settled)
        before, known = essence(settled), ages(settled)
        # The state must have what the fact has.
        time.sleep(2 * INTERVAL_S)
        agent.kill(ending)
        pids = [str(program.pid) for program in programs]
        assert stage.wait(stage.start("sh", "-c", MOVE, str(birthplace.parent), *pids).pid) == 0
        agent.configure({"cpu_budget_percent": budget_percent})
        number = len(agent.looks)
        agent.start()
        for look in looks_after(agent, number):
            assert essence(look) == before
            assert all(one["trend"]["growth_per_min"] is not None for one in look.fact["offenders"])
            assert all(ages(look)[app] >= age_s for app, age_s in known.items())
        # Nothing has changed: there is nothing to say.
        assert agent.errors == ""


def test_a_reload_that_makes_all_sockets_young_again_loses_none(stage: Stage) -> None:
    with Agent(stage) as agent:
        start(stage)
        before = essence(agent.wait_for(is_settled))
        agent.configure({"min_age_s": 3600})
        agent.signal(signal.SIGHUP)
        agent.wait_for(lambda __: "read again" in agent.errors)
        number = len(agent.looks)
        for look in looks_after(agent, number):
            assert essence(look) == before
        assert "burst" not in agent.errors, agent.errors
