# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's tables as JSON can hold them, and back: what comes from a file is checked down to the last number."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.agent.application import MOST_LIVES, Application
from ansible_collections.lastack.linux.agent.records import VERDICTS, AppKey
from ansible_collections.lastack.linux.agent.samples import Samples
from ansible_collections.lastack.linux.agent.tally import Spell
from ansible_collections.lastack.linux.agent.trend import GROUPS

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.agent.records import SocketKey, Thresholds

__all__ = ["StateError", "WatchTables", "tables_of", "tables_to_state"]

_VERSION = 1
_MOST_NAMESPACES = 4_096
_MOST_SAMPLES = 300
_MOST_SERIES = 8
_LONGEST_NAME = 4_096
_LARGEST = 2.0**63
"""Counts, pids, ticks and moments are below; cookies and inodes are 64 bit."""
_LARGEST_ID = 2**64 - 1
_SAMPLE_WIDTH = 4


class StateError(ValueError):
    """The state is none that the agent wrote; one sentence that says where it is wrong."""


class WatchTables(NamedTuple):
    """Everything a watch knows: when it looked last, what it read then, and each application."""

    moment_s: float | None
    read: frozenset[int]
    read_before: dict[int, float]
    """When namespaces that were not read in the last look were read before."""
    applications: dict[AppKey, Application]


def tables_to_state(tables: WatchTables) -> dict[str, Any]:
    """Return the tables as lists, dicts, texts and numbers."""
    return {
        "version": _VERSION,
        "moment_s": tables.moment_s,
        "read": sorted(tables.read)[:_MOST_NAMESPACES],
        "read_before": sorted([inode, moment] for inode, moment in tables.read_before.items())[:_MOST_NAMESPACES],
        "applications": [_application_to_state(key, one) for key, one in tables.applications.items()],
    }


def _application_to_state(key: AppKey, one: Application) -> dict[str, Any]:
    spells: dict[Spell, dict[int, list[int]]] = {}
    for (inode, cookie), spell in one.sockets.items():
        spells.setdefault(spell, defaultdict(list))[inode].append(cookie)
    return {
        "key": list(key),
        "first_seen_s": one.first_seen_s,
        "last_seen_s": one.last_seen_s,
        "passes": one.passes,
        "arrivals": one.arrivals,
        "departures": one.departures,
        "verdict": one.verdict,
        "at_once": one.at_once,
        "process": None if one.process is None else list(one.process),
        "marked_s": one.marked_s,
        "marked": one.marked,
        "ceiling": one.ceiling,
        "eldest": None if one.eldest is None else [*one.eldest[0], one.eldest[1]],
        "lives": {name: list(lives) for name, lives in one.lives.items()},
        "samples": [list(row) for row in one.samples.rows()],
        "descriptors": [
            [*process, [list(row) for row in samples.rows()]] for process, samples in one.descriptors.series.items()
        ],
        "sockets": [
            [*spell, [[inode, cookies] for inode, cookies in found.items()]] for spell, found in spells.items()
        ],
    }


def tables_of(state: object, limits: Thresholds, most_sockets: int, most_applications: int) -> WatchTables:
    """Return the tables that ``tables_to_state`` wrote, or raise ``StateError``."""
    top = _Reader(state, "the state")
    if top.get("version").value != _VERSION:
        raise StateError(f"the state's version is not {_VERSION}")
    applications: dict[AppKey, Application] = {}
    sockets: set[SocketKey] = set()
    for item in top.get("applications").items(most_applications):
        names = [name.text() for name in item.get("key").items(3, least=3)]
        key = AppKey(*names)
        if key in applications:
            raise StateError(f"{item.where} has the key of another one")
        one = applications[key] = _application_of(item, limits)
        if not sockets.isdisjoint(one.sockets):
            raise StateError(f"{item.where} has a socket of another one")
        sockets.update(one.sockets)
        if len(sockets) > most_sockets:
            raise StateError(f"the state has more than {most_sockets} sockets")
    before = [pair.items(2, least=2) for pair in top.get("read_before").items(_MOST_NAMESPACES)]
    return WatchTables(
        top.get("moment_s").number_or_none(),
        frozenset(inode.identifier() for inode in top.get("read").items(_MOST_NAMESPACES)),
        {inode.identifier(): moment.number() for inode, moment in before},
        applications,
    )


def _application_of(item: _Reader, limits: Thresholds) -> Application:
    one = Application(item.get("first_seen_s").number(), limits)
    one.last_seen_s = item.get("last_seen_s").number()
    one.passes = item.get("passes").whole()
    one.arrivals = item.get("arrivals").whole()
    one.departures = item.get("departures").whole()
    one.verdict = item.get("verdict").one_of(VERDICTS)
    one.at_once = item.get("at_once").truth()
    process = item.get("process")
    if process.value is not None:
        pid, started = process.items(2, least=2)
        one.process = pid.whole(), started.whole()
    one.marked_s = item.get("marked_s").number_or_none()
    one.marked = item.get("marked").whole()
    ceiling = item.get("ceiling")
    one.ceiling = None if ceiling.value is None else ceiling.whole()
    for name, lives in one.lives.items():
        lives.extend(life.number() for life in item.get("lives").get(name).items(MOST_LIVES))
    one.samples.extend(_rows(item.get("samples"), _SAMPLE_WIDTH))
    for series in item.get("descriptors").items(_MOST_SERIES):
        pid, started, rows = series.items(3, least=3)
        samples = one.descriptors.series[pid.whole(), started.whole()] = Samples(2)
        samples.extend(_rows(rows, 2))
    for found in item.get("sockets").items(None):
        first, absent, group, busy, namespaces = found.items(5, least=5)
        spell = Spell(first.number(), absent.number_or_none(), group.one_of(GROUPS), busy.number_or_none())
        for namespace in namespaces.items(_MOST_NAMESPACES):
            inode, cookies = namespace.items(2, least=2)
            one.sockets.update(((inode.identifier(), cookie.cookie()), spell) for cookie in cookies.items(None))
    eldest = item.get("eldest")
    if eldest.value is not None:
        inode, cookie, since = eldest.items(3, least=3)
        one.eldest = (inode.identifier(), cookie.cookie()), since.number()
    return one


def _rows(item: _Reader, width: int) -> list[tuple[float, ...]]:
    rows = [tuple(x.number() for x in row.items(width, least=width)) for row in item.items(_MOST_SAMPLES)]
    if any(later[0] <= earlier[0] for earlier, later in zip(rows, rows[1:])):
        raise StateError(f"{item.where} does not go forward in time")
    return rows


class _Reader:
    """A value out of a file, and the place it has there."""

    def __init__(self, value: object, where: str) -> None:
        self.value = value
        self.where = where

    def get(self, name: str) -> _Reader:
        if not isinstance(self.value, dict) or name not in self.value:
            raise StateError(f"{self.where} has no {name}")
        return _Reader(self.value[name], f"{name} of {self.where}")

    def items(self, most: int | None, least: int = 0) -> list[_Reader]:
        if not isinstance(self.value, list) or len(self.value) < least or (most is not None and len(self.value) > most):
            raise StateError(f"{self.where} is no list of the right length")
        return [_Reader(value, f"item {index} in {self.where}") for index, value in enumerate(self.value)]

    def number(self) -> float:
        value = self.value
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < _LARGEST:
            raise StateError(f"{self.where} is no number from 0 on")
        return float(value) if math.isfinite(value) else 0.0

    def number_or_none(self) -> float | None:
        return None if self.value is None else self.number()

    def whole(self) -> int:
        if isinstance(self.value, bool) or not isinstance(self.value, int) or not 0 <= self.value < _LARGEST:
            raise StateError(f"{self.where} is no whole number from 0 on")
        return self.value

    def identifier(self) -> int:
        if isinstance(self.value, bool) or not isinstance(self.value, int) or not 0 <= self.value <= _LARGEST_ID:
            raise StateError(f"{self.where} is no 64 bit number")
        return self.value

    def cookie(self) -> int:
        """Return a socket's cookie; where the kernel gave none, the stand-in for it is negative."""
        value = self.value
        if isinstance(value, int) and not isinstance(value, bool) and value < 0:
            return -_Reader(-value, self.where).identifier()
        return self.identifier()

    def truth(self) -> bool:
        if not isinstance(self.value, bool):
            raise StateError(f"{self.where} is neither true nor false")
        return self.value

    def text(self) -> str:
        if not isinstance(self.value, str) or len(self.value) > _LONGEST_NAME:
            raise StateError(f"{self.where} is no text of a reasonable length")
        return self.value

    def one_of(self, known: tuple[str, ...]) -> str:
        if not isinstance(self.value, str) or self.value not in known:
            raise StateError(f"{self.where} is none of {', '.join(known)}")
        return self.value
