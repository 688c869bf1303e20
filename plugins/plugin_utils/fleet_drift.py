# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where hosts differ, whatever the inventory says: per sysctl and limit the values, the hosts, whose file it is."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

__all__ = ["DriftMerge", "LimitsMerge"]

_VALUES_SHOWN = 20
_SOURCES_SHOWN = 5
_LIMITS_SHOWN = 100

# Forged reports can name any number of keys, values and files. Each key has room for some values of its own, so that
# one which is different on every host (net.ipv4.tcp_mem follows the memory) hides no other; what has none is counted.
_KEYS = 20_000
_TRACKED = 50_000
_TRACKED_A_KEY = range(50, 1_000)

_SEVERAL = 2

_Pair = tuple["int | None", "int | None"]
_NO_LINE: _Pair = (None, None)


class _Spread:
    """The values of one key: on how many hosts each, and where it comes from."""

    __slots__ = ("hosts", "other_hosts", "other_sources", "sources", "tracked")

    def __init__(self) -> None:
        self.sources: dict[Any, Counter[Any]] = {}
        self.hosts: dict[Any, list[str]] = {}
        self.tracked = 0
        self.other_hosts = 0
        """Hosts with values that there was no room for."""
        self.other_sources: Counter[Any] = Counter()
        """For a value, the hosts with sources that there was no room for."""

    def total(self, value: Any) -> int:  # noqa: ANN401 - a string, or two numbers
        return self.sources[value].total() + self.other_sources[value]

    def told(self) -> int:
        """Return how many hosts have any value."""
        return sum(map(self.total, self.sources)) + self.other_hosts

    def ranked(self) -> list[tuple[Any, Counter[Any]]]:
        return sorted(self.sources.items(), key=lambda item: (-self.total(item[0]), str(item[0])))

    def away(self) -> int:
        """Return how many hosts do not have the most common value; a value that is not known is none."""
        known = [self.total(value) for value in self.sources if value is not None]
        return sum(known) - max(known, default=0) + self.other_hosts

    def differs(self) -> bool:
        return sum(1 for value in self.sources if value is not None) >= _SEVERAL or self.other_hosts > 0


class _Spreads:
    """The spread of every key, within a bound."""

    def __init__(self, examples: int) -> None:
        self.by_key: dict[Any, _Spread] = {}
        self._tracked = 0
        self._examples = examples

    def add(self, key: Hashable, value: Hashable, source: Hashable, host: str) -> None:
        spread = self.by_key.get(key)
        if spread is None:
            if len(self.by_key) >= _KEYS:
                return
            spread = self.by_key[key] = _Spread()
        sources = spread.sources.get(value)
        if sources is not None and source in sources:
            sources[source] += 1
        elif self._has_room(spread):
            spread.tracked += 1
            self._tracked += 1
            spread.sources.setdefault(value, Counter())[source] += 1
        elif sources is not None:
            spread.other_sources[value] += 1
        else:
            spread.other_hosts += 1
            return
        if self._examples:
            hosts = spread.hosts.setdefault(value, [])
            if len(hosts) < self._examples:
                hosts.append(host)

    def _has_room(self, spread: _Spread) -> bool:
        least, most = _TRACKED_A_KEY.start, _TRACKED_A_KEY.stop
        return spread.tracked < least or (spread.tracked < most and self._tracked < _TRACKED)


class DriftMerge:
    """Sysctls whose value differs between hosts, the files that set each value, and who owns these files."""

    def __init__(self, *, examples: int = 0, everything: bool = False) -> None:
        """Keep so many names of hosts a value; with ``everything`` also keys that are the same everywhere."""
        self._spreads = _Spreads(examples)
        self._everything = everything

    def add(self, report: Mapping[str, Any], host: str = "") -> None:
        """Take the sysctls of one host report."""
        for key, state in report.get("sysctls", {}).items():
            manager = state.get("manager")
            source = (
                state["winner"],
                state.get("owner"),
                manager["name"] if manager else None,
                manager["place"] if manager else None,
            )
            self._spreads.add(key, state["current"], source, host)

    def result(self) -> list[dict[str, Any]]:
        """Return ``drift`` of ``lastack.fleet/1``: most hosts away from the most common value first.

        A value that a host does not have or does not show (``None``) is listed, but is no drift on its own.
        """
        drifting = [
            (-spread.away(), key, _entry({"key": key}, spread, _value))
            for key, spread in self._spreads.by_key.items()
            if self._everything or spread.differs()
        ]
        return [item[2] for item in sorted(drifting, key=lambda item: item[:2])]


class LimitsMerge:
    """Limits of open files that differ: of applications as they run, of logins, and what services get by default."""

    def __init__(self, *, examples: int = 0, everything: bool = False) -> None:
        """Keep so many names of hosts a value; with ``everything`` also limits that are the same everywhere."""
        self._spreads = _Spreads(examples)
        self._everything = everything
        self._hosts = 0

    def add(self, report: Mapping[str, Any], host: str = "") -> None:
        """Take the limits of one host report; older reports tell those of processes alone."""
        limits = report.get("limits")
        if limits is None:
            self._processes(report.get("descriptors", {}).get("processes", ()), host)
            return
        self._hosts += 1
        default = limits["default"]
        self._spreads.add(("default", "services"), _pair(default), (*_source(default), False), host)
        seen = set()
        for entry in limits["applications"]:
            configured = entry["configured"]
            running = entry["soft"], entry["hard"]
            if (entry["app"], running) in seen:
                continue
            seen.add((entry["app"], running))
            stale = configured is not None and _pair(configured) != running
            source = (*_source(configured or default), stale)
            self._spreads.add(("application", entry["app"]), running, source, host)
        for domain, (pair, place) in _logins(limits["logins"]).items():
            self._spreads.add(("login", domain), pair, (*place, False), host)

    def _processes(self, processes: Any, host: str) -> None:  # noqa: ANN401 - a list of JSON objects
        running = {(entry["app"], (entry["soft_limit"], entry["hard_limit"])) for entry in processes}
        for app, pair in running:
            self._spreads.add(("application", app), pair, (None, None, False), host)

    def result(self) -> tuple[list[dict[str, Any]], int]:
        """Return ``limits`` of ``lastack.fleet/1``, most hosts away first, and how many entries were cut.

        Without a line for a login, or for the default, a host has ``null`` there: that is a value like any other.
        """
        drifting = []
        for (what, name), spread in self._spreads.by_key.items():
            told = spread.told()
            if what == "login" and told < self._hosts:
                spread = _with_rest(spread, self._hosts - told)  # noqa: PLW2901 - the same with what is not said
            if self._everything or spread.differs():
                entry = _entry({"what": what, "name": name}, spread, _limit)
                drifting.append((-spread.away(), what, name, entry))
        drifting.sort(key=lambda item: item[:3])
        shown = [item[3] for item in drifting[:_LIMITS_SHOWN]]
        return shown, len(drifting) - len(shown)


def _with_rest(spread: _Spread, rest: int) -> _Spread:
    whole = _Spread()
    whole.hosts, whole.other_hosts, whole.other_sources = spread.hosts, spread.other_hosts, spread.other_sources
    whole.sources = {**spread.sources, _NO_LINE: Counter({(None, None, False): rest})}
    return whole


def _entry(head: dict[str, Any], spread: _Spread, describe: Any) -> dict[str, Any]:  # noqa: ANN401 - a function of ours
    ranked = spread.ranked()
    values = []
    for value, sources in ranked[:_VALUES_SHOWN]:
        entry = describe(value, sorted(sources.items(), key=lambda item: (-item[1], str(item[0]))))
        entry["hosts"] = spread.total(value)
        if spread.hosts:
            entry["examples"] = spread.hosts.get(value, [])
        values.append(entry)
    # Of the values that there was no room for, it is not known how many they are.
    cut = len(ranked) - len(values) + (spread.other_hosts > 0)
    return {**head, "away_hosts": spread.away(), "values": values, "values_truncated": cut}


def _value(value: str | None, sources: list[tuple[Any, int]]) -> dict[str, Any]:
    named = [
        {"winner": winner, "owner": owner, "manager": manager, "place": place, "hosts": hosts}
        for (winner, owner, manager, place), hosts in sources
    ]
    first = named[0]
    return {
        "value": value,
        "winner": first["winner"],
        "owner": first["owner"],
        "manager": first["manager"],
        "sources": named[:_SOURCES_SHOWN],
        "sources_truncated": len(named) - len(named[:_SOURCES_SHOWN]),
    }


def _limit(value: _Pair, sources: list[tuple[Any, int]]) -> dict[str, Any]:
    files: Counter[tuple[str | None, str | None]] = Counter()
    for (winner, owner, __), hosts in sources:
        files[winner, owner] += hosts
    named = [
        {"winner": winner, "owner": owner, "hosts": hosts}
        for (winner, owner), hosts in sorted(files.items(), key=lambda item: (-item[1], str(item[0])))
    ]
    return {
        "soft": value[0],
        "hard": value[1],
        "winner": named[0]["winner"],
        "owner": named[0]["owner"],
        "stale_hosts": sum(hosts for (__, ___, stale), hosts in sources if stale),
        "sources": named[:_SOURCES_SHOWN],
        "sources_truncated": len(named) - len(named[:_SOURCES_SHOWN]),
    }


def _pair(entry: Mapping[str, Any] | None) -> _Pair:
    return _NO_LINE if entry is None else (entry["soft"], entry["hard"])


def _source(entry: Mapping[str, Any] | None) -> tuple[str | None, str | None]:
    return (None, None) if entry is None else (entry["place"], entry["owner"])


def _logins(lines: Any) -> dict[str, tuple[_Pair, tuple[str | None, str | None]]]:  # noqa: ANN401 - a list of JSON objects
    """Return what each domain gets: of several lines the last one decides, for each side (pam_limits.c)."""
    found: dict[str, tuple[_Pair, tuple[str | None, str | None]]] = {}
    for line in lines:
        before = found[line["domain"]][0] if line["domain"] in found else _NO_LINE
        soft = before[0] if line["soft"] is None else line["soft"]
        hard = before[1] if line["hard"] is None else line["hard"]
        found[line["domain"]] = (soft, hard), (line["place"], line["owner"])
    return found
