# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent's parts hand to each other: one pass over the host, and the trend of one application.

All moments are ``CLOCK_BOOTTIME`` seconds: a wall clock that jumps changes no age. Unknown is ``None``, never 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BURST",
    "LEAK",
    "POOL",
    "STUCK",
    "THRESHOLD_RANGES",
    "VERDICTS",
    "WATCHING",
    "AppKey",
    "AppLook",
    "Change",
    "DescriptorUse",
    "Member",
    "Pass",
    "SocketKey",
    "Thresholds",
    "Trend",
]

LEAK = "leak"
POOL = "pool"
BURST = "burst"
STUCK = "stuck"
WATCHING = "watching"

VERDICTS = (LEAK, STUCK, WATCHING, POOL, BURST)
"""Every verdict, the most urgent first."""

SocketKey = tuple[int, int]
"""Inode of the network namespace, and the socket's cookie."""


class AppKey(NamedTuple):
    """One application in one namespace; ``namespace`` is the label as in ``lastack.host/1``."""

    app: str
    kind: str
    namespace: str


class Member(NamedTuple):
    """One CLOSE_WAIT socket with the bracket of its age that the kernel supports; ``inode`` 0: never accepted."""

    cause: str
    age_at_least_s: float
    age_at_most_s: float | None
    inode: int


class DescriptorUse(NamedTuple):
    """Open descriptors of the application's worst process; ``started`` in clock ticks since boot."""

    pid: int
    started: int
    open: int
    soft_limit: int | None
    hard_limit: int | None


class AppLook(NamedTuple):
    """What one pass saw of one application; ``offender`` is an entry of ``close_wait.offenders[]``."""

    members: Mapping[SocketKey, Member]
    descriptors: DescriptorUse | None
    offender: Mapping[str, Any]


class Pass(NamedTuple):
    """One look at the host.

    ``namespaces_read`` holds the inodes of the network namespaces that could be read: only in these a socket that is
    not there is gone. ``unseen`` is ``(code, count, detail)`` of what could not be seen; ``total`` counts every
    CLOSE_WAIT socket, half-closed ones included. ``unplaced`` are those that are there and whose application is not
    known yet: they have not left the one that had them.
    """

    moment_s: float
    applications: Mapping[AppKey, AppLook]
    namespaces_read: frozenset[int]
    unseen: tuple[tuple[str, int, str], ...]
    total: int
    unplaced: frozenset[SocketKey] = frozenset()


class Thresholds(NamedTuple):
    """From when on evidence is enough; ``THRESHOLD_RANGES`` says what is allowed."""

    min_age_s: float = 60.0
    """Seconds in CLOSE_WAIT from which on a socket is an offence."""
    leak_passes: int = 8
    """Looks at an application before the first verdict, and looks without growth that make a ceiling."""
    leak_arrivals: int = 3
    """Looks in which sockets came that stayed, before that is called growth."""
    stay_ages: float = 5.0
    """A socket whose end the program knows never drains when it is this many times ``min_age_s`` old."""
    largest_pool: int = 256
    """More sockets whose end the program may not have noticed are no idle pool when they still grow."""
    idle_leak_s: float = 90_000.0
    """...nor are fewer that have only grown for so long: longer than a day, the longest rhythm of a healthy pool."""
    linger_s: float = 900.0
    """How long an application without sockets stays, so that a burst that drained can be told."""
    forecast_passes: int = 8
    """Looks at the same process before its exhaustion of descriptors is foretold."""
    forecast_misfit: float = 0.1
    """Largest deviation from steady growth that supports a forecast, as a share of the growth seen."""
    forecast_horizon_s: float = 30 * 86_400.0
    """A forecast further away is not made."""


THRESHOLD_RANGES: dict[str, tuple[float, float]] = {
    "min_age_s": (0.1, 86_400.0),
    "leak_passes": (4, 24),
    "leak_arrivals": (2, 50),
    "stay_ages": (1.0, 1_000.0),
    "largest_pool": (1, 20_000),
    "idle_leak_s": (1.0, 2_592_000.0),
    "linger_s": (0.0, 86_400.0),
    "forecast_passes": (4, 64),
    "forecast_misfit": (0.01, 0.5),
    "forecast_horizon_s": (60.0, 31_536_000.0),
}
"""Smallest and largest value of each threshold; those whose default is an ``int`` take whole numbers only."""


class Trend(NamedTuple):
    """What the looks at one application add up to.

    ``count`` are its CLOSE_WAIT sockets without those that are half-closed by design. ``arrivals`` and ``departures``
    count since ``first_seen_s``, rates are per minute. ``oldest`` is the age bracket of the oldest socket, narrowed by
    observation. ``ready_in_s`` is set while ``watching`` only. ``exhaustion_in_s`` is ``None`` unless the evidence
    supports a forecast; it belongs to the process ``exhaustion_pid``. ``reason`` is one sentence with figures.
    """

    verdict: str
    count: int  # type: ignore[assignment]  # tuple.count is a method, of no use to this record
    arrivals: int
    departures: int
    growth_per_min: float | None
    turnover_per_min: float | None
    first_seen_s: float
    oldest: tuple[float, float | None] | None
    ready_in_s: float | None
    exhaustion_in_s: float | None
    exhaustion_pid: int | None
    reason: str


class Change(NamedTuple):
    """A verdict that changed in the last look; ``before`` is ``None`` for an application seen for the first time."""

    key: AppKey
    before: str | None
    trend: Trend
