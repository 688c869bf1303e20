# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Grafana dashboard and the alert rules: what Grafana's own types keep of them, which metrics they name."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from typing import Any

import pytest
from ansible_collections.lastack.linux.agent.metrics import FAMILIES
from monitoring import program
from stage import ROOT
from tool_cache import NoEnvironment, controller_pythons, environment_with

DASHBOARD = ROOT / "docs" / "grafana" / "lastack.json"
RULES = ROOT / "docs" / "prometheus" / "lastack.rules.yml"
GRAFANA = ["grafana-foundation-sdk==1769699998!10.1.0"]
NO_TYPES = {"tagKeys", "textFormat", "titleFormat"}
"""Of Prometheus annotations; Grafana reads them, its published types do not have them."""
ROUND_TRIP = """
import json, sys
import grafana_foundation_sdk.cog.plugins as plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
plugins.register_default_plugins()
print(JSONEncoder().encode(Dashboard.from_json(json.load(open(sys.argv[1])))))
"""


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return read


def lost(before: object, after: object, path: str = "") -> list[str]:
    """What a round trip did not keep."""
    if isinstance(before, dict) and isinstance(after, dict):
        gone = [f"{path}/{key}" for key in before if key not in after and key not in NO_TYPES]
        return gone + [one for key in before if key in after for one in lost(before[key], after[key], f"{path}/{key}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [one for n, pair in enumerate(zip(before, after, strict=True)) for one in lost(*pair, f"{path}/{n}")]
    return [] if before == after else [f"{path}: {before!r} became {after!r}"]


def test_grafana_knows_every_key(dashboard: dict[str, Any]) -> None:
    """A key with a spelling mistake would be passed over by Grafana in silence; its types show that."""
    try:
        programs = environment_with("grafana", GRAFANA, controller_pythons())
    except NoEnvironment as reason:
        pytest.skip(str(reason))
    command = [str(programs / "python"), "-c", ROUND_TRIP, str(DASHBOARD)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert lost(dashboard, json.loads(done.stdout)) == []


def test_a_lost_key_is_seen() -> None:
    assert lost({"a": {"b": 1, "c": [1]}}, {"a": {"c": [2]}}) == ["/a/b", "/a/c/0: 1 became 2"]


def test_panels_do_not_overlap(dashboard: dict[str, Any]) -> None:
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    cells = [
        cell
        for place in places
        for cell in itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        )
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, __ in cells) == 23
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(places)


def test_every_source_is_the_chosen_one(dashboard: dict[str, Any]) -> None:
    """An id of somebody's data source would make the import fail elsewhere."""
    found = re.findall(r'"uid": "([^"]+)"', json.dumps(dashboard))
    assert set(found) == {"${datasource}", "lastack-agent"}


def test_every_panel_says_what_it_shows(dashboard: dict[str, Any]) -> None:
    for panel in dashboard["panels"]:
        assert panel["type"] == "row" or (panel["description"] and panel["targets"]), panel["title"]


def test_only_metrics_of_the_agent_and_all_of_them(dashboard: dict[str, Any]) -> None:
    known = {family.name for family in FAMILIES}
    shown = set(re.findall(r"\blastack_[a-z_]+", json.dumps(dashboard)))
    assert shown == known
    rules = RULES.read_text(encoding="utf-8")
    assert set(re.findall(r"\blastack_[a-z_]+", rules.replace("ansible_local.lastack", ""))) <= known


def test_rules() -> None:
    """The alerts' own unit tests, by the real promtool."""
    promtool = program("promtool")
    for command in (["check", "rules", str(RULES)], ["test", "rules", str(RULES.with_suffix(".test.yml"))]):
        done = subprocess.run([promtool, *command], check=False, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
