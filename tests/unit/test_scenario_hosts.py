# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts a Molecule scenario boots, and how long they live."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

__all__: list[str] = []

PROGRAM = Path(__file__).resolve().parents[2] / "molecule" / "scenario_hosts.py"
HOSTS = "web-1=bookworm web-2=bookworm db-1=trixie"


@pytest.fixture
def scenario_hosts() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scenario_hosts", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("suites", "names"),
    [("", ["web-1", "web-2", "db-1"]), ("trixie", ["db-1"]), ("trixie,bookworm", ["web-1", "web-2", "db-1"])],
)
def test_chosen_suites(scenario_hosts: ModuleType, suites: str, names: list[str]) -> None:
    assert [name for name, __ in scenario_hosts.wanted(HOSTS, suites)] == names


def test_a_suite_that_no_host_has_is_an_error(scenario_hosts: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"^LASTACK_SUITES: sid is none of bookworm, trixie\.$"):
        scenario_hosts.wanted(HOSTS, "bookworm sid")


@pytest.mark.parametrize(
    ("command", "ends"),
    [
        ("/venv/bin/python /venv/bin/molecule test -s audit", True),
        ("/venv/bin/python3.11 -I /venv/bin/molecule test --all", True),
        ("python3 -m molecule test --all", True),
        ("molecule -v check -s audit", True),
        ("/venv/bin/python /venv/bin/molecule test --destroy=never -s audit", False),
        ("/venv/bin/python /venv/bin/molecule test --destroy never", False),
        ("/venv/bin/python /venv/bin/molecule converge -s test", False),
        ("/venv/bin/python /venv/bin/molecule create -s audit", False),
        ("/bin/sh -c sleep test", False),
        ("/venv/bin/python /venv/bin/ansible-playbook /clone/molecule test", False),
        ("", False),
    ],
)
def test_hosts_end_with_the_commands_that_destroy_them(scenario_hosts: ModuleType, command: str, *, ends: bool) -> None:
    assert scenario_hosts.ends_its_hosts(command.split()) is ends


def _without(suite: str) -> Callable[..., SimpleNamespace]:
    def factory(*arguments: str) -> SimpleNamespace:
        if arguments == ("build", suite):
            return SimpleNamespace(returncode=2, stderr=f"{suite} has left the mirror.\n")
        return SimpleNamespace(returncode=0, stderr="")

    return factory


def test_a_suite_that_cannot_be_had_is_left_out_with_the_reason(
    scenario_hosts: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scenario_hosts, "_factory", _without("bookworm"))
    left = scenario_hosts.available(scenario_hosts.wanted(HOSTS, ""), chosen=False)
    assert left == [("db-1", "trixie")]
    assert capsys.readouterr().out == "Without bookworm: bookworm has left the mirror.\n"


def test_a_suite_that_was_chosen_must_be_there(scenario_hosts: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenario_hosts, "_factory", _without("bookworm"))
    with pytest.raises(ValueError, match=r"^bookworm has left the mirror\.$"):
        scenario_hosts.available(scenario_hosts.wanted(HOSTS, "bookworm"), chosen=True)


def test_no_suite_at_all_is_an_error(scenario_hosts: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenario_hosts, "_factory", _without("trixie"))
    with pytest.raises(ValueError, match="No suite of the scenario can be had"):
        scenario_hosts.available([("db-1", "trixie")], chosen=False)
