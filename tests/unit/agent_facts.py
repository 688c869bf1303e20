# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A resident agent's fact below a root of the test's own, as the publisher leaves it and as an attacker would."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BOOT", "NOW_S", "fact", "offender", "put", "trend"]

BOOT = "5f0c1a52-0b1e-4b0e-9a67-3f2f6f0d3c11"
NOW_S = 90_000.0
"""CLOCK_BOOTTIME at the moment of reading."""


def trend(verdict: str = "leak", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """A trend of the fact; by default a leak that grows."""
    return {
        "verdict": verdict,
        "reason": "40 came and none went in 10 min.",
        "count": 40,
        "arrivals": 40,
        "departures": 0,
        "growth_per_min": 4.0,
        "turnover_per_min": 0.0,
        "first_seen": "2026-11-23T04:20:00Z",
        "ready_in_s": None,
        "exhaustion_in_s": 7_200.0,
        "exhaustion_pid": 4121,
        "observed_at": "2026-11-23T04:30:00Z",
        **more,
    }


def offender(app: str = "api", kind: str = "unit", namespace: str = "host", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """An offender of the fact, as far as the audit reads it."""
    return {"app": app, "kind": kind, "namespace": namespace, "trend": trend(**more)}


def fact(*offenders: dict[str, Any], age_s: float = 20.0, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """A ``lastack.local/1`` that was published ``age_s`` before ``NOW_S``."""
    return {
        "schema": "lastack.local/1",
        "collector": {"name": "agent", "version": "0.1.0"},
        "boot_id": BOOT,
        "published_at": "2026-11-23T04:30:00Z",
        "published_boottime_s": NOW_S - age_s,
        "fresh_for_s": 180.0,
        "interval_s": 15.0,
        "watching_since": "2026-11-22T04:30:00Z",
        "completeness": {"complete": True, "warnings": []},
        "dropped": {"sockets": 0, "applications": 0},
        "offenders": list(offenders),
        "a_key_of_a_newer_agent": 1,
        **more,
    }


def put(root: Path, content: object) -> Path:
    """Write the fact (an object as JSON, bytes as they are) where the publisher does; return its path."""
    folder = root / "etc" / "ansible" / "facts.d"
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    path = folder / "lastack.fact"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    path.chmod(0o644)
    return path
