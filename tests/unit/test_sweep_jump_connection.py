# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A jump host that stalls while hosts send through it: nobody who ends them hangs, and they wake.

Both sides are Paramiko's own; the jump host's one stops to read when it is told.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import paramiko
import pytest
from ansible_collections.lastack.linux.sweep import connect, jump_connection, jump_hosts
from ansible_collections.lastack.linux.sweep.host_keys import HostKeyVerdict
from ansible_collections.lastack.linux.sweep.jump_hosts import JumpHosts
from ansible_collections.lastack.linux.sweep.lifeline import Lifeline
from ansible_collections.lastack.linux.sweep.ssh_settings import SshSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG_S = 60.0
HOST_KEY = paramiko.ECDSAKey.generate()
OUTER = SshSettings("outer", "10.0.0.1", connect_timeout_s=LONG_S)
INNER = SshSettings("inner", "10.0.0.2", connect_timeout_s=LONG_S, proxy_jump=("outer",))
STALL = "stall@test"


class Policy:
    """Takes every key."""

    def __init__(self, __: SshSettings) -> None:
        """Need nothing."""

    def new_transport(self, sock: socket.socket) -> paramiko.Transport:
        return paramiko.Transport(sock)

    def check(self, __: paramiko.Transport) -> HostKeyVerdict:
        return HostKeyVerdict("a test", secrets_allowed=True)


class FullSocket(socket.socket):
    """Says when it takes nothing more."""

    full: threading.Event

    def send(self, *data: object) -> int:
        try:
            return super().send(*data)  # type: ignore[arg-type] # as it came
        except TimeoutError:
            self.full.set()
            raise


class Bastion(paramiko.ServerInterface):  # type: ignore[misc] # Paramiko ships no types
    """Lets everybody in and through; when it is told to stall, it reads nothing more."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.full = threading.Event()
        self.transports: list[paramiko.Transport] = []
        ours, theirs = socket.socketpair()
        self.sock = FullSocket(fileno=ours.detach())
        self.sock.full = self.full
        self.serve(theirs)

    def serve(self, sock: socket.socket | paramiko.Channel) -> None:
        """Be the sshd at this end of a connection."""
        transport = paramiko.Transport(sock)
        transport.add_server_key(HOST_KEY)
        transport.start_server(event=threading.Event(), server=self)
        self.transports.append(transport)

    def check_auth_none(self, *__: str) -> int:
        return int(paramiko.AUTH_SUCCESSFUL)

    def check_channel_direct_tcpip_request(self, *__: object) -> int:
        return int(paramiko.OPEN_SUCCEEDED)

    def check_global_request(self, kind: str, __: paramiko.Message) -> bool:
        if kind == STALL:
            self.free.wait(2 * LONG_S)
        return False

    def serve_inner(self) -> None:
        """Be the second jump host too, behind the first one."""
        channel = self.transports[0].accept(LONG_S)
        assert channel is not None
        self.serve(channel)


@pytest.fixture
def bastion(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bastion]:
    host = Bastion()

    def dial(__: SshSettings, lifeline: Lifeline) -> socket.socket:
        lifeline.hold(host.sock)
        return host.sock

    def hop_of(settings: SshSettings) -> SshSettings | None:
        return {"inner": INNER, "outer": OUTER}[settings.proxy_jump[0]] if settings.proxy_jump else None

    monkeypatch.setattr(connect, "HostKeyPolicy", Policy)
    monkeypatch.setattr(connect, "authenticate", lambda transport, *__: transport.auth_none("somebody"))
    monkeypatch.setattr(jump_hosts, "dial", dial)
    monkeypatch.setattr(jump_hosts, "hop_settings", hop_of)
    yield host
    host.free.set()
    for transport in host.transports:
        transport.close()
    host.sock.close()


class Hosts:
    """Three hosts behind jump hosts that have stalled while they send."""

    def __init__(self, jumps: JumpHosts, bastion: Bastion, jump: str) -> None:
        self.lines = [Lifeline(2 * LONG_S) for __ in range(3)]
        if jump == "inner":
            threading.Thread(target=bastion.serve_inner, daemon=True).start()
        channels = [
            jumps.way_to(SshSettings(f"h{number}", f"192.168.0.{number}", 22, proxy_jump=(jump,)), line)
            for number, line in enumerate(self.lines)
        ]
        jumps.way_to(SshSettings("last", "192.168.0.9", proxy_jump=("outer",)), self.lines[0]).transport.global_request(  # type: ignore[union-attr] # a channel
            STALL, wait=False
        )
        self.threads = [threading.Thread(target=self._send, args=(one,), daemon=True) for one in channels]
        for thread in self.threads:
            thread.start()
        assert bastion.full.wait(LONG_S)

    def _send(self, channel: paramiko.Channel) -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            while channel.send(b"x" * 32768):
                pass

    def are_awake(self) -> bool:
        for thread in self.threads:
            thread.join(LONG_S)
        return not any(thread.is_alive() for thread in self.threads)


def returns(action: object) -> bool:
    """Whether it comes back, and does not hang."""
    assert callable(action)
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    thread.join(LONG_S)
    return not thread.is_alive()


@pytest.mark.parametrize("jump", ["outer", "inner"])
def test_hosts_behind_a_stalled_jump_host_are_cut_off_at_once_and_wake(
    bastion: Bastion, monkeypatch: pytest.MonkeyPatch, jump: str
) -> None:
    jumps = JumpHosts(LONG_S)
    hosts = Hosts(jumps, bastion, jump)
    monkeypatch.setattr(jump_connection, "_ANSWER_S", 0.5)
    for line in hosts.lines:
        assert returns(line.cut)
    assert hosts.are_awake()
    for line in hosts.lines:
        assert returns(line.let_go)
    assert returns(jumps.close)


@pytest.mark.parametrize("jump", ["outer", "inner"])
def test_the_end_of_the_sweep_does_not_wait_for_a_stalled_jump_host(bastion: Bastion, jump: str) -> None:
    jumps = JumpHosts(LONG_S)
    hosts = Hosts(jumps, bastion, jump)
    assert returns(jumps.close)
    assert hosts.are_awake()


def test_a_host_that_is_done_waits_for_no_stalled_jump_host(bastion: Bastion) -> None:
    jumps = JumpHosts(LONG_S)
    hosts = Hosts(jumps, bastion, "outer")
    for line in hosts.lines:
        assert returns(line.let_go)
    # What they had to say, the jump host hears once it listens again; nobody had asked whether it is there.
    bastion.free.set()
    for __ in range(3):
        channel = bastion.transports[0].accept(LONG_S)
        assert channel is not None
        channel.settimeout(LONG_S)
        while channel.recv(2**20):
            pass
        assert channel.eof_received
    assert hosts.are_awake()
    jumps.close()


def test_a_host_that_was_cut_off_costs_the_others_nothing(bastion: Bastion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jump_connection, "_ANSWER_S", LONG_S)
    jumps = JumpHosts(LONG_S)
    lines = [Lifeline(LONG_S) for __ in range(2)]
    channels = []
    for number, line in enumerate(lines):
        channels.append(jumps.way_to(SshSettings("h", f"192.168.0.{number}", proxy_jump=("outer",)), line))
        assert isinstance(channels[-1], paramiko.Channel)
    lines[0].cut("enough")
    assert channels[0].recv(1) == b""
    theirs = [bastion.transports[0].accept(LONG_S) for __ in channels]
    assert None not in theirs
    theirs[0].settimeout(LONG_S)
    assert theirs[0].recv(1) == b""
    # The jump host has been asked, and is there.
    opening = jumps._openings[OUTER]
    assert opening.jump is not None
    assert opening.jump.check().wait(LONG_S)
    assert opening.jump.is_connected
    theirs[1].sendall(b"x")
    assert channels[1].recv(1) == b"x"
    jumps.close()
