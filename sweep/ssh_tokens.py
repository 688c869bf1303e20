# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tokens of ssh_config(5), ``%h`` and the like, the home folder of ``~`` and the environment's ``${NAME}``."""

from __future__ import annotations

import os
import pwd
import re
import socket
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.sweep.ssh_options import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["expanded", "home", "tokens_of", "with_environment", "with_home"]

_TOKEN = re.compile(r"%(.?)", re.DOTALL)
_VARIABLE = re.compile(r"\$\{([^}]*)\}")


def tokens_of(  # noqa: PLR0913 - one for each token
    *, asked: str, hostname: str, port: int, user: str, alias: str, jump: str, digest: str
) -> dict[str, str]:
    """Return the value of every token; ``asked`` is the name before ssh_config changed it, ``digest`` that of %C."""
    here = socket.gethostname()
    tokens = {"%": "%", "h": hostname, "n": asked, "p": str(port), "r": user, "k": alias or asked, "j": jump}
    tokens |= {"d": home(), "u": _account(), "i": str(os.getuid()), "l": here, "L": here.split(".", 1)[0]}
    return tokens | ({"C": digest} if digest else {})


def expanded(text: str, tokens: Mapping[str, str], where: str) -> str:
    """Return ``text`` with its tokens replaced; raises ``SettingsError`` for one that ``where`` does not take."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in tokens:
            raise SettingsError(f"{where} holds {one_line(match[0])}, which it does not take")
        return tokens[match[1]]

    return _TOKEN.sub(value, text) if "%" in text else text


def with_environment(text: str, where: str) -> str:
    """Return ``text`` with each ``${NAME}`` replaced; raises ``SettingsError`` for one that is not set."""

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            raise SettingsError(f"{where} needs {one_line(match[0], 80)} of the environment, which is not set")
        return found

    return _VARIABLE.sub(value, text) if "${" in text else text


def with_home(path: str) -> str:
    """Return ``path`` with a leading ``~`` or ``~name`` replaced as ssh does: HOME has no say."""
    if not path.startswith("~"):
        return path
    name, slash, rest = path[1:].partition("/")
    try:
        folder = pwd.getpwnam(name).pw_dir if name else home()
    except KeyError:
        raise SettingsError(f"{one_line(path, 120)} names an account that this machine does not have") from None
    return f"{folder}{slash}{rest}"


def home() -> str:
    """Return the home folder of this account, as passwd(5) has it."""
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        raise SettingsError("this account has no entry in passwd, without which ssh does not run") from None


def _account() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return ""
