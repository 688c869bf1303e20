# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one host of the inventory asks of the sweep: by ssh or here, as which user, with which Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.sweep.payload import Become, Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lastack.linux.sweep.inventory import Entry

__all__ = ["Passwords", "Target", "TargetError", "target_of"]

_BY_SSH = frozenset({"ssh", "smart", "ansible.builtin.ssh"})
_LOCAL = frozenset({"local", "ansible.builtin.local"})
_SUDO = frozenset({"sudo", "ansible.builtin.sudo"})
# Ansible's own defaults; what they mean is done anyway, or needless here.
_SUDO_FLAGS = frozenset({"-H", "-S", "-n"})
_TRUE = frozenset({"1", "on", "t", "true", "y", "yes"})


class TargetError(Exception):
    """A host asks for something that a sweep cannot do; the text is the reason, one sentence."""


class Passwords(NamedTuple):
    """What the operator gave for every host that has no password of its own in the inventory."""

    ssh: str | None = None
    become: str | None = None

    def __repr__(self) -> str:
        """Show nothing: a password must reach no log and no traceback."""
        return "Passwords(…)"


class Target(NamedTuple):
    """One host to look at."""

    host: str
    variables: Mapping[str, Any]
    request: Request
    local: bool
    ssh_password: str | None
    become_password: bytes | None

    def __repr__(self) -> str:
        """Show the name alone: a password must reach no log and no traceback."""
        return f"Target({self.host!r})"


def target_of(entry: Entry, passwords: Passwords, *, marker: str, life_s: int) -> Target:
    """Return what ``entry`` asks for; raises ``TargetError``. The values are those of Ansible's variables."""
    if entry.problem:
        raise TargetError(entry.problem)
    variables = entry.variables
    connection = str(variables.get("ansible_connection", "ssh"))
    if connection not in _BY_SSH | _LOCAL:
        raise TargetError(
            f"ansible_connection is {one_line(connection, 40)}: a sweep goes by ssh or local; the audit playbook can"
        )
    become, password = _become(variables, passwords)
    own = variables.get("ansible_password")
    return Target(
        entry.host,
        variables,
        Request(marker=marker, interpreters=_interpreters(variables), become=become, life_s=life_s),
        connection in _LOCAL,
        str(own) if own is not None else passwords.ssh,
        password,
    )


def _become(variables: Mapping[str, Any], passwords: Passwords) -> tuple[Become | None, bytes | None]:
    if str(variables.get("ansible_become", False)).lower() not in _TRUE:
        return None, None
    method = str(variables.get("ansible_become_method", "sudo"))
    if method not in _SUDO:
        raise TargetError(
            f"ansible_become_method is {one_line(method, 40)}: a sweep knows sudo; the audit playbook can"
        )
    strange = sorted(set(str(variables.get("ansible_become_flags", "")).split()) - _SUDO_FLAGS)
    if strange:
        raise TargetError(f"ansible_become_flags has {one_line(strange[0], 40)}, which a sweep does not follow")
    own = variables.get("ansible_become_password")
    password = str(own) if own is not None else passwords.become
    become = Become(
        user=str(variables.get("ansible_become_user", "root")),
        program=str(variables.get("ansible_become_exe", "sudo")),
        with_password=password is not None,
    )
    return become, None if password is None else password.encode("utf-8")


def _interpreters(variables: Mapping[str, Any]) -> tuple[str, ...]:
    given = str(variables.get("ansible_python_interpreter") or "auto")
    return () if given.startswith("auto") else (given,)
