# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the host that answers is the host that was meant: OpenSSH's known_hosts and host certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import socket

    import paramiko
    from ansible_collections.lastack.linux.plugins.plugin_utils.sweep.ssh_settings import SshSettings

__all__ = ["HostKeyError", "HostKeyPolicy", "HostKeyVerdict"]


class HostKeyError(Exception):
    """The host's key is not the one that is known; the text is one sentence with file, line and fingerprint."""


class HostKeyVerdict(NamedTuple):
    """Why a host's key was taken.

    ``secrets_allowed`` is False where StrictHostKeyChecking=no let a wrong key pass: then no password, neither for ssh
    nor for sudo, may be sent. ``note`` is a sentence for the operator, mostly empty.
    """

    how: str
    secrets_allowed: bool = True
    note: str = ""


class HostKeyPolicy:
    """The check of one host's key; thread-safe, known_hosts files are read once for all hosts.

    Use: ``transport = policy.new_transport(sock)``; ``transport.start_client(timeout=…)``;
    ``verdict = policy.check(transport)``; only then authenticate.
    """

    def __init__(self, settings: SshSettings) -> None:
        """Check against the files and with the strictness that ``settings`` name."""
        self._settings = settings

    def new_transport(self, sock: socket.socket | paramiko.Channel) -> paramiko.Transport:
        """Return a transport over ``sock`` that offers the algorithms of the settings, known host keys first.

        ``sock`` is a connected socket, or a channel or proxy of paramiko's. Nothing is sent yet.
        Source: order_hostkeyalgs() of OpenSSH's sshconnect2.c. Raises ``HostKeyError`` if nothing can be offered.
        """
        raise NotImplementedError

    def check(self, transport: paramiko.Transport) -> HostKeyVerdict:
        """Return why the key that ``transport`` was shown is good, or raise ``HostKeyError``.

        Call it after ``start_client`` and before anything secret is sent. With "accept-new" and "no" an unknown key is
        added to the first file of the user. Source: check_host_key() of OpenSSH's sshconnect.c.
        """
        raise NotImplementedError
