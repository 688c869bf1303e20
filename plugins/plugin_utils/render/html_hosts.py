# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of the HTML report: one compact row of each of the worst, and what all of them say together.

A sink of the one pass over a run (``sinks.Sink``), so that no host report has to be kept for a row.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text
from ansible_collections.lastack.linux.plugins.module_utils.options import GATHER_SUBSETS
from ansible_collections.lastack.linux.plugins.plugin_utils.render import host as facts
from ansible_collections.lastack.linux.plugins.plugin_utils.render import unseen
from ansible_collections.lastack.linux.plugins.plugin_utils.render.ledger import severity_counts
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import SEVERITIES, data, plural, rows
from ansible_collections.lastack.linux.plugins.plugin_utils.worst import Worst

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.lastack.linux.plugins.plugin_utils.stored_reports import StoredHost

__all__ = ["MAX_ROWS", "HostRow", "HostRows", "rank"]

MAX_ROWS = 10_000
"""How many hosts the page lists: the worst."""

_APPS = 5
_FINDINGS = 12
_NAME = 256
_TEXT = 120

# Texts and applications that a forged report may invent: beyond this many, none is shared or remembered.
_TRACKED = 20_000


class HostRow(NamedTuple):
    """One host in the table of hosts; every text is clean."""

    name: str
    view: str
    """``complete``, ``complete as asked``, ``partial``, or why there is no report: ``unreachable`` and the like."""
    critical: int = 0
    warning: int = 0
    leaked: int | None = None
    """``None`` if the host was told not to look."""
    dead: int | None = None
    time_wait: int | None = None
    sockets: int = 0
    used_percent: float | None = None
    """Of the process nearest to its descriptor limit."""
    soft_limit: int | None = None
    apps: tuple[tuple[str, int], ...] = ()
    """Applications with leaked sockets and how many, most first."""
    findings: tuple[tuple[str, str, str], ...] = ()
    """Severity, id and subject, worst first."""
    unlisted: int = 0
    """Findings that did not fit."""
    reason: str = ""
    """Why there is no report."""

    @property
    def audited(self) -> bool:
        """Whether there is a report."""
        return self.view in ("complete", "complete as asked", "partial")

    @property
    def asks(self) -> bool:
        """Whether something of its report has to be decided or was not seen."""
        return bool(self.critical or self.leaked or self.dead or self.warning or self.view == "partial")


class HostRows:
    """Takes every host once and keeps the rows of the worst, with what was not seen on all of them."""

    def __init__(self, limit: int = MAX_ROWS) -> None:
        """Start with no host; at most ``limit`` rows are kept."""
        self._rows = Worst(limit)
        self._texts: dict[str, str] = {}
        self._findings: dict[tuple[str, str, str], tuple[str, str, str]] = {}
        self._left_out: Counter[str] = Counter()
        self._own_only = 0
        self._gravest: tuple[int, Mapping[str, Any]] | None = None
        self._reasons: Counter[str] = Counter()
        self._leads: dict[str, tuple[int, str, str]] = {}
        self.audited = 0
        """How many hosts with a report were seen."""

    def add(self, stored: StoredHost) -> None:
        """Take the next host of the run."""
        if stored.report is None:
            self.add_not_audited(stored.name, stored.outcome.outcome, stored.outcome.reason)
        else:
            self.add_report(stored.report)

    def finish(self, fleet: Mapping[str, Any]) -> None:
        """Do nothing: the page is written with the fleet report."""

    def add_not_audited(self, name: str, outcome: str, reason: str | None) -> None:
        """Take a host without a report; it stands above those of which nothing has to be decided."""
        row = HostRow(_text(name, _NAME), _text(outcome), reason=self._shared(reason or "no reason was given", _NAME))
        self._rows.add((0, 0, 0, 0, 2), row.name, row)

    def add_report(self, report: Mapping[str, Any]) -> None:
        """Take one host report; nothing of it is changed or kept whole."""
        self.audited += 1
        left_out = unseen.left_out(report)
        self._left_out.update(left_out)
        own_only = unseen.own_namespace_only(report)
        self._own_only += own_only
        complete = bool(data(report, "completeness").get("complete"))
        if not complete:
            self._add_reasons(rows(data(report, "completeness"), "warnings"))
        name = _text(facts.name(report), _NAME)
        findings = rows(report, "findings")
        counts = severity_counts(findings)
        worst = facts.worst_descriptors(report) or {}
        asking = [finding for severity in SEVERITIES for finding in findings if finding.get("severity") == severity]
        row = HostRow(
            name,
            "partial" if not complete else "complete as asked" if left_out or own_only else "complete",
            counts["critical"],
            counts["warning"],
            None if "close_wait" in left_out else facts.leaked(report),
            None if "dead_sockets" in left_out else facts.dead(report),
            data(report, "states").get("TIME_WAIT"),
            facts.sockets(report),
            worst.get("used_percent"),
            worst.get("soft_limit"),
            self._apps(name, report),
            tuple(self._finding(finding) for finding in asking[:_FINDINGS]),
            max(0, len(asking) - _FINDINGS) + int(report.get("findings_truncated") or 0),
        )
        self._rows.add(rank(report), name, row)

    def _apps(self, host: str, report: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
        counts: Counter[str] = Counter()
        most: dict[str, Mapping[str, Any]] = {}
        for item in rows(data(report, "close_wait"), "offenders"):
            app, number = str(item.get("app")), int(item.get("count") or 0)
            counts[app] += number
            if number > int(most.get(app, {}).get("count") or 0):
                most[app] = item
        for app, item in most.items():
            known = self._leads.get(app)
            # The same host that the fleet report calls the worst: most sockets, of two equal ones the first by name.
            better = known is None or (-counts[app], host) < (-known[0], known[1])
            if better and (known is not None or len(self._leads) < _TRACKED):
                self._leads[app] = (counts[app], host, _lead(item))
        return tuple((self._shared(app), number) for app, number in counts.most_common(_APPS) if number)

    def _finding(self, finding: Mapping[str, Any]) -> tuple[str, str, str]:
        key = (
            str(finding.get("severity")),
            self._shared(str(finding.get("id"))),
            self._shared(str(finding.get("subject"))),
        )
        return self._findings.setdefault(key, key) if len(self._findings) < _TRACKED else key

    def _shared(self, text: str, limit: int = _TEXT) -> str:
        """Return ``text``, clean and cut, as the one copy of it."""
        text = _text(text, limit)
        return self._texts.setdefault(text, text) if len(self._texts) < _TRACKED else text

    def _add_reasons(self, warnings: Sequence[Mapping[str, Any]]) -> None:
        self._reasons.update({_text(str(warning.get("code"))) for warning in warnings})
        for warning in warnings:
            gravity = unseen.gravity(warning.get("code"))
            if self._gravest is None or gravity < self._gravest[0]:
                self._gravest = gravity, {key: warning.get(key) for key in ("code", "detail", "count")}

    @property
    def seen(self) -> int:
        """How many hosts came, with a report or without."""
        return self._rows.seen

    def ranked(self) -> list[HostRow]:
        """Return the rows, worst first."""
        return self._rows.ranked()

    def lead(self, app: object, host: object) -> str:
        """Where to look on the worst host of an application: "pid 4121, to 10.2.0.9:8443"; empty if not known."""
        __, worst, words = self._leads.get(str(app), (0, None, ""))
        return words if worst == host else ""

    def narrowed(self, at_least: str) -> tuple[str, str]:
        """Return what hosts were told to leave out, and on how many only the own namespace was read; in words."""
        names = [name for name in GATHER_SUBSETS if self._left_out[name]]
        words = ", ".join(f"{name} on {at_least}{plural(self._left_out[name], 'host')}" for name in names)
        return words, f"{at_least}{plural(self._own_only, 'host')}" if self._own_only else ""

    def gravest(self, at_least: str) -> str:
        """Return the reason that hid most on the hosts seen in part, and on how many hosts it is one."""
        if self._gravest is None:
            return ""
        more = self._reasons[_text(str(self._gravest[1].get("code")))] - 1
        return unseen.warning_words(self._gravest[1]) + (
            f" (and on {at_least}{plural(more, 'more host')})" if more else ""
        )


def rank(report: Mapping[str, Any]) -> tuple[int, ...]:
    """The place of a host report among the hosts: the highest is the worst; all zero if nothing has to be decided."""
    counts = severity_counts(rows(report, "findings"))
    in_part = 0 if data(report, "completeness").get("complete") else 1
    return counts["critical"], facts.leaked(report), facts.dead(report), counts["warning"], in_part


def _lead(app: Mapping[str, Any]) -> str:
    pids, peers = app.get("pids") or [], facts.peers(app)
    parts = [f"pid {pids[0]}"] if pids else []
    parts += [f"{'from' if app.get('role') == 'server' else 'to'} {peers[0]}"] if peers else []
    return clean_text(", ".join(parts), _NAME)


def _text(text: str, limit: int = _TEXT) -> str:
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    return clean_text(text, limit)
