# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated applications, look by look: what leaks, what only looks like it, and a watch that follows them.

A scenario is a generator: it is sent the begin and the end of the time between two looks and opens, closes and
restarts what happens in it. All numbers are drawn from the program's own seeded random source.
"""

from __future__ import annotations

import math
import random
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.agent.records import (
    AppKey,
    AppLook,
    DescriptorUse,
    Member,
    Pass,
    Thresholds,
    Trend,
)
from ansible_collections.lastack.linux.agent.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["HEALTHY", "INTERVAL_S", "KEY", "LEAKING", "NAMESPACE", "Program", "Said", "follow", "look_at"]

INTERVAL_S = 15.0
MIN_AGE_S = 60.0
NAMESPACE = 4_026_531_840
KEY = AppKey("shop.service", "unit", "host")
IDLE = ("eof_unnoticed", "eof_unnoticed_tls", "eof_unnoticed_farewell")
LEAKY = ("eof_read", "eof_consumed", "unread_data", "unknown")
DAY_S = 86_400.0
UNDECIDED = 5
"""Every so manieth socket shows no age at first, so that it is seen at once; others not before the least age."""

if TYPE_CHECKING:
    Steps = Generator[None, tuple[float, float], None]
    Scenario = Callable[["Program"], Steps]


class Socket(NamedTuple):
    """A CLOSE_WAIT socket: since when, why, and until when it stays."""

    cookie: int
    born_s: float
    cause: str
    ends_s: float


class Program:
    """A process and its CLOSE_WAIT sockets."""

    def __init__(self, seed: int, soft_limit: int | None = 1_024) -> None:
        self.random = random.Random(seed)
        self.sockets: list[Socket] = []
        self.pid = 100
        self.soft_limit = soft_limit
        self.others = 20
        self.unread = 0.0
        self._cookies = count(1)

    def open(self, at_s: float, cause: str, how_many: int = 1, life_s: float = math.inf) -> None:
        """Have sockets come to CLOSE_WAIT at this moment, to be closed after ``life_s``."""
        self.sockets += [Socket(next(self._cookies), at_s, cause, at_s + life_s) for __ in range(how_many)]

    def close(self, how_many: int) -> None:
        """Close the oldest sockets."""
        del self.sockets[:how_many]

    def restart(self) -> None:
        """End the process, which closes everything, and start it anew."""
        self.sockets.clear()
        self.pid += 1

    def descriptors(self, now_s: float) -> DescriptorUse:
        """Return what the process has open."""
        used = self.others + sum(one.born_s <= now_s < one.ends_s for one in self.sockets)
        return DescriptorUse(self.pid, self.pid * 1_000, used, self.soft_limit, self.soft_limit)

    def look(self, now_s: float) -> AppLook:
        """Return what the agent sees: sockets in transit, known to be younger than the least age, are left out."""
        self.sockets = [one for one in self.sockets if one.ends_s > now_s]
        members = {}
        for one in self.sockets:
            age_s = now_s - one.born_s
            undecided = one.cookie % UNDECIDED == 0
            if age_s >= MIN_AGE_S or (undecided and age_s >= 0):
                inode = 0 if one.cause == "unaccepted" else one.cookie
                at_most_s = None if undecided else age_s + 0.5
                members[NAMESPACE, one.cookie] = Member(one.cause, max(0.0, age_s - 0.5), at_most_s, inode)
        return AppLook(members, self.descriptors(now_s), {"app": KEY.app})


def look_at(program: Program, now_s: float) -> Pass:
    """Return one pass over a host on which only this program has CLOSE_WAIT sockets."""
    if program.random.random() < program.unread:
        return Pass(now_s, {}, frozenset(), (("namespace", 1, "gone"),), 0)
    found = program.look(now_s)
    applications = {KEY: found} if found.members else {}
    return Pass(now_s, applications, frozenset((NAMESPACE,)), (), len(found.members))


class Said(NamedTuple):
    """What the watch said after one look, and how many descriptors the process had open."""

    now_s: float
    trend: Trend | None
    open: int
    pid: int


def follow(  # noqa: PLR0913 - the dials of one experiment
    scenario: Scenario,
    seed: int,
    looks: int,
    *,
    blind: int = 0,
    soft_limit: int | None = 1_024,
    thresholds: Thresholds | None = None,
    interval_s: float = INTERVAL_S,
    restart_agent_at: int | None = None,
) -> list[Said]:
    """Run a scenario and return what the watch says after each of ``looks``; it starts ``blind`` looks late.

    It ends early when the process has no descriptor left. With ``restart_agent_at`` the watch is replaced at that look
    by one made of its state.
    """
    program = Program(seed, soft_limit)
    steps = scenario(program)
    next(steps)
    limits = thresholds or Thresholds()
    watch = Watch(limits)
    said = []
    now_s = 1_000.0 + seed
    for index in range(-blind, looks):
        then_s, now_s = now_s, now_s + interval_s * program.random.uniform(0.95, 1.05)
        steps.send((then_s, now_s))
        if index < 0:
            continue
        if index == restart_agent_at:
            watch = Watch.from_state(watch.to_state(), limits)
        watch.observe(look_at(program, now_s), interval_s)
        found = watch.trends().get(KEY)
        use = program.descriptors(now_s)
        said.append(Said(now_s, found[0] if found else None, use.open, program.pid))
        if soft_limit is not None and use.open >= soft_limit:
            break
    return said


def _times(chance: random.Random, rate_per_s: float, span: tuple[float, float]) -> list[float]:
    """Return the moments of a Poisson process in a span."""
    times = []
    at_s = span[0] + chance.expovariate(rate_per_s)
    while at_s < span[1]:
        times.append(at_s)
        at_s += chance.expovariate(rate_per_s)
    return times


def steady_leak(program: Program) -> Steps:
    """So many sockets per second, evenly, never closed."""
    cause, every_s = program.random.choice(LEAKY), 1 / program.random.uniform(0.1, 2.0)
    begin_s, __ = span = yield
    at_s = begin_s
    while True:
        while at_s < span[1]:
            program.open(at_s, cause)
            at_s += every_s
        span = yield


def bursty_leak(program: Program) -> Steps:
    """A burst of sockets every few looks, never closed."""
    chance = program.random
    cause, every_s, size = chance.choice(LEAKY), chance.uniform(5, 35), chance.randint(3, 40)
    at_s, span = 0.0, (yield)
    at_s = span[0]
    while True:
        while at_s < span[1]:
            program.open(at_s, cause, chance.randint(1, size))
            at_s += every_s * chance.uniform(0.7, 1.3)
        span = yield


def slow_leak(program: Program) -> Steps:
    """One socket in many looks, never closed."""
    chance = program.random
    cause, every_s = chance.choice(("eof_read", "unread_data")), chance.uniform(200, 2_000)
    at_s = 0.0
    span = yield
    at_s = span[0]
    while True:
        while at_s < span[1]:
            program.open(at_s, cause)
            at_s += every_s * chance.uniform(0.7, 1.3)
        span = yield


def leak_on_pool(program: Program) -> Steps:
    """A leak in a program that also has an idle pool whose members turn over."""
    leak, pool = steady_leak(program), turning_pool(program)
    next(leak, None)
    next(pool, None)
    while True:
        span = yield
        leak.send(span)
        pool.send(span)


def unread_leak(program: Program) -> Steps:
    """A steady leak in a namespace that cannot be read now and then."""
    program.unread = 0.2
    yield from steady_leak(program)


def filling_pool(program: Program) -> Steps:
    """An idle pool that fills to a ceiling, slowly or in steps, and stays there."""
    chance = program.random
    ceiling, every_s, step = chance.randint(2, 200), chance.uniform(1, 120), chance.choice((1, 1, 5, 20))
    cause = chance.choice(IDLE)
    span = yield
    at_s, opened = span[0], 0
    while True:
        while at_s < span[1] and opened < ceiling:
            opened += step
            program.open(at_s, cause, step)
            at_s += every_s
        span = yield


def turning_pool(program: Program) -> Steps:
    """An idle pool whose dead members are replaced one by one."""
    chance = program.random
    size, life_s = chance.randint(3, 100), chance.uniform(80, 900)
    cause = chance.choice(IDLE)
    exponential = chance.random() < 0.5
    while True:
        span = yield
        for at_s in _times(chance, size / life_s, span):
            program.open(at_s, cause, life_s=chance.expovariate(1 / life_s) if exponential else life_s)


def breathing_pool(program: Program) -> Steps:
    """An idle pool whose size follows the load of the day, and whose members turn over."""
    chance = program.random
    size, life_s, cause = chance.randint(20, 150), chance.uniform(120, 3_600), chance.choice(IDLE)
    day_s = chance.choice((3_600.0, 4 * 3_600.0, DAY_S))
    while True:
        span = yield
        wanted = size * (0.1 + 0.9 * (1 - math.cos(2 * math.pi * span[1] / day_s)) / 2)
        for at_s in _times(chance, size / life_s, span):
            if len(program.sockets) < wanted:
                program.open(at_s, cause, life_s=life_s * chance.uniform(0.5, 1.5))


def idle_pool(program: Program) -> Steps:
    """A pool that was there before and that nobody uses."""
    chance = program.random
    span = yield
    for __ in range(chance.randint(1, 200)):
        program.open(span[0] - chance.uniform(0, 50_000), chance.choice(IDLE))
    while True:
        yield


def restarting_pool(program: Program) -> Steps:
    """An idle pool that fills again after every restart of its process."""
    chance = program.random
    while True:
        pool = filling_pool(program)
        next(pool, None)
        for __ in range(chance.randint(20, 120)):
            span = yield
            pool.send(span)
        program.restart()


def half_closing_proxy(program: Program) -> Steps:
    """Connections that are half-closed by design, pause now and then, and end."""
    chance = program.random
    life_s, rate = chance.uniform(30, 900), chance.uniform(0.02, 1.0)
    while True:
        span = yield
        for at_s in _times(chance, rate, span):
            program.open(at_s, "half_close", life_s=chance.expovariate(1 / life_s))
        program.sockets = [
            one._replace(cause="eof_consumed" if chance.random() < 0.3 else "half_close") for one in program.sockets
        ]


def late_reader(program: Program) -> Steps:
    """A busy server that reads the end at once and closes after its answer is made, minutes later."""
    chance = program.random
    life_s, rate, cause = chance.uniform(65, 110), chance.uniform(0.05, 2.0), chance.choice(LEAKY)
    while True:
        span = yield
        for at_s in _times(chance, rate, span):
            program.open(at_s, cause, life_s=life_s * chance.uniform(0.3, 1.0))


def draining_burst(program: Program) -> Steps:
    """A burst that is worked off, at once or one by one, within minutes."""
    chance = program.random
    hold_s, over_s, size = chance.uniform(80, 150), chance.choice((0.0, 30.0, 90.0)), chance.randint(5, 200)
    cause = chance.choice((*LEAKY, *IDLE))
    quiet = chance.randint(0, 5)
    for __ in range(quiet):
        yield
    span = yield
    for __ in range(size):
        program.open(span[0], cause, life_s=hold_s + chance.uniform(0, over_s))
    while True:
        yield


def repeated_bursts(program: Program) -> Steps:
    """Bursts that come again and again, and drain each time."""
    chance = program.random
    size, hold_s, cause = chance.randint(5, 100), chance.uniform(70, 200), chance.choice((*LEAKY, *IDLE))
    every_s = hold_s + 100 * chance.uniform(1, 8)
    span = yield
    at_s = span[0]
    while True:
        while at_s < span[1]:
            for __ in range(size):
                program.open(at_s, cause, life_s=hold_s + chance.uniform(0, 60))
            at_s += every_s
        span = yield


def stuck_accept(program: Program) -> Steps:
    """A loop that no longer accepts; the queue fills to its backlog."""
    chance = program.random
    rate, backlog = chance.uniform(0.05, 2.0), chance.randint(1, 128)
    while True:
        span = yield
        for at_s in _times(chance, rate, span):
            if len(program.sockets) < backlog:
                program.open(at_s, "unaccepted")


def slow_accept(program: Program) -> Steps:
    """A slow loop that accepts everything in the end."""
    chance = program.random
    wait_s, rate = chance.uniform(65, 95), chance.uniform(0.1, 2.0)
    while True:
        span = yield
        for at_s in _times(chance, rate, span):
            program.open(at_s, "unaccepted", life_s=wait_s)


LEAKING: dict[str, Scenario] = {
    "steady": steady_leak,
    "bursty": bursty_leak,
    "on a pool": leak_on_pool,
}
"""Those that must be found within ten looks."""

HEALTHY: dict[str, Scenario] = {
    "fills": filling_pool,
    "turns over": turning_pool,
    "breathes": breathing_pool,
    "idles": idle_pool,
    "restarts": restarting_pool,
    "half-closes": half_closing_proxy,
    "reads late": late_reader,
    "drains": draining_burst,
    "drains again and again": repeated_bursts,
    "accepts slowly": slow_accept,
}
