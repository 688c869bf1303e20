# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent knows at one moment, for the tests of what it publishes: a leak that grows, and variants of it."""

from __future__ import annotations

from typing import Any

from ansible_collections.lastack.linux.agent.records import AppKey, AppLook, DescriptorUse, Member, Pass, Trend
from ansible_collections.lastack.linux.agent.status import AgentStatus

__all__ = ["BOOT_ID", "LEAK", "NOW_S", "OFFENDER", "STATUS", "WALL_S", "Trends", "app", "look_at", "trend"]

Trends = dict[AppKey, tuple[Trend, AppLook]]

BOOT_ID = "00000000-1111-4222-8333-444444444444"
NOW_S = 10_000.0
WALL_S = 1_790_000_000.0
"""2026-09-21T14:13:20Z."""

STATUS = AgentStatus(
    version="1.2.3",
    boot_id=BOOT_ID,
    started_s=NOW_S - 600,
    watching_since_s=NOW_S - 3_600,
    now_s=NOW_S,
    wall_s=WALL_S,
    interval_s=15.0,
    fresh_for_s=180.0,
    passes=40,
    cpu_s=1.25,
    cpu_pass_s=0.03,
    resident_bytes=20 << 20,
    dropped_sockets=0,
    dropped_applications=0,
)

OFFENDER: dict[str, Any] = {
    "app": "checkout-api",
    "kind": "unit",
    "namespace": "host",
    "namespace_id": 4026531840,
    "unit": "checkout-api.service",
    "container": None,
    "exe": "/usr/bin/java",
    "runtime": "java",
    "user": "checkout",
    "pids": [11, 12, 13, 14, 15, 16],
    "container_pids": [],
    "pids_truncated": 0,
    "count": 800,
    "undecided": 12,
    "age_s": {"at_least": 3000.0, "at_most": None},
    "causes": {"eof_read": 700, "eof_consumed": 100},
    "by_cause": {},
    "flags": {"shared": 0, "kernel_owned": 0},
    "unread_bytes": 0,
    "role": "client",
    "peers": [{"address": f"10.0.0.{last}", "port": 443, "count": 200} for last in range(1, 5)],
    "local_ports": [],
    "shared_with": [],
    "descriptors": {"open": 900, "soft_limit": 1024, "hard_limit": 4096, "used_percent": 87.9, "worst_pid": 11},
    "advice": ["runtime.java", "close_wait.leak"],
}

LEAK = Trend(
    verdict="leak",
    count=812,
    arrivals=900,
    departures=88,
    growth_per_min=12.04,
    turnover_per_min=1.1,
    first_seen_s=NOW_S - 3_500,
    oldest=(3_400.0, 3_600.0),
    ready_in_s=None,
    exhaustion_in_s=5_400.0,
    exhaustion_pid=11,
    reason="Grew by 12 a minute over 14 looks.",
)


def trend(verdict: str = "leak", **changes: Any) -> Trend:  # noqa: ANN401 - the fields of a Trend
    """The leak with other figures; without a verdict of leak there is no forecast."""
    forecast = {} if verdict == "leak" else {"exhaustion_in_s": None, "exhaustion_pid": None}
    return LEAK._replace(**({"verdict": verdict} | forecast | changes))


def app(**changes: Any) -> AppLook:  # noqa: ANN401 - the fields of an offender
    """One application as the last look saw it."""
    members = {(4026531840, 1): Member("eof_read", 3_400.0, None, 77)}
    return AppLook(members, DescriptorUse(11, 5, 900, 1024, 4096), OFFENDER | changes)


def look_at(trends: Trends, **changes: Any) -> Pass:  # noqa: ANN401 - the fields of a Pass
    """The last look, a second before the publication."""
    applications = {key: seen for key, (__, seen) in trends.items()}
    return Pass(NOW_S - 1, applications, frozenset((4026531840,)), (), 900)._replace(**changes)
