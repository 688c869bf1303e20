# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules' documentation says what the modules take, and its examples are tasks."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.lastack.linux.plugins.action import tcp_run as tcp_run_action
from ansible_collections.lastack.linux.plugins.module_utils.options import GATHER_SUBSETS, Options
from ansible_collections.lastack.linux.plugins.modules import (
    agent_bundle,
    nofile_limits,
    sysctl_baseline,
    tcp_facts,
    tcp_health,
    tcp_rollout_step,
    tcp_run,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.audit_options import LOOK_OPTIONS

ROOT = Path(__file__).parent.parent.parent
MODULES = {
    "agent_bundle": agent_bundle,
    "nofile_limits": nofile_limits,
    "sysctl_baseline": sysctl_baseline,
    "tcp_facts": tcp_facts,
    "tcp_health": tcp_health,
    "tcp_rollout_step": tcp_rollout_step,
    "tcp_run": tcp_run,
}
LITERAL = sorted(set(MODULES) - {"nofile_limits"})
"""Modules whose argument spec is one literal; ``ansible-test sanity`` compares the others, too."""
CHANGING = {"agent_bundle", "nofile_limits", "sysctl_baseline"}


@cache
def ansible_doc() -> dict[str, Any]:
    """Return what ``ansible-doc`` shows of every module: with the documentation fragments, as a user reads it."""
    command = [str(Path(sys.executable).parent / "ansible-doc"), "--json", "--type", "module"]
    done = subprocess.run(
        [*command, *(f"lastack.linux.{name}" for name in MODULES)],
        check=True,
        capture_output=True,
        timeout=120,
    )
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


def documented(name: str, block: str = "doc") -> Any:  # noqa: ANN401 - the examples are a list
    found = ansible_doc()[f"lastack.linux.{name}"][block]
    return yaml.safe_load(found) if block == "examples" else found


def argument_spec(name: str = "tcp_facts") -> dict[str, Any]:
    """Read the argument spec from the source: the module builds it where it runs."""
    tree = ast.parse(inspect.getsource(MODULES[name]))
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "argument_spec":
            spec: dict[str, Any] = ast.literal_eval(node.value)
            return spec
    raise AssertionError("no argument_spec")


def test_every_module_is_here() -> None:
    assert set(MODULES) == {path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")}


@pytest.mark.parametrize("module", LITERAL)
def test_options_are_documented_as_they_are(module: str) -> None:
    options = documented(module)["options"]
    spec = argument_spec(module)
    assert set(options) == set(spec)
    for name, entry in spec.items():
        for key in ("type", "default", "choices", "elements", "required"):
            assert options[name].get(key) == entry.get(key), (name, key)


def test_what_only_the_action_plugin_sets_is_told_so() -> None:
    settings = documented("sysctl_baseline")["options"]["settings"]["suboptions"]
    mark = "Set by the action plugin; not for playbooks."
    told = {name for name, option in settings.items() if mark in str(option["description"])}
    assert set(settings) - told == {"key", "value", "match", "reason", "persist"}


def test_defaults_are_those_of_the_look() -> None:
    for name, default in Options._field_defaults.items():
        if name not in {"collector", "catalogue"}:
            told = argument_spec()[name]["default"]
            assert (tuple(told) if isinstance(told, list) else told) == default, name


def test_every_gather_subset_is_named() -> None:
    text = " ".join(documented("tcp_facts")["options"]["gather"]["description"])
    assert [name for name in GATHER_SUBSETS if f"V({name})" not in text] == []


def test_the_controller_checks_every_option_of_the_look() -> None:
    assert set(argument_spec()) - {"store", "_catalogue"} == set(LOOK_OPTIONS)
    assert set(documented("tcp_run")["options"]) == set(tcp_run_action._OPTIONS)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_examples_use_documented_options_only(name: str) -> None:
    examples = documented(name, "examples")
    assert examples
    for task in examples:
        assert task["name"]
        for module in MODULES:
            arguments = task.get(f"lastack.linux.{module}") or {}
            assert set(arguments) <= set(documented(module)["options"])


@pytest.mark.parametrize("name", sorted(MODULES))
def test_return_keys_hide_no_method_of_dict(name: str) -> None:
    def keys(entries: dict[str, Any]) -> set[str]:
        found = set(entries)
        for entry in entries.values():
            found |= keys(entry.get("contains", {}))
        return found

    assert {key for key in keys(documented(name, "return")) if hasattr(dict, key)} == set()


@pytest.mark.parametrize("name", sorted(MODULES))
def test_documentation_block_is_complete(name: str) -> None:
    block = documented(name)
    assert block["module"] == name
    assert {"short_description", "description", "author", "version_added", "attributes"} <= set(block)
    assert block["attributes"]["check_mode"]["support"] == "full"
    assert block["attributes"]["diff_mode"]["support"] == ("full" if name in CHANGING else "none")


def test_the_playbook_hands_on_every_option_and_names_every_variable() -> None:
    text = (ROOT / "playbooks" / "tcp_audit.yml").read_text(encoding="utf-8")
    (play,) = yaml.safe_load(text)
    start, look, finish = play["tasks"]
    wanted = {name: f"{{{{ tcp_audit_{name} | default(omit) }}}}" for name in LOOK_OPTIONS}
    for task, module in ((start, "tcp_run"), (look, "tcp_facts")):
        arguments = task[f"lastack.linux.{module}"]
        assert {name: arguments.get(name) for name in wanted} == wanted
    assert finish["lastack.linux.tcp_run"]["state"] == "finished"
    head = text.partition("- name:")[0]
    for name in [*LOOK_OPTIONS, *tcp_run_action._PLAYBOOK_ONLY]:
        assert f"_{name}" in head, name
