# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real node_exporter and Prometheus with what the real agent published: every panel and alert has its figures."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from monitoring import program, query, start_monitoring, wait_for_sample
from stage import AGENT, ROOT, Agent, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs_root

DASHBOARD = json.loads((ROOT / "docs" / "grafana" / "lastack.json").read_text(encoding="utf-8"))
RULES = ROOT / "docs" / "prometheus" / "lastack.rules.yml"
LEAK, POOL, STUCK = "steady_leak.py", "idling_pool.py", "stuck_accept.py"
EXPRESSIONS = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
VARIABLES = {"$job": "node", "$instance": ".*", "$app": ".*", "$verdict": ".*", "$__rate_interval": "10s"}


class Monitored:
    """A stage with a leak, a pool and a stuck server, the agent, root's publisher, node_exporter and Prometheus."""

    def __init__(self, stage: Stage, agent: Agent) -> None:
        self.stage = stage
        self.agent = agent
        self.textfiles = agent.root / "textfiles"
        self.facts = agent.root / "etc" / "ansible" / "facts.d"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._publish, daemon=True)
        for folder in (self.textfiles, self.facts):
            folder.mkdir(parents=True)

    def publish(self) -> subprocess.CompletedProcess[str]:
        """Do once what root's unit does."""
        command = [sys.executable, "-S", "-B", "-m", AGENT, "publish", "--root", str(self.agent.root)]
        return subprocess.run(
            [*command, "--metrics-folder", "/textfiles"],
            check=False,
            env={"PYTHONPATH": str(ROOT / "collections")},
            cwd=self.stage.folder,
            capture_output=True,
            text=True,
            timeout=30,
        )

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        self._thread.join()

    def _publish(self) -> None:
        while not self._over.wait(0.5):
            self.publish()


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    for name in ("promtool", "prometheus", "prometheus-node-exporter"):
        program(name)
    with Stage(tmp_path_factory.mktemp("monitored")) as stage, Agent(stage) as agent:
        made = Monitored(stage, agent)
        start_monitoring(stage, made.textfiles, RULES)
        stage.program("steady_leak", stage.server("closing_peer"), "--every", 0.1, "--limit", 2000)
        stage.program("idling_pool", stage.server("closing_peer"), "--size", 12)
        stage.program("visitor", stage.server("stuck_accept"), "--mode", "silent", "--every", 0.05, "--count", 20)
        made.start()
        try:
            agent.wait_for(
                lambda look: (
                    (look.offender(LEAK) or {"trend": {}})["trend"].get("exhaustion_in_s")
                    and look.verdict(POOL) == "pool"
                    and look.verdict(STUCK) == "stuck"
                )
            )
            wait_for_sample(stage, 'lastack_close_wait_exhaustion_seconds{app="steady_leak.py"}')
            wait_for_sample(stage, "rate(lastack_agent_cpu_seconds_total[10s])")
            yield made
        finally:
            made.end()


def test_promtool_accepts_the_metrics(monitored: Monitored) -> None:
    text = (monitored.textfiles / "lastack.prom").read_text(encoding="utf-8")
    command = [program("promtool"), "check", "metrics"]
    done = subprocess.run(command, check=False, input=text, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (done.stdout + done.stderr).strip(), done.stdout + done.stderr


def test_node_exporter_read_the_file(monitored: Monitored) -> None:
    assert [one["value"][1] for one in query(monitored.stage, "node_textfile_scrape_error")] == ["0"]
    assert query(monitored.stage, 'node_textfile_mtime_seconds{file=~".*lastack.prom"}')


def test_same_figures_as_in_the_fact(monitored: Monitored) -> None:
    found = query(monitored.stage, "lastack_close_wait_sockets > 0")
    verdicts = {one["metric"]["app"]: one["metric"]["verdict"] for one in found}
    assert verdicts == {LEAK: "leak", POOL: "pool", STUCK: "stuck"}
    pool = query(monitored.stage, f'lastack_close_wait_sockets{{app="{POOL}"}}')
    assert [one["value"][1] for one in pool] == ["12"]
    growth = query(monitored.stage, f'lastack_close_wait_growth_per_minute{{app="{LEAK}"}}')
    # One every 0.1 s is 600 a minute.
    assert 300 < float(growth[0]["value"][1]) < 700


@pytest.mark.parametrize(
    ("title", "expression"), EXPRESSIONS, ids=[f"{title}-{n}" for n, (title, __) in enumerate(EXPRESSIONS)]
)
def test_every_panel_has_figures(monitored: Monitored, title: str, expression: str) -> None:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    assert wait_for_sample(monitored.stage, expression, 20), title


def test_every_variable_has_values(monitored: Monitored) -> None:
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            match = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
            assert match, variable["query"]
            expression = match[1]
            for name, value in VARIABLES.items():
                expression = expression.replace(name, value)
            assert all(match[2] in one["metric"] for one in wait_for_sample(monitored.stage, expression, 20))


@pytest.mark.parametrize(
    ("alert", "app"),
    [("LastackGrowingLeak", LEAK), ("LastackDescriptorsGoneSoon", LEAK), ("LastackNeverAccepted", STUCK)],
)
def test_alerts_wait_for_their_time(monitored: Monitored, alert: str, app: str) -> None:
    """Each has found its application, and nothing else; it fires when that has lasted."""
    found = wait_for_sample(monitored.stage, f'ALERTS{{alertname="{alert}"}}', 20)
    assert [(one["metric"]["app"], one["metric"]["alertstate"]) for one in found] == [(app, "pending")]


def test_no_alert_about_the_agent(monitored: Monitored) -> None:
    found = query(monitored.stage, 'ALERTS{alertname=~"LastackAgent.+"}')
    told: list[dict[str, Any]] = [one["metric"] for one in found]
    assert not told, (told, monitored.agent.looks[-1].fact["completeness"])


def test_other_bytes_are_not_published(monitored: Monitored) -> None:
    """The last test of this file: the agent has gone mad, and Prometheus has the last sound figures."""
    monitored.end()
    monitored.agent.kill()
    before = (monitored.textfiles / "lastack.prom").read_bytes()
    evil = f"{before.decode()}\nnode_memory_MemFree_bytes 0\n"
    (monitored.agent.state / "metrics.prom").write_text(evil, encoding="utf-8")
    done = monitored.publish()
    assert done.returncode == 2, done
    assert done.stderr.count("\n") == 1, done.stderr
    assert (monitored.textfiles / "lastack.prom").read_bytes() == before
    time.sleep(1)
    assert not query(monitored.stage, "node_memory_MemFree_bytes")
