# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs, evidence and rendered Markdown for the tests of tickets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.fleet import FleetMerge
from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import RunFolder
from ansible_collections.lastack.linux.plugins.plugin_utils.run_report import finish_run
from ansible_collections.lastack.linux.plugins.plugin_utils.tickets import TicketsMerge
from markdown_it import MarkdownIt
from sample_reports import sample

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ansible_collections.lastack.linux.plugins.plugin_utils.ticket_evidence import AppEvidence
    from markdown_it.token import Token

__all__ = ["HINTS", "evidence_of", "fleet_of", "hinted", "inline", "parsed", "store_run"]

RUN = {
    "id": "20261123T043000Z-abc123",
    "made_by": "tcp_audit",
    "version": "0.1.0",
    "started_at": "2026-11-23T04:30:00.000Z",
    "finished_at": "2026-11-23T04:31:00.000Z",
}

HINTS = {
    "libraries": [
        {
            "name": "Apache HttpClient 4",
            "version": "4.5.14",
            "seen": "jar",
            "page": "library.apache_httpclient4",
        },
        {"name": "A library without a page", "version": None, "seen": "mapped_file", "page": None},
    ],
    "program": "/opt/checkout/checkout.jar",
    "log_files": ["/var/log/checkout/app.log"],
}


def hinted(name: str = "sick") -> dict[str, Any]:
    """A recorded report whose offenders have hints, shared holders and details by cause."""
    report = sample(name)
    for offender in report["close_wait"]["offenders"]:
        offender["hints"] = HINTS
        offender["advice"] = [*offender["advice"], "library.apache_httpclient4"]
        offender["shared_with"] = [{"app": "helper", "pid": 99}]
        offender["by_cause"] = {
            cause: {key: offender[key] for key in ("age_s", "unread_bytes", "peers", "local_ports")}
            for cause in offender["causes"]
        }
    return report


def fleet_of(reports: Mapping[str, Mapping[str, Any]], **silent: str) -> dict[str, Any]:
    """The fleet report of these hosts, and of some that were unreachable for a reason."""
    merge = FleetMerge()
    for host, report in reports.items():
        merge.add(host, report)
    for host, reason in silent.items():
        merge.add_not_audited(host, "unreachable", reason)
    return merge.result(RUN)


def evidence_of(reports: Mapping[str, Mapping[str, Any]]) -> list[AppEvidence]:
    """What the tickets of these hosts know, most urgent first."""
    merge = TicketsMerge(set())
    for host, report in reports.items():
        merge.add(host, report)
    return merge.ranked()


def store_run(folder: Path, reports: Mapping[str, Mapping[str, Any]], **silent: str) -> str:
    """A finished run folder of these hosts; its path."""
    run = RunFolder.start(folder, made_by="test", hosts=[*reports, *silent])
    for host, report in reports.items():
        run.record(host, "ok", file=run.store_report(host, report))
    for host, reason in silent.items():
        run.record(host, "unreachable", reason)
    finish_run(run)
    return str(folder)


def parsed(markdown: str) -> list[Token]:
    """The blocks of a text as GitHub reads it: CommonMark with tables, raw HTML and links of bare addresses."""
    return MarkdownIt("gfm-like", {"html": True, "linkify": True}).parse(markdown)


def inline(tokens: list[Token]) -> Iterator[Token]:
    """Everything inside the blocks."""
    for token in tokens:
        yield from token.children or ()
