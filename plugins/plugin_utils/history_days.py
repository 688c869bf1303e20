# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The history as ``lastack.history/1``: one point a day for each application and finding, and how fast it grows.

A day that saw fewer hosts than the days before says "at least": what it does not show has not healed.
"""

from __future__ import annotations

import datetime
import statistics
from itertools import combinations
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.lastack.linux.plugins.plugin_utils.history_store import (
        AppFigures,
        HistoryStore,
        RunFigures,
    )

__all__ = ["HISTORY_SCHEMA", "build_history"]

HISTORY_SCHEMA = "lastack.history/1"

_APPS = 200
_SEVERITIES = ("critical", "warning", "info")
_ENOUGH = 0.95
"""A day that judged this share of the hosts is as good as the days before it: one host that is off hides no trend."""
_BEFORE = 7
"""The days with a run that a day is compared with."""
_MOST_PAIRS = 120
"""Points whose pairs are all compared; of more, every second or third one is."""


def build_history(store: HistoryStore, *, days: int, app: str | None = None) -> dict[str, Any]:
    """Return the last ``days`` days up to the newest run as ``lastack.history/1``; ``app`` keeps one application only.

    Of several runs on one day the one that judged the most hosts counts, of two such ones the later. Applications and
    findings stand fastest growth first. Raises ``sqlite3.Error``.
    """
    last = store.last_day()
    if last is None:
        return {"schema": HISTORY_SCHEMA, "days": [], "apps": [], "apps_truncated": 0, "findings": []}
    since = datetime.date.fromisoformat(last) - datetime.timedelta(days=days - 1)
    runs = _one_a_day(store.runs(since.isoformat()))
    unseen, blind = _unseen_hosts(runs), [run.blind for run in runs]
    shown = [_day(*one) for one in zip(runs, unseen, _more_blind(blind), strict=True)]
    by_run = [store.apps(run.run_id) for run in runs]
    names = {name for apps in by_run for name in apps if app in (None, name)}
    apps = []
    for name in sorted(names):
        cut = [run.apps_left_out > 0 for run in runs]
        hosts = [known[name].hosts if name in known else None for known in by_run]
        unsure = _unsure(shown, hosts, unseen, blind, cut)
        points = [
            _app_point(day, known.get(name), unsure=doubt)
            for day, known, doubt in zip(shown, by_run, unsure, strict=True)
        ]
        apps.append({"app": name, **_summary(points, "sockets"), "points": points})
    apps.sort(key=lambda item: _urgency(item, "sockets"))
    return {
        "schema": HISTORY_SCHEMA,
        "days": shown,
        "apps": apps[:_APPS],
        "apps_truncated": max(0, len(apps) - _APPS),
        "findings": [] if app is not None else _findings(store, runs, shown, unseen),
    }


def _one_a_day(runs: Sequence[RunFigures]) -> list[RunFigures]:
    chosen: dict[str, RunFigures] = {}
    for run in runs:
        known = chosen.get(run.day)
        if known is None or _judged(run) - run.blind >= _judged(known) - known.blind:
            chosen[run.day] = run
    return [chosen[day] for day in sorted(chosen)]


def _judged(run: RunFigures) -> int:
    return run.audited if run.judged is None else run.judged


def _unseen_hosts(runs: Sequence[RunFigures]) -> list[int]:
    """Return for each day how many hosts it did not see of those that were meant, or that a day before it saw."""
    unseen = []
    for index, run in enumerate(runs):
        before = [_judged(other) for other in runs[max(0, index - _BEFORE) : index]]
        unseen.append(max(0, max([run.meant, *before]) - _judged(run)))
    return unseen


def _more_blind(blind: Sequence[int]) -> list[int]:
    """Return for each day how many hosts more it saw less well than a day before it: never seen well is no change."""
    return [number - min(blind[max(0, index - _BEFORE) : index + 1]) for index, number in enumerate(blind)]


def _day(run: RunFigures, unseen: int, blind: int) -> dict[str, Any]:
    fewer = _judged(run) - blind < _ENOUGH * (_judged(run) + unseen)
    return {
        "day": run.day,
        "run": run.run_id,
        "made_by": run.made_by,
        "meant": run.meant,
        "audited": run.audited,
        "incomplete": run.incomplete,
        "judged": run.judged,
        "fewer_hosts": fewer or not run.finished,
    }


def _unsure(
    days: Sequence[Mapping[str, Any]],
    hosts: Sequence[int | None],
    unseen: Sequence[int],
    blind: Sequence[int],
    cut: Sequence[bool],
) -> list[bool]:
    """Tell for each day whether something that is missing there (no ``hosts``) may be on the hosts that were not seen.

    It may, if these are as many as the hosts that had it last: one host that is off hides what only that host had.
    Hosts that are seen less well (``blind``) than when it was there last count as not seen.
    """
    doubts, had, before = [], 0, 0
    for day, number, hidden, dim, listed in zip(days, hosts, unseen, blind, cut, strict=True):
        doubt = day["fewer_hosts"] or listed or 0 < had <= hidden + max(0, dim - before)
        doubts.append(doubt)
        if number is not None:
            had, before = number, dim
        elif not doubt:
            had = 0
    return doubts


def _app_point(day: Mapping[str, Any], known: AppFigures | None, *, unsure: bool) -> dict[str, Any]:
    if known is None:
        nothing = None if unsure else 0
        figures = {"hosts": nothing, "sockets": nothing, "oldest_s": None, "descriptors_percent": None}
        return {"day": day["day"], **figures, "growth_per_min": None, "at_least": unsure}
    return {"day": day["day"], **known._asdict(), "at_least": day["fewer_hosts"]}


def _findings(
    store: HistoryStore, runs: Sequence[RunFigures], days: Sequence[Mapping[str, Any]], unseen: Sequence[int]
) -> list[dict[str, Any]]:
    blind = [max(run.blind, run.findings_blind) for run in runs]
    by_run = [store.findings(run.run_id) for run in runs]
    rows = []
    for name in sorted({name for findings in by_run for name in findings}):
        hosts = [findings[name].hosts if name in findings else None for findings in by_run]
        points = []
        doubts = _unsure(days, hosts, unseen, blind, [False] * len(days))
        for day, number, unsure in zip(days, hosts, doubts, strict=True):
            shown = (None if unsure else 0) if number is None else number
            at_least = unsure if number is None else day["fewer_hosts"]
            points.append({"day": day["day"], "hosts": shown, "at_least": at_least})
        severity = next(findings[name].severity for findings in reversed(by_run) if name in findings)
        rows.append({"id": name, "severity": severity, **_summary(points, "hosts"), "points": points})
    return sorted(rows, key=lambda row: (_SEVERITIES.index(row["severity"]), _urgency(row, "hosts")))


def _summary(points: Sequence[Mapping[str, Any]], what: str) -> dict[str, Any]:
    known = [point for point in points if point[what] is not None]
    return {
        "first": known[0] if known else None,
        "last": known[-1] if known else None,
        "growth_per_day": _growth([point for point in known if not point["at_least"]], what),
    }


def _growth(points: Sequence[Mapping[str, Any]], what: str) -> float | None:
    """Return the median of the slopes between all pairs of days (Theil and Sen): a day of restarts does not turn it."""
    step = -(-len(points) // _MOST_PAIRS) or 1
    dated = [(datetime.date.fromisoformat(point["day"]).toordinal(), point[what]) for point in points[::step]]
    slopes = [(later[1] - early[1]) / (later[0] - early[0]) for early, later in combinations(dated, 2)]
    return round(statistics.median(slopes), 2) if slopes else None


def _urgency(row: Mapping[str, Any], what: str) -> tuple[float, float]:
    last = row["last"][what] if row["last"] else 0
    return -(row["growth_per_day"] or 0.0), -last
