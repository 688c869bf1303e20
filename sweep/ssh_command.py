# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ssh's command line for one host of an inventory, as Ansible would write it from the host's variables."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.sweep.ssh_options import SettingsError, Word, words_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["command_words", "text_of"]

_HIGHEST_PORT = 65535
_NO = frozenset({"no", "false", "off", "0"})
# Later names win, as in Ansible's list of them.
_PORTS = ("ansible_port", "ansible_ssh_port")
_USER = ("ansible_user", "ansible_ssh_user")
_KEY_FILE = ("ansible_private_key_file", "ansible_ssh_private_key_file")
_KEY_CHECKING = ("ansible_host_key_checking", "ansible_ssh_host_key_checking")
_NOT_FOLLOWED = ("ansible_private_key", "ansible_ssh_private_key", "ansible_ssh_pkcs11_provider")
_EXECUTABLE = "ansible_ssh_executable"


def command_words(variables: Mapping[str, object], *, user: str, key_file: str, connect_timeout_s: float) -> list[Word]:
    """Return ssh's command line in the order of Ansible's ssh connection plugin: the first value of an option holds.

    ``user`` and ``key_file`` are those of the sweep's own command line, empty where it names none; a host's variables
    win over them. Raises ``SettingsError``. Source: ansible/plugins/connection/ssh.py, the order of its arguments.
    """
    for variable in _NOT_FOLLOWED:
        if variables.get(variable):
            raise SettingsError(f"{variable} is not followed by a sweep: use a key file or an agent")
    executable = text_of(variables, (_EXECUTABLE,))
    if executable and not _is_ssh(executable):
        raise SettingsError(f"{_EXECUTABLE} is not followed by a sweep: it logs in without {one_line(executable, 80)}")
    words = [*_arguments(variables, "ansible_ssh_args")]
    if text_of(variables, _KEY_CHECKING).lower() in _NO:
        words.append(Word("o", "StrictHostKeyChecking=no"))
    port = text_of(variables, _PORTS)
    if port:
        if not (port.isascii() and port.isdecimal() and 0 < int(port) <= _HIGHEST_PORT):
            raise SettingsError(f"ansible_port is {one_line(port, 40)}, which is no port")
        words.append(Word("p", port))
    own_key = text_of(variables, _KEY_FILE) or key_file
    if own_key:
        if '"' in own_key or "\n" in own_key:
            raise SettingsError("ansible_ssh_private_key_file holds a quotation mark or a line break")
        words.append(Word("o", f'IdentityFile="{Path(own_key).expanduser()}"'))
    own_user = text_of(variables, _USER) or user
    if own_user:
        words.append(Word("l", own_user))
    words.append(Word("o", f"ConnectTimeout={max(1, math.ceil(connect_timeout_s))}"))
    return [
        *words,
        *_arguments(variables, "ansible_ssh_common_args"),
        *_arguments(variables, "ansible_ssh_extra_args"),
    ]


def text_of(variables: Mapping[str, object], names: Sequence[str]) -> str:
    """Return the text of a variable that has several names, the last of which wins; empty if none is set.

    Raises ``SettingsError`` for a list, a mapping or a NUL character.
    """
    found = ""
    for name in names:
        value = variables.get(name)
        if value is None:
            continue
        if not isinstance(value, str | int):
            raise SettingsError(f"{name} is neither text nor a number")
        found = str(value)
        if "\0" in found:
            raise SettingsError(f"{name} holds a NUL character")
    return found


def _is_ssh(executable: str) -> bool:
    """Tell whether a program is ssh itself, by its name or by where it leads, and no wrapper with a way of its own."""
    if Path(executable).name == "ssh":
        return True
    theirs, ours = shutil.which(executable), shutil.which("ssh")
    return theirs is not None and ours is not None and os.path.realpath(theirs) == os.path.realpath(ours)


def _arguments(variables: Mapping[str, object], name: str) -> tuple[Word, ...]:
    text = text_of(variables, (name,))
    return words_of(text, name) if text else ()
