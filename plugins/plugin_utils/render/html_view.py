# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the HTML report shows, worked out of the reports: the template only places it."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.observe.agent_fact import VERDICTS
from ansible_collections.lastack.linux.plugins.module_utils.options import GATHER_SUBSETS
from ansible_collections.lastack.linux.plugins.plugin_utils.explain import UnknownPage, load_page
from ansible_collections.lastack.linux.plugins.plugin_utils.render import host as facts
from ansible_collections.lastack.linux.plugins.plugin_utils.render import markdown, pressure, trends, unseen, waiting
from ansible_collections.lastack.linux.plugins.plugin_utils.render.ledger import severity_counts, worst_first
from ansible_collections.lastack.linux.plugins.plugin_utils.render.loaded import library_words
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import MATCH_WORDS, count, data, plural, rows
from ansible_collections.lastack.linux.plugins.plugin_utils.render.profile import profile_command, profile_words
from ansible_collections.lastack.linux.plugins.plugin_utils.worst import Worst
from jinja2 import Undefined

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

__all__ = ["anchor", "fleet_view", "hosts_view", "known", "leaking", "level", "pages"]

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


def leaking(fleet: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """Every listed application with its worst host."""
    return frozenset(
        (str(app.get("app")), str(data(app, "worst_host").get("host")))
        for app in rows(fleet, "apps")
        if app.get("sockets")
    )


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
    reports: Iterable[Mapping[str, Any]], audited: int, leaking: Collection[tuple[str, str]] = ()
) -> dict[str, Any]:
    """The hosts, worst first: details of the worst, rows of more, and how many of the audited ones are not shown.

    ``leaking`` names pairs of an application and its worst host; ``leads`` holds its peer and process there.
    """
    table, details = Worst(_ROWS), Worst(_DETAILS)
    gravest = _Gravest()
    leads: dict[tuple[str, str], str] = {}
    left_out: Counter[str] = Counter()
    own_only = 0
    for report in reports:
        gravest.add(report)
        left_out.update(unseen.left_out(report))
        own_only += unseen.own_namespace_only(report)
        for app in rows(data(report, "close_wait"), "offenders"):
            pair = str(app.get("app")), facts.name(report)
            if pair in leaking and app.get("count"):
                leads.setdefault(pair, _lead(app))
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
    # A large run hands over its worst hosts only.
    at_least = "at least " if table.seen < audited else ""
    return {
        "hosts": table.ranked(),
        "hosts_cut": max(table.seen, audited) - min(table.seen, _ROWS),
        "details": shown,
        "details_cut": details.truncated,
        "gravest": gravest.words(at_least=at_least),
        "leads": leads,
        "left_out": ", ".join(
            f"{name} on {at_least}{plural(left_out[name], 'host')}" for name in GATHER_SUBSETS if left_out[name]
        ),
        "own_only": f"{at_least}{plural(own_only, 'host')}" if own_only else "",
    }


def _lead(app: Mapping[str, Any]) -> str:
    """Where to look on the worst host: "pid 4121, to 10.2.0.9:8443"."""
    pids, peers = app.get("pids") or [], facts.peers(app)
    parts = [f"pid {pids[0]}"] if pids else []
    parts += [f"{'from' if app.get('role') == 'server' else 'to'} {peers[0]}"] if peers else []
    return ", ".join(parts)


class _Gravest:
    """The reason that hid most on the hosts that were seen in part."""

    def __init__(self) -> None:
        self._worst: tuple[int, Mapping[str, Any]] | None = None
        self._hosts: Counter[str] = Counter()

    def add(self, report: Mapping[str, Any]) -> None:
        """Take the warnings of one host report."""
        completeness = data(report, "completeness")
        if completeness.get("complete"):
            return
        warnings = rows(completeness, "warnings")
        self._hosts.update({str(warning.get("code")) for warning in warnings})
        for warning in warnings:
            rank = unseen.gravity(warning.get("code"))
            if self._worst is None or rank < self._worst[0]:
                self._worst = rank, warning

    def words(self, *, at_least: str) -> str:
        """The reason, and on how many hosts it is one if they are several."""
        if self._worst is None:
            return ""
        more = self._hosts[str(self._worst[1].get("code"))] - 1
        return unseen.warning_words(self._worst[1]) + (
            f" (and on {at_least}{plural(more, 'more host')})" if more else ""
        )


def _rank(report: Mapping[str, Any]) -> tuple[int, ...]:
    counts = severity_counts(rows(report, "findings"))
    unseen = 0 if data(report, "completeness").get("complete") else 1
    return counts["critical"], facts.leaked(report), facts.dead(report), counts["warning"], unseen


def _row(report: Mapping[str, Any]) -> dict[str, Any]:
    states, out = data(report, "states"), unseen.left_out(report)
    return {
        "name": facts.name(report),
        "complete": bool(data(report, "completeness").get("complete")),
        "sockets": facts.sockets(report),
        "leaked": None if "close_wait" in out else facts.leaked(report),
        "dead": None if "dead_sockets" in out else facts.dead(report),
        "narrow": bool(out) or unseen.own_namespace_only(report),
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
