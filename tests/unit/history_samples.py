# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Histories for the tests: runs of many days, with gaps and days that saw too little."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.history_days import build_history
from ansible_collections.lastack.linux.plugins.plugin_utils.history_store import (
    AppFigures,
    FindingFigures,
    RunFigures,
    opened,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["FIRST", "figures", "fill", "history_of", "run_on"]

FIRST = datetime.date(2026, 11, 1)


def run_on(day: int, audited: int = 100, **more: Any) -> RunFigures:  # noqa: ANN401 - any column
    """A run of the audit on this day of November."""
    date = FIRST + datetime.timedelta(days=day - 1)
    run = RunFigures(
        run_id=f"run-{day}",
        started_at=f"{date}T04:30:00.000Z",
        day=date.isoformat(),
        made_by="tcp_audit",
        meant=100,
        audited=audited,
        incomplete=0,
        finished=True,
        judged=audited,
        apps_left_out=0,
    )
    return run._replace(**more)


def figures(sockets: int, hosts: int = 1) -> AppFigures:
    """What a run found of an application."""
    return AppFigures(hosts, sockets, 3600.0, 68.0, None)


def fill(path: Path, runs: Mapping[RunFigures, Mapping[str, int]], findings: Mapping[str, int] | None = None) -> None:
    """Write these runs with the sockets of their applications."""
    told = {name: FindingFigures("warning", hosts) for name, hosts in (findings or {}).items()}
    with opened(path, write=True) as store:
        for run, apps in runs.items():
            store.add(run, {name: figures(sockets) for name, sockets in apps.items()}, told)


def history_of(path: Path, runs: Mapping[RunFigures, Mapping[str, int]], **options: Any) -> dict[str, Any]:  # noqa: ANN401 - build_history's
    """The history of these runs."""
    fill(path, runs)
    with opened(path) as store:
        return build_history(store, **{"days": 30, **options})
