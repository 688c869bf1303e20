# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role tcp_agent says the same in its contract, its README, its units and the agent's own sources."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.lastack.linux.agent.configuration import Configuration, check_configuration
from ansible_collections.lastack.linux.agent.places import places_below
from jinja2 import Environment, StrictUndefined

ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "roles/tcp_agent"
README = (ROLE / "README.md").read_text(encoding="utf-8")
PLACES = places_below("/")


def read(name: str) -> Any:  # noqa: ANN401 - whatever the YAML holds
    return yaml.safe_load((ROLE / name).read_text(encoding="utf-8"))


OPTIONS: dict[str, Any] = read("meta/argument_specs.yml")["argument_specs"]["main"]["options"]
DEFAULTS: dict[str, Any] = read("defaults/main.yml")
FIXED: dict[str, Any] = read("vars/main.yml")
SOURCES = {
    str(path.relative_to(ROLE)): path.read_text(encoding="utf-8")
    for folder in ("tasks", "handlers", "templates", "vars")
    for path in sorted((ROLE / folder).iterdir())
}


def environment() -> Environment:
    """Jinja2 with what the templates use of Ansible's."""
    made = Environment(undefined=StrictUndefined, trim_blocks=True, autoescape=False)
    made.tests["version"] = lambda found, wanted, __: int(found) >= int(wanted)
    made.filters["bool"] = bool
    made.filters["to_nice_json"] = lambda value, **__: json.dumps(value, indent=4)
    return made


def unit(name: str, **variables: object) -> dict[str, list[str]]:
    """Return the lines of one rendered unit as key to values."""
    command = environment().from_string(FIXED["tcp_agent_command"]).render(**DEFAULTS, **FIXED)
    given = {**DEFAULTS, **FIXED, "tcp_agent_command": command, **variables}
    target = environment().from_string(FIXED["tcp_agent_metrics_target"]).render(**given)
    given["tcp_agent_metrics_target"] = target
    given.setdefault("tcp_agent_systemd_version", {"stdout": "systemd 257 (257.9)\n+PAM"})
    text = environment().from_string(SOURCES[f"templates/{name}.j2"]).render(given)
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and not line.startswith(("#", "[")):
            key, __, value = line.partition("=")
            assert __, line
            found.setdefault(key, []).append(value)
    return found


def test_every_variable_is_described_once_has_its_default_and_is_used() -> None:
    told = dict(re.findall(r"^\| `(tcp_agent_\w+)` \| (.+?) \| .+ \|$", README, re.MULTILINE))
    assert list(told) == list(OPTIONS)
    assert {name: option["default"] for name, option in OPTIONS.items() if "default" in option} == DEFAULTS
    for name, default in DEFAULTS.items():
        assert yaml.safe_load(told[name].strip("`")) == default, name
    everything = "".join(SOURCES.values())
    assert [name for name in OPTIONS if name not in everything] == []


def test_the_configuration_says_all_that_the_agent_can_be_told() -> None:
    made = environment()
    rendered = {
        key: {inner: made.from_string(text).render(**DEFAULTS) for inner, text in value.items()}
        if isinstance(value, dict)
        else made.from_string(value).render(**DEFAULTS)
        for key, value in FIXED["tcp_agent_wanted"].items()
    }
    values = yaml.safe_load(yaml.safe_dump(rendered))
    typed = {
        key: {inner: yaml.safe_load(text) for inner, text in value.items()}
        if isinstance(value, dict)
        else yaml.safe_load(value)
        for key, value in values.items()
    }
    # The role's defaults are the agent's own.
    assert check_configuration(typed) == Configuration()
    schema = json.loads((ROOT / "plugins/plugin_utils/schemas/lastack.agent-1.json").read_text(encoding="utf-8"))
    assert set(typed) == set(schema["properties"])


def test_the_agent_looks_where_the_role_puts_things() -> None:
    assert FIXED["tcp_agent_configuration"] == PLACES.configuration
    assert FIXED["tcp_agent_folder"] == PLACES.folder
    assert unit("lastack-agent-publish.path")["PathChanged"] == [PLACES.fact, PLACES.metrics]
    assert unit("lastack-agent.service")["StateDirectory"] == [PLACES.folder.removeprefix("/var/lib/")]
    for name in FIXED["tcp_agent_units"]:
        assert f"`/etc/systemd/system/{name}`" in README


@pytest.mark.parametrize("namespaces", ["all", "host"])
def test_the_rights_are_the_fewest(namespaces: str) -> None:
    found = unit("lastack-agent.service", tcp_agent_namespaces=namespaces)
    wanted = {"CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"} | ({"CAP_SYS_ADMIN"} if namespaces == "all" else set())
    (bounding,), (ambient,) = found["CapabilityBoundingSet"], found["AmbientCapabilities"]
    assert set(bounding.split()) == set(ambient.split()) == wanted
    assert found["RestrictNamespaces"] == ["net" if namespaces == "all" else "yes"]
    assert found["RestrictAddressFamilies"] == ["AF_NETLINK AF_UNIX"]
    assert found["User"] == [FIXED["tcp_agent_user"]]
    for right in wanted:
        assert f"`{right}`" in README


def test_root_publishes_without_any_of_roots_rights() -> None:
    found = unit("lastack-agent-publish.service")
    assert found["CapabilityBoundingSet"] == found["AmbientCapabilities"] == [""]
    assert found["PrivateNetwork"] == ["yes"]
    assert found["ReadWritePaths"] == ["-/etc/ansible/facts.d"]
    assert found["ExecStart"] == ["/usr/bin/python3 -I -S -B /usr/local/lib/lastack/lastack-agent.pyz publish"]
    more = unit("lastack-agent-publish.service", tcp_agent_metrics_folder="/srv/metrics")
    assert more["ExecStart"][0].endswith(" publish --metrics-folder /srv/metrics")
    assert more["ReadWritePaths"] == ["-/etc/ansible/facts.d", "-/srv/metrics"]
    none = unit("lastack-agent-publish.service", tcp_agent_metrics_folder="/srv/metrics", tcp_agent_outputs=["fact"])
    assert none == found


@pytest.mark.parametrize(("publish_s", "most"), [(60, 48), (5, 48), (1, 240), (0.05, 4800)])
def test_an_agent_that_keeps_to_its_rules_is_never_stopped_for_asking_too_often(publish_s: float, most: int) -> None:
    found = unit("lastack-agent-publish.service", tcp_agent_publish_s=publish_s)
    assert (found["StartLimitIntervalSec"], found["StartLimitBurst"]) == (["60"], [str(most)])


def test_an_older_systemd_reads_no_line_that_it_does_not_know() -> None:
    old = unit("lastack-agent.service", tcp_agent_systemd_version={"stdout": "systemd 247 (247.3-7)"})
    new = unit("lastack-agent.service")
    assert set(new) - set(old) == {"RestartSteps", "RestartMaxDelaySec"}
    assert (old["RestartSec"], new["RestartSec"]) == (["30"], ["5"])


def test_the_ledger_is_never_touched() -> None:
    for name, text in SOURCES.items():
        assert not re.search(r"/var/lib/lastack(?!-agent)", text), name


def test_removal_takes_away_what_installation_made() -> None:
    absent = SOURCES["tasks/absent.yml"]
    for name in re.findall(r"tcp_agent_(?:library|configuration|folders|units)\b", SOURCES["tasks/present.yml"]):
        assert name in absent
    assert "lastack.fact" in absent
    assert "tcp_agent_folder" in absent


def names_of_tasks() -> list[str]:
    return [task["name"] for task in read("tasks/present.yml")]


def test_everything_is_refused_before_anything_is_changed() -> None:
    names = names_of_tasks()
    first = names.index("Make its user")
    refusing = [index for index, name in enumerate(names) if name.startswith("Refuse")]
    assert len(refusing) == 6
    assert max(refusing) < first
    # What stands before changes nothing: it looks, or refuses.
    for task in read("tasks/present.yml")[:first]:
        (action,) = {"ansible.builtin.assert", "ansible.builtin.command", "ansible.builtin.stat", MODULE} & set(task)
        assert action != "ansible.builtin.command" or task["changed_when"] is False
        assert action != MODULE or list(task[MODULE]) == ["configuration"]


MODULE = "lastack.linux.agent_bundle"


def test_a_configuration_is_refused_on_the_controller_in_check_mode_too(tmp_path: Path) -> None:
    good = {"interval_s": 1.5, "thresholds": {"leak_passes": 9}, "exclude": ["batch-*"]}
    tried: dict[str, dict[str, Any]] = {
        "good": {"configuration": good},
        "negative": {"configuration": {**good, "interval_s": -5}},
        "unknown": {"configuration": {"thresholds": {"leak_pases": 8}}, "dest": str(tmp_path / "agent.pyz")},
    }
    tasks: list[dict[str, Any]] = [
        {MODULE: value, "register": name, "ignore_errors": True} for name, value in tried.items()
    ]
    everything = "{{ {" + ", ".join(f"'{name}': {name}" for name in tried) + "} | to_json }}"
    last = {"content": everything, "dest": str(tmp_path / "told.json")}
    tasks.append({"ansible.builtin.copy": last, "check_mode": False})
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
    (tmp_path / "play.yml").write_text(json.dumps([play]), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", "--check", "play.yml"]
    command += ["-e", f"ansible_python_interpreter={sys.executable}"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    kept |= {"ANSIBLE_HOME": str(tmp_path / "home"), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")}
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, cwd=tmp_path, env=kept)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((tmp_path / "told.json").read_text(encoding="utf-8"))
    assert not told["good"]["failed"]
    assert not told["good"]["changed"]
    assert told["negative"]["msg"] == (
        "The configuration of the agent is refused: interval_s: -5 is not a number from 0.05 to 3,600."
    )
    assert told["unknown"]["failed"]
    assert "leak_pases: there is no such key" in told["unknown"]["msg"]
    assert not (tmp_path / "agent.pyz").exists()


def test_a_process_that_is_older_than_its_program_is_told(tmp_path: Path) -> None:
    def outdated_by(pid: int) -> str:
        command = [sys.executable, "-I", "-S", "-c", FIXED["tcp_agent_outdated_by"], str(pid), str(old), str(new)]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout

    old, new, staged = tmp_path / "unit", tmp_path / "program", tmp_path / "staged"
    for path in (old, new, staged):
        path.write_text("", encoding="utf-8")
    # Ticks of the kernel are a hundredth of a second.
    time.sleep(0.1)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as running:
        try:
            assert outdated_by(running.pid) == ""
            time.sleep(0.1)
            # Its modification is older than the process; that it was put there is not.
            staged.replace(new)
            assert outdated_by(running.pid) == f"{new}\n"
        finally:
            running.kill()


def test_refusals_reach_the_journal_and_the_starts_and_ends_do_not() -> None:
    found = unit("lastack-agent-publish.service")
    # Below warning the program's own sentences would be filtered out, too.
    assert (found["SyslogLevel"], found["LogLevelMax"]) == (["warning"], ["notice"])
