# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All applications over all looks: the tables behind the trends, bounded, with what they leave out counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.agent.application import Application, Moment
from ansible_collections.lastack.linux.agent.records import AppLook, Change, Thresholds, Trend
from ansible_collections.lastack.linux.agent.watch_state import StateError, WatchTables, tables_of, tables_to_state

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ansible_collections.lastack.linux.agent.records import AppKey, Pass, SocketKey
    from ansible_collections.lastack.linux.agent.tally import Spell

__all__ = ["MOST_APPLICATIONS", "MOST_SOCKETS", "Dropped", "StateError", "Watch"]

MOST_SOCKETS = 20_000
MOST_APPLICATIONS = 200

_LARGER = 2
"""An application takes the place of another when it has more than so many times its sockets."""
_LEAST_INTERVAL_S = 0.001


class Dropped(NamedTuple):
    """What the bounded tables left out in the last look."""

    sockets: int = 0
    applications: int = 0


class Watch:
    """Follows every application's CLOSE_WAIT sockets from look to look.

    One application has at most half of ``most_sockets``, so that none can blind the agent to all others; its count is
    right beyond that, only which sockets stay is then known of a part.
    """

    def __init__(
        self, thresholds: Thresholds, *, most_sockets: int = MOST_SOCKETS, most_applications: int = MOST_APPLICATIONS
    ) -> None:
        """Start without any application."""
        self.thresholds = thresholds
        self.dropped = Dropped()
        self._most_sockets = most_sockets
        self._most_applications = most_applications
        self._tables = WatchTables(None, frozenset(), {}, {})
        self._said: dict[AppKey, tuple[Trend, AppLook]] = {}

    def observe(self, look: Pass, interval_s: float) -> list[Change]:
        """Take in one look and return the verdicts that changed with it; ``interval_s`` until the next one.

        A socket that is not in the look has left only if its namespace was read and it is not unplaced. A look that is
        no later than the one before adds nothing; one from an earlier time is of another boot, so all is forgotten
        first.
        """
        last_s = self._tables.moment_s
        if last_s is not None and look.moment_s < last_s:
            self._tables = WatchTables(None, frozenset(), {}, {})
            self._said.clear()
        elif last_s == look.moment_s:
            return []
        moment = self._moment(look, max(interval_s, _LEAST_INTERVAL_S))
        self._make_room(look)
        changes = [
            change
            for key in list(self._tables.applications)
            if (change := self._follow(key, look.applications.get(key), moment)) is not None
        ]
        self._after(look, moment)
        return changes

    def trends(self) -> dict[AppKey, tuple[Trend, AppLook]]:
        """Return trend and last look of every application, those that drained lately included."""
        return dict(self._said)

    def forget(self, unwanted: Callable[[AppKey], bool]) -> None:
        """Drop applications that are not looked at any more: they have not left, so nothing may be said of them."""
        for key in [key for key in self._tables.applications if unwanted(key)]:
            del self._tables.applications[key]
            self._said.pop(key, None)

    @property
    def unmet(self) -> int:
        """How many applications with sockets are only remembered: no look has shown any of them yet."""
        return sum(bool(one.sockets) for key, one in self._tables.applications.items() if key not in self._said)

    def first_seen_s(self) -> dict[SocketKey, float]:
        """Return since when each socket is known, in seconds of CLOCK_BOOTTIME."""
        found = (one.sockets.items() for one in self._tables.applications.values())
        return {key: spell.first_seen_s for sockets in found for key, spell in sockets}

    def set_thresholds(self, thresholds: Thresholds) -> None:
        """Judge by other thresholds from the next look on; nothing is forgotten."""
        # How much of the past is kept follows from them.
        self._tables = tables_of(self.to_state(), thresholds, self._most_sockets, self._most_applications)
        self.thresholds = thresholds

    def to_state(self) -> dict[str, Any]:
        """Return all that a restart must not lose, as JSON can hold it; only good for the same boot."""
        return tables_to_state(self._tables)

    @classmethod
    def from_state(
        cls,
        state: object,
        thresholds: Thresholds,
        *,
        most_sockets: int = MOST_SOCKETS,
        most_applications: int = MOST_APPLICATIONS,
    ) -> Watch:
        """Return a watch that goes on where ``to_state`` left off; it has trends again after the first look.

        Raises:
            StateError: the state is not one that ``to_state`` returned, with one sentence that says where.
        """
        watch = cls(thresholds, most_sockets=most_sockets, most_applications=most_applications)
        watch._tables = tables_of(state, thresholds, most_sockets, most_applications)
        return watch

    def _moment(self, look: Pass, interval_s: float) -> Moment:
        tables = self._tables
        lost: dict[SocketKey, Spell] = {}
        for key, application in tables.applications.items():
            found = look.applications.get(key)
            members = found.members if found is not None else {}
            lost.update((one, spell) for one, spell in application.sockets.items() if one not in members)
        seen = [members for found in look.applications.values() if (members := found.members)]
        moved = {one for members in seen for one in members if one in lost} if lost else set()
        # a socket that the tables had no room for may have been there long before
        known: dict[int, float] = {} if any(self.dropped) else dict(tables.read_before)
        if tables.moment_s is not None and not any(self.dropped):
            inodes = {one[0] for members in seen for one in members} | {one[0] for one in lost}
            known.update((inode, tables.moment_s) for inode in inodes & tables.read)
        return Moment(look.moment_s, interval_s, look.namespaces_read, known, lost, moved, look.unplaced)

    def _make_room(self, look: Pass) -> None:
        """Take up new applications, the largest first; those that are gone give way, then those far smaller."""
        table = self._tables.applications
        new = sorted(
            (key for key in look.applications if key not in table and look.applications[key].members),
            key=lambda key: (-len(look.applications[key].members), key),
        )
        left_out = 0
        for key in new:
            if len(table) >= self._most_applications and not self._evict(len(look.applications[key].members), look):
                left_out += 1
                continue
            table[key] = Application(look.moment_s, self.thresholds)
        self.dropped = Dropped(0, left_out)

    def _evict(self, newcomer: int, look: Pass) -> bool:
        table = self._tables.applications

        def size(key: AppKey) -> int:
            return len(found.members) if (found := look.applications.get(key)) else len(table[key].sockets)

        victim = min(table, key=lambda key: (size(key), table[key].last_seen_s), default=None)
        if victim is None or size(victim) * _LARGER >= newcomer:
            return False
        del table[victim]
        self._said.pop(victim, None)
        return True

    def _follow(self, key: AppKey, found: AppLook | None, moment: Moment) -> Change | None:
        tables = self._tables
        application = tables.applications[key]
        said = self._said.get(key)
        if found is None or not found.members:
            if not application.sockets:
                if moment.now_s - application.last_seen_s > self.thresholds.linger_s:
                    del tables.applications[key]
                    self._said.pop(key, None)
                return None
            found = AppLook({}, None, said[1].offender if said else {})
        before = application.verdict if application.passes or said else None
        trend = application.follow(found, moment, self.thresholds, self._room(application))
        if trend is None:
            if not application.sockets:
                del tables.applications[key]
                self._said.pop(key, None)
            elif said is not None:
                self._said[key] = _later(said[0], moment.now_s - (tables.moment_s or moment.now_s)), said[1]
            return None
        self._said[key] = trend, found
        return Change(key, before, trend) if trend.verdict != before else None

    def _room(self, application: Application) -> int:
        taken = sum(len(one.sockets) for one in self._tables.applications.values())
        return min(self._most_sockets - taken, self._most_sockets // 2 - len(application.sockets))

    def _after(self, look: Pass, moment: Moment) -> None:
        tables = self._tables
        tracked = {inode for one in tables.applications.values() for inode, _cookie in one.sockets}
        unread = {
            inode: known for inode, known in moment.known_until.items() if inode in tracked - look.namespaces_read
        }
        self._tables = WatchTables(look.moment_s, look.namespaces_read, unread, tables.applications)
        seen = sum(len(found.members) for found in look.applications.values())
        followed = sum(
            one in application.sockets
            for key, found in look.applications.items()
            if (application := tables.applications.get(key)) is not None
            for one in found.members
        )
        self.dropped = Dropped(seen - followed, self.dropped.applications)


def _later(trend: Trend, passed_s: float) -> Trend:
    """Return a trend that could not be looked at again, as it is after so many seconds."""
    oldest, exhaustion_in_s = trend.oldest, trend.exhaustion_in_s
    if oldest is not None:
        oldest = oldest[0] + passed_s, None if oldest[1] is None else oldest[1] + passed_s
    if exhaustion_in_s is not None:
        exhaustion_in_s = max(0.0, exhaustion_in_s - passed_s)
    return trend._replace(oldest=oldest, exhaustion_in_s=exhaustion_in_s)
