# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sysctls and limits that changed between two runs: from what to what, on how many hosts, and which file says so."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SettingChanges"]

_SHOWN = 100

# Forged reports can name any number of keys and values: beyond this many, new ones are only counted.
_TRACKED = 20_000


class SettingChanges:
    """Groups the changes of all hosts by key, scope and values."""

    def __init__(self) -> None:
        """Start with none."""
        self._changes: dict[tuple[str, str, str | None, str | None], _Setting] = {}
        self._untracked = 0
        self._hosts = 0

    def add(self, host: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Take the two reports of a host; keys that one of them does not have are not compared."""
        before, now = old.get("sysctls", {}), new.get("sysctls", {})
        changed = False
        for key, state in now.items():
            was = before.get(key)
            if was is None or was == state:
                continue
            running, boot = (was["current"], state["current"]), (was["configured"], state["configured"])
            # An unknown running value is not known to have changed; no file that sets a key is knowledge.
            if running[0] != running[1] and None not in running:
                self._take((key, "running", *running), host, state["winner"])
                changed = True
            # What the next boot will set is worth a word only while it is not what runs.
            if boot[0] != boot[1] and boot[1] != running[1]:
                self._take((key, "boot", *boot), host, state["winner"])
                changed = True
        self._hosts += int(self._take_limits(host, old, new) or changed)

    def _take_limits(self, host: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
        before, now = _limits_of(old), _limits_of(new)
        changes = [
            ((app, "limit", before[app][0], pair), place)
            for app, (pair, place) in now.items()
            if app in before and before[app][0] != pair
        ]
        for change, place in changes:
            self._take(change, host, place)
        return bool(changes)

    def _take(self, change: tuple[str, str, str | None, str | None], host: str, winner: str | None) -> None:
        setting = self._changes.get(change)
        if setting is None:
            if len(self._changes) >= _TRACKED:
                self._untracked += 1
                return
            setting = self._changes[change] = _Setting(host)
        setting.hosts += 1
        setting.example = min(setting.example, host)
        if winner in setting.winners or len(setting.winners) < _SHOWN:
            setting.winners[winner] += 1

    def result(self) -> tuple[list[dict[str, Any]], int, int]:
        """Return ``settings`` of ``lastack.diff/1``, most hosts first, how many were cut, and on how many hosts."""
        ranked = sorted(
            self._changes.items(), key=lambda item: (-item[1].hosts, item[0][0], item[0][1] != "running", str(item[0]))
        )
        shown = [
            {
                "key": key,
                "scope": scope,
                "from": old,
                "to": new,
                "hosts": setting.hosts,
                "host": setting.example,
                "winner": setting.winner(),
            }
            for (key, scope, old, new), setting in ranked[:_SHOWN]
        ]
        return shown, len(ranked) - len(shown) + self._untracked, self._hosts


def _limits_of(report: Mapping[str, Any]) -> dict[str, tuple[str, str | None]]:
    """Return ``soft:hard`` of each application and the file that says so; whose processes differ cannot be compared."""
    limits = report.get("limits") or {"applications": (), "default": None}
    found: dict[str, set[tuple[str, str | None]]] = {}
    for entry in limits["applications"]:
        if entry["soft"] is None or entry["hard"] is None:
            continue
        source = entry["configured"] or limits["default"]
        place = None if source is None else source["place"]
        found.setdefault(entry["app"], set()).add((f"{entry['soft']}:{entry['hard']}", place))
    return {app: next(iter(pairs)) for app, pairs in found.items() if len(pairs) == 1}


class _Setting:
    """One change of one key."""

    __slots__ = ("example", "hosts", "winners")

    def __init__(self, host: str) -> None:
        self.hosts = 0
        self.example = host
        self.winners: Counter[str | None] = Counter()

    def winner(self) -> str | None:
        return min(self.winners, key=lambda winner: (-self.winners[winner], winner or ""))
