# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a hostile sshd may make the controller read before anything is agreed on, and what it says at its end."""

from __future__ import annotations

import socket
import struct
import threading

import paramiko
import pytest
from ansible_collections.lastack.linux.sweep import connect
from ansible_collections.lastack.linux.sweep.dial import DialError
from ansible_collections.lastack.linux.sweep.lifeline import Lifeline
from ansible_collections.lastack.linux.sweep.ssh_settings import SshSettings
from ansible_collections.lastack.linux.sweep.ssh_transport import SshTransport

LIFE_S = 30.0
SETTINGS = SshSettings("web-1", "127.0.0.1", user="root", connect_timeout_s=LIFE_S)
GREETING = b"SSH-2.0-x\r\n"


def packet(payload: bytes) -> bytes:
    padding = 8 - (5 + len(payload)) % 8
    padding += 8 if padding < 4 else 0
    return struct.pack(">IB", len(payload) + padding + 1, padding) + payload + b"\0" * padding


def said(*first: bytes, then: bytes = b"") -> tuple[str, int]:
    """Return the reason that a host with these bytes gives, and how many MiB of ``then`` were read."""
    ours, theirs = socket.socketpair()
    lifeline = Lifeline(LIFE_S)
    lifeline.hold(ours)
    taken = [0]

    def serve() -> None:
        try:
            for one in first:
                theirs.sendall(one)
            while then and taken[0] < 64:
                theirs.sendall(then)
                taken[0] += 1
            theirs.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    with theirs, pytest.raises(DialError) as failed:
        connect.open_connection(SETTINGS, ours, lifeline)
    lifeline.let_go()
    server.join(LIFE_S)
    assert not server.is_alive()
    return str(failed.value), taken[0]


def test_a_gigabyte_without_a_greeting_is_not_read() -> None:
    reason, taken = said(then=b"A" * 2**20)
    assert reason == "127.0.0.1 port 22: no ssh: it sent more than 64 KiB and no greeting"
    assert taken <= 2


def test_lines_without_end_are_no_greeting() -> None:
    reason, taken = said(then=b"hello\r\n" * 150_000)
    assert reason == "127.0.0.1 port 22: no ssh: it sent 100 lines and no greeting"
    assert taken <= 2


def test_a_packet_of_four_gigabytes_is_not_awaited() -> None:
    reason, taken = said(GREETING + struct.pack(">IB", 0xFFFFFFF4, 4), then=b"A" * 2**20)
    assert "the host announced a packet of 4,294,967,280 bytes" in reason
    assert taken <= 2


def test_the_last_words_of_an_sshd_are_the_reason() -> None:
    words = b"\x1b[31mtoo many connections\x07\nfrom you"
    bye = b"\x01" + struct.pack(">II", 2, len(words)) + words + struct.pack(">I", 0)
    reason, __ = said(GREETING + packet(bye))
    assert reason.startswith("127.0.0.1 port 22: sshd ended the connection: ")
    assert "too many connections" in reason
    assert reason.isprintable()


def test_a_greeting_may_have_lines_before_it() -> None:
    ours, theirs = socket.socketpair()
    transport = SshTransport(ours, ("ecdsa-sha2-nistp256",))
    server = paramiko.Transport(theirs)
    server.add_server_key(paramiko.ECDSAKey.generate())
    try:
        theirs.sendall(b"Authorised use only.\r\n" * 90)
        server.start_server(event=threading.Event(), server=paramiko.ServerInterface())
        transport.start_client(timeout=LIFE_S)
        assert transport.host_key_blob
    finally:
        transport.close()
        server.close()
