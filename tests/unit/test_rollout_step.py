# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin of the roll-out: what it refuses, what it takes from the hosts, and what it hands on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from ansible import context
from ansible.module_utils.common.collections import ImmutableDict
from ansible_collections.lastack.linux.plugins.action import tcp_rollout_step
from ansible_collections.lastack.linux.plugins.plugin_utils.rollout_record import DOCUMENT, RolloutRecord
from rollout_samples import GONE, look, predicted, restored, skipped

if TYPE_CHECKING:
    from pathlib import Path

HOSTS = ["a", "b"]


class Steps:
    """The plugin, its task and what it displays, without a play."""

    def __init__(self) -> None:
        self.hostvars: dict[str, dict[str, Any]] = {host: {} for host in HOSTS}
        self.shown: list[str] = []
        self.check = False

    def run(self, variables: dict[str, Any] | None = None, **arguments: object) -> dict[str, Any]:
        plugin = tcp_rollout_step.ActionModule.__new__(tcp_rollout_step.ActionModule)
        plugin._task = SimpleNamespace(args=arguments, check_mode=self.check, async_val=0)
        plugin._display = SimpleNamespace(display=self.shown.append)
        given = {"hostvars": self.hostvars, "ansible_play_hosts_all": HOSTS, "ansible_play_batch": HOSTS}
        answer: dict[str, Any] = plugin._run(arguments, {**given, **(variables or {})})
        return answer

    def refused(self, variables: dict[str, Any] | None = None, **arguments: object) -> str:
        with pytest.raises(
            (tcp_rollout_step.RolloutOptionError, tcp_rollout_step.AuditOptionError, tcp_rollout_step.RolloutError)
        ) as caught:
            self.run(variables, **arguments)
        return str(caught.value)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Steps:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(context, "CLIARGS", ImmutableDict(inventory=("inventory.yml",), subset="a,b"))
    monkeypatch.setattr(tcp_rollout_step.time, "sleep", lambda __: None)
    return Steps()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "state must be one of started, predicted, begun,"),
        ({"state": "flying"}, "state must be one of started,"),
        ({"state": ["started"]}, "state must be one of started,"),
        ({"state": "started", "colour": "red"}, "tcp_rollout_step has no option colour."),
        ({"state": "begun"}, "path is needed for every step but the first."),
        ({"state": "begun", "path": "nowhere"}, "nowhere holds no record of a roll-out (FileNotFoundError)."),
        ({"state": "started", "soak_s": "soon"}, "soak_s must be a number of seconds from 1 to a week, not 'soon'."),
        ({"state": "started", "batches": [0]}, "batches must be a list of numbers of hosts"),
        ({"state": "started", "thresholds": {"Nothing": {}}}, "thresholds: There is no threshold for Nothing"),
        ({"state": "rolled_back", "results": "all"}, "results must be a mapping of names to variables."),
    ],
)
def test_refusals(steps: Steps, tmp_path: Path, arguments: dict[str, Any], sentence: str) -> None:
    assert steps.refused(**arguments).startswith(sentence)
    assert list(tmp_path.iterdir()) == []


def test_a_misspelt_variable_is_refused_with_the_likely_one(steps: Steps) -> None:
    names: dict[str, Any] = {"variables_prefix": "tcp_rollout_", "known_variables": ["hosts", "store"]}
    said = steps.refused({"tcp_rollout_soak": 5}, state="started", **names)
    assert said.startswith("Unknown variable tcp_rollout_soak (did you mean tcp_rollout_soak_s?)")
    assert "path" in steps.run({"tcp_rollout_soak_s": 5, "tcp_rollout_hosts": "all"}, state="started", **names)


def test_a_store_that_holds_something_and_a_corrupt_record_are_refused(steps: Steps, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    assert "mine is no empty folder" in steps.refused(state="started", path="mine")
    path = steps.run(state="started")["path"]
    (tmp_path / path / DOCUMENT).write_text("{}")
    assert "holds no record of a roll-out" in steps.refused(state="begun", path=path)


def test_it_takes_what_the_hosts_have_registered(steps: Steps) -> None:
    path = steps.run(state="started", soak_s=5, baseline_s=5)["path"]
    steps.hostvars["a"] = {"x": predicted()["first"], "y": predicted()["sysctls"], "z": skipped()}
    steps.hostvars["b"] = {"x": GONE}
    results = {"first": "x", "sysctls": ["z", "y"], "limits": "z", "problem": "nothing"}
    answer = steps.run(state="predicted", path=path, results=results)
    assert (answer["go"], answer["hosts"], answer["changed"]) == (True, ["a"], False)
    assert RolloutRecord.read(path).with_status("unreachable") == ["b"]
    steps.run({"ansible_play_batch": ["a"]}, state="begun", path=path)
    assert steps.shown == ["batch 1 of 1: watching how it is before the change (5 s)"]
    assert RolloutRecord.read(path).batch["hosts"] == ["a"]


def test_of_two_probes_the_failed_one_counts(steps: Steps) -> None:
    path = steps.run(state="started", baseline_s=1)["path"]
    for host in HOSTS:
        steps.hostvars[host] = {
            "answers": {**predicted()},
            "first": predicted()["first"],
            "sysctls": predicted()["sysctls"],
            "look": look(10),
            "url": {"changed": False, "status": 200},
            "command": {"failed": host == "b", "msg": "non-zero return code"},
        }
    steps.run(state="predicted", path=path, results={"first": "first", "sysctls": "sysctls"})
    steps.run(state="begun", path=path)
    assert steps.run(state="measured", path=path, results={"look": "look"})["again"] is False
    assert steps.run(state="ready", path=path, results={"probe": ["url", "command"]})["go"] is False
    assert RolloutRecord.read(path).hosts["b"]["reasons"] == [
        "The probe failed before the change: non-zero return code"
    ]


def test_the_screen_is_shown_once_and_kept(steps: Steps, tmp_path: Path) -> None:
    path = steps.run(state="started")["path"]
    steps.run(state="predicted", path=path, results={})
    answer = steps.run(state="finished", path=path)
    assert answer["screen"].startswith("0 of 2 hosts have the baseline; 0 changed\n")
    assert answer["failures"] == dict.fromkeys(HOSTS, "its task ended without a result: see Ansible's own output")
    assert steps.shown == ["\n" + answer["screen"]]
    assert (tmp_path / path / "rollout.txt").read_text() == answer["screen"]
    steps.run(state="finished", path=path)
    assert len(steps.shown) == 1


def test_a_roll_back_needs_no_record(steps: Steps, tmp_path: Path) -> None:
    names = ["sysctls", "limits", "sysctls_left", "limits_left"]
    steps.hostvars = {"a": restored(), "b": restored(sysctls=GONE)}
    answer = steps.run({"tcp_rollback_hosts": ["a", "b"]}, state="rolled_back", results={name: name for name in names})
    assert answer["statuses"] == {"a": "restored", "b": "unreachable"}
    assert answer["failures"] == {"b": "unreachable (timed out)"}
    said = " ".join(answer["screen"].split())
    assert "-i inventory.yml --limit b -e tcp_rollback_hosts=a,b" in said
    assert list(tmp_path.iterdir()) == []
