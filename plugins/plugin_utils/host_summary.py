# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The summary of a host report that stays in Ansible's memory while the whole report lies in the run folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_SUMMARY_BYTES", "host_summary"]

MAX_SUMMARY_BYTES = 4 * 1024 - 1
_ROOM_FOR_PATH = 1024


def host_summary(report: Mapping[str, Any], stored: str) -> dict[str, Any]:
    """Return states, totals and findings without evidence, in less than 4 KiB of JSON.

    ``stored`` is the path of the whole report on the controller. Findings that do not fit are counted.
    """
    seen = report["completeness"]
    findings = [
        {key: finding[key] for key in ("id", "severity", "remedy", "subject", "summary")}
        for finding in report["findings"]
    ]
    agent = report.get("agent")
    summary: dict[str, Any] = {
        "schema": report["schema"],
        "host": {key: report["host"].get(key) for key in ("name", "inventory_name", "kernel", "os")},
        "collected_at": report["collected_at"],
        "completeness": {
            "complete": seen["complete"],
            "source": seen["source"],
            "privileged": seen["privileged"],
            "warnings": len(seen["warnings"]),
        },
        "agent": {"state": agent["state"]} if agent else None,
        "states": dict(report["states"]),
        "totals": _totals(report),
        "findings": [],
        "findings_truncated": len(findings) + report.get("findings_truncated", 0),
        "stored": stored[-_ROOM_FOR_PATH:],
    }
    room = MAX_SUMMARY_BYTES - _size(summary)
    for finding in findings:
        # In a list each entry costs a comma more.
        room -= _size(finding) + 2
        if room < 0:
            break
        summary["findings"].append(finding)
        summary["findings_truncated"] -= 1
    return summary


def _totals(report: Mapping[str, Any]) -> dict[str, int | None]:
    close_wait = report.get("close_wait", {})
    return {
        "close_wait": close_wait.get("total", report["states"]["CLOSE_WAIT"]),
        "close_wait_offenders": len(close_wait.get("offenders", ())) + close_wait.get("truncated", 0),
        "close_wait_undecided": report["completeness"]["close_wait"]["undecided"],
        "dead_sockets": report.get("dead_sockets", {}).get("total"),
        "time_wait": report["states"]["TIME_WAIT"],
    }


def _size(value: object) -> int:
    return len(json.dumps(value))
