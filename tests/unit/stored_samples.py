# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stored hosts for the tests of the sinks: the recorded reports, hostile ones and hosts without any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.fleet import FleetMerge
from ansible_collections.lastack.linux.plugins.plugin_utils.manifest import Outcome
from ansible_collections.lastack.linux.plugins.plugin_utils.stored_reports import StoredHost
from sample_reports import sample

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible_collections.lastack.linux.plugins.plugin_utils.sinks import Sink

__all__ = ["RUN", "fleet_of", "hand_to", "not_audited", "stored", "varied"]

RUN = {
    "id": "20261123T043000Z",
    "made_by": "tcp_audit",
    "version": "0.1.0",
    "started_at": "2026-11-23T04:30:00Z",
    "finished_at": "2026-11-23T04:30:41.250Z",
}


def stored(name: str, report: dict[str, Any] | str = "healthy") -> StoredHost:
    """A host with this report, or with the recorded one of this name."""
    return StoredHost(
        name, name, Outcome("ok", None, f"hosts/{name}.json"), sample(report) if isinstance(report, str) else report
    )


def not_audited(name: str, outcome: str = "unreachable", reason: str | None = "timed out") -> StoredHost:
    """A host without a report."""
    return StoredHost(name, name, Outcome(outcome, reason, None), None)


def varied() -> list[StoredHost]:
    """A host of each kind."""
    return [
        stored("web-17", "sick"),
        stored("web-18", "healthy"),
        stored("web-40", "partial"),
        stored("web-3", "growing"),
        not_audited("db-2"),
        not_audited("db-3", "invalid", "hosts/db-3.json is not JSON"),
        not_audited("db-4", "missing", None),
    ]


def fleet_of(hosts: Iterable[StoredHost]) -> dict[str, Any]:
    """The fleet report of these hosts."""
    merge = FleetMerge()
    for host in hosts:
        if host.report is None:
            merge.add_not_audited(host.name, host.outcome.outcome, host.outcome.reason)
        else:
            merge.add(host.name, host.report)
    return merge.result(RUN)


def hand_to(sink: Sink, hosts: list[StoredHost]) -> None:
    """Give these hosts to a sink as one pass does."""
    for host in hosts:
        sink.add(host)
    sink.finish(fleet_of(hosts))
