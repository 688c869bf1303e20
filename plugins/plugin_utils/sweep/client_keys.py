# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the operator shows who they are: the agent's keys, key files with certificates, a password that was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import paramiko
    from ansible_collections.lastack.linux.plugins.plugin_utils.sweep.ssh_settings import SshSettings

__all__ = ["AuthenticationError", "authenticate", "forget_keys", "locked_files", "unlock"]


class AuthenticationError(Exception):
    """The host took none of what could be shown; the text is one sentence without any secret. Never transient."""


def authenticate(transport: paramiko.Transport, settings: SshSettings, password: str | None = None) -> None:
    """Log in as ``settings.user`` on a started transport whose host key was checked.

    Keys come in OpenSSH's order: certificates, the agent's keys that the settings name, its other keys (not with
    IdentitiesOnly), key files. ``password`` is tried once, and only if it was given and the host asks for it
    (password, or keyboard-interactive with one hidden question). Key files and the agent's list are read once for
    all hosts. Set ``transport.auth_timeout`` before.

    Raises ``AuthenticationError`` (final), or paramiko's ``SSHException``, ``EOFError`` or ``OSError`` where the
    connection broke for another reason (the caller may try again).
    """
    raise NotImplementedError


def locked_files(every: Iterable[SshSettings]) -> list[str]:
    """Return the key files of these settings that are protected by a passphrase and that no agent holds, sorted.

    What a command on a terminal asks for once, before it begins; see ``unlock``.
    """
    raise NotImplementedError


def unlock(path: str, passphrase: str) -> bool:
    """Open a protected key file for this process; return False if the passphrase is wrong. Nothing of it is stored."""
    raise NotImplementedError


def forget_keys() -> None:
    """Drop every key and close every agent's connection that this process holds."""
    raise NotImplementedError
