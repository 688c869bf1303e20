# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values of ``ssh -G``'s answer in types of our own: switches, numbers, lists of names, paths, ways to log in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.sweep.ssh_options import SettingsError
from ansible_collections.lastack.linux.sweep.ssh_tokens import (
    expanded,
    with_environment,
    with_home,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lastack.linux.sweep.ssh_answer import Answer

__all__ = [
    "agent_of",
    "files_of",
    "is_on",
    "known_hosts_of",
    "methods_of",
    "names_of",
    "number_of",
    "one_of",
    "strictness",
    "unless_none",
]

_YES = frozenset({"yes", "true", "on", "1"})
_NO = frozenset({"no", "false", "off", "0"})
_METHODS = {
    "publickey": "pubkeyauthentication",
    "keyboard-interactive": "kbdinteractiveauthentication",
    "password": "passwordauthentication",
}


def one_of(answer: Answer, name: str, default: str) -> str:
    """Return the first value of an option, ``default`` if it has none."""
    values = answer.get(name)
    return values[0] if values else default


def unless_none(answer: Answer, name: str) -> str:
    """Return the first value of an option; empty if it has none, or the word "none"."""
    value = one_of(answer, name, "")
    return "" if value.lower() == "none" else value


def is_on(answer: Answer, name: str) -> bool:
    """Tell whether an option says yes."""
    return one_of(answer, name, "no").lower() in _YES


def number_of(answer: Answer, name: str, default: int) -> int:
    """Return an option that is a whole number; raises ``SettingsError`` for anything else."""
    value = unless_none(answer, name)
    if not value:
        return default
    if not (value.isascii() and value.isdecimal()):
        raise SettingsError(f"ssh's option {name} is {one_line(value, 40)}, which is no number")
    return int(value)


def names_of(answer: Answer, option: str) -> tuple[str, ...]:
    """Return the algorithms of an option; nothing means those that the reader has by itself."""
    return tuple(filter(None, one_of(answer, option, "").split(",")))


def strictness(answer: Answer) -> str:
    """Return StrictHostKeyChecking as "yes", "accept-new" or "no"; a sweep asks nobody, so "ask" is yes."""
    value = one_of(answer, "stricthostkeychecking", "ask").lower()
    if value in _NO:
        return "no"
    if value in _YES or value == "ask":
        return "yes"
    if value == "accept-new":
        return value
    raise SettingsError(f"StrictHostKeyChecking is {one_line(value, 40)}, which is not understood")


def methods_of(answer: Answer, *, with_password: bool) -> tuple[str, ...]:
    """Return the ways to log in, the preferred one first; those that need a password only if one was given."""
    wanted = one_of(answer, "preferredauthentications", ",".join(_METHODS)).split(",")
    allowed = [name for name in wanted if name in _METHODS and with_password | (name == "publickey")]
    found = tuple(name for name in allowed if one_of(answer, _METHODS[name], "yes").lower() not in _NO)
    if not found:
        raise SettingsError(
            "ssh's options leave no way to log in that a sweep knows: a key, or a password that is given"
        )
    return found


def files_of(answer: Answer, option: str, tokens: Mapping[str, str]) -> tuple[str, ...]:
    """Return the paths of an option that ``ssh -G`` shows as they are written."""
    return tuple(
        expanded(with_environment(with_home(value), option), tokens, option)
        for value in answer.get(option, ())
        if value.lower() != "none"
    )


def agent_of(answer: Answer, tokens: Mapping[str, str]) -> str:
    """Return the agent's socket, "none", or nothing for that of SSH_AUTH_SOCK."""
    value = one_of(answer, "identityagent", "")
    if value.lower() in {"", "none"}:
        return value.lower()
    if value == "SSH_AUTH_SOCK":
        return ""
    if value.startswith("$") and not value.startswith("${"):
        return os.environ.get(value[1:], "none")
    return expanded(with_environment(with_home(value), "IdentityAgent"), tokens, "IdentityAgent")


def known_hosts_of(answer: Answer, option: str) -> tuple[str, ...]:
    """Return the files of one line; ``ssh -G`` puts no quotes around a path with a space in it."""
    found: list[str] = []
    for part in one_of(answer, option, "").split(" "):
        if found and not part.startswith(("/", "~")) and not Path(part).exists():
            found[-1] += f" {part}"
        elif part and part.lower() != "none":
            found.append(with_home(part))
    return tuple(found)
