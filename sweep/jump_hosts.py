# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jump hosts: one connection to each for the whole sweep, opened by the first host that needs it.

Those that come meanwhile wait for its outcome and share it, also a failure: each host dialling a dead jump host anew
would take the others' time, and a refused login is not repeated where that may lock the account.
"""

from __future__ import annotations

import threading
import time
import weakref
from typing import TYPE_CHECKING, cast

import paramiko
from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.sweep.client_keys import AuthenticationError
from ansible_collections.lastack.linux.sweep.connect import open_connection
from ansible_collections.lastack.linux.sweep.dial import DialError, dial
from ansible_collections.lastack.linux.sweep.host_keys import HostKeyError
from ansible_collections.lastack.linux.sweep.jump_connection import HeardSocket, JumpConnection, JumpLostError
from ansible_collections.lastack.linux.sweep.lifeline import CutError, Lifeline
from ansible_collections.lastack.linux.sweep.ssh_settings import SettingsError, SshSettings, hop_settings

if TYPE_CHECKING:
    import socket

__all__ = ["JumpHosts"]

# How long a failure that may pass is told to hosts that come later.
_FRESH_S = 5.0
_ENDED = "the sweep has ended"
_Failure = DialError | HostKeyError | AuthenticationError | SettingsError


class _Opening:
    """One attempt to open the connection to a jump host, and what came of it."""

    def __init__(self, life_s: float) -> None:
        # A line of its own: the connection outlives the host that happened to come first.
        self.line = Lifeline(life_s)
        self.done = threading.Event()
        self.jump: JumpConnection | None = None
        self.failure: _Failure | None = None
        self.final = False
        self.failed_at = 0.0
        self.told: weakref.WeakSet[Lifeline] = weakref.WeakSet()

    def serves(self, lifeline: Lifeline) -> bool:
        """Whether the host of ``lifeline`` takes what came, or comes, of it; else it opens anew."""
        if not self.done.is_set():
            return True
        if self.jump is not None:
            return self.jump.is_connected
        if self.failure is None:
            return False
        # Who was told once and comes again wants to know whether it has passed.
        return self.final or (time.monotonic() - self.failed_at < _FRESH_S and lifeline not in self.told)

    def fail(self, error: _Failure) -> None:
        """Remember why there is no connection."""
        login = isinstance(error.__cause__, paramiko.AuthenticationException)
        self.final = login or isinstance(error, HostKeyError | AuthenticationError)
        self.failed_at = time.monotonic()
        # Without its traceback, which would hold what it passed through.
        self.failure = _again(error)

    def let_go(self) -> None:
        """Close what it has opened."""
        if self.jump is not None:
            self.jump.drop()
        self.line.let_go()


class JumpHosts:
    """Opens ways to hosts, directly or through shared jump hosts; thread-safe."""

    def __init__(self, life_s: float) -> None:
        """Take how long the opening of a jump host's connection may last at most."""
        self._life_s = life_s
        # Held for a moment only, never while anything is sent or awaited.
        self._lock = threading.Lock()
        self._openings: dict[SshSettings, _Opening] = {}
        self._closed = False

    def way_to(self, settings: SshSettings, lifeline: Lifeline) -> socket.socket | paramiko.Channel:
        """Return a socket or a channel to the sshd of ``settings``, held by the lifeline.

        Raises ``DialError``, ``SettingsError``, ``CutError`` and, for a jump host, what ``open_connection`` raises.
        """
        hop = hop_settings(settings)
        if hop is None:
            return dial(settings, lifeline)
        before, name = lifeline.phase, one_line(hop.hostname, 100)
        for last in (False, True):
            # Whoever ends the attempt tells what it was at.
            lifeline.phase = f"waiting for the jump host {name}"
            jump = self._connection(hop, lifeline)
            lifeline.phase = f"connecting through the jump host {name}"
            try:
                channel = jump.open_way(settings, lifeline)
            except JumpLostError as error:
                if last:
                    reason = f"the jump host {name} opened no way: its connection is lost: {error}"
                    raise DialError(reason, transient=True) from None
            else:
                lifeline.phase = before
                return channel
        raise AssertionError

    def close(self) -> None:
        """Close every jump host's connection; those that are being opened are given up."""
        with self._lock:
            self._closed = True
            openings = list(self._openings.values())
        # First all of them are shut: nobody sends any more then, and none waits for another one.
        for one in openings:
            one.line.cut(_ENDED)
        for one in openings:
            one.let_go()

    def _connection(self, hop: SshSettings, lifeline: Lifeline) -> JumpConnection:
        while True:
            left = lifeline.seconds_left()
            with self._lock:
                if self._closed:
                    raise CutError(_ENDED)
                old = self._openings.get(hop)
                if old is None or not old.serves(lifeline):
                    mine = self._openings[hop] = _Opening(min(left, self._life_s))
                    break
            if not old.done.wait(left):
                raise CutError(lifeline.overdue())
            if old.jump is not None and old.jump.is_connected:
                return old.jump
            if old.failure is not None:
                raise self._told(old, old.failure, lifeline)
        return self._open(hop, lifeline, mine, old)

    def _told(self, opening: _Opening, failure: _Failure, lifeline: Lifeline) -> _Failure:
        with self._lock:
            opening.told.add(lifeline)
        return _again(failure)

    def _open(self, hop: SshSettings, lifeline: Lifeline, mine: _Opening, old: _Opening | None) -> JumpConnection:
        name = one_line(hop.hostname, 100)
        try:
            if old is not None:
                old.let_go()
            sock = HeardSocket(self.way_to(hop, mine.line))
            connection = open_connection(hop, cast("socket.socket", sock), mine.line)
            mine.jump = JumpConnection(hop, connection, sock, mine.line)
        except CutError:
            if self._closed:
                raise
            error = DialError(f"the jump host {name} did not answer in time", transient=True)
            if mine.line.life_s >= hop.connect_timeout_s:
                mine.fail(error)
            # Else the host that came first had hardly any time left; another one tries.
            lifeline.seconds_left()
            raise self._told(mine, error, lifeline) from None
        except (DialError, HostKeyError, AuthenticationError, SettingsError) as error:
            mine.fail(_named(error, name))
            raise self._told(mine, mine.failure or error, lifeline) from None
        else:
            return mine.jump
        finally:
            if mine.jump is None or self._closed:
                mine.let_go()
            mine.done.set()


def _named(error: _Failure, name: str) -> _Failure:
    """Return the error with a text that says of whom it speaks."""
    text = str(error)
    if isinstance(error, SettingsError):
        return error
    new = _again(error, f"jump host {text}" if text.startswith(name) else f"jump host {name}: {text}")
    new.__cause__ = error.__cause__
    return new


def _again(error: _Failure, text: str | None = None) -> _Failure:
    """Return the same error without its past; each thread raises one of its own."""
    text = str(error) if text is None else text
    return DialError(text, transient=error.transient) if isinstance(error, DialError) else type(error)(text)
