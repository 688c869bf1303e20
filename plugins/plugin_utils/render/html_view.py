# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the HTML report shows, worked out of the reports: the template only places it."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.observe.agent_fact import VERDICTS
from ansible_collections.lastack.linux.plugins.plugin_utils.explain import UnknownPage, load_page
from ansible_collections.lastack.linux.plugins.plugin_utils.render import host as facts
from ansible_collections.lastack.linux.plugins.plugin_utils.render import markdown, pressure, trends, unseen, waiting
from ansible_collections.lastack.linux.plugins.plugin_utils.render.html_data import host_data
from ansible_collections.lastack.linux.plugins.plugin_utils.render.html_hosts import HostRows, rank
from ansible_collections.lastack.linux.plugins.plugin_utils.render.ledger import severity_counts, worst_first
from ansible_collections.lastack.linux.plugins.plugin_utils.render.loaded import library_words
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import (
    MATCH_WORDS,
    clean,
    count,
    data,
    plural,
    rows,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.render.profile import profile_command, profile_words
from ansible_collections.lastack.linux.plugins.plugin_utils.worst import Worst
from jinja2 import Undefined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["anchor", "fleet_view", "hosts_view", "known", "level", "limit", "pages", "sought"]

# The rows that stand in the page as such: what a reader without JavaScript sees, and the first page of the table.
_ROWS = 50
_DETAILS = 50
_SOUGHT = 100
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


def limit(number: object) -> str:
    """A limit of open files: a count, "unlimited" for -1, nothing where no line sets it."""
    return "unlimited" if number == -1 else count(number) if isinstance(number, int) else "not set"


def sought(text: object) -> str:
    """What the filter looks for to find the hosts of an application or a finding: no more than a row keeps of it."""
    return clean(text)[:_SOUGHT].partition('"')[0]


def level(used_percent: object) -> str:
    """How full something is, as a class name: "hot", "warm" or "calm"."""
    share = used_percent if isinstance(used_percent, int | float) else 0
    return "hot" if share >= _HOT_PERCENT else "warm" if share >= _WARM_PERCENT else "calm"


def fleet_view(fleet: Mapping[str, Any], *, narrowed: bool = False) -> dict[str, Any]:
    """The parts of a fleet report under the names that the template uses.

    ``narrowed`` says that some host was told not to look at everything.
    """
    counts = severity_counts(rows(fleet, "findings"))
    near = pressure.uses(data(fleet, "pressure"))
    cut = pressure.truncated(data(fleet, "pressure"))
    hosts = data(fleet, "hosts")
    missed = int(hosts.get("meant") or 0) - int(hosts.get("audited") or 0)
    findings = worst_first(fleet)
    apps = [_app(app, findings) for app in rows(fleet, "apps") if app.get("sockets")]
    sockets = waiting.of_fleet(fleet)
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
        "findings": findings,
        "severities": counts,
        "at_least": "at least " if fleet.get("findings_truncated") else "",
        "waiting": sockets,
        "fate": waiting.fate(sockets),
        "undecided": waiting.undecided_words(sockets),
        "second_look": waiting.second_look(sockets),
        "not_audited": rows(hosts, "not_audited"),
        "pressure": [(kind, near[kind.key], cut[kind.key]) for kind in pressure.KINDS if near[kind.key]],
        "states": [(name, state) for name, state in data(fleet, "states").items() if state.get("max")],
        "drift": rows(fleet, "drift"),
        "limits": rows(fleet, "limits"),
        "baseline": {**data(fleet, "baseline"), "met": profile_words(fleet), "command": profile_command(fleet)},
        "match_words": MATCH_WORDS,
        "silent": trends.silent_words(fleet),
        "agent_command": trends.AGENT_COMMAND,
        "healthy": bool(hosts.get("audited"))
        and not sockets.leaked
        and not (apps or any(near.values()) or counts["critical"] or counts["warning"])
        and not rows(data(fleet, "baseline"), "settings"),
        "verdict": _verdict(fleet, counts, narrowed=narrowed),
    }


def _app(app: Mapping[str, Any], findings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """An application with the number of its row among the findings, which says what to do next."""
    about = [
        (finding.get("id") != app.get("finding"), index)
        for index, finding in enumerate(findings, start=1)
        if finding.get("subject") == app.get("app") and str(finding.get("id")).startswith("close_wait.")
    ]
    return {**app, "finding_row": min(about)[1] if about else None, **_trend(trends.fleet_trend_words(app))}


def _trend(words: str) -> dict[str, Any]:
    return {"trend_words": words, "growing": words.startswith("grows")}


def _verdict(fleet: Mapping[str, Any], counts: Mapping[str, int], *, narrowed: bool) -> str:
    part, hosts = data(fleet, "close_wait"), data(fleet, "hosts")
    if not hosts.get("audited"):
        return "No host was audited, so nothing is known."
    leaked = int(part.get("leaked") or 0)
    if leaked:
        by = plural(int(part.get("apps") or 0), "application")
        worst = next((data(app, "worst_host").get("host") for app in rows(fleet, "apps")), None)
        on = worst if hosts.get("meant") == 1 and worst else plural(int(part.get("hosts") or 0), "host")
        growing = trends.fleet_growing_words(fleet)
        return f"{plural(leaked, 'socket')} leaked by {by} on {on}{f'; {growing}' if growing else ''}."
    asking = [
        plural(counts[key], noun)
        for key, noun in (("critical", "critical finding"), ("warning", "warning"))
        if counts[key]
    ]
    if asking:
        cut = "at least " if fleet.get("findings_truncated") else ""
        judged = "No leaked sockets" if not waiting.of_fleet(fleet).not_judged else "CLOSE_WAIT not judged everywhere"
        return f"{judged}; {cut}{' and '.join(asking)} to decide on."
    if hosts.get("audited") != hosts.get("meant") or hosts.get("incomplete"):
        return "Nothing needs a decision in what was seen."
    if narrowed or waiting.of_fleet(fleet).not_judged:
        return "Nothing needs a decision in what was looked at."
    return "Nothing needs a decision."


def hosts_view(
    reports: Iterable[Mapping[str, Any]], fleet: Mapping[str, Any], table: HostRows | None = None
) -> dict[str, Any]:
    """The hosts, worst first: rows of the worst, details of the very worst, and how many are not shown.

    ``table`` has taken all hosts already; without it the ``reports`` are its hosts, with those of which the fleet
    report says why there is none. ``leads`` holds a process and a peer per application and its worst host.
    """
    hosts = HostRows() if table is None else table
    worst = Worst(_DETAILS)
    for report in reports:
        if table is None:
            hosts.add_report(report)
        place = rank(report)
        if any(place):
            worst.add(place, facts.name(report), report)
    if table is None:
        for row in rows(data(fleet, "hosts"), "not_audited"):
            hosts.add_not_audited(str(row.get("host")), str(row.get("outcome")), row.get("reason"))
    details = [
        {"anchor": f"host-{number}", **_details(report)} for number, report in enumerate(worst.ranked(), start=1)
    ]
    anchors = {clean(host["name"]): host["anchor"] for host in reversed(details)}
    ranked = hosts.ranked()
    block, listed = host_data(ranked, anchors)
    meant = max(hosts.seen, int(data(fleet, "hosts").get("meant") or 0))
    at_least = "at least " if hosts.audited < int(data(fleet, "hosts").get("audited") or 0) else ""
    left_out, own_only = hosts.narrowed(at_least)
    return {
        "hosts": [{**row._asdict(), "audited": row.audited, "anchor": anchors.get(row.name)} for row in ranked[:_ROWS]],
        "host_data": block,
        "hosts_listed": listed,
        "hosts_meant": meant,
        "hosts_cut": meant - listed,
        "details": details,
        "details_cut": max(0, sum(1 for row in ranked if row.asks) - len(details)),
        "gravest": hosts.gravest(at_least),
        "leads": {
            (app.get("app"), host): hosts.lead(app.get("app"), host)
            for app in rows(fleet, "apps")
            if (host := data(app, "worst_host").get("host"))
        },
        "left_out": left_out,
        "own_only": own_only,
    }


def _details(report: Mapping[str, Any]) -> dict[str, Any]:
    near = pressure.uses(pressure.host_pressure(report))
    return {
        "name": facts.name(report),
        "leaked": facts.leaked(report),
        "dead": facts.dead(report),
        "complete": bool(data(report, "completeness").get("complete")),
        "host": data(report, "host"),
        "collected_at": report.get("collected_at"),
        "duration_s": report.get("duration_s"),
        "collector": data(report, "collector"),
        "completeness": data(report, "completeness"),
        "warnings": unseen.gravest_first(report),
        "agent": data(report, "agent"),
        "silent": trends.agent_words(report),
        "left_out": ", ".join(unseen.left_out(report)),
        "own_only": unseen.own_namespace_only(report),
        "states": [(name, number) for name, number in data(report, "states").items() if number],
        "offenders": [
            {
                **app,
                "label": facts.app_label(app),
                "libraries": [
                    {"words": library_words(library), "page": library.get("page")}
                    for library in rows(data(app, "hints"), "libraries")
                ],
                "program": data(app, "hints").get("program"),
                "log_files": data(app, "hints").get("log_files") or [],
                "shown_peers": rows(app, "peers")[:5],
                "reason": data(app, "trend").get("reason"),
                "first_seen": data(app, "trend").get("first_seen"),
                **_trend(trends.host_trend_words(app)),
            }
            for app in rows(data(report, "close_wait"), "offenders")
        ],
        "dead_apps": rows(data(report, "dead_sockets"), "offenders"),
        "pressure": [(kind, near[kind.key]) for kind in pressure.KINDS if near[kind.key]],
        "findings": rows(report, "findings"),
        "sockets_listed": rows(data(report, "close_wait"), "sockets"),
    }


def pages(fleet: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The pages of ``lastack explain`` that the report links to: of its findings, of its runtimes, of its libraries."""
    wanted = [str(finding.get("id")) for finding in rows(fleet, "findings")]
    wanted += [str(app.get("finding")) for app in rows(fleet, "apps") if app.get("sockets")]
    words = {name for app in rows(fleet, "apps") for name in data(data(app, "trend"), "verdicts")}
    wanted += [f"verdict.{name}" for name in VERDICTS if name in words]
    wanted += ["fd.dead_sockets"] if rows(fleet, "dead_sockets") else []
    near = pressure.uses(data(fleet, "pressure"))
    wanted += [kind.finding for kind in pressure.KINDS if near[kind.key]]
    wanted += [f"runtime.{app['runtime']}" for app in rows(fleet, "apps") if app.get("sockets") and app.get("runtime")]
    libraries = (library for app in rows(fleet, "apps") if app.get("sockets") for library in rows(app, "libraries"))
    wanted += [str(library["page"]) for library in libraries if library.get("page")]
    found = []
    for name in dict.fromkeys(wanted):
        # A report of a newer lastack may name pages that this one does not have.
        with contextlib.suppress(UnknownPage, OSError):
            found.append(load_page(name))
    anchors = {page.id: anchor(page.id) for page in found}
    return [
        {"id": page.id, "title": page.title, "body": markdown.to_html(page.body, top=2, anchors=anchors)}
        for page in found
    ]
