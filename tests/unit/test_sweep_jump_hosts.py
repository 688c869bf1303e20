# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jump hosts of a sweep: one connection for all hosts behind it, opened anew where it broke."""

from __future__ import annotations

import socket
import threading
from typing import Any

import paramiko
import pytest
from ansible_collections.lastack.linux.sweep import jump_connection, jump_hosts
from ansible_collections.lastack.linux.sweep.client_keys import AuthenticationError
from ansible_collections.lastack.linux.sweep.dial import DialError
from ansible_collections.lastack.linux.sweep.host_keys import HostKeyError
from ansible_collections.lastack.linux.sweep.jump_hosts import JumpHosts
from ansible_collections.lastack.linux.sweep.lifeline import CutError, Lifeline
from ansible_collections.lastack.linux.sweep.ssh_settings import SshSettings

LIFE_S = 30.0
HOP = SshSettings("bastion", "10.0.0.1")


class Channel:
    """A way through a jump host."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def _close_internal(self) -> tuple[None, None]:
        return None, None


class Connection:
    """A jump host's connection, and its own transport."""

    def __init__(self, error: Exception | None = None, *, answers: bool = True) -> None:
        self.is_connected = True
        self.transport = self
        self.opened: list[tuple[str, int]] = []
        self.error = error
        self.answers = answers
        self.completion_event = threading.Event()

    def _send_user_message(self, __: paramiko.Message) -> None:
        if self.answers:
            self.completion_event.set()

    def open_channel(self, kind: str, where: tuple[str, int], __: tuple[str, int], *, timeout: float) -> Channel:
        assert kind == "direct-tcpip"
        assert timeout > 0
        if self.error is not None:
            raise self.error
        self.opened.append(where)
        return Channel()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The jump hosts' connections in the order of their opening; an exception in it is raised in its turn."""
    planned: list[Any] = []
    made: list[Any] = []

    def open_connection(settings: SshSettings, __: object, lifeline: Lifeline, ___: str | None = None) -> Connection:
        assert settings == HOP
        lifeline.seconds_left()
        made.append(planned.pop(0) if planned else Connection())
        if callable(made[-1]):
            made[-1] = made[-1](lifeline)
        if isinstance(made[-1], Exception):
            raise made[-1]
        assert isinstance(made[-1], Connection)
        return made[-1]

    def hop_of(settings: SshSettings) -> SshSettings | None:
        return None if settings == HOP else HOP

    monkeypatch.setattr(jump_hosts, "hop_settings", hop_of)
    monkeypatch.setattr(jump_hosts, "open_connection", open_connection)
    monkeypatch.setattr(jump_hosts, "dial", lambda *__: socket.socket())
    made.append(planned)
    return made


def host(number: int) -> SshSettings:
    return SshSettings(f"h{number}", f"192.168.0.{number}")


def refused_login() -> DialError:
    error = DialError("10.0.0.1 port 22: login refused: Authentication failed.", transient=False)
    error.__cause__ = paramiko.AuthenticationException("Authentication failed.")
    return error


def test_one_connection_serves_all_at_once(opened: list[Any]) -> None:
    jumps = JumpHosts(LIFE_S)
    threads = [threading.Thread(target=jumps.way_to, args=(host(number), Lifeline(LIFE_S))) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIFE_S)
    __, *connections = opened
    assert len(connections) == 1
    assert sorted(connections[0].opened) == sorted((f"192.168.0.{number}", 22) for number in range(20))
    jumps.close()


def test_a_broken_connection_is_opened_once_more(opened: list[Any]) -> None:
    jumps = JumpHosts(LIFE_S)
    jumps.way_to(host(1), Lifeline(LIFE_S))
    opened[1].is_connected = False
    opened[1].error = paramiko.SSHException("not active")
    jumps.way_to(host(2), Lifeline(LIFE_S))
    assert opened[2].opened == [("192.168.0.2", 22)]


@pytest.mark.parametrize(
    "error",
    [
        HostKeyError("the host key of 10.0.0.1 is not known"),
        AuthenticationError("10.0.0.1 port 22: login as root refused"),
        refused_login(),
    ],
)
def test_a_refused_login_or_key_is_not_tried_again_in_the_whole_sweep(
    opened: list[Any], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(jump_hosts, "_FRESH_S", 0.0)
    jumps = JumpHosts(LIFE_S)
    opened[0].append(error)
    lifeline = Lifeline(LIFE_S)
    for __ in range(2):
        for line in (lifeline, Lifeline(LIFE_S)):
            with pytest.raises(type(error), match=r"^jump host 10\.0\.0\.1.* (refused|not known)"):
                jumps.way_to(host(1), line)
    assert len(opened) == 2


def test_who_waited_for_a_jump_host_shares_its_failure(opened: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    # Who comes a moment too late to wait gets it all the same.
    monkeypatch.setattr(jump_hosts, "_FRESH_S", 3600.0)
    waiting = threading.Barrier(6)
    reasons: list[tuple[str, bool]] = []

    def fail(__: Lifeline) -> Exception:
        waiting.wait(LIFE_S)
        while sum(line.phase == "waiting for the jump host 10.0.0.1" for line in lines) < len(lines):
            threading.Event().wait(0.01)
        return DialError("10.0.0.1 port 22: no connection within 10 s", transient=True)

    def look(number: int, line: Lifeline) -> None:
        if number:
            waiting.wait(LIFE_S)
        try:
            jumps.way_to(host(number), line)
        except DialError as error:
            reasons.append((str(error), error.transient))

    opened[0].append(fail)
    jumps, lines = JumpHosts(LIFE_S), [Lifeline(LIFE_S) for __ in range(6)]
    threads = [threading.Thread(target=look, args=one, daemon=True) for one in enumerate(lines)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIFE_S)
    assert reasons == [("jump host 10.0.0.1 port 22: no connection within 10 s", True)] * 6
    assert len(opened) == 2


def test_a_failure_that_may_pass_is_told_once_and_tried_again(
    opened: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jump_hosts, "_FRESH_S", 3600.0)
    jumps, first, second = JumpHosts(LIFE_S), Lifeline(LIFE_S), Lifeline(LIFE_S)
    opened[0].append(DialError("10.0.0.1 port 22: connection refused", transient=True))
    for line in (first, second):
        with pytest.raises(DialError, match=r"^jump host 10\.0\.0\.1 port 22: connection refused$"):
            jumps.way_to(host(1), line)
    assert len(opened) == 2
    jumps.way_to(host(2), second)
    jumps.way_to(host(1), first)
    assert len(opened) == 3


def test_a_failure_that_may_pass_is_soon_forgotten(opened: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jump_hosts, "_FRESH_S", 0.0)
    jumps = JumpHosts(LIFE_S)
    opened[0].append(DialError("10.0.0.1 port 22: connection refused", transient=True))
    with pytest.raises(DialError):
        jumps.way_to(host(1), Lifeline(LIFE_S))
    jumps.way_to(host(2), Lifeline(LIFE_S))
    assert len(opened) == 3


def test_who_waits_in_vain_for_a_jump_host_names_it(opened: list[Any]) -> None:
    begun, free = threading.Event(), threading.Event()

    def hang(__: Lifeline) -> Connection:
        begun.set()
        free.wait(LIFE_S)
        return Connection()

    opened[0].append(hang)
    jumps = JumpHosts(LIFE_S)
    thread = threading.Thread(target=jumps.way_to, args=(host(1), Lifeline(LIFE_S)), daemon=True)
    thread.start()
    assert begun.wait(LIFE_S)
    with pytest.raises(CutError, match=r"within 0\.2 s \(it was waiting for the jump host 10\.0\.0\.1\)"):
        jumps.way_to(host(2), Lifeline(0.2))
    free.set()
    thread.join(LIFE_S)
    jumps.way_to(host(3), Lifeline(LIFE_S))
    assert len(opened) == 2


def test_who_had_no_time_left_says_nothing_of_the_jump_host_to_others(opened: list[Any]) -> None:
    def run_out(line: Lifeline) -> Exception:
        line.cut()
        return CutError("timed out")

    opened[0].append(run_out)
    jumps = JumpHosts(LIFE_S)
    with pytest.raises((CutError, DialError)):
        jumps.way_to(host(1), Lifeline(HOP.connect_timeout_s / 2))
    jumps.way_to(host(2), Lifeline(LIFE_S))
    assert len(opened) == 3


def test_a_host_that_is_switched_off_is_not_blamed_on_its_jump_host(
    opened: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jump_connection, "_ANSWER_S", LIFE_S)
    bastion = Connection(paramiko.SSHException("Timeout opening channel."))
    opened[0].append(bastion)
    jumps, lifeline = JumpHosts(LIFE_S), Lifeline(LIFE_S)
    reason = r"^192\.168\.0\.1 port 22 through 10\.0\.0\.1: no connection within 10 s$"
    with pytest.raises(DialError, match=reason) as failed:
        jumps.way_to(host(1), lifeline)
    assert failed.value.transient
    bastion.error = None
    jumps.way_to(host(2), Lifeline(LIFE_S))
    assert len(opened) == 2
    jumps.close()


def test_a_jump_host_that_died_in_silence_is_opened_anew(opened: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jump_connection, "_ANSWER_S", 0.1)
    opened[0].append(Connection(paramiko.SSHException("Timeout opening channel."), answers=False))
    jumps = JumpHosts(LIFE_S)
    jumps.way_to(host(1), Lifeline(LIFE_S))
    assert opened[2].opened == [("192.168.0.1", 22)]
    jumps.close()


def test_a_jump_host_that_dies_twice_is_the_reason(opened: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jump_connection, "_ANSWER_S", 0.1)
    opened[0].extend(Connection(paramiko.SSHException("Timeout opening channel."), answers=False) for __ in range(2))
    jumps = JumpHosts(LIFE_S)
    with pytest.raises(DialError, match=r"^the jump host 10\.0\.0\.1 opened no way: .*no connection within") as failed:
        jumps.way_to(host(1), Lifeline(LIFE_S))
    assert failed.value.transient
    jumps.way_to(host(2), Lifeline(LIFE_S))
    assert len(opened) == 4


@pytest.mark.parametrize(("code", "transient"), [(1, False), (2, True)])
def test_a_refusal_names_both_hosts(opened: list[Any], code: int, *, transient: bool) -> None:
    broken = Connection()
    broken.error = paramiko.ChannelException(code, "Connect failed\x1b")
    opened[0].append(broken)
    with pytest.raises(DialError, match=r"192\.168\.0\.1 port 22 through 10\.0\.0\.1: connect failed") as failed:
        JumpHosts(LIFE_S).way_to(host(1), Lifeline(LIFE_S))
    assert failed.value.transient is transient
    assert "\x1b" not in str(failed.value)


def test_nothing_is_opened_after_the_end(opened: list[Any]) -> None:
    jumps = JumpHosts(LIFE_S)
    jumps.close()
    with pytest.raises((CutError, DialError)):
        jumps.way_to(host(1), Lifeline(LIFE_S))
    assert len(opened) == 1


def test_a_host_whose_time_is_over_waits_for_no_jump_host(opened: list[Any]) -> None:
    with pytest.raises(CutError):
        JumpHosts(LIFE_S).way_to(host(1), Lifeline(0.0))
    assert len(opened) == 1
