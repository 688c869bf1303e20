# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The screen of one host report: the culprit and the next step first, two lines if nothing needs a decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.thresholds import NEARLY_OUT_PERCENT
from ansible_collections.lastack.linux.plugins.plugin_utils.render import host as facts
from ansible_collections.lastack.linux.plugins.plugin_utils.render import pressure as resources
from ansible_collections.lastack.linux.plugins.plugin_utils.render import trends, unseen, waiting
from ansible_collections.lastack.linux.plugins.plugin_utils.render.ledger import Ledger, step
from ansible_collections.lastack.linux.plugins.plugin_utils.render.loaded import loaded_line
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import (
    LEAK_SENTENCE,
    age,
    cause_words,
    count,
    data,
    dominant_cause,
    joined,
    limit_words,
    namespace_suffix,
    page_of,
    percent,
    plural,
    rows,
    thousand,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.render.table import Column, Screen, Span
from ansible_collections.lastack.linux.plugins.plugin_utils.render.text_sockets import put_sockets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["put_host", "put_pressure", "put_silence", "put_step", "trend_note"]

_APPS = 12
_TOLD_IN_FULL = 5
_USES = 3


def put_host(screen: Screen, report: Mapping[str, Any]) -> None:
    """Add the screen of one ``lastack.host/1`` report."""
    ledger = Ledger(rows(report, "findings"), int(report.get("findings_truncated") or 0))
    ledger.take_all("view.")
    _head(screen, report)
    near = resources.uses(resources.host_pressure(report))
    quiet = not (facts.leaked(report) or facts.dead(report) or ledger.asks or any(near.values()))
    if quiet:
        _calm(screen, report)
        put_sockets(screen, report)
    else:
        _close_wait(screen, report, ledger)
        put_sockets(screen, report)
        _dead_sockets(screen, report, ledger)
        _time_wait(screen, report, ledger)
        put_pressure(screen, near, ledger)
        _settings(screen, ledger)
        ledger.list_on(screen)
    _not_seen(screen, report, quiet=quiet)
    put_silence(screen, "Agent:", trends.agent_words(report), gap=not quiet)


def _head(screen: Screen, report: Mapping[str, Any]) -> None:
    complete = data(report, "completeness")
    spaces = data(complete, "namespaces")
    seen, read = int(spaces.get("seen") or 0), int(spaces.get("read") or 0)
    where = plural(read, "namespace") if seen == read else f"{count(read)} of {plural(seen, 'namespace')}"
    narrow = [Span("· other namespaces not looked at", "warning")] if unseen.own_namespace_only(report) else []
    if not complete.get("complete"):
        reasons = unseen.gravest_first(report)
        view = [Span(f"· PARTIAL: {reasons[0] if reasons else 'something could not be read'}", "warning")]
    elif narrow:
        view = []
    else:
        view = [Span("· complete but for what was left out" if unseen.left_out(report) else "· complete")]
    sockets = plural(facts.sockets(report), "socket")
    took = f"{float(report.get('duration_s') or 0):.1f} s"
    screen.paragraph(Span(facts.name(report), "bold"), f" · {sockets} in {where} · {took}", *narrow, *view, rest="  ")


def _calm(screen: Screen, report: Mapping[str, Any]) -> None:
    state = data(report, "states")
    verdict = Span("Nothing needs a decision.", "good")
    if not data(report, "completeness").get("complete"):
        verdict = Span("Nothing needs a decision in what was seen.")
    elif unseen.left_out(report) or unseen.own_namespace_only(report):
        verdict = Span("Nothing needs a decision in what was looked at.")
    sockets = waiting.of_host(report)
    parts = []
    if words := waiting.fate(sockets):
        parts.append(f"CLOSE_WAIT {words}")
    if isinstance(state.get("TIME_WAIT"), int) and state["TIME_WAIT"]:
        parts.append(f"TIME_WAIT {count(state['TIME_WAIT'])} normal")
    worst = facts.worst_descriptors(report)
    if worst:
        parts.append(f"descriptors {percent(worst.get('used_percent'))} ({worst.get('app')})")
    screen.paragraph(verdict, f"{', '.join(parts)}." if parts else "", rest="  ")
    _undecided(screen, sockets, first="")


def _undecided(screen: Screen, sockets: waiting.Waiting, *, first: Span | str = "  ") -> None:
    if said := waiting.undecided_words(sockets):
        screen.paragraph(
            said,
            "→ a second look settles them:",
            Span(waiting.second_look(sockets), "command", whole=True),
            first=first,
            rest="    ",
        )


def _close_wait(screen: Screen, report: Mapping[str, Any], ledger: Ledger) -> None:
    part, sockets = data(report, "close_wait"), waiting.of_host(report)
    apps, young = rows(part, "offenders"), waiting.young_words(sockets)
    title = Span("CLOSE_WAIT  ", "bold")
    if sockets.not_judged or not sockets.leaked:
        if sockets.not_judged:
            young = waiting.fate(sockets)
        if young or sockets.undecided:
            screen.gap()
        if young:
            screen.paragraph(young, first=title, rest="  ")
        _undecided(screen, sockets, first="  " if young else title)
        return
    screen.gap()
    screen.paragraph(f"{plural(sockets.leaked, 'socket')} leaked: {LEAK_SENTENCE}", first=title, rest="  ")
    shown = [app for app in apps if app.get("count")][:_APPS]
    columns = [
        Column("application", least=16),
        Column("sockets", right=True),
        Column("oldest"),
        Column("why", least=12),
        Column("descriptors", least=12),
    ]
    table: list[list[Span | str]] = [
        [
            Span(facts.app_label(app), "bold"),
            count(app.get("count")),
            age(app.get("age_s")),
            cause_words(dominant_cause(data(app, "causes")), app.get("role")),
            _descriptors(data(app, "descriptors")),
        ]
        for app in shown
    ]
    notes = [
        [trend_note(app, trends.host_trend_words(app), ledger), *(_notes(app, ledger) if index < _TOLD_IN_FULL else [])]
        for index, app in enumerate(shown)
    ]
    if shown:
        screen.table(columns, table, notes)
    more, cut = len([app for app in apps if app.get("count")]) - len(shown), int(part.get("truncated") or 0)
    if more > 0:
        screen.line(f"  … {plural(more, 'more application')} with less in the whole report")
    if cut:
        noun = "more application" if shown else "application"
        screen.line(f"  … {plural(cut, noun)} not in the report: raise --top")
    if young:
        screen.line(f"  {young}")
    _undecided(screen, sockets)


def _descriptors(use: Mapping[str, Any]) -> Span:
    full = (use.get("used_percent") or 0) >= NEARLY_OUT_PERCENT
    return Span(limit_words(use) + (" ◀" if full else ""), "critical" if full else "")


def _notes(app: Mapping[str, Any], ledger: Ledger) -> list[list[Span]]:
    peers = rows(app, "peers")
    shown = facts.peers(app)
    parts = [f"{'from' if app.get('role') == 'server' else 'to'} {joined(shown, 2, len(peers))}"] if shown else []
    pids = [str(pid) for pid in app.get("pids") or []]
    if pids:
        more = len(pids) + int(app.get("pids_truncated") or 0)
        parts.append(f"{'pid' if more == 1 else 'pids'} {joined(pids, 3, more)}")
    if app.get("namespace") not in ("host", app.get("app")):
        parts.append(f"namespace {app.get('namespace')}")
    if app.get("unread_bytes"):
        parts.append(f"{thousand(app['unread_bytes'])} unread")
    shared = [str(holder.get("app")) for holder in rows(app, "shared_with")]
    if shared:
        parts.append(f"also held by {joined(shared, 2)}")
    if (data(app, "descriptors").get("used_percent") or 0) >= NEARLY_OUT_PERCENT:
        parts.append("◀ at 100 % every accept() and open() fails")
    causes = data(app, "causes")
    cause = dominant_cause(causes)
    parts += [f"{count(causes[other])} {cause_words(other, app.get('role'))}" for other in causes if other != cause]
    page = page_of(causes)
    finding = ledger.take(page, app.get("app")) or ledger.take("close_wait.", app.get("app"))
    return [[Span(" · ".join(parts))], loaded_line(app), ledger.step_of(app, finding, page)]


def _dead_sockets(screen: Screen, report: Mapping[str, Any], ledger: Ledger) -> None:
    offenders = rows(data(report, "dead_sockets"), "offenders")
    if not facts.dead(report):
        return
    screen.gap()
    for index, app in enumerate(offenders[:_TOLD_IN_FULL]):
        opened = data(app, "descriptors").get("open")
        of = f" of {count(opened)}" if opened is not None else ""
        screen.paragraph(
            f"{count(app.get('count'))}{of} descriptors of {app.get('app')} point to connections that no longer exist",
            first=Span("Dead sockets  ", "bold") if index == 0 else " " * 14,
            rest="  ",
        )
        put_step(screen, step(ledger.take("fd.dead_sockets", app.get("app")), "fd.dead_sockets"))
    if len(offenders) > _TOLD_IN_FULL:
        screen.line(f"  … {plural(len(offenders) - _TOLD_IN_FULL, 'more application')} in the whole report")


def _time_wait(screen: Screen, report: Mapping[str, Any], ledger: Ledger) -> None:
    total = data(report, "states").get("TIME_WAIT")
    spaces = rows(report, "time_wait")
    if not total or not isinstance(total, int):
        return
    screen.gap()
    worst = max(spaces, key=lambda space: space.get("used_percent") or 0, default={})
    share = f" ({percent(worst['used_percent'])} of the limit)" if worst.get("used_percent") is not None else ""
    overflow = ledger.take("time_wait.bucket_overflow")
    verdict = str(overflow.get("summary")) if overflow else "normal, holds no descriptor"
    screen.paragraph(f"{count(total)}{share}: {verdict}", first=Span("TIME_WAIT  ", "bold"), rest="  ")
    if overflow:
        put_step(screen, step(overflow))
    here = sorted(
        ((row, space) for space in spaces for row in rows(space, "closed_here")), key=lambda pair: -pair[0]["count"]
    )
    closed = ledger.take_all("time_wait.closed_here")
    if closed and here:
        row, space = here[0]
        app = f" ({row['app']})" if row.get("app") else ""
        where = namespace_suffix(space.get("namespace"))
        screen.paragraph(
            f"{count(row.get('count'))} of them on :{row.get('port')}{app}{where}, where this host closes first",
            first="  ",
            rest="    ",
        )
        put_step(screen, step(closed[0]))


def trend_note(app: Mapping[str, Any], words: str, ledger: Ledger) -> list[Span]:
    """The line on what the agent has watched of an application; a growing leak says what to do before it is due."""
    if not words.startswith("grows"):
        return [Span(words)] if words else []
    ledger.take(trends.GROWING_PAGE, app.get("app"))
    before = [Span("→ restart it before then:")] if "gone" in words else [Span("→")]
    return [
        Span(words, "critical"),
        *before,
        Span(f"lastack explain {trends.GROWING_PAGE}", "command", whole=True),
    ]


def put_silence(screen: Screen, title: str, words: str, *, gap: bool = False) -> None:
    """Add the line on agents that were not heard; nothing if there are none."""
    if not words:
        return
    if gap:
        screen.gap()
    command = Span(trends.AGENT_COMMAND, "command", whole=True)
    screen.paragraph(Span(title, "bold"), words, Span("→"), command, rest="  ")


def put_step(screen: Screen, spans: Sequence[Span], indent: int = 2) -> None:
    """Add what to do next, ``indent`` columns in; nothing if there is nothing to do."""
    screen.paragraph(*spans, first=" " * indent, rest=" " * (indent + 2))


def put_pressure(
    screen: Screen,
    near: Mapping[str, Sequence[resources.Use]],
    ledger: Ledger,
    truncated: Mapping[str, int] | None = None,
) -> None:
    """Add the resources near their end: up to three of each kind, and what to do about them.

    ``truncated`` says per kind how many the report does not list.
    """
    if not any(near.values()):
        return
    screen.gap()
    screen.line(Span("Pressure", "bold"))
    for kind in resources.KINDS:
        found = near.get(kind.key) or []
        if not found:
            continue
        for index, use in enumerate(found[:_USES]):
            host = f"{use.host}: " if use.host else ""
            label = kind.name if index == 0 else ""
            screen.paragraph(f"{host}{use.words}", first=f"  {label:<13} ", rest=" " * 18)
        more = len(found[_USES:]) + (truncated or {}).get(kind.key, 0)
        if more:
            screen.line(" " * 16 + f"… {count(more)} more")
        told = ledger.take_all(kind.finding)
        put_step(screen, step(told[0] if told else {"id": kind.finding, "next_step": kind.consequence}), 16)


def _settings(screen: Screen, ledger: Ledger) -> None:
    for index, finding in enumerate(ledger.take_all("sysctl.")):
        if finding.get("severity") == "info":
            continue
        if index == 0:
            screen.gap()
            screen.line(Span("Settings", "bold"))
        screen.paragraph(str(finding.get("summary")), first="  ", rest="    ")
        put_step(screen, step(finding))


def _not_seen(screen: Screen, report: Mapping[str, Any], *, quiet: bool) -> None:
    warnings = unseen.gravest_first(report)
    # The first one stands in the head line.
    told = [] if data(report, "completeness").get("complete") else warnings[1:]
    out = unseen.left_out(report)
    if (told or out) and not quiet:
        screen.gap()
    if told:
        screen.paragraph(Span("Not seen:", "bold"), "; ".join(told), rest="  ")
    if out:
        screen.paragraph(Span("Left out by gather:", "bold"), ", ".join(out), rest="  ")
