# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a real leak to a finding of the audit: the agent watches, root publishes, a look takes it up."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from stage import AGENT, ROOT, Agent

if TYPE_CHECKING:
    from stage import Stage

pytestmark = pytest.mark.needs_root

APP = "steady_leak.py"
LOOK = """
import json, sys
from ansible_collections.lastack.linux.plugins.module_utils.options import Options
from ansible_collections.lastack.linux.plugins.module_utils.report import collect_report
options = Options(min_age_s=1.0, gather=("close_wait",), timeout_s=30.0)
print(json.dumps(collect_report(options, root=sys.argv[1])))
"""


def run(stage: Stage, *arguments: str) -> str:
    """Run Python on the stage to its end; return what it printed."""
    started = stage.start(sys.executable, "-B", *arguments, PYTHONPATH=str(ROOT / "collections"))
    assert stage.wait(started.pid) == 0, started.errors.read_text(encoding="utf-8")
    return started.output.read_text(encoding="utf-8")


def look(stage: Stage, agent: Agent) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(run(stage, "-c", LOOK, str(agent.root)))
    return report


def test_a_real_leak_becomes_a_finding_of_the_audit(stage: Stage) -> None:
    # Fresh for three publications: long enough for two processes to start on a busy machine.
    with Agent(stage, {"publish_s": 8}) as agent:
        (agent.root / "etc" / "ansible" / "facts.d").mkdir(mode=0o755, parents=True)
        stage.program("steady_leak", stage.server("closing_peer"), "--every", 0.1)
        agent.wait_for(lambda heard: heard.verdict(APP) == "leak")
        assert look(stage, agent)["agent"] is None, "nothing is published yet"
        run(stage, "-m", AGENT, "publish", "--root", str(agent.root))
        report = look(stage, agent)
        agent.kill()
    assert report["agent"]["state"] == "fresh"
    (offender,) = [one for one in report["close_wait"]["offenders"] if one["app"] == APP]
    # The same name, kind and namespace in the agent's eyes and in the audit's.
    assert offender["trend"]["verdict"] == "leak"
    assert offender["trend"]["growth_per_min"] > 60
    (finding,) = [one for one in report["findings"] if one["id"] == "close_wait.growing"]
    assert finding["subject"] == APP
    # Then the agent is silent, and its word goes stale without taking anything away.
    end = time.monotonic() + 60
    while report["agent"]["state"] == "fresh" and time.monotonic() < end:
        time.sleep(1)
        report = look(stage, agent)
    assert report["agent"]["state"] == "stale"
    assert "the agent's last word is" in report["agent"]["reason"]
    (offender,) = [one for one in report["close_wait"]["offenders"] if one["app"] == APP]
    assert offender["trend"] is None
    assert offender["count"] > 0
