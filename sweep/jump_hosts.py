# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jump hosts: one connection to each for the whole sweep, opened by the first host that needs it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import paramiko
from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.sweep.connect import HostConnection, open_connection
from ansible_collections.lastack.linux.sweep.dial import DialError, dial
from ansible_collections.lastack.linux.sweep.lifeline import CutError, Lifeline
from ansible_collections.lastack.linux.sweep.ssh_settings import SshSettings, hop_settings

if TYPE_CHECKING:
    import socket

__all__ = ["JumpHosts"]

# RFC 4254, 5.1: the answer of a jump host that could not reach the host, which may come up again.
_CONNECT_FAILED = 2


class _Shared:
    """The connection to one jump host."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connection: HostConnection | None = None
        self.line: Lifeline | None = None


class JumpHosts:
    """Opens ways to hosts, directly or through shared jump hosts; thread-safe."""

    def __init__(self, life_s: float) -> None:
        """Take how long the opening of a jump host's connection may last at most."""
        self._life_s = life_s
        self._lock = threading.Lock()
        self._shared: dict[SshSettings, _Shared] = {}
        self._closed = False

    def way_to(self, settings: SshSettings, lifeline: Lifeline) -> socket.socket | paramiko.Channel:
        """Return a socket or a channel to the sshd of ``settings``, held by the lifeline.

        Raises ``DialError``, ``SettingsError``, ``CutError`` and, for a jump host, what ``open_connection`` raises.
        """
        hop = hop_settings(settings)
        if hop is None:
            return dial(settings, lifeline)
        for last in (False, True):
            connection = self._connection(hop, lifeline)
            try:
                channel = connection.transport.open_channel(
                    "direct-tcpip",
                    (settings.hostname, settings.port),
                    ("", 0),
                    timeout=lifeline.seconds_left(settings.connect_timeout_s),
                )
            except paramiko.ChannelException as error:
                raise _refused(settings, hop, error) from None
            except (paramiko.SSHException, EOFError, OSError) as error:
                lifeline.seconds_left()
                if last or connection.is_connected:
                    reason = f"the jump host {one_line(hop.hostname, 100)} opened no way: {one_line(str(error), 120)}"
                    raise DialError(reason, transient=True) from None
            else:
                lifeline.hold(channel)
                return channel
        raise AssertionError

    def close(self) -> None:
        """Close every jump host's connection; those that are being opened are given up."""
        with self._lock:
            self._closed = True
            shared = list(self._shared.values())
        for one in shared:
            line = one.line
            if line is not None:
                line.cut("the sweep has ended")
                line.let_go()

    def _connection(self, hop: SshSettings, lifeline: Lifeline) -> HostConnection:
        with self._lock:
            shared = self._shared.setdefault(hop, _Shared())
        if not shared.lock.acquire(timeout=lifeline.seconds_left()):
            raise CutError(lifeline.overdue())
        try:
            lifeline.seconds_left()
            if shared.connection is None or not shared.connection.is_connected:
                if shared.line is not None:
                    shared.line.let_go()
                shared.connection = self._open(hop, lifeline, shared)
            return shared.connection
        finally:
            shared.lock.release()

    def _open(self, hop: SshSettings, lifeline: Lifeline, shared: _Shared) -> HostConnection:
        # A line of its own: the connection outlives the host that happened to come first.
        line = Lifeline(lifeline.seconds_left(self._life_s))
        shared.line = line
        if self._closed:
            raise CutError("the sweep has ended")
        try:
            return open_connection(hop, self.way_to(hop, line), line)
        except CutError:
            line.let_go()
            lifeline.seconds_left()
            reason = f"the jump host {one_line(hop.hostname, 100)} did not answer in time"
            raise DialError(reason, transient=True) from None
        except BaseException:
            line.let_go()
            raise


def _refused(settings: SshSettings, hop: SshSettings, error: paramiko.ChannelException) -> DialError:
    what = one_line(error.text, 80).lower() or "refused"
    return DialError(
        f"{one_line(settings.hostname, 100)} port {settings.port} through {one_line(hop.hostname, 100)}: {what}",
        transient=error.code == _CONNECT_FAILED,
    )
