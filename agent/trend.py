# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leak, pool, burst, stuck, or not enough evidence yet: the verdict on one application from what its looks add up to.

Counts alone cannot tell a leak from a pool that fills. What tells them apart is which sockets stay, and what their
program knows (``diagnose/causes.py``):

========== ============================== =====================================================================
group      causes                         what it takes to be a leak
========== ============================== =====================================================================
``ended``  eof_read, unread_data          growth, or staying: the program knows, or does not even look
``maybe``  eof_consumed, unknown          growth: reading the last bytes consumed the end, perhaps unseen
``idle``   eof_unnoticed and its kinds    growth beyond any plausible pool, or for longer than a day
``waiting`` unaccepted                    never a leak; ``stuck`` when they stay
``busy``   half_close                     nothing: by design, and for a while after it was last seen
========== ============================== =====================================================================

Growth is counted in looks in which sockets came that are still here, so that one burst, however large, is one event,
and a pool whose members turn over has none. When sockets of a group do leave, their longest life so far sets how long
a socket must have stayed to count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.agent.records import BURST, LEAK, POOL, STUCK, WATCHING

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.agent.records import Thresholds

__all__ = [
    "BUSY",
    "ENDED",
    "GROUPS",
    "GROUP_OF_CAUSE",
    "IDLE",
    "MAYBE",
    "PATIENCE",
    "WAITING",
    "Evidence",
    "Group",
    "Judgement",
    "judge",
]

ENDED = "ended"
MAYBE = "maybe"
IDLE = "idle"
WAITING = "waiting"
BUSY = "busy"

GROUPS = (ENDED, MAYBE, IDLE, WAITING, BUSY)
GROUP_OF_CAUSE = {
    "unaccepted": WAITING,
    "eof_unnoticed": IDLE,
    "eof_unnoticed_tls": IDLE,
    "eof_unnoticed_farewell": IDLE,
    "unread_data": ENDED,
    "eof_read": ENDED,
    "eof_consumed": MAYBE,
    "unknown": MAYBE,
    "half_close": BUSY,
}

PATIENCE = 3.0
"""A socket that has stayed this many times the longest life seen in its group is no member of what turns over."""
_STILL_LEAK = 0.5
"""A leak remains one while this share of the sockets it had when it was found is still here."""
_DRAINED = 0.2
"""A burst has drained when no more than this share of its peak is left."""
_BURST_PEAK = 5
_TURNS_OVER = 0.5
"""Members turn over when so many leave for each that comes."""
_TURNS = 3
_AGAIN = 2
_CALENDAR = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))


class Group(NamedTuple):
    """The sockets of one group.

    ``arrived`` counts the looks before the last in which sockets came that are still here, ``stayed`` those of them
    in which one came that has outstayed the group's patience. ``overdue`` counts the sockets that have. ``second_s``
    is the age of the second of these arrivals.
    """

    size: int = 0
    arrived: int = 0
    stayed: int = 0
    overdue: int = 0
    oldest_s: float = 0.0
    second_s: float = 0.0
    longest_look_s: float = 0.0
    """How long the socket known longest has been watched."""
    span_s: float = 0.0
    """From the first to the last of these arrivals."""
    life_s: float | None = None
    """The longest life of one that left lately; ``None``: none has."""


class Evidence(NamedTuple):
    """What is known of an application at one look; rates are per second."""

    before: str
    passes: int
    interval_s: float
    count: int  # type: ignore[assignment]  # tuple.count is a method, of no use to this record
    peak: int
    groups: dict[str, Group]
    program: Group
    """``ended`` and ``maybe`` together: the sockets whose end was read or passed over."""
    came: int
    left: int
    """In the last looks, three times ``leak_passes`` of them."""
    came_again: int
    """Of those that came, the ones after the first had left: a burst that drains has none, a pool has."""
    since_growth_s: float
    """How long the count has not been higher than at any time before in these looks."""
    since_fall_s: float
    """How long no socket has left; the time of these looks if none has in them."""
    growth_per_s: float
    kept_share: float
    """Of the sockets that a leak or stuck queue had when it was found, those that are still here."""
    ceiling: int | None
    """The most sockets a pool had when it was called one."""
    at_once: bool
    """All sockets left between two looks."""


class Judgement(NamedTuple):
    """A verdict, the seconds until there is one (``watching`` only), and one sentence."""

    verdict: str
    ready_in_s: float | None
    reason: str


def judge(seen: Evidence, limits: Thresholds) -> Judgement:
    """Return the verdict that the evidence supports."""
    return (
        _sticky(seen, limits)
        or _stuck(seen, limits)
        or _leak(seen, limits)
        or _drained(seen, limits)
        or _pending(seen, limits)
        or _pool(seen)
    )


def _sticky(seen: Evidence, limits: Thresholds) -> Judgement | None:
    if seen.before not in (LEAK, STUCK) or seen.count == 0 or seen.kept_share < _STILL_LEAK:
        return None
    if seen.before == STUCK:
        return _stuck_judgement(seen)
    if not seen.program.size and _rests(seen, limits):
        return None
    return Judgement(LEAK, None, f"{_sockets(seen.count)}, {_pace(seen)}; those that were leaked are still here.")


def _stuck(seen: Evidence, limits: Thresholds) -> Judgement | None:
    waiting = seen.groups[WAITING]
    stayed = waiting.longest_look_s >= (limits.leak_passes - 1.5) * seen.interval_s
    if not stayed or not waiting.overdue or seen.passes < limits.leak_passes:
        return None
    return _stuck_judgement(seen)


def _stuck_judgement(seen: Evidence) -> Judgement:
    waiting = seen.groups[WAITING]
    age = _duration(waiting.oldest_s)
    return Judgement(STUCK, None, f"{_sockets(waiting.size)} never accepted, the oldest for {age}: nobody accepts.")


def _leak(seen: Evidence, limits: Thresholds) -> Judgement | None:
    if seen.passes < limits.leak_passes:
        return None
    program, ended, idle = seen.program, seen.groups[ENDED], seen.groups[IDLE]
    if _grows(program, limits):
        text = f"{_sockets(program.size)} came in {program.arrived} looks and stayed, {_pace(seen)}"
        return Judgement(LEAK, None, f"{text}; the program has passed the end of the stream or left data unread.")
    if ended.oldest_s >= _stay_s(limits) and ended.overdue >= (1 if ended.life_s is None else limits.leak_arrivals):
        text = f"{_sockets(ended.overdue)} stay, the oldest for {_duration(ended.oldest_s)}"
        return Judgement(LEAK, None, f"{text}; the program knows their end or left data unread, and never closes them.")
    unused = _grows(idle, limits) and not _turns_over(seen)
    if unused and idle.overdue > limits.largest_pool and not _rests(seen, limits):
        text = f"{_sockets(idle.size)}, {_pace(seen)}"
        return Judgement(LEAK, None, f"{text}: more than an idle pool of {limits.largest_pool}, and none is reused.")
    if unused and idle.span_s >= limits.idle_leak_s and idle.life_s is None:
        text = f"{_sockets(idle.size)} that came over {_duration(idle.span_s)}, {_pace(seen)}"
        return Judgement(LEAK, None, f"{text}; none has left in all that time.")
    return None


def _rests(seen: Evidence, limits: Thresholds) -> bool:
    """Tell whether idle sockets have long stopped to grow: however many, that is a pool which was filled."""
    return seen.since_growth_s >= 2 * limits.leak_passes * seen.interval_s


def _grows(group: Group, limits: Thresholds) -> bool:
    if group.life_s is not None:
        return group.stayed >= limits.leak_arrivals
    return group.arrived >= limits.leak_arrivals and group.stayed >= limits.leak_arrivals - 1


def _drained(seen: Evidence, limits: Thresholds) -> Judgement | None:
    if seen.count == 0 and seen.peak:
        if seen.before == POOL and seen.came_again >= _AGAIN:
            return Judgement(POOL, None, f"No socket left; lately {seen.left} left and {seen.came} came.")
        if seen.at_once:
            text = f"All {seen.peak} left between two looks: the program closed them at once or ended."
            return Judgement(BURST, None, text)
        return Judgement(BURST, None, f"Drained by itself: {_sockets(seen.peak)} at the peak, none left.")
    if seen.before != POOL and seen.peak >= _BURST_PEAK and seen.count <= _DRAINED * seen.peak:
        if seen.passes < limits.leak_passes and seen.before != BURST:
            return None
        text = f"Drains by itself: {_sockets(seen.peak)} at the peak, {seen.count} left"
        return Judgement(BURST, None, f"{text}.")
    return None


def _pending(seen: Evidence, limits: Thresholds) -> Judgement | None:
    """Return ``watching`` while something may still turn out to be a leak, with the longest of the waits."""
    first_s = (limits.leak_passes - seen.passes) * seen.interval_s
    waits: list[tuple[float, str]] = []
    program, idle = seen.program, seen.groups[IDLE]
    if first_s > 0:
        waits.append((first_s, f"{seen.passes} of {limits.leak_passes} looks so far"))
    turns = _turns_over(seen)
    known = seen.ceiling is not None and not _outgrown(seen)
    if program.size and not turns and not known:
        waits.append(_until_known(seen, limits))
    if not turns and not known and seen.left and seen.count < seen.peak:
        waits.append(_until_drained(seen, limits))
    if idle.size and not turns and _still_fills(seen, limits):
        waits.append(_until_no_pool(seen, limits))
    waiting = seen.groups[WAITING]
    if waiting.size and waiting.life_s is None and not turns and not waiting.overdue:
        waits.append((limits.min_age_s - waiting.oldest_s, "not accepted yet"))
    ready_in_s, why = max(waits, default=(0.0, ""))
    if ready_in_s <= 0:
        return None
    return Judgement(WATCHING, ready_in_s, f"{_sockets(seen.count)}, {_pace(seen)}: {why}.")


def _until_known(seen: Evidence, limits: Thresholds) -> tuple[float, str]:
    """Return how long until growth or staying is proven for sockets whose end the program may know."""
    program = seen.program
    if program.arrived >= 1 and seen.growth_per_s > 0:
        more = max(0, limits.leak_arrivals - program.arrived) * seen.interval_s
        ages = max(0.0, limits.min_age_s - program.second_s) if program.arrived > 1 else limits.min_age_s
        by_growth = max(more, ages, (limits.leak_passes - seen.passes) * seen.interval_s)
        if program.life_s is not None:
            # As long as it takes until so many have outstayed those that left.
            outstay_s = PATIENCE * program.life_s - program.longest_look_s + limits.leak_arrivals * seen.interval_s
            by_growth = max(by_growth, outstay_s, seen.interval_s)
        if seen.since_growth_s <= 2 * seen.interval_s:
            return by_growth, "they grow, and it is not proven yet that they stay"
    text = f"they may still drain until the oldest is {_duration(_stay_s(limits))} old"
    return _stay_s(limits) - program.oldest_s, text


def _still_fills(seen: Evidence, limits: Thresholds) -> bool:
    if seen.since_growth_s >= limits.leak_passes * seen.interval_s:
        return False
    return seen.ceiling is None or _outgrown(seen)


def _outgrown(seen: Evidence) -> bool:
    """Return whether there are far more sockets than when this was called a pool."""
    return seen.ceiling is not None and seen.count > 2 * seen.ceiling + _BURST_PEAK


def _until_drained(seen: Evidence, limits: Thresholds) -> tuple[float, str]:
    """Return how long it takes to tell a burst that drains from a pool that shrank."""
    settled_s = limits.leak_passes * seen.interval_s - seen.since_fall_s
    if settled_s <= 0:
        return 0.0, ""
    excess = seen.count - _DRAINED * seen.peak
    drained_s = excess / -seen.growth_per_s if seen.growth_per_s < 0 else 0.0
    return max(settled_s, drained_s), f"{seen.peak - seen.count} of {seen.peak} have drained lately"


def _until_no_pool(seen: Evidence, limits: Thresholds) -> tuple[float, str]:
    """Return how long a pool that still fills can be told from a leak: when it stops, or is no plausible pool."""
    settled_s = limits.leak_passes * seen.interval_s - seen.since_growth_s
    if seen.growth_per_s <= 0:
        return settled_s, f"an idle pool when it has not grown for {limits.leak_passes} looks"
    grows_s = limits.min_age_s + (limits.largest_pool + 1 - seen.count) / seen.growth_per_s
    return max(settled_s, min(grows_s, limits.idle_leak_s)), f"an idle pool may fill up to {limits.largest_pool}"


def _pool(seen: Evidence) -> Judgement:
    busy = seen.groups[BUSY].size
    if not seen.count:
        return Judgement(POOL, None, f"{_sockets(busy)} half-closed by design, still sending.")
    if _turns_over(seen):
        return Judgement(POOL, None, f"{_sockets(seen.count)} that turn over: {seen.left} left and {seen.came} came.")
    if seen.groups[IDLE].size:
        return Judgement(
            POOL, None, f"{_sockets(seen.count)}, at most {seen.peak} lately: idle below a steady ceiling."
        )
    text = "the program may not know their end" if seen.program.life_s is None else "most are closed in time"
    return Judgement(POOL, None, f"{_sockets(seen.count)}, at most {seen.peak} lately, and not growing; {text}.")


def _turns_over(seen: Evidence) -> bool:
    return seen.left >= _TURNS and seen.left >= _TURNS_OVER * seen.came and seen.came_again >= _AGAIN


def _stay_s(limits: Thresholds) -> float:
    return limits.stay_ages * limits.min_age_s


def _pace(seen: Evidence) -> str:
    per_min = seen.growth_per_s * 60
    if abs(per_min) * max(1.0, seen.passes * seen.interval_s / 60) < 1:
        return "not growing"
    if abs(per_min) >= 1:
        return f"{per_min:+.1f} per minute"
    return f"{per_min * 60:+.1f} per hour" if abs(per_min) * 60 >= 1 else f"{per_min * 1440:+.1f} per day"


def _sockets(count: int) -> str:
    return "1 socket" if count == 1 else f"{count} sockets"


def _duration(seconds: float) -> str:
    for unit, name in _CALENDAR:
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"
