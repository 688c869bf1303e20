# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One application over many looks: which of its CLOSE_WAIT sockets came, stayed and left, and the trend of it.

What is kept for a socket is only when it was first seen, shared with all that came in the same look; what is kept of
the past is a bounded series of counts. So the memory follows the sockets of the last look, not the time watched.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.agent.forecast import DescriptorSeries
from ansible_collections.lastack.linux.agent.records import LEAK, POOL, STUCK, WATCHING, Trend
from ansible_collections.lastack.linux.agent.samples import Samples, evenly, theil_sen
from ansible_collections.lastack.linux.agent.tally import FAR_MORE, Spell, Tally, patience_of, sum_of
from ansible_collections.lastack.linux.agent.trend import (
    BUSY,
    ENDED,
    GROUP_OF_CAUSE,
    GROUPS,
    IDLE,
    MAYBE,
    WAITING,
    Evidence,
    Judgement,
    judge,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.lastack.linux.agent.records import AppLook, Member, SocketKey, Thresholds

__all__ = ["LIVES", "MOST_LIVES", "Application", "Moment", "dense_samples"]

LIVES = {ENDED: "program", MAYBE: "program", IDLE: IDLE, WAITING: WAITING}
"""Where the lives of a group's sockets are remembered; a half-closed one lives as long as it likes."""
MOST_LIVES = 64
_LEAST_SAMPLES = 4
_ENOUGH_EVENTS = 8
"""Arrivals and departures that make a rate; with fewer of them lately, the whole past is asked."""
_BY_CHANCE = 3
"""So many expected events (Poisson) are all missed by chance in 5 % of the cases only."""
_BUSY_SHARE = 0.2
"""From this share of sockets seen half-closed on, a consumed end is taken for a pause of a half-closed connection."""
_EXPLAINED = 0.5
"""A forecast needs this share of the descriptors' growth to be CLOSE_WAIT sockets."""


class Moment(NamedTuple):
    """What one look means for all applications."""

    now_s: float
    interval_s: float
    read: frozenset[int]
    """The network namespaces that were read in this look."""
    known_until: Mapping[int, float]
    """Before this look, when each namespace was last read."""
    lost: Mapping[SocketKey, Spell]
    """Sockets that are not among those of their application in this look, and..."""
    moved: frozenset[SocketKey] | set[SocketKey]
    """...those of them that another application has now."""
    unplaced: frozenset[SocketKey] = frozenset()
    """Sockets that are there, though nobody can say yet whose they are."""


def dense_samples(limits: Thresholds) -> int:
    """Return how many of the last looks are kept one by one."""
    return 3 * limits.leak_passes


class Application:
    """The sockets, the past and the verdict of one application."""

    def __init__(self, first_seen_s: float, limits: Thresholds) -> None:
        """Start without sockets."""
        self.first_seen_s = first_seen_s
        self.last_seen_s = first_seen_s
        self.sockets: dict[SocketKey, Spell] = {}
        self.passes = 0
        self.arrivals = 0
        self.departures = 0
        self.verdict = WATCHING
        self.at_once = False
        self.process: tuple[int, int] | None = None
        self.marked_s: float | None = None
        self.marked = 0
        self.ceiling: int | None = None
        self.eldest: tuple[SocketKey, float] | None = None
        self.lives: dict[str, list[float]] = {name: [] for name in dict.fromkeys(LIVES.values())}
        self.samples = Samples(4, dense_samples(limits))
        self.descriptors = DescriptorSeries()

    def follow(self, look: AppLook, moment: Moment, limits: Thresholds, room: int) -> Trend | None:
        """Take in a look, with ``room`` sockets tracked at most; ``None`` if nothing of the application could be seen.

        An application that is gone comes with a look without members.
        """
        before = self.sockets
        kept = self._kept(look.members, moment, limits)
        if kept and not look.members:
            return None
        departed = [
            spell
            for key, spell in before.items()
            if key not in look.members and key not in kept and key[0] in moment.read and key not in moment.moved
        ]
        if not look.members and not departed:  # renamed as a whole, or out of sight for too long
            self.sockets = {}
            return None
        self.sockets = self._present(look.members, moment, limits, room)
        self.sockets.update(kept)
        moved_out = sum(key in moment.moved for key in before if key not in look.members)
        self.departures += len(departed) + moved_out
        self._note_end(look, departed, len(before), moment)
        self.passes += 1
        self.last_seen_s = moment.now_s
        busy = sum(spell.group == BUSY for spell in self.sockets.values())
        tracked = sum(key in self.sockets for key in look.members)
        count = len(look.members) - tracked + len(self.sockets) - busy
        self.samples.append(moment.now_s, count, self.arrivals, self.departures)
        if look.descriptors is not None:
            self.descriptors.add(moment.now_s, look.descriptors)
        return self._trend(look, moment, limits, count)

    def _kept(self, members: Mapping[SocketKey, Member], moment: Moment, limits: Thresholds) -> dict[SocketKey, Spell]:
        """Return the sockets that are there, or were lately in namespaces that could not be read this time."""
        since = moment.now_s - max(limits.linger_s, limits.leak_passes * moment.interval_s)
        return {
            key: spell
            for key, spell in self.sockets.items()
            if key not in members
            and key not in moment.moved
            and (key in moment.unplaced or (key[0] not in moment.read and moment.known_until.get(key[0], 0.0) >= since))
        }

    def _present(
        self, members: Mapping[SocketKey, Member], moment: Moment, limits: Thresholds, room: int
    ) -> dict[SocketKey, Spell]:
        now = moment.now_s
        shared: dict[Spell, Spell] = {}
        present: dict[SocketKey, Spell] = {}
        for key, member in members.items():
            group = GROUP_OF_CAUSE.get(member.cause, IDLE)
            spell = self.sockets.get(key)
            if spell is not None and spell.group == group and spell.busy_s is None:
                present[key] = spell
                continue
            if spell is None:
                spell = moment.lost.get(key)
            if spell is None:
                if room <= 0:
                    continue
                room -= 1
                absent = moment.known_until.get(key[0])
                self.arrivals += absent is not None
                first, busy = now, None
            else:
                self.arrivals += key not in self.sockets
                first, absent, busy = spell.first_seen_s, spell.absent_s, spell.busy_s
            if group == BUSY:
                busy = now
            elif busy is not None and now - busy < limits.stay_ages * limits.min_age_s and group != WAITING:
                group = BUSY
            spell = Spell(first, absent, group, busy)
            present[key] = shared.setdefault(spell, spell)
        return present

    def _note_end(self, look: AppLook, departed: Sequence[Spell], before: int, moment: Moment) -> None:
        """Learn how long sockets live, unless they went with their process; then all evidence starts anew."""
        emptied = bool(departed) and not self.sockets
        use = look.descriptors
        process = None if use is None else (use.pid, use.started)
        ended = process is not None and self.process is not None and process != self.process
        restarted = ended and (self.at_once or (departed and 2 * len(departed) >= before))
        if emptied:
            self.at_once = len(departed) == before > 1
        elif self.sockets:
            self.at_once = False
        if process is not None:
            self.process = process
        if self.at_once or restarted:
            # So few that left alone, of all that were there to the end, say nothing of those of the next process.
            self.lives = {
                name: [] if len(departed) >= FAR_MORE * len(known) else known for name, known in self.lives.items()
            }
        if restarted:
            self.passes = 0
            self.samples.clear()
            self.verdict, self.marked_s, self.ceiling = WATCHING, None, None
        elif not self.at_once and not ended:
            for spell in departed:
                if spell.group in LIVES:
                    lives = self.lives[LIVES[spell.group]]
                    lives.append(moment.now_s - spell.first_seen_s)
                    del lives[:-MOST_LIVES]

    def _trend(self, look: AppLook, moment: Moment, limits: Thresholds, count: int) -> Trend:
        evidence = self._evidence(look, moment, limits, count)
        judgement = judge(evidence, limits)
        self._remember(judgement, evidence, moment)
        rated = len(self.samples) >= _LEAST_SAMPLES
        forecast = None
        if judgement.verdict == LEAK and look.descriptors is not None:
            forecast = self.descriptors.forecast(look.descriptors, limits)
            if forecast is not None and evidence.growth_per_s < _EXPLAINED * forecast.growth_per_s:
                forecast = None
        return Trend(
            verdict=judgement.verdict,
            count=count,
            arrivals=self.arrivals,
            departures=self.departures,
            growth_per_min=evidence.growth_per_s * 60 if rated else None,
            turnover_per_min=self._turnover(limits) if rated else None,
            first_seen_s=self.first_seen_s,
            oldest=self._oldest(look.members, moment.now_s),
            ready_in_s=judgement.ready_in_s,
            exhaustion_in_s=None if forecast is None else forecast.in_s,
            exhaustion_pid=None if forecast is None else forecast.pid,
            reason=judgement.reason,
        )

    def _evidence(self, look: AppLook, moment: Moment, limits: Thresholds, count: int) -> Evidence:
        lives = {name: max(known) if known else None for name, known in self.lives.items()}
        tallies = self._tallies(look.members, moment.now_s, limits, lives)
        rows = self.samples.rows(dense_samples(limits))
        highest, grown_s = rows[0][1], rows[0][0]
        for row in rows:
            if row[1] > highest:
                highest, grown_s = row[1], row[0]
        fallen_s = max((row[0] for row, next_ in zip(rows[1:], rows) if row[3] > next_[3]), default=rows[0][0])
        first_left = next((row for row in rows if row[3] > rows[0][3]), rows[-1])
        kept = 0
        if self.marked_s is not None:
            kept = sum(s.group != BUSY and s.first_seen_s <= self.marked_s for s in self.sockets.values())
        return Evidence(
            before=self.verdict,
            passes=self.passes,
            interval_s=moment.interval_s,
            count=count,
            peak=int(highest),
            groups={name: tally.group(moment.now_s, lives.get(LIVES.get(name, ""))) for name, tally in tallies.items()},
            program=sum_of(tallies[ENDED], tallies[MAYBE]).group(moment.now_s, lives["program"]),
            came=int(rows[-1][2] - rows[0][2]),
            left=int(rows[-1][3] - rows[0][3]),
            came_again=int(rows[-1][2] - first_left[2]),
            since_growth_s=moment.now_s - grown_s,
            since_fall_s=moment.now_s - fallen_s,
            growth_per_s=self._growth_per_s(rows),
            kept_share=kept / self.marked if self.marked else 0.0,
            ceiling=self.ceiling,
            at_once=self.at_once,
        )

    def _tallies(
        self,
        members: Mapping[SocketKey, Member],
        now: float,
        limits: Thresholds,
        lives: Mapping[str, float | None],
    ) -> dict[str, Tally]:
        tallies = {name: Tally() for name in GROUPS}
        known_busy = sum(spell.busy_s is not None for spell in self.sockets.values())
        half_closes = known_busy > 0 and known_busy >= _BUSY_SHARE * len(self.sockets)
        by_spell = self._ages(members, now)
        patience = {kind: self._patience(kind, lives[kind], by_spell, now) for kind in self.lives}
        for spell, ages in by_spell.items():
            watched_s = now - spell.first_seen_s
            group = IDLE if half_closes and spell.group == MAYBE else spell.group
            outstayed = watched_s >= patience.get(LIVES.get(group, ""), 0.0)
            old = sum(age_s >= limits.min_age_s for age_s in ages) if outstayed else 0
            tallies[group].add(spell, len(ages), old, max(ages), now)
        return tallies

    def _patience(
        self, kind: str, life_s: float | None, by_spell: Mapping[Spell, Sequence[float]], now: float
    ) -> float:
        if life_s is None:
            return 0.0
        outlived = sum(
            len(ages)
            for spell, ages in by_spell.items()
            if LIVES.get(spell.group) == kind and now - spell.first_seen_s > life_s
        )
        return patience_of(life_s, len(self.lives[kind]), outlived)

    def _ages(self, members: Mapping[SocketKey, Member], now: float) -> dict[Spell, list[float]]:
        """Return the least age of each socket, those that came together in one list."""
        ages: dict[Spell, list[float]] = {}
        for key, spell in self.sockets.items():
            watched_s = now - spell.first_seen_s
            member = members.get(key)
            known_s = watched_s if member is None or member.age_at_least_s < watched_s else member.age_at_least_s
            found = ages.get(spell)
            if found is None:
                ages[spell] = [known_s]
            else:
                found.append(known_s)
        return ages

    def _remember(self, judgement: Judgement, evidence: Evidence, moment: Moment) -> None:
        verdict = judgement.verdict
        if verdict in (LEAK, STUCK):
            if verdict != self.verdict or evidence.kept_share < _EXPLAINED:
                self.marked_s = moment.now_s
                self.marked = sum(spell.group != BUSY for spell in self.sockets.values())
        else:
            self.marked_s, self.marked = None, 0
        self.ceiling = evidence.peak if verdict == POOL and self.ceiling is None else self.ceiling
        if verdict != POOL:
            self.ceiling = None
        self.verdict = verdict

    def _growth_per_s(self, rows: Sequence[tuple[float, ...]]) -> float:
        events = rows[-1][2] - rows[0][2] + rows[-1][3] - rows[0][3]
        span_s = rows[-1][0] - rows[0][0]
        if events < _ENOUGH_EVENTS:
            rows = self.samples.rows()
        if len(rows) < _LEAST_SAMPLES:
            return 0.0
        line = theil_sen([(row[0], row[1]) for row in evenly(rows)])
        if line is None:
            return 0.0
        # what the whole past says must not contradict the last looks: a leak that has stopped grows no more
        expected = abs(line[0]) * span_s
        if events < _ENOUGH_EVENTS and expected > events + _BY_CHANCE:
            return math.copysign(events, line[0]) / span_s
        return line[0]

    def _turnover(self, limits: Thresholds) -> float | None:
        rows = self.samples.rows(dense_samples(limits))
        span_s = rows[-1][0] - rows[0][0]
        return (rows[-1][3] - rows[0][3]) / span_s * 60 if span_s > 0 else None

    def _oldest(self, members: Mapping[SocketKey, Member], now: float) -> tuple[float, float | None] | None:
        """Return the bracket of the oldest socket; what was once proven of it stays proven."""
        if self.eldest is not None and self.eldest[0] not in self.sockets:
            self.eldest = None
        at_least = -1.0
        upper: float | None = 0.0
        eldest: SocketKey | None = None
        for key, spell in self.sockets.items():
            if spell.group == BUSY:
                continue
            age_s, limit_s = _bracket(spell, members.get(key), now)
            if age_s > at_least:
                at_least, eldest = age_s, key
            upper = None if limit_s is None or upper is None else max(upper, limit_s)
        if eldest is None:
            return None
        if self.eldest is None or now - at_least < self.eldest[1]:
            self.eldest = eldest, max(0.0, now - at_least)
        at_least = max(at_least, now - self.eldest[1])
        return at_least, None if upper is None else max(upper, at_least)


def _bracket(spell: Spell, member: Member | None, now: float) -> tuple[float, float | None]:
    """Return the least and the most age of a socket, by what was watched and what the kernel says."""
    at_least = now - spell.first_seen_s
    at_most = None if spell.absent_s is None else now - spell.absent_s
    if member is not None:
        at_least = max(at_least, member.age_at_least_s)
        if member.age_at_most_s is not None:
            at_most = member.age_at_most_s if at_most is None else min(at_most, member.age_at_most_s)
    return at_least, at_most
