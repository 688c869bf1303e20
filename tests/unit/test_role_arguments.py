# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof that roles refuse wrong arguments, tried on roles that were made for it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import role_arguments
import yaml
from installed_collection import documented, playbook_names, without_documentation
from role_arguments import WrongCall, check_roles, wrong_calls

PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
OPTIONS = {
    "name": {"type": "str"},
    "size": {"type": "int", "required": True},
    "other": {"type": "str", "required": True},
}


def make_role(collection: Path, name: str, specifications: object, entry_points: tuple[str, ...] = ("main",)) -> Path:
    role = collection / "roles" / name
    for folder in ("meta", "tasks"):
        (role / folder).mkdir(parents=True)
    if specifications is not None:
        text = yaml.safe_dump({"argument_specs": specifications})
        (role / "meta" / "argument_specs.yml").write_text(text, encoding="utf-8")
    for one in entry_points:
        tasks = [{"name": "Run", "ansible.builtin.debug": {"msg": "the role ran"}}]
        (role / "tasks" / f"{one}.yml").write_text(yaml.safe_dump(tasks), encoding="utf-8")
    return role


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    return tmp_path / "collections/ansible_collections/example/scratch"


def check(collection: Path, tmp_path: Path) -> int:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "collections"),
        "ANSIBLE_HOME": str(tmp_path / "home"),
        "ANSIBLE_NOCOLOR": "1",
        "LC_ALL": "C.UTF-8",
    }
    return check_roles(PLAYBOOK, "example.scratch", collection, tmp_path, environment)


def test_ansible_refuses_each_entry_point(collection: Path, tmp_path: Path) -> None:
    lists = {"options": {"hosts": {"type": "list", "elements": "str"}}}
    choices = {"options": {"profile": {"choices": ["server", "client"]}}}
    specifications = {"main": {"options": OPTIONS}, "undo": lists, "plan": choices}
    make_role(collection, "sized", specifications, ("main", "undo", "plan"))
    assert check(collection, tmp_path) == 3


def test_a_role_that_takes_the_value_is_found(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_role(collection, "sized", {"main": {"options": {"size": {"type": "int"}}}})
    monkeypatch.setitem(role_arguments.WRONG, "int", 5)
    with pytest.raises(ValueError, match=r"entry point main: size=5 was not refused") as caught:
        check(collection, tmp_path)
    assert "the role ran" in str(caught.value)


def test_no_role_is_no_fault(collection: Path, tmp_path: Path) -> None:
    assert check(collection, tmp_path) == 0


def test_calls_take_the_first_option_that_can_be_wrong(collection: Path) -> None:
    role = make_role(collection, "sized", {"main": {"options": OPTIONS}})
    assert wrong_calls(role) == [WrongCall("sized", "main", "size", "not a number", "argument 'size' is of type")]


@pytest.mark.parametrize(
    ("specifications", "sentence"),
    [
        (None, "role sized has no meta/argument_specs.yml"),
        ({"main": {}, "undo": {}}, "documents the entry point undo, which it does not have"),
        ({}, "does not document its entry point main"),
    ],
)
def test_roles_without_a_proof_are_named(collection: Path, specifications: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        wrong_calls(make_role(collection, "sized", specifications))


@pytest.mark.parametrize("options", [None, {"name": {"type": "str"}, "path": {"type": "path"}}])
def test_what_takes_every_value_has_no_wrong_call(collection: Path, options: object) -> None:
    assert wrong_calls(make_role(collection, "plain", {"main": {"options": options}})) == []


def test_what_there_is_to_show_comes_from_the_folder(collection: Path) -> None:
    for name in ("modules/one.py", "modules/two.py", "action/two.py", "action/three.py", "lookup/four.py"):
        path = collection / "plugins" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    make_role(collection, "sized", None)
    (collection / "playbooks" / "tasks").mkdir(parents=True)
    for name in ("five.yml", "tasks/six.yml"):
        (collection / "playbooks" / name).touch()
    assert documented(collection) == {"module": ["one", "two"], "role": ["sized"], "lookup": ["four"]}
    assert without_documentation(collection) == ["three"]
    assert playbook_names(collection) == ["five"]
