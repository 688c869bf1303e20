# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The findings of a report on a screen: each is told once, beside its figures or in the list at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import (
    REMEDY_WORDS,
    SEVERITIES,
    plural,
    rows,
    runtime_page,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.render.table import Column, Screen, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Ledger", "severity_counts", "step", "worst_first"]

_MOST = 12


def severity_counts(findings: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many findings there are of each severity, all severities included, worst first."""
    counts = dict.fromkeys(SEVERITIES, 0)
    for finding in findings:
        severity = finding.get("severity")
        if severity in counts:
            counts[severity] += 1
    return counts


def worst_first(fleet: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The findings of a fleet report by severity, then by the number of hosts, then by the sockets behind them."""
    sockets = {app.get("app"): int(app.get("sockets") or 0) for app in rows(fleet, "apps")}

    def rank(finding: Mapping[str, Any]) -> tuple[int, int, int]:
        severity = str(finding.get("severity"))
        about_sockets = str(finding.get("id")).startswith("close_wait.")
        return (
            SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES),
            -int(finding.get("hosts") or 0),
            -sockets.get(finding.get("subject"), 0) if about_sockets else 0,
        )

    return sorted(rows(fleet, "findings"), key=rank)


class Ledger:
    """The findings of one report and which of them the screen has told already."""

    def __init__(
        self, findings: Sequence[Mapping[str, Any]], truncated: int = 0, *, remedy: str = "raise --top"
    ) -> None:
        """Start with nothing told; ``truncated`` findings were cut from the report, ``remedy`` says how to see them."""
        self._findings = list(findings)
        self._truncated = truncated
        self._remedy = remedy
        self._runtimes: set[str] = set()
        self._told: set[int] = set()

    def take(self, prefix: str, subject: str | None = None) -> Mapping[str, Any] | None:
        """The first finding not yet told whose id starts with ``prefix`` (and is about ``subject``); now it is told."""
        for index, finding in enumerate(self._findings):
            fits = str(finding.get("id", "")).startswith(prefix) and subject in (None, finding.get("subject"))
            if fits and index not in self._told:
                self._told.add(index)
                return finding
        return None

    def take_all(self, prefix: str) -> list[Mapping[str, Any]]:
        """All findings not yet told whose id starts with ``prefix``, worst first; now they are told."""
        taken = []
        while finding := self.take(prefix):
            taken.append(finding)
        return taken

    @property
    def asks(self) -> bool:
        """Whether any finding asks for a decision: critical or warning."""
        return any(finding.get("severity") in ("critical", "warning") for finding in self._findings)

    def list_on(self, screen: Screen) -> None:
        """Add the list of what asks for a decision: severity, who has to act, id and subject; the untold in full."""
        counts = severity_counts(self._findings)
        asking = [pair for pair in enumerate(self._findings) if pair[1].get("severity") in ("critical", "warning")]
        if not asking:
            return
        # What the screen has not told yet comes first where the list has to be cut: nothing may go unsaid.
        shown = sorted(sorted(asking, key=lambda pair: pair[0] in self._told)[:_MOST], key=lambda pair: pair[0])
        parts = [f"{counts['critical']} critical"] if counts["critical"] else []
        parts += [plural(counts["warning"], "warning")] if counts["warning"] else []
        screen.gap()
        at_least = "at least " if self._truncated else ""
        screen.line(Span("Findings", "bold"), f"  {at_least}{', '.join(parts)}")
        table = [self._row(finding) for __, finding in shown]
        notes = [[] if index in self._told else self._notes(finding) for index, finding in shown]
        columns = [Column("severity"), Column("who acts"), Column("finding"), Column("subject", least=12)]
        if any(row[-1] for row in table):
            columns.append(Column("hosts", least=10))
        else:
            table = [row[:-1] for row in table]
        screen.table(columns, table, notes)
        more = len(asking) - len(shown)
        if more:
            screen.line(f"  … {plural(more, 'more finding')} in the whole report")
        if self._truncated:
            screen.line(f"  … {plural(self._truncated, 'more finding')}: {self._remedy}")

    def step_of(self, app: Mapping[str, Any], finding: Mapping[str, Any] | None, page: str) -> list[Span]:
        """What to do next about an application; the page of its runtime is named once for all of them."""
        runtime = runtime_page(app)
        if not runtime or runtime in self._runtimes:
            return step(finding, page)
        self._runtimes.add(runtime)
        return [*step(finding, page), Span("·"), Span(f"lastack explain {runtime}", "command", whole=True)]

    def _row(self, finding: Mapping[str, Any]) -> list[Span | str]:
        severity, hosts = str(finding.get("severity")), finding.get("hosts")
        where = ""
        if isinstance(hosts, int) and (hosts > 1 or finding.get("worst_host")):
            where = plural(hosts, "host") if hosts > 1 else str(finding.get("worst_host"))
        remedy = str(finding.get("remedy"))
        return [
            Span(severity, severity if severity in ("critical", "warning") else ""),
            REMEDY_WORDS.get(remedy, remedy),
            str(finding.get("id")),
            str(finding.get("subject")),
            where,
        ]

    def _notes(self, finding: Mapping[str, Any]) -> list[list[Span]]:
        return [[Span(str(finding.get("summary") or ""))], step(finding)]


def step(finding: Mapping[str, Any] | None, page: str | None = None) -> list[Span]:
    """What to do next, as an arrow line: the finding's next step and the page that explains it."""
    name = (finding or {}).get("id") or page
    words = str((finding or {}).get("next_step") or "")
    host = (finding or {}).get("worst_host")
    if words and host:
        # A process id and a peer mean nothing without their host.
        words = f"on {host}: {words}"
    command = [Span(f"lastack explain {name}", "command", whole=True)] if name else []
    return [Span("→"), *([Span(words)] if words else []), *command] if words or command else []
