# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The finding ``close_wait.growing``: a leak that the resident agent has watched growing, with its deadline.

For the audit and for the agent's own fact: both say it with the same words.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.finding import CRITICAL, WARNING, Finding
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.wording import format_age, plural

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["SOON_S", "growing_findings", "growth_phrase"]

SOON_S = 86_400.0
"""Descriptors that are gone within a day cannot wait for the next working day: critical."""

_GROWING = "close_wait.growing"


def growing_findings(offenders: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Return one finding for each offender of ``lastack.host/1`` whose ``trend`` is a leak that grows.

    Critical if its descriptors are gone within ``SOON_S``, a warning else. Figures that are no numbers are unknown.
    """
    findings = []
    for offender in offenders:
        trend = offender.get("trend") or {}
        growth = _figure(trend.get("growth_per_min"))
        if trend.get("verdict") == "leak" and growth is not None and growth > 0:
            findings.append(_finding(offender, trend, growth))
    return findings


def growth_phrase(per_min: float) -> str:
    """Return a growth as ``12 a minute``, ``0.4 a minute`` or, below one in ten minutes, ``3 an hour``."""
    if per_min >= 10:  # noqa: PLR2004 - two digits say enough
        return f"{per_min:,.0f} a minute"
    if per_min >= 0.1:  # noqa: PLR2004 - below it a minute is too short a measure
        return f"{per_min:.1f}".removesuffix(".0") + " a minute"
    per_hour = per_min * 60
    return f"{per_hour:.1f}".removesuffix(".0") + " an hour" if per_hour >= 0.1 else "less than 1 in 10 hours"  # noqa: PLR2004


def _finding(offender: Mapping[str, Any], trend: Mapping[str, Any], growth: float) -> Finding:
    app = str(offender.get("app"))
    exhaustion = _figure(trend.get("exhaustion_in_s"))
    count = trend.get("count") if isinstance(trend.get("count"), int) else offender.get("count")
    descriptors = offender.get("descriptors") or {}
    pid = next((pid for pid in (trend.get("exhaustion_pid"), descriptors.get("worst_pid")) if pid is not None), None)
    process = app if pid is None else f"{app} (pid {pid})"
    deadline = None if exhaustion is None else format_age({"at_least": exhaustion, "at_most": exhaustion})
    held = plural(count, "socket") if isinstance(count, int) else "its sockets"
    gone = f"; its descriptors are gone in about {deadline}" if deadline else ""
    before = f"before its descriptors are gone in about {deadline}" if deadline else "until the fix is out"
    return Finding(
        _GROWING,
        CRITICAL if exhaustion is not None and exhaustion < SOON_S else WARNING,
        app,
        f"{app} leaks: {held} in CLOSE_WAIT, growing by {growth_phrase(growth)}{gone}.",
        f"Close the sockets of {process} on every path, errors included, and restart it {before}.",
        {
            "count": count,
            "growth_per_min": growth,
            "arrivals": trend.get("arrivals"),
            "departures": trend.get("departures"),
            "first_seen": trend.get("first_seen"),
            "exhaustion_in_s": exhaustion,
            "pid": pid,
        },
        growth if exhaustion is None else 1e9 / (1.0 + exhaustion),
    )


def _figure(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return value if value >= 0 else None
