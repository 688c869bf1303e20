# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many sockets of a group there are, in how many looks they came, and which of them outstayed the others."""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.lastack.linux.agent.trend import PATIENCE, Group

__all__ = ["FAR_MORE", "Spell", "Tally", "patience_of", "sum_of"]

FAR_MORE = 10
"""Of two numbers of sockets, the greater by so many times makes the other one an exception."""


class Spell(NamedTuple):
    """What is kept of a socket; sockets that came in the same look share one.

    ``absent_s`` is the last moment it was known not to be there, ``busy_s`` the last it was seen half-closed.
    """

    first_seen_s: float
    absent_s: float | None
    group: str
    busy_s: float | None


class Tally:
    """Counts over the sockets of one group at one look."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.size = 0
        self.overdue = 0
        self.oldest_s = 0.0
        self.longest_look_s = 0.0
        self.arrived: set[float] = set()
        self.stayed: set[float] = set()

    def add(self, spell: Spell, size: int, overdue: int, oldest_s: float, now_s: float) -> None:
        """Count the sockets that came together: ``size`` of them, ``overdue`` of which have outstayed the others."""
        self.size += size
        self.overdue += overdue
        self.oldest_s = max(self.oldest_s, oldest_s)
        self.longest_look_s = max(self.longest_look_s, now_s - spell.first_seen_s)
        if spell.absent_s is not None and spell.first_seen_s < now_s:
            self.arrived.add(spell.first_seen_s)
            if overdue:
                self.stayed.add(spell.first_seen_s)

    def group(self, now_s: float, life_s: float | None) -> Group:
        """Return the counts; ``life_s`` is the longest life of a socket of this group that left lately."""
        arrived = sorted(self.arrived)
        return Group(
            size=self.size,
            arrived=len(arrived),
            stayed=len(self.stayed),
            overdue=self.overdue,
            oldest_s=self.oldest_s,
            second_s=now_s - arrived[1] if len(arrived) > 1 else 0.0,
            longest_look_s=self.longest_look_s,
            span_s=arrived[-1] - arrived[0] if arrived else 0.0,
            life_s=life_s,
        )


def sum_of(*tallies: Tally) -> Tally:
    """Return the sum of several tallies."""
    total = Tally()
    for tally in tallies:
        total.size += tally.size
        total.overdue += tally.overdue
        total.oldest_s = max(total.oldest_s, tally.oldest_s)
        total.longest_look_s = max(total.longest_look_s, tally.longest_look_s)
        total.arrived |= tally.arrived
        total.stayed |= tally.stayed
    return total


def patience_of(life_s: float | None, left: int = 1, outlived: int = 0) -> float:
    """Return for how many seconds a socket must have been watched to have outstayed those that left.

    ``left`` sockets lived ``life_s`` at most, and ``outlived`` have been here for longer. Where those are far more,
    the few that left say nothing of them: a peer that uses a port again resets the old connection (RFC 9293, 3.10.7.4;
    the kernel forgets the socket, and the program keeps its descriptor).
    """
    if life_s is None:
        return 0.0
    return life_s if outlived >= FAR_MORE * left else PATIENCE * life_s
