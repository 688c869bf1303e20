# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What changed between two runs, ``lastack.diff/1``: offenders, findings, settings and the hosts themselves.

The two reports of a host are read side by side, one host in memory at a time; what remains are the aggregates.
"""

from __future__ import annotations

import datetime
from collections import Counter
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.diff_changes import CHANGES, Changes
from ansible_collections.lastack.linux.plugins.plugin_utils.diff_settings import SettingChanges
from ansible_collections.lastack.linux.plugins.plugin_utils.diff_sight import narrower, saw_less
from ansible_collections.lastack.linux.plugins.plugin_utils.diff_things import (
    DEAD_SOCKETS,
    FINDINGS,
    LEAKS,
    Key,
    Thing,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import RunFolder, RunFolderError
from ansible_collections.lastack.linux.plugins.plugin_utils.stored_reports import stored_host
from ansible_collections.lastack.linux.plugins.plugin_utils.worst import Worst

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lastack.linux.plugins.plugin_utils.stored_reports import StoredHost

__all__ = ["DIFF_SCHEMA", "diff_runs"]

DIFF_SCHEMA = "lastack.diff/1"

_SHOWN = 200
_HOSTS_SHOWN = 20


def diff_runs(old_path: str, new_path: str) -> dict[str, Any]:
    """Compare two run folders, finished or cut short, and return ``lastack.diff/1``; writes nothing.

    Raises ``RunFolderError``: a folder that is no run folder, whose run still goes on, or both are the same run.
    """
    old, new = _open(old_path), _open(new_path)
    if old.run_id == new.run_id:
        raise RunFolderError(f"{old.path} and {new.path} are the same run ({old.run_id}): there is nothing to compare.")
    diff = _Diff()
    before, now = old.outcomes(), new.outcomes()
    for host, known in before.items():
        was = stored_host(old, host, known)
        diff.add(was, stored_host(new, host, now[host]) if host in now else None)
    for host, known in now.items():
        if host not in before:
            diff.add(None, stored_host(new, host, known))
    return diff.result(old.manifest, new.manifest)


def _open(path: str) -> RunFolder:
    run = RunFolder.read(path)
    run.require_ended()
    return run


class _Hosts:
    """Some hosts: how many, and the first of them by name."""

    def __init__(self) -> None:
        self._shown = Worst(_HOSTS_SHOWN)

    def add(self, host: str, score: int = 0, **entry: Any) -> None:  # noqa: ANN401 - what is known of a host
        self._shown.add((score,), host, {"host": host, **entry})

    def result(self) -> dict[str, Any]:
        return {"count": self._shown.seen, "hosts": self._shown.ranked()}


class _Diff:
    """The aggregates of a comparison."""

    def __init__(self) -> None:
        self._meant: Counter[str] = Counter()
        self._groups = {
            name: _Hosts()
            for name in ("not_reached", "left", "joined", "reached_again", "narrower", "rebooted", "not_newer")
        }
        self._compared = self._unseen_twice = 0
        self._leaked: Counter[str] = Counter()
        self._things = [(thing, Changes()) for thing in (LEAKS, DEAD_SOCKETS, FINDINGS)]
        self._settings = SettingChanges()

    def add(self, was: StoredHost | None, now: StoredHost | None) -> None:
        """Take one host; ``None`` where it was not meant."""
        stored = now or was
        if stored is None:
            return
        host, old, new = stored.name, was.report if was else None, now.report if now else None
        self._count(was, now)
        if was is None:
            self._groups["joined"].add(host)
        elif now is None:
            self._groups["left"].add(host)
        if old is not None and new is not None:
            self._pair(host, old, new)
        elif old is not None:
            self._only_old(host, old, now)
        elif new is not None:
            if was is not None:
                self._groups["reached_again"].add(host)
            self._only_new(host, new, meant_before=was is not None)
        elif was is not None and now is not None:
            self._unseen_twice += 1

    def _count(self, was: StoredHost | None, now: StoredHost | None) -> None:
        for run, stored in (("old", was), ("new", now)):
            self._meant[f"{run}_meant"] += int(stored is not None)
            self._meant[f"{run}_audited"] += int(stored is not None and stored.report is not None)

    def _pair(self, host: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        self._compared += 1
        if new["collected_at"] <= old["collected_at"]:
            self._groups["not_newer"].add(host, old=old["collected_at"], new=new["collected_at"])
        boots = old["host"]["boot_id"], new["host"]["boot_id"]
        rebooted = None not in boots and boots[0] != boots[1]
        if rebooted:
            self._groups["rebooted"].add(host)
        if less := saw_less(new, old):
            self._groups["narrower"].add(host, reason=less)
        for run, leaked in zip(("old", "new"), self._compare(host, old, new, rebooted=rebooted), strict=True):
            self._leaked.update({run: leaked, f"{run}_hosts": int(leaked > 0)})
        self._settings.add(host, old, new)

    def _compare(self, host: str, old: Mapping[str, Any], new: Mapping[str, Any], *, rebooted: bool) -> tuple[int, int]:
        """Compare the things of a host; return its leaked sockets then and now, of what both looks would have seen."""
        leaked = 0, 0
        for thing, changes in self._things:
            before, now = thing.items(old), thing.items(new)
            for key in {**before, **now}:
                change = changes.of(key)
                if change is None:
                    continue
                for rank, item in ((0, before.get(key)), (1, now.get(key))):
                    if item is not None:
                        change.describe((rank, *item.weight), item.words)
                counts = before[key].number if key in before else 0, now[key].number if key in now else 0
                doubt = _doubt(thing, key, counts, old, new)
                change.compared(host, *counts, doubt, rebooted=rebooted)
                if thing is LEAKS and not doubt:
                    leaked = leaked[0] + counts[0], leaked[1] + counts[1]
        return leaked

    def _only_old(self, host: str, old: Mapping[str, Any], now: StoredHost | None) -> None:
        outcome, reason = (now.outcome.outcome, now.outcome.reason) if now else (None, None)
        if outcome is not None:
            leaked = sum(item.number for item in LEAKS.items(old).values())
            reason = reason or "no reason was given"
            self._groups["not_reached"].add(host, leaked, sockets=leaked, outcome=outcome, reason=reason)
        for thing, changes in self._things:
            for key, item in thing.items(old).items():
                change = changes.of(key)
                if change is not None:
                    change.describe((0, *item.weight), item.words)
                    change.only_old(host, item.number, outcome, reason)

    def _only_new(self, host: str, new: Mapping[str, Any], *, meant_before: bool) -> None:
        for thing, changes in self._things:
            for key, item in thing.items(new).items():
                change = changes.of(key)
                if change is not None:
                    change.describe((1, *item.weight), item.words)
                    change.only_new(host, item.number, meant_before=meant_before)

    def result(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``lastack.diff/1`` for the runs of these manifests."""
        lists: dict[str, Any] = {}
        kinds: set[str] = set()
        for thing, changes in self._things:
            ranked, cut = changes.ranked(_SHOWN)
            lists[thing.name] = [{**thing.named(key), **change.result()} for key, change in ranked]
            lists[f"{thing.name}_truncated"] = cut
            kinds |= changes.kinds() if thing is not FINDINGS else set()
        settings, settings_cut, settings_hosts = self._settings.result()
        return {
            "schema": DIFF_SCHEMA,
            "old": self._run(old, "old"),
            "new": self._run(new, "new"),
            "apart_s": _apart(old["started_at"], new["started_at"]),
            "hosts": {
                "compared": self._compared,
                "unseen_twice": self._unseen_twice,
                **{name: hosts.result() for name, hosts in self._groups.items()},
            },
            "close_wait": {
                "old": {"hosts": self._leaked["old_hosts"], "sockets": self._leaked["old"]},
                "new": {"hosts": self._leaked["new_hosts"], "sockets": self._leaked["new"]},
            },
            "changes": sorted(kinds, key=CHANGES.index),
            **lists,
            "settings": settings,
            "settings_truncated": settings_cut,
            "settings_hosts": settings_hosts,
        }

    def _run(self, manifest: Mapping[str, Any], which: str) -> dict[str, Any]:
        return {
            **{key: manifest[key] for key in ("id", "made_by", "started_at", "finished_at", "finished")},
            "meant": self._meant[f"{which}_meant"],
            "audited": self._meant[f"{which}_audited"],
        }


def _doubt(thing: Thing, key: Key, counts: tuple[int, int], old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Say why one look may have missed what the other saw, or counted less of it."""
    was, now = counts
    if not now:
        return thing.missed(new, old, key, was)
    if not was:
        return thing.missed(old, new, key, now)
    return "" if thing is FINDINGS else narrower(new, old) or narrower(old, new)


def _apart(old: str, new: str) -> float | None:
    """Return the seconds from ``old`` to ``new``, negative if they are the wrong way round."""
    try:
        moments = [datetime.datetime.fromisoformat(text) for text in (old, new)]
        return round((moments[1] - moments[0]).total_seconds(), 3)
    except (TypeError, ValueError):
        return None
