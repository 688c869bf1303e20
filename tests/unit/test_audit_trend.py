# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's memory in one look's report: who gets which trend, what becomes a finding, and what a silence says."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from agent_facts import BOOT, NOW_S, fact, offender, put
from ansible_collections.lastack.linux.plugins.module_utils import report as host_report
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.agent_trend import (
    add_trends,
    agent_section,
    grows,
)
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.findings import derive_findings
from ansible_collections.lastack.linux.plugins.module_utils.observe.agent_fact import AgentFact, read_agent_fact
from ansible_collections.lastack.linux.plugins.module_utils.observe.host import read_host
from ansible_collections.lastack.linux.plugins.module_utils.options import Options
from ansible_collections.lastack.linux.plugins.module_utils.report import collect_report
from ansible_collections.lastack.linux.plugins.plugin_utils.host_summary import host_summary
from ansible_collections.lastack.linux.plugins.plugin_utils.validate import require_host_report
from sample_reports import sample

if TYPE_CHECKING:
    from pathlib import Path


def heard(root: Path, *offenders: dict[str, Any], **more: Any) -> AgentFact:  # noqa: ANN401 - JSON
    put(root, fact(*offenders, **more))
    found = read_agent_fact(str(root), BOOT, NOW_S)
    assert isinstance(found, AgentFact)
    return found


def row(app: str, kind: str = "unit", namespace: str = "host", causes: tuple[str, ...] = ("eof_read",)) -> Any:  # noqa: ANN401 - JSON
    return {"app": app, "kind": kind, "namespace": namespace, "causes": dict.fromkeys(causes, 3), "count": 3}


def verdicts(rows: list[dict[str, Any]]) -> dict[tuple[str, ...], Any]:
    return {(one["app"], one["kind"]): one["trend"] and one["trend"]["verdict"] for one in rows}


def test_app_kind_and_namespace_have_to_be_the_same(tmp_path: Path) -> None:
    said = heard(tmp_path, offender("api"), offender("api", namespace="web"), offender("api", "container"))
    rows = [row("api"), row("API"), row("api", "interpreter"), row("api", namespace="db")]
    told = add_trends(rows, said, redact=True)
    assert [one["trend"] is not None for one in told] == [True, False, False, False]
    assert all(one["trend"] is None for one in add_trends(rows, None, redact=True))
    assert rows[0] == row("api"), "what was handed in is left alone"


def test_a_trend_is_given_once(tmp_path: Path) -> None:
    # Two namespaces may carry the same label; twice the same growth would be counted twice.
    told = add_trends([row("api"), row("api")], heard(tmp_path, offender("api")), redact=True)
    assert [one["trend"] is not None for one in told] == [True, False]


def test_of_held_and_never_accepted_ones_the_graver_speaks(tmp_path: Path) -> None:
    both = row("gw", causes=("eof_read", "unaccepted"))
    pool, stuck = offender("gw", verdict="pool"), offender("gw", "listener", verdict="stuck")
    assert verdicts(add_trends([both], heard(tmp_path, pool, stuck), redact=True)) == {("gw", "unit"): "stuck"}
    leak = offender("gw", verdict="leak")
    assert verdicts(add_trends([both], heard(tmp_path, stuck, leak), redact=True)) == {("gw", "unit"): "leak"}
    # One without never-accepted connections has nothing to do with a listener's.
    assert verdicts(add_trends([row("gw")], heard(tmp_path, stuck), redact=True)) == {("gw", "unit"): None}


def test_growing_leaks_come_first_and_nothing_else_moves(tmp_path: Path) -> None:
    said = heard(
        tmp_path,
        offender("b", verdict="pool", growth_per_min=9.0),
        offender("c", growth_per_min=0.0),
        offender("d", growth_per_min=None),
        offender("e", growth_per_min=0.1),
        offender("f", growth_per_min=-4.0),
    )
    told = add_trends([row(name) for name in "abcdef"], said, redact=True)
    assert "".join(one["app"] for one in told) == "eabcdf"
    assert [one["app"] for one in told if grows(one)] == ["e"]


def test_the_reason_is_harmless_text(tmp_path: Path) -> None:
    said = heard(tmp_path, offender("api", reason="\x1b[2J token=hunter2\nFORGED\u202e" + "x" * 900))
    (told,) = add_trends([row("api")], said, redact=True)
    reason = told["trend"]["reason"]
    assert "hunter2" not in reason
    assert "\\x1b" in reason
    assert reason.isprintable()
    assert len(reason) <= 512
    (open_,) = add_trends([row("api")], said, redact=False)
    assert "hunter2" in open_["trend"]["reason"]


def test_a_silence_is_said_with_its_age(tmp_path: Path) -> None:
    assert agent_section(None) is None
    fresh = agent_section(heard(tmp_path))
    assert fresh is not None
    assert (fresh["state"], fresh["reason"], fresh["age_s"]) == ("fresh", None, 20.0)
    stale = agent_section(heard(tmp_path, age_s=18_000.0))
    assert stale is not None
    assert (stale["state"], stale["reason"]) == ("stale", "the agent's last word is 5 h old: no trend")
    earlier = agent_section(heard(tmp_path, boot_id="another"))
    assert earlier is not None
    assert earlier["reason"] == "the agent has said nothing since this host started: no trend"
    put(tmp_path, b"[")
    broken = agent_section(read_agent_fact(str(tmp_path), BOOT, NOW_S))
    assert broken == {
        "state": "unusable",
        "reason": "/etc/ansible/facts.d/lastack.fact is not JSON: no trend",
    }


@pytest.mark.parametrize(
    ("exhaustion_in_s", "severity"),
    [(3_600.0, "critical"), (86_399.0, "critical"), (90_000.0, "warning"), (None, "warning")],
)
def test_a_growing_leak_is_a_finding_with_its_figures(exhaustion_in_s: float | None, severity: str) -> None:
    report = sample("growing")
    trend = report["close_wait"]["offenders"][0]["trend"]
    trend["exhaustion_in_s"] = exhaustion_in_s
    (found,) = [one for one in derive_findings(report)[0] if one["id"] == "close_wait.growing"]
    assert (found["severity"], found["remedy"], found["subject"]) == (severity, "app", "checkout-api")
    assert "12 a minute" in found["summary"]
    for silent in ("pool", "watching", "burst", "stuck"):
        trend["verdict"] = silent
        assert not [one for one in derive_findings(report)[0] if one["id"] == "close_wait.growing"]


def own_fact(root: Path, **more: Any) -> None:  # noqa: ANN401 - JSON
    now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    said = {"boot_id": read_host().boot_id, "published_boottime_s": now_s, "fresh_for_s": 3_600, **more}
    put(root, fact(offender("api", namespace="host"), **said))


def test_a_look_takes_the_fact_up_unless_told_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_fact(tmp_path)
    options = Options(namespaces="host", gather=("close_wait",), timeout_s=20)
    real = host_report._close_wait

    def with_one(*args: Any) -> Any:  # noqa: ANN401 - as the original
        result = real(*args)
        first = {**sample("sick")["close_wait"]["offenders"][0], "app": "api"}
        return result._replace(section={**result.section, "offenders": [first], "total": 2_204})

    monkeypatch.setattr(host_report, "_close_wait", with_one)
    report = require_host_report(collect_report(options, root=str(tmp_path)))
    assert report["agent"]["state"] == "fresh"
    assert report["close_wait"]["offenders"][0]["trend"]["verdict"] == "leak"
    assert "close_wait.growing" in [finding["id"] for finding in report["findings"]]
    assert host_summary(report, "/srv/run/a.json")["agent"] == {"state": "fresh"}
    for other in (options._replace(agent=False), options._replace(gather=("listeners",))):
        silent = require_host_report(collect_report(other, root=str(tmp_path)))
        assert silent.get("agent") is None
        assert not [one for one in silent.get("close_wait", {}).get("offenders", ()) if one["trend"]]


def test_a_silent_agent_makes_no_view_partial(tmp_path: Path) -> None:
    options = Options(namespaces="host", gather=("close_wait",), timeout_s=20)
    before = collect_report(options, root=str(tmp_path))
    assert before["agent"] is None
    own_fact(tmp_path, published_boottime_s=1.0, fresh_for_s=0.0)
    after = require_host_report(collect_report(options, root=str(tmp_path)))
    assert after["agent"]["state"] == "stale"
    assert after["completeness"]["complete"] == before["completeness"]["complete"]
    assert {one["code"] for one in after["completeness"]["warnings"]} == {
        one["code"] for one in before["completeness"]["warnings"]
    }
