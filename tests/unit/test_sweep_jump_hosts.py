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
from ansible_collections.lastack.linux.sweep import jump_hosts
from ansible_collections.lastack.linux.sweep.dial import DialError
from ansible_collections.lastack.linux.sweep.host_keys import HostKeyError
from ansible_collections.lastack.linux.sweep.jump_hosts import JumpHosts
from ansible_collections.lastack.linux.sweep.lifeline import CutError, Lifeline
from ansible_collections.lastack.linux.sweep.ssh_settings import SshSettings

LIFE_S = 30.0
HOP = SshSettings("bastion", "10.0.0.1")


class Channel:
    """A way through a jump host."""

    def close(self) -> None:
        """Nothing to close."""


class Connection:
    """A jump host's connection, and its own transport."""

    def __init__(self) -> None:
        self.is_connected = True
        self.transport = self
        self.opened: list[tuple[str, int]] = []
        self.error: Exception | None = None

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


def test_what_one_host_could_not_open_the_next_one_tries(opened: list[Any]) -> None:
    jumps = JumpHosts(LIFE_S)
    opened[0].append(HostKeyError("another key"))
    with pytest.raises(HostKeyError):
        jumps.way_to(host(1), Lifeline(LIFE_S))
    jumps.way_to(host(2), Lifeline(LIFE_S))
    assert len(opened) == 3


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
