# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The threads of a sweep: never too many, never stopped by one host, and ended at once when told."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.sweep import worker_pool
from ansible_collections.lastack.linux.sweep.attempt import Answer
from ansible_collections.lastack.linux.sweep.lifeline import CutError, Lifeline
from ansible_collections.lastack.linux.sweep.payload import Request
from ansible_collections.lastack.linux.sweep.target import Target
from ansible_collections.lastack.linux.sweep.worker_pool import WorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

WAIT_S = 30.0


def target(host: str) -> Target:
    return Target(host, {}, Request("m"), local=True, ssh_password=None, become_password=None)


def take(pool: WorkerPool) -> tuple[str, Answer]:
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        brought = pool.take(0.05)
        if brought is not None:
            return brought[0], brought[1]
    raise AssertionError("nothing came")


def pool_of(look: Callable[[Target, Lifeline], Answer], size: int = 2, life_s: float = WAIT_S) -> WorkerPool:
    return WorkerPool(look, size=size, life_s=life_s)


def test_all_hosts_are_looked_at_and_never_more_than_the_size() -> None:
    lock, now, most = threading.Lock(), [0], [0]

    def look(one: Target, __: Lifeline) -> Answer:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.01)
        with lock:
            now[0] -= 1
        return Answer("failed", one.host)

    pool, left, seen = pool_of(look, size=3), [f"h{number}" for number in range(20)], []
    while left or pool.running:
        while left and pool.has_room:
            pool.give(target(left.pop()))
        host, answer = take(pool)
        assert answer.reason == host
        seen.append(host)
    pool.end()
    assert sorted(seen) == sorted(f"h{number}" for number in range(20))
    assert most[0] == 3


def test_a_controller_without_threads_goes_on_with_those_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "lastack-sweep-2":
            raise RuntimeError("can't start new thread")
        start(thread)

    free = threading.Event()
    pool = pool_of(lambda one, __: Answer("failed", f"{one.host} {free.wait(WAIT_S)}"), size=3)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    pool.give(target("a"))
    pool.give(target("b"))
    assert not pool.has_room
    host, answer = take(pool)
    assert (host, answer.outcome) == ("b", "failed")
    assert "no more threads" in (answer.reason or "")
    free.set()
    assert take(pool)[0] == "a"
    pool.give(target("c"))
    assert take(pool)[1].reason == "c True"
    pool.end()


def test_the_controller_s_own_trouble_is_no_defect() -> None:
    def look(*__: object) -> Answer:
        raise OSError(24, "Too many open files", "/etc/hosts")

    pool = pool_of(look, size=1)
    pool.give(target("a"))
    assert take(pool) == ("a", Answer("failed", "trouble on the controller: too many open files"))
    pool.end()


def test_a_defect_is_one_host_s_outcome() -> None:
    def look(one: Target, __: Lifeline) -> Answer:
        if one.host == "bad":
            raise ZeroDivisionError("oops\x1b[31m")
        return Answer("ok", None, {})

    pool = pool_of(look, size=1)
    answers = {}
    for host in ("bad", "good"):
        pool.give(target(host))
        name, answers[host] = take(pool)
        assert name == host
    pool.end()
    assert answers["good"].outcome == "ok"
    assert answers["bad"].outcome == "failed"
    assert "ZeroDivisionError: oops" in str(answers["bad"].reason)
    assert "\x1b" not in str(answers["bad"].reason)


def test_a_look_whose_time_is_over_is_cut() -> None:
    def look(__: Target, lifeline: Lifeline) -> Answer:
        with contextlib.suppress(CutError):
            lifeline.pause(WAIT_S * 10)
        while not lifeline._cut.is_set():
            time.sleep(0.01)
        return Answer("failed", "cut")

    pool = pool_of(look, life_s=0.05)
    pool.give(target("slow"))
    assert take(pool) == ("slow", Answer("failed", "cut"))
    pool.end()


def test_a_look_whose_time_is_over_is_cut_while_others_bring_one_result_after_the_other() -> None:
    ours, theirs = socket.socketpair()

    def look(one: Target, lifeline: Lifeline) -> Answer:
        if one.host == "slow":
            lifeline.hold(ours)
            # Only a cut ends it: it has no time-out of its own.
            ours.recv(1)
        return Answer("failed", one.host)

    pool, seen, end = pool_of(look, life_s=0.05), "", time.monotonic() + WAIT_S
    try:
        pool.give(target("slow"))
        while seen != "slow" and time.monotonic() < end:
            if pool.has_room:
                pool.give(target("quick"))
            brought = pool.take(WAIT_S)
            seen = "" if brought is None else brought[0]
        assert seen == "slow"
    finally:
        pool.interrupt("the end")
        pool.end()
        ours.close()
        theirs.close()


def test_an_answer_that_has_come_is_never_given_up_however_late_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "_GRACE_S", -WAIT_S)
    lines = []

    def look(__: Target, lifeline: Lifeline) -> Answer:
        lines.append(lifeline)
        return Answer("ok", None, {})

    pool, end = pool_of(look, life_s=0.001), time.monotonic() + WAIT_S
    pool.give(target("a"))
    while (pool._brought.empty() or not lines[0].is_over) and time.monotonic() < end:
        time.sleep(0.01)
    assert take(pool) == ("a", Answer("ok", None, {}))
    pool.end()


def test_who_is_woken_waits_no_longer() -> None:
    pool = pool_of(lambda *__: Answer("ok", None, {}))
    began = time.monotonic()
    pool.wake()
    assert pool.take(WAIT_S * 10) is None
    assert time.monotonic() - began < WAIT_S


def test_a_thread_that_hangs_is_left_behind_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "_GRACE_S", 0.05)
    free = threading.Event()

    def look(one: Target, lifeline: Lifeline) -> Answer:
        if one.host == "hangs":
            lifeline.phase = "looking"
            free.wait(WAIT_S)
        return Answer("ok", None, {})

    pool = pool_of(look, size=1, life_s=0.05)
    try:
        pool.give(target("hangs"))
        host, answer = take(pool)
        assert (host, answer.outcome) == ("hangs", "failed")
        assert "no report within" in str(answer.reason)
        pool.give(target("next"))
        assert take(pool)[0] == "next"
        # What the lost thread brings at last is not taken for another host's.
        free.set()
        pool.give(target("last"))
        assert take(pool)[0] == "last"
        assert pool.take(0.2) is None
    finally:
        free.set()
        pool.end()


def test_an_interrupt_ends_all_that_runs() -> None:
    def look(__: Target, lifeline: Lifeline) -> Answer:
        try:
            lifeline.pause(WAIT_S - 1)
        except CutError as error:
            return Answer("missing", str(error))
        return Answer("ok", None, {})

    pool = pool_of(look, size=4)
    for number in range(4):
        pool.give(target(f"h{number}"))
    pool.interrupt("enough")
    answers = [take(pool)[1] for __ in range(4)]
    pool.end()
    assert answers == [Answer("missing", "enough")] * 4
