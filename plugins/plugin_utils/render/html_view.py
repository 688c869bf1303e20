# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the HTML report shows, worked out of the reports: the template only places it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.explain import UnknownPage, load_page
from ansible_collections.lastack.linux.plugins.plugin_utils.render import host as facts
from ansible_collections.lastack.linux.plugins.plugin_utils.render import markdown, pressure
from ansible_collections.lastack.linux.plugins.plugin_utils.render.ledger import severity_counts
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import count, data, plural, rows
from ansible_collections.lastack.linux.plugins.plugin_utils.worst import Worst
from jinja2 import Undefined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["anchor", "fleet_view", "hosts_view", "known", "level", "pages"]

_ROWS = 1000
_DETAILS = 100
_HOT_PERCENT = 90
_WARM_PERCENT = 70
_OUTCOMES = (
    ("unreachable", "unreachable"),
    ("failed", "failed"),
    ("invalid", "with an invalid report"),
    ("missing", "without a result"),
)


def known(show: Callable[[Any], str]) -> Callable[[Any], str]:
    """The same words for a key that is missing from a report as for a null."""
    return lambda value: show(None if isinstance(value, Undefined) else value)


def anchor(name: object) -> str:
    """The fragment identifier of a page or a section, from an id of ours."""
    return "explain-" + re.sub(r"[^A-Za-z0-9]+", "-", str(name)).strip("-").lower()


def level(used_percent: object) -> str:
    """How full something is, as a class name: "hot", "warm" or "calm"."""
    share = used_percent if isinstance(used_percent, int | float) else 0
    return "hot" if share >= _HOT_PERCENT else "warm" if share >= _WARM_PERCENT else "calm"


def fleet_view(fleet: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a fleet report under the names that the template uses."""
    counts = severity_counts(rows(fleet, "findings"))
    near = pressure.uses(data(fleet, "pressure"))
    cut = pressure.truncated(data(fleet, "pressure"))
    hosts = data(fleet, "hosts")
    missed = int(hosts.get("meant") or 0) - int(hosts.get("audited") or 0)
    apps = [app for app in rows(fleet, "apps") if app.get("sockets")]
    return {
        "fleet": fleet,
        "run": data(fleet, "run"),
        "meant": hosts,
        "single": hosts.get("meant") == 1,
        "missed": missed,
        "missed_words": ", ".join(f"{count(hosts[key])} {word}" for key, word in _OUTCOMES if hosts.get(key)),
        "partial": bool(missed or hosts.get("incomplete")),
        "close_wait": data(fleet, "close_wait"),
        "apps": apps,
        "dead": rows(fleet, "dead_sockets"),
        "dead_total": sum(int(app.get("count") or 0) for app in rows(fleet, "dead_sockets")),
        "time_wait": data(fleet, "time_wait"),
        "findings": rows(fleet, "findings"),
        "severities": counts,
        "pressure": [(kind, near[kind.key], cut[kind.key]) for kind in pressure.KINDS if near[kind.key]],
        "states": [(name, state) for name, state in data(fleet, "states").items() if state.get("max")],
        "drift": rows(fleet, "drift"),
        "healthy": bool(hosts.get("audited"))
        and not (apps or any(near.values()) or counts["critical"] or counts["warning"]),
        "verdict": _verdict(fleet, counts),
    }


def _asks(counts: Mapping[str, int]) -> bool:
    return bool(counts["critical"] or counts["warning"])


def _verdict(fleet: Mapping[str, Any], counts: Mapping[str, int]) -> str:
    part, hosts = data(fleet, "close_wait"), data(fleet, "hosts")
    if not hosts.get("audited"):
        return "No host was audited, so nothing is known."
    leaked = int(part.get("leaked") or 0)
    if leaked:
        by = plural(int(part.get("apps") or 0), "application")
        worst = next((data(app, "worst_host").get("host") for app in rows(fleet, "apps")), None)
        on = worst if hosts.get("meant") == 1 and worst else plural(int(part.get("hosts") or 0), "host")
        return f"{plural(leaked, 'socket')} leaked by {by} on {on}."
    asking = [
        plural(counts[key], noun)
        for key, noun in (("critical", "critical finding"), ("warning", "warning"))
        if counts[key]
    ]
    if asking:
        return f"No leaked sockets; {' and '.join(asking)} to decide on."
    whole = hosts.get("audited") == hosts.get("meant") and not hosts.get("incomplete")
    return "Nothing needs a decision." if whole else "Nothing needs a decision in what was seen."


def hosts_view(reports: Iterable[Mapping[str, Any]], audited: int) -> dict[str, Any]:
    """The hosts, worst first: details of the worst, rows of more, and how many of the audited ones are not shown."""
    table, details = Worst(_ROWS), Worst(_DETAILS)
    for report in reports:
        rank = _rank(report)
        row = _row(report)
        table.add(rank, row["name"], row)
        if any(rank):
            # The row itself, so that it learns its anchor below.
            details.add(rank, row["name"], (row, report))
    shown = []
    for number, (row, report) in enumerate(details.ranked(), start=1):
        row["anchor"] = f"host-{number}"
        shown.append(row | _details(report))
    return {
        "hosts": table.ranked(),
        "hosts_cut": max(table.seen, audited) - min(table.seen, _ROWS),
        "details": shown,
        "details_cut": details.truncated,
    }


def _rank(report: Mapping[str, Any]) -> tuple[int, ...]:
    counts = severity_counts(rows(report, "findings"))
    unseen = 0 if data(report, "completeness").get("complete") else 1
    return counts["critical"], facts.leaked(report), facts.dead(report), counts["warning"], unseen


def _row(report: Mapping[str, Any]) -> dict[str, Any]:
    states = data(report, "states")
    return {
        "name": facts.name(report),
        "complete": bool(data(report, "completeness").get("complete")),
        "sockets": facts.sockets(report),
        "leaked": facts.leaked(report),
        "dead": facts.dead(report),
        "time_wait": states.get("TIME_WAIT"),
        "worst": facts.worst_descriptors(report),
        "severities": severity_counts(rows(report, "findings")),
        "anchor": None,
    }


def _details(report: Mapping[str, Any]) -> dict[str, Any]:
    near = pressure.uses(pressure.host_pressure(report))
    return {
        "host": data(report, "host"),
        "collected_at": report.get("collected_at"),
        "duration_s": report.get("duration_s"),
        "collector": data(report, "collector"),
        "completeness": data(report, "completeness"),
        "states": [(name, number) for name, number in data(report, "states").items() if number],
        "offenders": [
            {**app, "label": facts.app_label(app), "shown_peers": rows(app, "peers")[:5]}
            for app in rows(data(report, "close_wait"), "offenders")
        ],
        "dead_apps": rows(data(report, "dead_sockets"), "offenders"),
        "pressure": [(kind, near[kind.key]) for kind in pressure.KINDS if near[kind.key]],
        "findings": rows(report, "findings"),
        "sockets_listed": rows(data(report, "close_wait"), "sockets"),
    }


def pages(fleet: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The pages of ``lastack explain`` that the report links to: of its findings, then of its runtimes."""
    wanted = [str(finding.get("id")) for finding in rows(fleet, "findings")]
    wanted += [str(app.get("finding")) for app in rows(fleet, "apps") if app.get("sockets")]
    wanted += ["fd.dead_sockets"] if rows(fleet, "dead_sockets") else []
    near = pressure.uses(data(fleet, "pressure"))
    wanted += [kind.finding for kind in pressure.KINDS if near[kind.key]]
    wanted += [f"runtime.{app['runtime']}" for app in rows(fleet, "apps") if app.get("sockets") and app.get("runtime")]
    found = []
    for name in dict.fromkeys(wanted):
        try:
            page = load_page(name)
        except (UnknownPage, OSError):
            # A report of a newer lastack may name pages that this one does not have.
            continue
        found.append({"id": page.id, "title": page.title, "body": markdown.to_html(page.body, top=2)})
    return found
