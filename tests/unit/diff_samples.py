# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs of a few hosts for the tests of the diff: what leaked where, then and now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.manifest import Outcome
from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import RunFolder
from sample_reports import sample

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["OLD", "host_report", "incomplete", "run_folder"]

OLD, NEW = "2026-11-16T04:30:00Z", "2026-11-23T04:30:00Z"


def host_report(leaks: Mapping[str, int] | None = None, *, at: str = NEW, boot_id: str = "boot-1") -> dict[str, Any]:
    """A complete report of a host on which these applications leak so many sockets."""
    report = sample("healthy")
    model = sample("sick")["close_wait"]["offenders"][0]
    leaks = leaks or {}
    total = sum(leaks.values())
    offenders = [{**model, "app": app, "count": count, "undecided": 0} for app, count in leaks.items()]
    report["close_wait"] = {"total": total, "oldest_s": None, "offenders": offenders, "truncated": 0}
    report["completeness"]["close_wait"] = {
        "seen": total,
        "in_transit": 0,
        "undecided": 0,
        "attributed": total,
        "unaccepted": 0,
        "kernel_owned": 0,
        "unattributed": 0,
    }
    report["states"]["CLOSE_WAIT"] = total
    report["collected_at"] = at
    report["host"]["boot_id"] = boot_id
    report["findings"] = []
    report["sysctls"] = {}
    return report


def incomplete(report: dict[str, Any], code: str, count: int = 1, *, detail: str = "something") -> dict[str, Any]:
    """The same report with a warning in its completeness."""
    report["completeness"]["complete"] = False
    report["completeness"]["warnings"].append({"code": code, "count": count, "detail": detail})
    return report


def run_folder(folder: Path, hosts: Mapping[str, dict[str, Any] | str], *, started_at: str = NEW) -> str:
    """A finished run: per host its report, or why it was unreachable."""
    run = RunFolder.start(folder, made_by="test", hosts=list(hosts))
    run.manifest.update(started_at=started_at, finished_at=started_at)
    for host, report in hosts.items():
        if isinstance(report, str):
            run.record(host, "unreachable", report)
        else:
            run.store_report(host, report)
    run.close({host: outcome or Outcome("missing", None, None) for host, outcome in run.outcomes().items()})
    return str(folder)
