# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the hosts of a run to what the history keeps of it: sums by application and by finding."""

from __future__ import annotations

import datetime
from collections import Counter
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.agent_trend import grows
from ansible_collections.lastack.linux.plugins.plugin_utils.history_schema import HistoryError
from ansible_collections.lastack.linux.plugins.plugin_utils.history_store import (
    AppFigures,
    FindingFigures,
    HistoryStore,
    RunFigures,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.plugins.plugin_utils.render.unseen import left_out, own_namespace_only
from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import RunFolder
from ansible_collections.lastack.linux.plugins.plugin_utils.stored_reports import stored_hosts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lastack.linux.plugins.plugin_utils.stored_reports import StoredHost

__all__ = ["HistorySink", "add_run"]

# Forged reports can name any number of applications: of so many the sums are kept, of so many they are written.
_TRACKED = 50_000
_KEPT = 1_000
_NAME = 256
_SEVERITIES = ("info", "warning", "critical")
_LARGEST = 2**63 - 1
"""The largest integer that SQLite stores."""
_YEARS = range(2000, 2200)
_FASTEST = 1e9
"""Sockets a minute that no host can make."""


class HistorySink:
    """Sums up the hosts that come; ``finish`` adds the run to the history, ``added`` says whether it was new."""

    def __init__(self, store: HistoryStore) -> None:
        """Start with no host; ``store`` must be open for writing."""
        self.added = False
        self._store = store
        self._counts: Counter[str] = Counter()
        self._apps: dict[str, _App] = {}
        self._findings: dict[str, list[int]] = {}

    def add(self, stored: StoredHost) -> None:
        """Take the next host."""
        self._counts["meant"] += 1
        report = stored.report
        if report is None:
            return
        self._counts["audited"] += 1
        self._counts["incomplete"] += not report["completeness"]["complete"]
        self._close_wait(report)
        self._counts["findings_blind"] += bool(left_out(report) or report.get("findings_truncated"))
        worst: dict[str, int] = {}
        for finding in report["findings"]:
            severity = _SEVERITIES.index(finding["severity"])
            worst[finding["id"]] = max(worst.get(finding["id"], 0), severity)
        for name, severity in worst.items():
            if name in self._findings or len(self._findings) < _TRACKED:
                known = self._findings.setdefault(name, [severity, 0])
                known[0] = max(known[0], severity)
                known[1] += 1

    def finish(self, fleet: Mapping[str, Any]) -> None:
        """Add the run to the history; raises ``HistoryError`` if the run does not say when it was."""
        run = fleet["run"]
        ranked = sorted(self._apps.items(), key=lambda item: (-item[1].sockets, item[0]))
        self.added = self._store.add(
            RunFigures(
                run_id=str(run["id"]),
                started_at=str(run["started_at"]),
                day=_day(run["started_at"]),
                made_by=one_line(str(run["made_by"]), 64),
                meant=self._counts["meant"],
                audited=self._counts["audited"],
                incomplete=self._counts["incomplete"],
                finished=run["finished_at"] is not None,
                judged=self._counts["judged"],
                apps_left_out=self._counts["left_out"] + max(0, len(ranked) - _KEPT),
                blind=self._counts["blind"],
                findings_blind=self._counts["findings_blind"],
            ),
            {name: app.figures() for name, app in ranked[:_KEPT]},
            {name: FindingFigures(_SEVERITIES[worst], hosts) for name, (worst, hosts) in self._findings.items()},
        )

    def _close_wait(self, report: Mapping[str, Any]) -> None:
        part = report.get("close_wait")
        if part is None:
            return
        self._counts["judged"] += 1
        self._counts["blind"] += _is_blind(report)
        # What a host cut from its list may be any application.
        self._counts["left_out"] += part["truncated"]
        by_app: dict[str, list[Mapping[str, Any]]] = {}
        for item in part["offenders"]:
            if item["count"]:
                by_app.setdefault(one_line(item["app"], _NAME), []).append(item)
        for name, items in by_app.items():
            if name not in self._apps and len(self._apps) >= _TRACKED:
                self._counts["left_out"] += 1
                continue
            self._apps.setdefault(name, _App()).add(items)


def _is_blind(report: Mapping[str, Any]) -> bool:
    """Whether an application may leak on this host and not be among the named ones: no root, or not every namespace."""
    view = report["completeness"]
    return (
        view["source"] == "none"
        or view["namespaces"]["failed"] > 0
        or own_namespace_only(report)
        or view["close_wait"]["unattributed"] > 0
    )


def add_run(store: HistoryStore, path: str) -> bool:
    """Add the run in the folder ``path`` to the history; return whether it is new there.

    One pass over its hosts, one in memory at a time; none if the history has the run already. Raises
    ``RunFolderError`` for a folder that is no run folder or whose run still goes on, and ``HistoryError``.
    """
    run = RunFolder.read(path)
    run.require_ended()
    if store.knows(run.run_id):
        return False
    sink = HistorySink(store)
    for stored in stored_hosts(run):
        sink.add(stored)
    finished_at = run.manifest["finished_at"] if run.manifest["finished"] else None
    try:
        sink.finish({"run": {**run.manifest, "finished_at": finished_at}})
    except HistoryError as error:
        raise HistoryError(f"{path}: {error}") from None
    return sink.added


class _App:
    """One application over all hosts."""

    def __init__(self) -> None:
        self.hosts = 0
        self.sockets = 0
        self.oldest_s: float | None = None
        self.descriptors_percent: float | None = None
        self.growth_per_min: float | None = None

    def add(self, items: list[Mapping[str, Any]]) -> None:
        self.hosts += 1
        for item in items:
            self.sockets += item["count"]
            self.oldest_s = _most(self.oldest_s, (item["age_s"] or {}).get("at_least"))
            self.descriptors_percent = _most(self.descriptors_percent, (item["descriptors"] or {}).get("used_percent"))
            if grows(item):
                growth = min(item["trend"]["growth_per_min"], _FASTEST)
                self.growth_per_min = round((self.growth_per_min or 0.0) + growth, 3)

    def figures(self) -> AppFigures:
        sockets = min(self.sockets, _LARGEST)
        return AppFigures(self.hosts, sockets, self.oldest_s, self.descriptors_percent, self.growth_per_min)


def _most(known: float | None, new: float | None) -> float | None:
    return known if new is None else float(new) if known is None else max(known, float(new))


def _day(started_at: object) -> str:
    try:
        day = datetime.date.fromisoformat(str(started_at)[:10])
    except ValueError:
        raise HistoryError(f"the run does not say when it began: {one_line(str(started_at), 40)}") from None
    if day.year not in _YEARS:
        raise HistoryError(f"the run says that it began on {day}: that controller's clock is wrong")
    return day.isoformat()
