# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection to one jump host, which many hosts share: none of them may hang because it does.

Whoever sends over a connection of Paramiko's holds its locks until the kernel has taken the bytes. When the jump host
stalls, that is for ever. So what a host's end has to send goes to a thread of its own, and when a host was cut off or
got no way, the jump host is asked whether it is still there: a connection that says nothing is dropped.
"""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
from typing import TYPE_CHECKING, Any

import paramiko
from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.sweep.dial import DialError
from paramiko.common import cMSG_GLOBAL_REQUEST

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from ansible_collections.lastack.linux.sweep.connect import HostConnection
    from ansible_collections.lastack.linux.sweep.lifeline import Lifeline
    from ansible_collections.lastack.linux.sweep.ssh_settings import SshSettings

__all__ = ["HeardSocket", "JumpConnection", "JumpLostError"]

# RFC 4254, 5.1: the answer of a jump host that could not reach the host, which may come up again.
_CONNECT_FAILED = 2
# RFC 4254, 4: every server answers a request that it does not know.
_ARE_YOU_THERE = "keepalive@openssh.com"
# How long a jump host may say nothing at all once it was asked.
_ANSWER_S = 10.0


class JumpLostError(Exception):
    """The jump host's connection is gone, and another one may help; the text says what Paramiko said."""


class HeardSocket:
    """A socket or channel that counts the bytes that came."""

    def __init__(self, sock: socket.socket | paramiko.Channel) -> None:
        """Take an open one."""
        self._sock = sock
        self.heard = 0
        """Bytes."""

    def recv(self, size: int) -> bytes:
        """Receive as the socket does."""
        data: bytes = self._sock.recv(size)
        self.heard += len(data)
        return data

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else Paramiko asks of a socket
        """Do as the socket does."""
        return getattr(self._sock, name)


class JumpConnection:
    """An open connection to a jump host; thread-safe."""

    def __init__(self, hop: SshSettings, connection: HostConnection, sock: HeardSocket, line: Lifeline) -> None:
        """Take what was opened, the socket under it and the line that holds both."""
        self._hop = hop
        self._connection = connection
        self._sock = sock
        self._line = line
        self._lock = threading.Lock()
        self._checked: threading.Event | None = None
        self._dropped = False
        self._errands: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        threading.Thread(target=self._run_errands, daemon=True, name="lastack-jump-errands").start()

    @property
    def is_connected(self) -> bool:
        """Whether it can be used, as far as is known."""
        return not self._dropped and bool(self._connection.is_connected)

    def open_way(self, settings: SshSettings, lifeline: Lifeline) -> paramiko.Channel:
        """Return a channel to the sshd of ``settings``, held by the lifeline.

        Raises ``DialError``, ``CutError``, and ``JumpLostError`` where it is the jump host's connection that broke.
        """
        way = _Way(self, lifeline)
        # Held before it is open: the request itself may hang in a jump host that stalls.
        lifeline.hold(way)
        try:
            channel = self._connection.transport.open_channel(
                "direct-tcpip",
                (settings.hostname, settings.port),
                ("", 0),
                timeout=lifeline.seconds_left(settings.connect_timeout_s),
            )
        except paramiko.ChannelException as error:
            what = one_line(error.text, 80).lower() or "refused"
            raise self._no_way(settings, what, transient=error.code == _CONNECT_FAILED) from None
        except (paramiko.SSHException, EOFError, OSError) as error:
            lifeline.seconds_left()
            what = one_line(str(error), 120)
            if "Timeout" in what:
                # sshd learns only after minutes that a host is switched off; a dead jump host looks the same.
                self.check().wait(lifeline.seconds_left())
                lifeline.seconds_left()
                what = f"no connection within {settings.connect_timeout_s:g} s"
            if not self.is_connected:
                raise JumpLostError(what) from None
            raise self._no_way(settings, what, transient=True) from None
        way.take(channel)
        return channel

    def check(self) -> threading.Event:
        """Ask the jump host whether it is there; never waits. The event comes when it is known, or dropped."""
        with self._lock:
            if self._checked is not None and not self._checked.is_set():
                return self._checked
            checked = self._checked = threading.Event()
            if self._dropped or self._line.reason:
                checked.set()
                return checked
        judge = threading.Thread(
            target=self._judge, args=(checked, self._sock.heard), daemon=True, name="lastack-jump-check"
        )
        try:
            judge.start()
        except RuntimeError:
            # No thread is to be had; the next one that was cut off asks again.
            checked.set()
        else:
            self._errands.put(functools.partial(self._ask, checked))
        return checked

    def end(self, channel: paramiko.Channel) -> None:
        """Close a channel: who waits for it wakes at once; the jump host is told as soon as it listens."""
        with channel.lock:
            messages = channel._close_internal()  # noqa: SLF001 - close() without the sending
        for message in messages:
            if message is not None:
                self._errands.put(functools.partial(self._send, message))

    def drop(self) -> None:
        """Close the connection; every host behind it loses its way."""
        with self._lock:
            if self._dropped:
                return
            self._dropped = True
        self._line.cut("the jump host's connection was dropped")
        self._line.let_go()
        self._errands.put(None)
        if self._checked is not None:
            self._checked.set()

    def _ask(self, checked: threading.Event) -> None:
        message = paramiko.Message()
        message.add_byte(cMSG_GLOBAL_REQUEST)
        message.add_string(_ARE_YOU_THERE)
        message.add_boolean(True)  # noqa: FBT003 - Paramiko's signature; it says that an answer is wanted
        # Not global_request(), which waits for the answer for ever.
        self._connection.transport.completion_event = checked
        self._send(message)

    def _judge(self, checked: threading.Event, heard: int) -> None:
        # Where the line is full, the answer may be late; anything that comes is a sign of life.
        if not checked.wait(_ANSWER_S) and self._sock.heard == heard:
            self.drop()
        checked.set()

    def _send(self, message: paramiko.Message) -> None:
        self._connection.transport._send_user_message(message)  # noqa: SLF001 - as Channel.close() does

    def _run_errands(self) -> None:
        while (errand := self._errands.get()) is not None:
            # A connection that is gone needs to be told nothing.
            with contextlib.suppress(Exception):
                errand()

    def _no_way(self, settings: SshSettings, what: str, *, transient: bool) -> DialError:
        where = f"{one_line(settings.hostname, 100)} port {settings.port} through {one_line(self._hop.hostname, 100)}"
        return DialError(f"{where}: {what}", transient=transient)


class _Way:
    """What a lifeline holds of a channel through a jump host."""

    def __init__(self, jump: JumpConnection, lifeline: Lifeline) -> None:
        self._jump = jump
        self._lifeline = lifeline
        self._lock = threading.Lock()
        self._channel: paramiko.Channel | None = None
        self._is_shut = False
        self._has_asked = False

    def take(self, channel: paramiko.Channel) -> None:
        """Hold the channel; raises ``CutError`` if the attempt was ended in the meantime."""
        with self._lock:
            self._channel = channel
            is_shut = self._is_shut
        if is_shut:
            self._jump.end(channel)
            self._lifeline.seconds_left()

    def shut(self) -> None:
        """Wake whoever waits for the channel."""
        with self._lock:
            self._is_shut = True
            channel = self._channel
            asks = self._lifeline.is_over and not self._has_asked
            self._has_asked = self._has_asked or asks
        if channel is not None:
            self._jump.end(channel)
        if asks:
            # Perhaps it is the jump host that hangs, and with it who sends through it.
            self._jump.check()

    def close(self) -> None:
        """Do the same: the rest is an errand."""
        self.shut()
