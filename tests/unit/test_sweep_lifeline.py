# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An attempt's life: its time, its phases, and how another thread ends whatever it waits for."""

from __future__ import annotations

import socket
import subprocess
import threading

import pytest
from ansible_collections.lastack.linux.sweep.lifeline import CutError, Lifeline

LONG_S = 60.0


def test_time_runs_out_and_says_at_what() -> None:
    lifeline = Lifeline(0.0)
    lifeline.phase = "logging in"
    assert lifeline.is_over
    with pytest.raises(CutError, match=r"within 0 s .*logging in"):
        lifeline.seconds_left()
    assert lifeline.reason == ""


def test_seconds_left_are_at_most_what_is_asked() -> None:
    lifeline = Lifeline(LONG_S)
    assert lifeline.seconds_left(3) == 3
    assert 0 < lifeline.seconds_left() <= LONG_S


def test_a_cut_wakes_a_reader_and_a_pause() -> None:
    lifeline = Lifeline(LONG_S)
    ours, theirs = socket.socketpair()
    with theirs:
        lifeline.hold(ours)
        read: list[bytes] = []
        reader = threading.Thread(target=lambda: read.append(ours.recv(1)), daemon=True)
        reader.start()
        lifeline.cut("enough")
        reader.join(LONG_S)
        assert read == [b""]
        with pytest.raises(CutError, match="enough"):
            lifeline.pause(LONG_S / 2)
        lifeline.let_go()
        assert ours.fileno() == -1


def test_a_process_is_ended_and_reaped_and_all_that_it_has_started() -> None:
    lifeline = Lifeline(LONG_S)
    process = subprocess.Popen(["sh", "-c", "sleep 60 & wait"], start_new_session=True, stdout=subprocess.PIPE)
    lifeline.hold(process)
    lifeline.cut()
    lifeline.let_go()
    assert process.returncode == -9
    assert process.stdout is not None
    with process.stdout:
        # The end of the pipe comes with the last one that holds it.
        assert process.stdout.read() == b""


def test_what_comes_after_the_cut_is_closed_at_once() -> None:
    lifeline = Lifeline(LONG_S)
    lifeline.cut("enough")
    ours, theirs = socket.socketpair()
    with theirs:
        with pytest.raises(CutError, match="enough"):
            lifeline.hold(ours)
        assert ours.fileno() == -1


def test_the_first_reason_counts() -> None:
    lifeline = Lifeline(LONG_S)
    lifeline.cut("first")
    lifeline.cut("second")
    assert lifeline.reason == "first"


def test_a_pause_that_does_not_fit_is_not_begun() -> None:
    with pytest.raises(CutError):
        Lifeline(1.0).pause(LONG_S)


def test_what_can_be_shut_is_not_closed_by_another_thread() -> None:
    done: list[str] = []

    class Way:
        def shut(self) -> None:
            done.append("shut")

        def close(self) -> None:
            done.append("close")

    lifeline = Lifeline(LONG_S)
    lifeline.hold(Way())
    lifeline.cut("enough")
    assert done == ["shut"]
    lifeline.let_go()
    assert done == ["shut", "shut", "close"]
