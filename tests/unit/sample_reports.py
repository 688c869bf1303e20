# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Host and fleet reports for the tests of the renderers: the recorded samples, and variants of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HOSTILE", "growing_hosts", "healthy_fleet", "hostile", "sample", "single_fleet", "with_strings"]

_SAMPLES = Path(__file__).parents[1] / "fixtures" / "reports"

HOSTILE = (
    "\x1b[31m\x1b]0;owned\x07<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202edesrever\u2066"
    "\r\nFORGED 0 sockets\x00\x9b1m\u2028&amp;{{ 7*7 }}${jndi}"
)

# What the schema fixes to a few words, and what the renderer takes for figures or times.
_FIXED = frozenset(
    {
        "schema",
        "id",
        "severity",
        "remedy",
        "source",
        "outcome",
        "finding",
        "runtime",
        "kind",
        "role",
        "verdict",
        "state",
    }
)


def sample(name: str) -> dict[str, Any]:
    """The recorded report of that name, a new copy each time."""
    report: dict[str, Any] = json.loads((_SAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    return report


def with_strings(value: Any, change: Callable[[str], str]) -> Any:  # noqa: ANN401 - JSON
    """The same JSON with every free text changed; keys and enumerated words stay."""
    if isinstance(value, dict):
        return {
            key: item if key in _FIXED or key.endswith("_at") else with_strings(item, change)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [with_strings(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


def hostile(name: str) -> dict[str, Any]:
    """The report of that name, with an attack after every text that a host may choose."""
    report: dict[str, Any] = with_strings(sample(name), lambda text: text + HOSTILE)
    return report


def healthy_fleet(hosts: int = 500) -> dict[str, Any]:
    """A fleet in which nothing needs a decision."""
    fleet = sample("fleet")
    nothing: dict[str, Any] = {key: 0 if key.endswith("_truncated") else [] for key in fleet["pressure"]}
    fleet["hosts"] |= dict.fromkeys(("failed", "unreachable", "invalid", "missing", "incomplete"), 0)
    fleet["hosts"] |= {"meant": hosts, "audited": hosts, "not_audited": [], "incomplete_hosts": []}
    fleet["close_wait"] = {"total": 812, "leaked": 0, "undecided": 0, "apps": 0, "hosts": 0}
    fleet["states"]["CLOSE_WAIT"] |= {"sum": 812}
    fleet["time_wait"] |= {"closed_here": []}
    fleet |= {"apps": [], "dead_sockets": [], "pressure": nothing, "findings": [], "drift": []}
    return fleet


def single_fleet() -> dict[str, Any]:
    """The fleet report of a run that was meant for the sick host alone."""
    fleet = sample("fleet")
    fleet["hosts"] = healthy_fleet(1)["hosts"]
    return fleet


def growing_hosts() -> list[dict[str, Any]]:
    """The hosts of the sample ``growing_fleet``: two with a growing leak, one with a silent agent, one without any."""
    first, second, silent, healthy = sample("growing"), sample("growing"), sample("partial"), sample("healthy")
    second["host"].update(name="web-3", inventory_name="web-3.example.org")
    apps = {offender["app"]: offender for offender in second["close_wait"]["offenders"]}
    apps["checkout-api"]["trend"].update(growth_per_min=4.5, exhaustion_in_s=3_300.0)
    apps["gateway"]["trend"].update(verdict="stuck", ready_in_s=None, reason="37 connections wait since 01:26.")
    for finding in second["findings"]:
        if finding["id"] == "close_wait.growing":
            finding["summary"] = "checkout-api leaks: 2,204 sockets in CLOSE_WAIT, growing by 4.5 a minute."
    reason = "the agent's last word is 5 h old: no trend"
    silent["agent"] = {**first["agent"], "state": "stale", "reason": reason, "age_s": 18_000.0}
    healthy["agent"] = None
    return [first, second, silent, healthy]
