# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet report in Markdown, short enough for a chat or a merge request, and inert whatever a host calls itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.render.inert_markdown import code, codes, table
from ansible_collections.lastack.linux.plugins.plugin_utils.render.ledger import worst_first
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import (
    CAUSE_WORDS,
    LEAK_SENTENCE,
    age,
    count,
    data,
    dominant_cause,
    limit_words,
    moment,
    plural,
    rows,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.render.unseen import left_out_words

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["render_markdown"]

_APPS = 10
_FINDINGS = 10
_SUBJECTS = 3
_DRIFT = 6
_VALUES = 3
_REASONS = 6
_NAMES = 5
_NAME = 60
_REASON = 160

_NOT_AUDITED = (
    ("unreachable", "unreachable"),
    ("failed", "failed"),
    ("invalid", "with an invalid report"),
    ("missing", "without a result"),
    ("incomplete", "incomplete"),
)


def render_markdown(fleet: Mapping[str, Any]) -> str:
    """Return the summary of a ``lastack.fleet/1`` report: GitHub's Markdown, at most some ten thousand characters.

    What a host has written stands in code spans alone: no mention, link, heading or HTML comes of it.
    """
    parts = [_head(fleet), *_close_wait(fleet), *_findings(fleet), *_drift(fleet), *_not_seen(fleet)]
    hosts = data(fleet, "hosts")
    if not hosts.get("audited"):
        parts.insert(1, ["No host was audited, so nothing is known."])
    elif not _asks(fleet):
        seen_all = hosts.get("audited") == hosts.get("meant") and not hosts.get("incomplete")
        where = "" if seen_all and not left_out_words(fleet) else " in what was seen"
        parts.insert(1, [f"Nothing needs a decision{where}."])
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def _asks(fleet: Mapping[str, Any]) -> bool:
    told = any(finding.get("severity") != "info" for finding in rows(fleet, "findings"))
    return bool(told or data(fleet, "close_wait").get("leaked") or rows(fleet, "dead_sockets"))


def _head(fleet: Mapping[str, Any]) -> list[str]:
    hosts, run = data(fleet, "hosts"), data(fleet, "run")
    pieces = [f"**lastack: {plural(int(hosts.get('audited') or 0), 'host')} audited**"]
    pieces += [f"{count(hosts[key])} {word}" for key, word in _NOT_AUDITED if hosts.get(key)]
    pieces.append(f"run {code(moment(run.get('started_at')), 40)}")
    if not run.get("finished_at"):
        pieces.append("not finished")
    return [" · ".join(pieces)]


def _close_wait(fleet: Mapping[str, Any]) -> list[list[str]]:
    part, apps = data(fleet, "close_wait"), rows(fleet, "apps")
    if not part.get("leaked"):
        return []
    body = []
    for app in apps[:_APPS]:
        worst, use, causes = data(app, "worst_host"), data(app, "worst_descriptors"), data(app, "causes")
        full = f"{limit_words(use)} on {code(use.get('host'), _NAME)}" if use and limit_words(use) else ""
        body.append(
            [
                code(app.get("app"), _NAME),
                count(app.get("hosts")),
                count(app.get("sockets")),
                f"{code(worst.get('host'), _NAME)} ({count(worst.get('sockets'))})" if worst else "",
                age(app.get("oldest_s")),
                CAUSE_WORDS.get(dominant_cause(causes), "cause unknown"),
                full,
            ]
        )
    said = (
        f"CLOSE_WAIT: **{plural(int(part['leaked']), 'leaked socket')}** of"
        f" {plural(int(part.get('apps') or 0), 'application')} on {plural(int(part.get('hosts') or 0), 'host')}:"
        f" {LEAK_SENTENCE}."
    )
    header = ("application", "hosts", "sockets", "worst host", "oldest", "why", "worst descriptors")
    more = max(0, len(apps) - _APPS) + int(fleet.get("apps_truncated") or 0)
    return [
        [said],
        table(header, body) if body else [],
        [f"… {plural(more, 'more application')} in the whole report"] if more else [],
    ]


def _findings(fleet: Mapping[str, Any]) -> list[list[str]]:
    """What asks for something, but for leaks: their table has told them."""
    told = [
        finding
        for finding in worst_first(fleet)
        if finding.get("severity") != "info" and not str(finding.get("id")).startswith(("close_wait.", "view."))
    ]
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for finding in told:
        groups.setdefault(str(finding.get("id")), []).append(finding)
    body = []
    for page, group in list(groups.items())[:_FINDINGS]:
        most = max(int(finding.get("hosts") or 0) for finding in group)
        body.append(
            [
                str(group[0].get("severity")),
                codes([str(finding.get("subject"))[:_NAME] for finding in group], _SUBJECTS),
                # A host may have it for several subjects: how many hosts there are in all is not known.
                count(most) if len(group) == 1 else f"≥ {count(most)}",
                code(group[0].get("worst_host"), _NAME),
                code(f"lastack explain {page}", _NAME),
            ]
        )
    more = sum(len(group) for group in list(groups.values())[_FINDINGS:]) + int(fleet.get("findings_truncated") or 0)
    return [
        table(("severity", "about", "hosts", "worst host", "what it means, what to do"), body) if body else [],
        [f"… {plural(more, 'more finding')} in the whole report"] if more else [],
    ]


def _drift(fleet: Mapping[str, Any]) -> list[list[str]]:
    drift = rows(fleet, "drift")
    if not drift:
        return []
    lines = ["Settings that differ:", ""]
    for item in drift[:_DRIFT]:
        values = rows(item, "values")
        said = [f"{_value(value)} on {plural(int(value.get('hosts') or 0), 'host')}" for value in values[:_VALUES]]
        more = max(0, len(values) - _VALUES) + int(item.get("values_truncated") or 0)
        said += [plural(more, "more value")] if more else []
        lines.append(f"- {code(item.get('key'), _NAME)}: {', '.join(said)}")
    more = len(drift) - _DRIFT
    return [lines, [f"… {plural(more, 'more setting')} in the whole report"] if more > 0 else []]


def _value(value: Mapping[str, Any]) -> str:
    shown = "unset" if value.get("value") is None else code(value["value"], _NAME)
    return f"{shown} ({code(value['winner'], _NAME)})" if value.get("winner") else shown


def _not_seen(fleet: Mapping[str, Any]) -> list[list[str]]:
    hosts = data(fleet, "hosts")
    groups: dict[tuple[str, str], list[str]] = {}
    for row in rows(hosts, "not_audited"):
        groups.setdefault((str(row.get("outcome")), str(row.get("reason") or "")), []).append(str(row.get("host")))
    for row in rows(hosts, "incomplete_hosts"):
        reasons = "; ".join(str(reason) for reason in row.get("reasons") or [])
        groups.setdefault(("seen in part", reasons), []).append(str(row.get("host")))
    if not groups:
        return _left_out(fleet)
    # The report names some of the hosts, and counts all of them.
    counted = {
        (str(row.get("outcome")), str(row.get("reason") or "")): int(row.get("hosts") or 0)
        for row in rows(hosts, "not_audited_reasons")
    }
    lines, more = ["Not seen:", ""], sum(map(len, groups.values()))
    more += int(hosts.get("not_audited_truncated") or 0) + int(hosts.get("incomplete_hosts_truncated") or 0)
    for (what, why), names in list(groups.items())[:_REASONS]:
        short, total = [name[:_NAME] for name in names], max(len(names), counted.get((what, why), 0))
        lines.append(f"- {codes(short, _NAMES, total)}: {what}{', ' + code(why, _REASON) if why else ''}")
        more -= total
    return [lines, [f"… {plural(more, 'more host')} in the whole report"] if more > 0 else [], *_left_out(fleet)]


def _left_out(fleet: Mapping[str, Any]) -> list[list[str]]:
    said = left_out_words(fleet)
    return [[f"Left out by gather: {code(said, _REASON)}"]] if said else []
