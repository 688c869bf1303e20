# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An open connection and what goes over it: greetings that never come, floods, sshds that refuse to run anything.

The host is Paramiko's own server in a thread; known_hosts and keys have tests of their own.
"""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from typing import TYPE_CHECKING

import paramiko
import pytest
from ansible_collections.lastack.linux.sweep import connect
from ansible_collections.lastack.linux.sweep.carry import over_local_shell, over_ssh
from ansible_collections.lastack.linux.sweep.conversation import AnswerError, Conversation
from ansible_collections.lastack.linux.sweep.dial import TOO_FEW_THREADS, DialError
from ansible_collections.lastack.linux.sweep.host_keys import HostKeyVerdict
from ansible_collections.lastack.linux.sweep.lifeline import CutError, Lifeline
from ansible_collections.lastack.linux.sweep.ssh_settings import SshSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIFE_S = 30.0
SETTINGS = SshSettings("web-1", "127.0.0.1", connect_timeout_s=0.3)
MARKER = "5" * 32
BODY = b"the body"
HOST_KEY = paramiko.ECDSAKey.generate()


class Policy:
    """Takes every key: what this file looks at comes after it."""

    secrets_allowed = True

    def __init__(self, __: SshSettings) -> None:
        """Need nothing."""

    def new_transport(self, sock: socket.socket) -> paramiko.Transport:
        return paramiko.Transport(sock)

    def check(self, __: paramiko.Transport) -> HostKeyVerdict:
        return HostKeyVerdict("a test", secrets_allowed=Policy.secrets_allowed)


@pytest.fixture
def passwords(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The passwords with which a login was tried; every login succeeds."""
    tried: list[str | None] = []

    def authenticate(transport: paramiko.Transport, __: SshSettings, password: str | None = None) -> None:
        tried.append(password)
        transport.auth_password("somebody", "anything")

    monkeypatch.setattr(connect, "HostKeyPolicy", Policy)
    monkeypatch.setattr(connect, "authenticate", authenticate)
    return tried


class Server(paramiko.ServerInterface):  # type: ignore[misc] # Paramiko ships no types
    """Lets everybody in and does with a command what the test says."""

    def __init__(self, run: Callable[[paramiko.Channel, str], None] | None) -> None:
        self._run = run

    def check_auth_password(self, *__: str) -> int:
        return int(paramiko.AUTH_SUCCESSFUL)

    def get_allowed_auths(self, __: str) -> str:
        return "password"

    def check_channel_request(self, *__: object) -> int:
        refused = self._run is None
        return int(paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED if refused else paramiko.OPEN_SUCCEEDED)

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        assert self._run is not None
        threading.Thread(target=self._run, args=(channel, command.decode("ascii")), daemon=True).start()
        return True


@contextlib.contextmanager
def served(run: Callable[[paramiko.Channel, str], None] | None) -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    transport = paramiko.Transport(theirs)
    transport.add_server_key(HOST_KEY)
    transport.start_server(event=threading.Event(), server=Server(run))
    try:
        yield ours
    finally:
        ours.close()
        transport.close()


def opened(sock: socket.socket, lifeline: Lifeline, password: str | None = None) -> connect.HostConnection:
    lifeline.hold(sock)
    return connect.open_connection(SETTINGS._replace(connect_timeout_s=LIFE_S), sock, lifeline, password)


@pytest.mark.usefixtures("passwords")
@pytest.mark.parametrize(
    ("greeting", "reason"),
    [
        (None, "sshd sent no greeting within 0.3 s"),
        (b"", "sshd closed the connection before its greeting"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "127.0.0.1 port 22: "),
    ],
)
def test_a_port_that_speaks_no_ssh_is_a_reason(greeting: bytes | None, reason: str) -> None:
    lifeline = Lifeline(LIFE_S)
    ours, theirs = socket.socketpair()
    with theirs:
        if greeting is not None:
            theirs.sendall(greeting)
            theirs.shutdown(socket.SHUT_WR)
        lifeline.hold(ours)
        with pytest.raises(DialError) as failed:
            connect.open_connection(SETTINGS, ours, lifeline)
        assert reason in str(failed.value)
        assert failed.value.transient
        lifeline.let_go()


@pytest.mark.usefixtures("passwords")
def test_a_controller_without_threads_is_no_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(__: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    lifeline = Lifeline(LIFE_S)
    ours, theirs = socket.socketpair()
    with theirs:
        lifeline.hold(ours)
        monkeypatch.setattr(threading.Thread, "start", start)
        with pytest.raises(DialError) as failed:
            connect.open_connection(SETTINGS, ours, lifeline)
        assert (str(failed.value), failed.value.transient) == (TOO_FEW_THREADS, True)
        lifeline.let_go()
        assert ours.fileno() == -1


@pytest.mark.usefixtures("passwords")
def test_another_error_of_that_kind_is_still_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    def start_client(transport: paramiko.Transport, **__: object) -> None:
        threading.Thread.start(transport)
        raise RuntimeError("something else")

    lifeline = Lifeline(LIFE_S)
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(paramiko.Transport, "run", lambda __: None)
    monkeypatch.setattr(paramiko.Transport, "start_client", start_client)
    with theirs:
        lifeline.hold(ours)
        with pytest.raises(RuntimeError, match="something else"):
            connect.open_connection(SETTINGS, ours, lifeline)
        lifeline.let_go()


@pytest.mark.parametrize("allowed", [True, False])
def test_a_password_goes_only_to_the_host_that_was_meant(
    passwords: list[str | None], monkeypatch: pytest.MonkeyPatch, *, allowed: bool
) -> None:
    monkeypatch.setattr(Policy, "secrets_allowed", allowed)
    lifeline = Lifeline(LIFE_S)
    with served(None) as sock:
        connection = opened(sock, lifeline, "s3cret")
        assert connection.verdict.secrets_allowed is allowed
        lifeline.let_go()
    assert passwords == ["s3cret" if allowed else None]


@pytest.mark.usefixtures("passwords")
def test_each_connection_has_settings_of_its_own() -> None:
    # Fabric empties and refills them while it makes a connection, under the hands of whoever shares them.
    lifelines = [Lifeline(LIFE_S), Lifeline(LIFE_S)]
    with served(None) as first, served(None) as second:
        one, other = opened(first, lifelines[0]), opened(second, lifelines[1])
        one.config.clear()
        assert other.config.forward_agent is False
        for lifeline in lifelines:
            lifeline.let_go()


class Talk(Conversation):
    """Keeps what it hears and ends where the test says."""

    def __init__(self, until: bytes) -> None:
        super().__init__(MARKER, BODY)
        self.heard = io.BytesIO()
        self._until = until

    @property
    def finished(self) -> bool:
        return bool(self._until) and self._until in self.heard.getvalue()[-100:]

    def hear_output(self, data: bytes) -> bytes:
        self.heard.write(data)
        return b"more\n" if data == b"?" else b""

    def hear_errors(self, data: bytes) -> bytes:
        self.heard.write(data)
        return b""


@pytest.mark.usefixtures("passwords")
def test_both_streams_are_heard_and_answered_to_the_end() -> None:
    got: list[bytes] = []

    def run(channel: paramiko.Channel, command: str) -> None:
        got.append(command.encode("ascii"))
        got.append(channel.recv(len(BODY)))
        channel.sendall(b"?")
        got.append(channel.recv(100))
        # More than the window of both streams together, so that it only goes on as it is read.
        channel.sendall_stderr(b"e" * 3_000_000)
        channel.sendall(b"o" * 3_000_000)
        channel.send_exit_status(7)
        channel.close()

    lifeline, talk = Lifeline(LIFE_S), Talk(b"")
    with served(run) as sock:
        assert over_ssh(opened(sock, lifeline), "the command", talk, lifeline) == 7
        lifeline.let_go()
    assert got == [b"the command", BODY, b"more\n"]
    heard = talk.heard.getvalue()
    assert (heard.count(b"e"), heard.count(b"o")) == (3_000_000, 3_000_000)


@pytest.mark.usefixtures("passwords")
def test_nobody_waits_for_what_comes_after_the_answer() -> None:
    free = threading.Event()

    def run(channel: paramiko.Channel, __: str) -> None:
        channel.sendall(b"the answer")
        free.wait(LIFE_S)

    lifeline, talk = Lifeline(LIFE_S), Talk(b"answer")
    try:
        with served(run) as sock:
            assert over_ssh(opened(sock, lifeline), "x", talk, lifeline) is None
            lifeline.let_go()
    finally:
        free.set()
    assert talk.heard.getvalue() == b"the answer"


@pytest.mark.usefixtures("passwords")
def test_a_host_that_never_answers_is_cut_off_wherever_it_hangs() -> None:
    free = threading.Event()
    lifeline = Lifeline(LIFE_S)
    timer = threading.Timer(0.2, lifeline.cut, args=("enough",))

    class Mute(Server):
        def check_channel_exec_request(self, __: paramiko.Channel, ___: bytes) -> bool:
            free.wait(LIFE_S)
            return False

    ours, theirs = socket.socketpair()
    transport = paramiko.Transport(theirs)
    transport.add_server_key(HOST_KEY)
    transport.start_server(event=threading.Event(), server=Mute(lambda *__: None))
    try:
        connection = opened(ours, lifeline)
        timer.start()
        with pytest.raises(CutError, match="enough"):
            over_ssh(connection, "x", Talk(b""), lifeline)
    finally:
        free.set()
        timer.cancel()
        lifeline.let_go()
        transport.close()


@pytest.mark.usefixtures("passwords")
def test_an_sshd_that_opens_no_session_is_a_reason() -> None:
    lifeline = Lifeline(LIFE_S)
    with served(None) as sock:
        with pytest.raises(AnswerError, match="sshd opened no session") as failed:
            over_ssh(opened(sock, lifeline), "x", Talk(b""), lifeline)
        assert not failed.value.transient
        lifeline.let_go()


class TalkOf(Talk):
    """Ends with its first bytes, as the operator interrupts."""

    def __init__(self, lifeline: Lifeline) -> None:
        super().__init__(b"answer")
        self._lifeline = lifeline

    def hear_output(self, data: bytes) -> bytes:
        said = super().hear_output(data)
        self._lifeline.cut("interrupted")
        return said

    hear_errors = hear_output


@pytest.mark.usefixtures("passwords")
@pytest.mark.parametrize("by", ["sendall", "sendall_stderr"])
def test_an_interrupt_after_the_last_byte_takes_no_answer_away(by: str) -> None:
    free = threading.Event()

    def run(channel: paramiko.Channel, __: str) -> None:
        getattr(channel, by)(b"the answer")
        free.wait(LIFE_S)

    lifeline = Lifeline(LIFE_S)
    talk = TalkOf(lifeline)
    try:
        with served(run) as sock:
            over_ssh(opened(sock, lifeline), "x", talk, lifeline)
    finally:
        free.set()
        lifeline.let_go()
    assert talk.heard.getvalue() == b"the answer"


def test_an_interrupt_after_the_last_byte_takes_no_local_answer_away() -> None:
    lifeline = Lifeline(LIFE_S)
    talk = TalkOf(lifeline)
    over_local_shell("printf 'the answer'; exec sleep 30", talk, lifeline)
    lifeline.let_go()
    assert talk.heard.getvalue() == b"the answer"
