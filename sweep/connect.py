# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fabric connections for a sweep: the host's key is checked as OpenSSH does, before anything secret leaves."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import fabric
import paramiko
from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.sweep.client_keys import authenticate
from ansible_collections.lastack.linux.sweep.dial import TOO_FEW_THREADS, DialError
from ansible_collections.lastack.linux.sweep.host_keys import HostKeyPolicy, HostKeyVerdict
from ansible_collections.lastack.linux.sweep.ssh_transport import NO_SSH

if TYPE_CHECKING:
    import socket

    from ansible_collections.lastack.linux.sweep.lifeline import Lifeline
    from ansible_collections.lastack.linux.sweep.ssh_settings import SshSettings

__all__ = ["HostConnection", "open_connection"]

# Paramiko logs whole tracebacks for what is a reason here.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
logging.getLogger("paramiko").propagate = False


class _Client(paramiko.SSHClient):  # type: ignore[misc] # Paramiko ships no types
    """A client that is told nothing by Paramiko's own files and policies."""

    def __init__(self, settings: SshSettings, lifeline: Lifeline, password: str | None) -> None:
        super().__init__()
        self._settings = settings
        self._lifeline = lifeline
        self._password = password
        self.verdict: HostKeyVerdict | None = None

    def connect(self, *, sock: socket.socket | paramiko.Channel, **__: Any) -> None:  # noqa: ANN401 - what else Fabric hands over stands in the settings
        """Agree on keys, check the host's, log in."""
        settings, lifeline = self._settings, self._lifeline
        policy = HostKeyPolicy(settings)
        transport = policy.new_transport(sock)
        self._transport = transport
        lifeline.hold(transport)
        transport.daemon = True
        transport.banner_timeout = lifeline.seconds_left(settings.connect_timeout_s)
        transport.handshake_timeout = lifeline.seconds_left()
        self._start(transport)
        self.verdict = policy.check(transport)
        lifeline.phase = "logging in"
        transport.auth_timeout = lifeline.seconds_left()
        authenticate(transport, settings, self._password if self.verdict.secrets_allowed else None)
        if settings.keepalive_s:
            transport.set_keepalive(settings.keepalive_s)

    def _start(self, transport: paramiko.Transport) -> None:
        try:
            transport.start_client(timeout=self._lifeline.seconds_left())
        except RuntimeError:
            if transport.ident is not None:
                raise
            # Its thread never ran; others may have ended when it is tried again.
            raise DialError(TOO_FEW_THREADS, transient=True) from None


class HostConnection(fabric.Connection):  # type: ignore[misc] # Fabric ships no types
    """A Fabric connection that knows why the host's key was taken."""

    @property
    def verdict(self) -> HostKeyVerdict:
        """Why the host's key was taken."""
        verdict: HostKeyVerdict = self.client.verdict
        return verdict


def open_connection(
    settings: SshSettings, sock: socket.socket | paramiko.Channel, lifeline: Lifeline, password: str | None = None
) -> HostConnection:
    """Return an open connection over ``sock``, which ``dial`` or a jump host gave.

    Raises ``HostKeyError``, ``AuthenticationError`` (final), ``DialError`` for what Paramiko and the network say, and
    ``CutError``. The lifeline closes it.
    """
    connection = HostConnection(
        # Fabric reads user@host:port out of a name; ours are settled.
        host="settled",
        user=settings.user or None,
        port=settings.port,
        gateway=False,
        config=_new_config(),
        connect_kwargs={"sock": sock},
    )
    connection.host = settings.hostname
    connection.client = _Client(settings, lifeline, password)
    dialled = lifeline.age_s
    try:
        connection.open()
    except paramiko.AuthenticationException as error:
        raise DialError(f"{_where(settings)}: login refused: {one_line(str(error), 160)}", transient=False) from error
    except paramiko.SSHException as error:
        lifeline.seconds_left()
        words = getattr(connection.client.get_transport(), "last_words", "")
        raise _broken(settings, lifeline, dialled, error, words) from error
    except (EOFError, OSError) as error:
        lifeline.seconds_left()
        raise DialError(f"{_where(settings)}: connection lost while {lifeline.phase}", transient=True) from error
    return connection


def _broken(
    settings: SshSettings, lifeline: Lifeline, dialled: float, error: paramiko.SSHException, words: str
) -> DialError:
    text, transient = one_line(str(error), 160), True
    if words:
        reason = f"sshd ended the connection: {words}"
    elif isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        reason, transient = f"no algorithm in common: {text}", False
    elif text.startswith("Indecipherable protocol version"):
        # Paramiko reads so many lines before it gives up (RFC 4253, 4.2).
        reason, transient = f"{NO_SSH}: it sent 100 lines and no greeting", False
    elif NO_SSH in text:
        reason, transient = text[text.index(NO_SSH) :], False
    elif "banner" in text and lifeline.age_s - dialled >= settings.connect_timeout_s:
        reason = f"sshd sent no greeting within {settings.connect_timeout_s:g} s"
    elif "banner" in text or isinstance(error.__cause__ or error.__context__, EOFError) or not text:
        # Too many start at once (sshd_config(5), MaxStartups), or the line is bad.
        reason = "sshd closed the connection before its greeting"
    else:
        reason = f"{text} (while {lifeline.phase})"
    return DialError(f"{_where(settings)}: {reason}", transient=transient)


def _where(settings: SshSettings) -> str:
    return f"{one_line(settings.hostname, 100)} port {settings.port}"


def _new_config() -> fabric.Config:
    """Fabric's own defaults: no fabric.yml, no environment, no ssh_config, which ``ssh_settings`` has read.

    One for each connection: each writes into its own, and while it does, another thread would find it empty.
    """
    return fabric.Config(ssh_config=paramiko.SSHConfig(), lazy=True)
