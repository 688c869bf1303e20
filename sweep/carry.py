# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries a conversation's bytes: over an ssh channel, or to a shell of this machine (connection ``local``)."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
from typing import TYPE_CHECKING

import paramiko
from ansible_collections.lastack.linux.sweep.conversation import AnswerError

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.sweep.connect import HostConnection
    from ansible_collections.lastack.linux.sweep.conversation import Conversation
    from ansible_collections.lastack.linux.sweep.lifeline import Lifeline

__all__ = ["over_local_shell", "over_ssh"]

_CHUNK = 64 * 1024
# How long the exit status may come after the end of the output.
_STATUS_S = 2.0


def over_ssh(connection: HostConnection, command: str, talk: Conversation, lifeline: Lifeline) -> int | None:
    """Run ``command`` on an open connection and talk until the answer is whole or refused; return the exit status.

    ``None`` where none came. Raises ``CutError``, and ``AnswerError`` where the host refuses to run any command.
    """
    lifeline.phase = "looking"
    channel = None
    try:
        channel = connection.transport.open_session(timeout=lifeline.seconds_left())
        channel.exec_command(command)
        _talk_over(channel, talk, lifeline)
        if talk.finished:
            return channel.exit_status if channel.exit_status_ready() else None
        return _late_status(channel, lifeline)
    except (paramiko.SSHException, EOFError, OSError) as error:
        lifeline.seconds_left()
        if channel is None or isinstance(error, paramiko.ChannelException):
            raise AnswerError(f"sshd opened no session: {error}", outcome="failed", transient=False) from error
        # The connection is gone; the conversation knows how far it had come.
        return None
    finally:
        if channel is not None:
            with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
                channel.close()


def _talk_over(channel: paramiko.Channel, talk: Conversation, lifeline: Lifeline) -> None:
    # One descriptor for both streams: nobody has to wake up to look.
    readable = select.poll()
    readable.register(channel.fileno(), select.POLLIN)
    _send(channel, talk.opening(), lifeline)
    while not talk.finished:
        ended = channel.eof_received or channel.closed
        while channel.recv_stderr_ready() and not talk.finished:
            _send(channel, talk.hear_errors(channel.recv_stderr(_CHUNK)), lifeline)
            _look_at_time(talk, lifeline)
        while channel.recv_ready() and not talk.finished:
            _send(channel, talk.hear_output(channel.recv(_CHUNK)), lifeline)
            _look_at_time(talk, lifeline)
        if talk.finished or ended:
            return
        readable.poll(lifeline.seconds_left() * 1000)


def _look_at_time(talk: Conversation, lifeline: Lifeline) -> None:
    """Raise ``CutError`` if no time is left; an answer that is whole is not late."""
    if not talk.finished:
        lifeline.seconds_left()


def _send(channel: paramiko.Channel, data: bytes, lifeline: Lifeline) -> None:
    if data and not channel.closed:
        channel.settimeout(lifeline.seconds_left())
        try:
            channel.sendall(data)
        except OSError:
            # The other side reads no more; why, it may have said.
            lifeline.seconds_left()


def _late_status(channel: paramiko.Channel, lifeline: Lifeline) -> int | None:
    channel.status_event.wait(lifeline.seconds_left(_STATUS_S))
    return channel.exit_status if channel.exit_status_ready() and channel.exit_status >= 0 else None


def over_local_shell(command: str, talk: Conversation, lifeline: Lifeline) -> int | None:
    """Do the same on this machine, with /bin/sh; raises ``CutError``."""
    lifeline.phase = "looking"
    process = subprocess.Popen(  # noqa: S603 - the same command line that goes to a host
        ["/bin/sh", "-c", command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    lifeline.hold(process)
    with contextlib.ExitStack() as stack:
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                stack.callback(_close_quietly, pipe)
        _talk_locally(process, talk, lifeline)
    if talk.finished:
        return process.poll()
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(lifeline.seconds_left(_STATUS_S))
    return None


def _talk_locally(process: subprocess.Popen[bytes], talk: Conversation, lifeline: Lifeline) -> None:
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise AssertionError
    ends, output, errors = (pipe.fileno() for pipe in (process.stdin, process.stdout, process.stderr))
    os.set_blocking(ends, False)
    waiting = talk.opening()
    poll = select.poll()
    poll.register(output, select.POLLIN)
    poll.register(errors, select.POLLIN)
    hears = {output: talk.hear_output, errors: talk.hear_errors}
    listening = bool(waiting)
    if listening:
        poll.register(ends, select.POLLOUT)
    while hears and not talk.finished:
        for descriptor, __ in poll.poll(lifeline.seconds_left() * 1000):
            if descriptor == ends:
                waiting = _write_some(ends, waiting)
            else:
                data = os.read(descriptor, _CHUNK)
                if data:
                    waiting += hears[descriptor](data)
                else:
                    poll.unregister(descriptor)
                    del hears[descriptor]
        if bool(waiting) != listening:
            listening = bool(waiting)
            if listening:
                poll.register(ends, select.POLLOUT)
            else:
                poll.unregister(ends)


def _write_some(descriptor: int, data: bytes) -> bytes:
    """Write what the pipe takes and return the rest; nothing is left for a reader that went away."""
    try:
        return data[os.write(descriptor, data) :]
    except BlockingIOError:
        return data
    except OSError:
        return b""


def _close_quietly(pipe: object) -> None:
    with contextlib.suppress(OSError):
        pipe.close()  # type: ignore[attr-defined] # the pipes of a process
