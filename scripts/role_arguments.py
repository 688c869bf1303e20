# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Call every entry point of every role with an argument of a wrong type: Ansible itself must refuse it.

The role never runs: the arguments are checked on the controller before its first task, the one host has no address that
answers, and the play is in check mode.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["WrongCall", "check_roles", "role_names", "wrong_calls"]

WRONG: dict[str, object] = {
    "bits": "not bits",
    "bool": "not a boolean",
    "bytes": "not bytes",
    "dict": "not a dictionary",
    "float": "not a number",
    "int": "not a number",
    "list": {"not": "a list"},
}
"""A value that Ansible can convert to no value of the type. Every value converts to ``str``, ``path`` and ``raw``."""

_SPECIFICATIONS = ("meta/argument_specs.yml", "meta/argument_specs.yaml")
_TIMEOUT_S = 120


class WrongCall(NamedTuple):
    """One call of a role that must be refused, and words of Ansible's refusal."""

    role: str
    entry_point: str
    option: str
    value: object
    refusal: str


def role_names(collection: Path) -> list[str]:
    """Return the short names of the roles in the folder of a collection, sorted."""
    return sorted(path.name for path in (collection / "roles").glob("*") if path.is_dir())


def wrong_calls(role: Path) -> list[WrongCall]:
    """Return for each entry point of a role one call that must be refused.

    That is a wrong type, else a value that is none of the choices; an entry point whose options take every value has no
    wrong call.

    Raises:
        ValueError: the role has no argument specification, or the specification and the files in ``tasks`` disagree.
    """
    files = [role / name for name in _SPECIFICATIONS if (role / name).is_file()]
    if not files:
        raise ValueError(f"role {role.name} has no {_SPECIFICATIONS[0]}")
    specifications: dict[str, Any] = yaml.safe_load(files[0].read_text(encoding="utf-8"))["argument_specs"]
    if "main" not in specifications:
        raise ValueError(f"role {role.name} does not document its entry point main")
    calls = []
    for entry_point, specification in specifications.items():
        if not any((role / "tasks" / f"{entry_point}{suffix}").is_file() for suffix in (".yml", ".yaml")):
            raise ValueError(f"role {role.name} documents the entry point {entry_point}, which it does not have")
        calls += list(_wrong(role.name, entry_point, specification.get("options") or {}))[:1]
    return calls


def _wrong(role: str, entry_point: str, options: Mapping[str, Any]) -> Iterator[WrongCall]:
    for name, option in options.items():
        kind = option.get("type", "str")
        if kind in WRONG:
            yield WrongCall(role, entry_point, name, WRONG[kind], f"argument '{name}' is of type")
    for name, option in options.items():
        if option.get("choices"):
            yield WrongCall(role, entry_point, name, "none of them", f"value of {name} must be one of")


def _play(collection: str, call: WrongCall) -> list[dict[str, Any]]:
    include = {"name": f"{collection}.{call.role}", "tasks_from": call.entry_point}
    task = {"ansible.builtin.include_role": include, "vars": {call.option: call.value}}
    return [{"hosts": "all", "gather_facts": False, "tasks": [task]}]


def check_roles(
    ansible_playbook: Path, collection: str, roles: Path, scratch: Path, environment: Mapping[str, str]
) -> int:
    """Make every wrong call of every role below ``roles``; return how many were refused.

    Args:
        ansible_playbook: the program of the installation to prove.
        collection: the collection's full name; it must be installed where that program finds it.
        roles: the installed collection's folder.
        scratch: an existing folder for playbooks.
        environment: the environment of the program.

    Raises:
        ValueError: a call was not refused by Ansible's own argument validation, or ``wrong_calls`` found a fault.
    """
    refused = 0
    for role in role_names(roles):
        for call in wrong_calls(roles / "roles" / role):
            playbook = scratch / f"wrong-{role}-{call.entry_point}.yml"
            playbook.write_text(json.dumps(_play(collection, call)), encoding="utf-8")
            command = [str(ansible_playbook), "--check", "-i", "nowhere,", "-c", "ssh", str(playbook)]
            # Port 0 answers to nobody.
            command += ["-e", "ansible_host=127.0.0.1 ansible_port=0"]
            done = subprocess.run(
                command,
                check=False,
                cwd=scratch,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
            )
            said = done.stdout + done.stderr
            if done.returncode == 0 or call.refusal not in said:
                where = f"{collection}.{role}, entry point {call.entry_point}"
                raise ValueError(f"{where}: {call.option}={call.value!r} was not refused by Ansible:\n{said[-2000:]}")
            refused += 1
    return refused
