# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/agent.md says what is so: defaults, keys, metrics and alerts are those of the code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml
from ansible_collections.lastack.linux.agent.configuration import Configuration, check_configuration
from ansible_collections.lastack.linux.agent.metrics import FAMILIES
from ansible_collections.lastack.linux.agent.records import THRESHOLD_RANGES

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "agent.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


def test_the_configuration_shown_is_the_default() -> None:
    shown = json.loads(block("json"))
    assert check_configuration(shown) == Configuration()
    assert set(shown["thresholds"]) == set(THRESHOLD_RANGES) - {"min_age_s"}


def test_every_key_has_its_line() -> None:
    shown = json.loads(block("json"))
    keys = [key for key in shown if key != "thresholds"] + [f"thresholds.{key}" for key in shown["thresholds"]]
    for key in keys:
        assert f"| `{key}` |" in PAGE, key


def test_every_metric_has_its_line() -> None:
    for family in FAMILIES:
        assert f"| `{family.name}` | {', '.join(family.labels)}" in PAGE, family.name


def test_every_alert_has_its_line() -> None:
    rules = yaml.safe_load((DOCS / "prometheus" / "lastack.rules.yml").read_text(encoding="utf-8"))
    alerts = {rule["alert"]: rule["labels"]["severity"] for rule in rules["groups"][0]["rules"] if "alert" in rule}
    assert alerts == dict(re.findall(r"^\| `(Lastack\w+)` \|.*\| (\w+) \|$", PAGE, re.MULTILINE))


def test_the_playbook_shown_is_a_playbook() -> None:
    play = yaml.safe_load(block("yaml"))
    assert play[0]["tasks"][0]["loop"].startswith("{{ ansible_local.lastack.offenders")


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGE):
        assert (DOCS / target).exists(), target
