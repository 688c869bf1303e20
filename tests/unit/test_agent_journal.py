# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent says to the journal and to the service manager, as a listener on their sockets hears it."""

from __future__ import annotations

import os
import socket
import struct
import sys
from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.agent.journal import ERROR, VERDICT_CHANGED, WARNING, Journal
from ansible_collections.lastack.linux.agent.records import AppKey, AppLook, Change, Trend
from ansible_collections.lastack.linux.agent.service_notify import ServiceNotifier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TREND = Trend(
    verdict="leak",
    count=420,
    arrivals=430,
    departures=10,
    growth_per_min=12.0,
    turnover_per_min=0.0,
    first_seen_s=100.0,
    oldest=(90.0, 100.0),
    ready_in_s=None,
    exhaustion_in_s=10_800.4,
    exhaustion_pid=4711,
    reason="420 sockets, 12 more a minute.",
)
KEY = AppKey("web.service", "unit", "host")


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.settimeout(5)
        yield listener


def heard(listener: socket.socket) -> dict[str, str]:
    """Read an entry as journald does: each field as a name, a newline, a length, the value, a newline."""
    data = listener.recv(65536)
    found: dict[str, str] = {}
    while data:
        name, __, data = data.partition(b"\n")
        (length,) = struct.unpack("<Q", data[:8])
        found[name.decode()] = data[8 : 8 + length].decode()
        assert data[8 + length : 9 + length] == b"\n"
        data = data[9 + length :]
    return found


def test_a_changed_verdict_has_fields_to_filter_by(listening: socket.socket) -> None:
    journal = Journal(listening.getsockname())
    journal.say_change(Change(KEY, "watching", TREND), AppLook({}, None, {"causes": {"eof_read": 400, "unknown": 20}}))
    assert heard(listening) == {
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "lastack-agent",
        "MESSAGE_ID": VERDICT_CHANGED,
        "LASTACK_APP": "web.service",
        "LASTACK_KIND": "unit",
        "LASTACK_NAMESPACE": "host",
        "LASTACK_VERDICT": "leak",
        "LASTACK_VERDICT_BEFORE": "watching",
        "LASTACK_COUNT": "420",
        "LASTACK_CAUSE": "eof_read",
        "LASTACK_EXHAUSTION_S": "10800",
        "MESSAGE": "web.service: leak (was watching): 420 sockets, 12 more a minute.",
    }


def test_what_is_not_known_is_no_field(listening: socket.socket) -> None:
    trend = TREND._replace(verdict="pool", exhaustion_in_s=None, exhaustion_pid=None)
    Journal(listening.getsockname()).say_change(Change(KEY, None, trend), None)
    fields = heard(listening)
    assert not {"LASTACK_EXHAUSTION_S", "LASTACK_CAUSE", "LASTACK_VERDICT_BEFORE"} & set(fields)
    assert fields["PRIORITY"] == "6"
    assert fields["MESSAGE"] == "web.service: pool: 420 sockets, 12 more a minute."


def test_no_value_begins_another_field(listening: socket.socket) -> None:
    hostile = AppKey("a\nPRIORITY=0\n\x1b[31m", "unit", "h\nMESSAGE_ID=x")
    Journal(listening.getsockname()).say_change(Change(hostile, None, TREND), None)
    fields = heard(listening)
    assert fields["PRIORITY"] == "4"
    assert fields["MESSAGE_ID"] == VERDICT_CHANGED
    assert fields["LASTACK_APP"] == hostile.app
    assert "\n" not in fields["MESSAGE"]
    assert "\x1b" not in fields["MESSAGE"]


def test_without_a_journal_it_is_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Journal(str(tmp_path / "nothing")).say(WARNING, "two\nlines")
    assert capsys.readouterr().err == "<4>two\\x0alines\n"


def test_the_one_who_started_it_hears_it_too(
    listening: socket.socket, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    monkeypatch.setattr(sys, "stderr", os.fdopen(os.dup(2), "w", encoding="utf-8"))
    journal = Journal(listening.getsockname())
    journal.say_to_caller(ERROR, "Another agent runs.")
    assert heard(listening)["MESSAGE"] == "Another agent runs."
    assert capfd.readouterr().err == "Another agent runs.\n"
    status = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
    journal.say_to_caller(ERROR, "Once.")
    assert heard(listening)["MESSAGE"] == "Once."
    assert capfd.readouterr().err == ""
    Journal(str(tmp_path / "nothing")).say_to_caller(ERROR, "Only here.")
    assert capfd.readouterr().err == "<3>Only here.\n"
    sys.stderr.close()


def test_a_journal_that_does_not_read_does_not_stop_the_agent(
    listening: socket.socket, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ansible_collections.lastack.linux.agent.journal._TIMEOUT_S", 0.01)
    journal = Journal(listening.getsockname())
    for __ in range(1000):
        journal.say(WARNING, "again")
        if capsys.readouterr().err:
            return
    pytest.fail("the queue never filled")


def test_the_service_manager_is_told(listening: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", listening.getsockname())
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    notifier = ServiceNotifier()
    assert notifier.watchdog_s == 30
    notifier.ready("Watching\n3 applications.")
    assert listening.recv(4096) == b"READY=1\nSTATUS=Watching 3 applications."
    notifier.alive()
    assert listening.recv(4096) == b"WATCHDOG=1"
    notifier.reloading()
    assert listening.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    notifier.stopping()
    assert listening.recv(4096) == b"STOPPING=1"


def test_an_abstract_socket_is_an_address_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("")  # the kernel chooses an abstract name (unix(7))
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + listener.getsockname()[1:].decode())
        ServiceNotifier().stopping()
        assert listener.recv(4096) == b"STOPPING=1"


@pytest.mark.parametrize(("microseconds", "pid"), [("", ""), ("x", ""), ("0", ""), ("-5", ""), ("1000000", "1")])
def test_no_watchdog(monkeypatch: pytest.MonkeyPatch, microseconds: str, pid: str) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    monkeypatch.setenv("WATCHDOG_PID", pid)
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = ServiceNotifier()
    assert notifier.watchdog_s is None
    # Nobody listens: nothing happens.
    notifier.ready("x")
    notifier.alive()


def test_a_manager_that_is_gone_is_no_trouble(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nothing"))
    ServiceNotifier().stopping()
