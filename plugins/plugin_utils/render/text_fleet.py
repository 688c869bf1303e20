# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The screen of a fleet report: exceptions only, worst first; a healthy fleet is a few lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.thresholds import ALERT_PERCENT, NEARLY_OUT_PERCENT
from ansible_collections.lastack.linux.plugins.plugin_utils.render import pressure as resources
from ansible_collections.lastack.linux.plugins.plugin_utils.render import trends, unseen, waiting
from ansible_collections.lastack.linux.plugins.plugin_utils.render.ledger import Ledger, step, worst_first
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import (
    CAUSE_WORDS,
    MATCH_WORDS,
    age,
    count,
    data,
    dominant_cause,
    joined,
    limit_words,
    moment,
    percent,
    plural,
    rows,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.render.profile import profile_command, profile_words
from ansible_collections.lastack.linux.plugins.plugin_utils.render.table import Column, Screen, Span, display_width
from ansible_collections.lastack.linux.plugins.plugin_utils.render.text_drift import limit_value
from ansible_collections.lastack.linux.plugins.plugin_utils.render.text_host import (
    put_pressure,
    put_silence,
    put_step,
    trend_note,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["put_baseline", "put_fleet", "put_report", "put_run"]

_APPS = 12
_NAME_ROOM = 22
_TOLD_IN_FULL = 5
_NAMES = 5
_LINES = 6
_REASONS = 14
"""Of hosts that were not seen: the ten that are sick after a change belong on one screen."""


def put_fleet(screen: Screen, fleet: Mapping[str, Any]) -> None:
    """Add the screen of one ``lastack.fleet/1`` report."""
    put_run(screen, fleet)
    hosts = data(fleet, "hosts")
    if hosts.get("audited"):
        cut = int(fleet.get("findings_truncated") or 0)
        ledger = Ledger(worst_first(fleet), cut, remedy="see each host's report")
        ledger.take_all("view.")
        near = resources.uses(data(fleet, "pressure"))
        leaked = data(fleet, "close_wait").get("leaked")
        away = rows(data(fleet, "baseline"), "settings")
        if leaked or rows(fleet, "dead_sockets") or ledger.asks or any(near.values()) or away:
            _close_wait(screen, fleet, ledger)
            _dead_sockets(screen, fleet, ledger)
            _time_wait(screen, fleet, ledger)
            put_pressure(screen, near, ledger, resources.truncated(data(fleet, "pressure")))
            _settings(screen, fleet, ledger)
            ledger.list_on(screen)
            screen.gap()
        else:
            _calm(screen, fleet)
    else:
        screen.paragraph(Span("No host was audited, so nothing is known.", "critical"))
    _not_seen(screen, hosts)
    put_silence(screen, "Agents:", trends.silent_words(fleet))
    if said := unseen.left_out_words(fleet):
        screen.paragraph(Span("Left out by gather:", "bold"), said, rest="  ")


def put_run(screen: Screen, fleet: Mapping[str, Any]) -> None:
    """Add the head line of a run: hosts audited, unreachable, incomplete, and when."""
    hosts, run = data(fleet, "hosts"), data(fleet, "run")
    pieces = [Span(f"{plural(int(hosts.get('audited') or 0), 'host')} audited", "bold")]
    for key, word in (("unreachable", "unreachable"), ("failed", "failed"), ("invalid", "with an invalid report")):
        if hosts.get(key):
            pieces.append(Span(f"· {count(hosts[key])} {word}", "critical", whole=True))
    for key, word in (("missing", "without a result"), ("incomplete", "incomplete")):
        if hosts.get(key):
            pieces.append(Span(f"· {count(hosts[key])} {word}", "warning", whole=True))
    pieces.append(Span(f"· run {moment(run.get('started_at'))}", whole=True))
    if not run.get("finished_at"):
        pieces.append(Span("· not finished", "warning", whole=True))
    screen.paragraph(*pieces, rest="  ")


def put_report(screen: Screen, path: str | None) -> None:
    """Add the line that names the HTML report, if there is one."""
    if path:
        screen.gap()
        screen.line(Span("Report:", "bold"), f" {path}")


def _calm(screen: Screen, fleet: Mapping[str, Any]) -> None:
    closing, hosts = data(fleet, "time_wait"), data(fleet, "hosts")
    worst, sockets = data(closing, "worst"), waiting.of_fleet(fleet)
    share = f" (≤ {percent(worst['used_percent'])} of the limit)" if (worst.get("used_percent") or 0) >= 1 else ""
    verdict = Span("Nothing needs a decision.", "good")
    if hosts.get("audited") != hosts.get("meant") or hosts.get("incomplete"):
        verdict = Span("Nothing needs a decision in what was seen.")
    elif sockets.not_judged or unseen.left_out_words(fleet):
        verdict = Span("Nothing needs a decision in what was looked at.")
    parts = [f"CLOSE_WAIT {waiting.fate(sockets)}"]
    if closing.get("total"):
        parts.append(f"TIME_WAIT {count(closing['total'])} normal{share}")
    screen.paragraph(verdict, f"{', '.join(parts)}.", rest="  ")
    _undecided(screen, sockets, first="")
    screen.paragraph(profile_words(fleet), rest="  ")


def _undecided(screen: Screen, sockets: waiting.Waiting, *, first: Span | str = "  ") -> None:
    if said := waiting.undecided_words(sockets):
        screen.paragraph(
            f"{said} → run the audit again after that time, or on the host:",
            Span(waiting.second_look(sockets), "command", whole=True),
            first=first,
            rest="    ",
        )


def _close_wait(screen: Screen, fleet: Mapping[str, Any], ledger: Ledger) -> None:
    part, apps = data(fleet, "close_wait"), [app for app in rows(fleet, "apps") if app.get("sockets")]
    sockets, title = waiting.of_fleet(fleet), Span("CLOSE_WAIT  ", "bold")
    young = waiting.young_words(sockets)
    if not sockets.leaked:
        screen.gap()
        if sockets.total:
            screen.paragraph(waiting.fate(sockets), first=title, rest="  ")
        _undecided(screen, sockets)
        return
    where = f"{plural(int(part.get('apps') or 0), 'application')} on {plural(int(part.get('hosts') or 0), 'host')}"
    screen.gap()
    screen.paragraph(
        f"{plural(sockets.leaked, 'leaked socket')}, {where}: only the application can close them",
        first=title,
        rest="  ",
    )
    columns = [
        Column("application", least=_NAME_ROOM),
        Column("hosts", right=True),
        Column("sockets", right=True),
        Column("worst host", least=12),
        Column("oldest"),
        Column("why", least=12),
        Column("descriptors", right=True),
    ]
    shown = apps[:_APPS]
    table: list[list[Span | str]] = [_app_row(app) for app in shown]
    notes = [
        [
            trend_note(app, trends.fleet_trend_words(app), ledger),
            *(_app_notes(app, ledger) if index < _TOLD_IN_FULL else []),
        ]
        for index, app in enumerate(shown)
    ]
    if shown:
        screen.table(columns, table, notes)
    more, cut = len(apps) - len(shown), int(fleet.get("apps_truncated") or 0)
    if more > 0:
        screen.line(f"  … {plural(more, 'more application')} with less in the whole report")
    if cut:
        noun = "more application" if shown else "application"
        screen.line(f"  … {plural(cut, noun)}: see each host's report")
    if young:
        screen.line(f"  {young}")
    if sockets.not_judged:
        screen.line(f"  {count(sockets.not_judged)} more not judged: the look left them out")
    _undecided(screen, sockets)


def _app_row(app: Mapping[str, Any]) -> list[Span | str]:
    worst, use = data(app, "worst_host"), data(app, "worst_descriptors")
    cause = dominant_cause(data(app, "causes"))
    name = str(app.get("app"))
    runtime = f" ({app['runtime']})" if app.get("runtime") else ""
    full = (use.get("used_percent") or 0) >= NEARLY_OUT_PERCENT
    return [
        # The name is what people search for; the runtime gives way.
        Span(name + runtime if display_width(name + runtime) <= _NAME_ROOM else name, "bold"),
        count(app.get("hosts")),
        count(app.get("sockets")),
        f"{worst.get('host')} ({count(worst.get('sockets'))})" if worst else "",
        age(app.get("oldest_s")),
        # There is no room here for more than a question mark.
        CAUSE_WORDS.get(cause, cause).replace("idle pool, likely TLS", "idle TLS pool?"),
        Span(percent(use.get("used_percent")) + (" ◀" if full else "  ") if use else "", "critical" if full else ""),
    ]


def _app_notes(app: Mapping[str, Any], ledger: Ledger) -> list[list[Span]]:
    page = str(app.get("finding") or "close_wait.leak")
    finding = ledger.take(page, app.get("app")) or ledger.take("close_wait.", app.get("app"))
    use, worst = data(app, "worst_descriptors"), data(app, "worst_host")
    near = (use.get("used_percent") or 0) >= ALERT_PERCENT["descriptors"] or use.get("host") != worst.get("host")
    where = f"worst descriptor use: {limit_words(use)} on {use.get('host')}" if use and near else ""
    return [[Span(where)], ledger.step_of(app, finding, page)]


def _dead_sockets(screen: Screen, fleet: Mapping[str, Any], ledger: Ledger) -> None:
    apps = rows(fleet, "dead_sockets")
    if not apps:
        return
    screen.gap()
    screen.paragraph(
        "descriptors that point to connections which no longer exist", first=Span("Dead sockets  ", "bold"), rest="  "
    )
    for app in apps[:_TOLD_IN_FULL]:
        worst = data(app, "worst_host")
        screen.paragraph(
            f"{app.get('app')}: {plural(int(app.get('count') or 0), 'descriptor')} on"
            f" {plural(int(app.get('hosts') or 0), 'host')}, most on {worst.get('host')} ({count(worst.get('count'))})",
            first="  ",
            rest="    ",
        )
        put_step(screen, step(ledger.take("fd.dead_sockets", app.get("app")), "fd.dead_sockets"), 4)
    if len(apps) > _TOLD_IN_FULL:
        screen.line(f"  … {plural(len(apps) - _TOLD_IN_FULL, 'more application')} in the whole report")
    if fleet.get("dead_sockets_truncated"):
        screen.line(f"  … {plural(int(fleet['dead_sockets_truncated']), 'more application')}: see each host's report")


def _time_wait(screen: Screen, fleet: Mapping[str, Any], ledger: Ledger) -> None:
    part = data(fleet, "time_wait")
    if not (part.get("total") or part.get("overflowing_hosts")):
        return
    worst, full = data(part, "worst"), int(part.get("overflowing_hosts") or 0)
    share = worst.get("used_percent")
    near = f", at most {percent(share)} of the limit (on {worst.get('host')})" if share is not None else ""
    verdict = f"the limit was reached on {plural(full, 'host')}" if full else "normal, holds no descriptor"
    screen.gap()
    screen.paragraph(f"{count(part.get('total'))}{near}: {verdict}", first=Span("TIME_WAIT  ", "bold"), rest="  ")
    overflow = ledger.take_all("time_wait.bucket_overflow")
    if full:
        put_step(screen, step(overflow[0] if overflow else None, "time_wait.bucket_overflow"))
    closed, ports = ledger.take_all("time_wait.closed_here"), rows(part, "closed_here")
    if closed and ports:
        row = ports[0]
        app = f" ({row['app']})" if row.get("app") else ""
        on = plural(int(row.get("hosts") or 0), "host")
        screen.paragraph(
            f"{count(row.get('count'))} of them on :{row.get('port')}{app} of {on}, which closes first",
            first="  ",
            rest="    ",
        )
        put_step(screen, step(closed[0]))


def _settings(screen: Screen, fleet: Mapping[str, Any], ledger: Ledger) -> None:
    away = {str(item.get("key")) for item in rows(data(fleet, "baseline"), "settings")}
    # What the baseline says of a key is enough of it.
    drift = [item for item in rows(fleet, "drift") if str(item.get("key")) not in away]
    told = [finding for finding in ledger.take_all("sysctl.") if finding.get("severity") != "info"]
    if not drift and not told and not away and not profile_words(fleet):
        return
    screen.gap()
    screen.line(Span("Settings", "bold"))
    put_baseline(screen, fleet)
    for finding in told[:_LINES]:
        on = plural(int(finding.get("hosts") or 0), "host")
        screen.paragraph(f"{finding.get('summary')} ({on})", first="  ", rest="    ")
        put_step(screen, step(finding), 4)
    for item in drift[:_LINES]:
        values = [_value(value) for value in rows(item, "values")]
        values += ["…"] if item.get("values_truncated") else []
        screen.paragraph(f"{item.get('key')} differs: {joined(values, 4)}", first="  ", rest="    ")
    more = max(0, len(drift) - _LINES) + max(0, len(told) - _LINES)
    if more:
        screen.line(f"  … {plural(more, 'more setting')} in the whole report")
    _limits(screen, fleet)


def _limits(screen: Screen, fleet: Mapping[str, Any]) -> None:
    """Add the limits of leaking applications that differ between hosts: elsewhere that asks for no decision."""
    leaking = {str(app.get("app")) for app in rows(fleet, "apps") if app.get("sockets")}
    for item in rows(fleet, "limits"):
        if item.get("what") == "application" and str(item.get("name")) in leaking:
            on = [
                f"{limit_value(value)} on {plural(int(value.get('hosts') or 0), 'host')}"
                for value in rows(item, "values")
            ]
            screen.paragraph(f"open files of {item.get('name')} differ: {joined(on, 4)}", first="  ", rest="    ")


def put_baseline(screen: Screen, fleet: Mapping[str, Any]) -> None:
    """Add how many hosts have the chosen profile, the keys that are away from it, and what sets them right."""
    away = rows(data(fleet, "baseline"), "settings")
    screen.paragraph(profile_words(fleet), first="  ", rest="    ")
    for item in away[:_LINES]:
        values = [_value(value) for value in rows(item, "values")]
        values += ["…"] if item.get("values_truncated") else []
        on = f"{count(item.get('away_hosts'))} of {plural(int(item.get('judged_hosts') or 0), 'host')}"
        wanted = f"{MATCH_WORDS.get(str(item.get('match')), '')}{item.get('wanted')}"
        screen.paragraph(f"{item.get('key')} is not {wanted} on {on}: {joined(values, 4)}", first="  ", rest="    ")
    if len(away) > _LINES:
        screen.line(f"  … {plural(len(away) - _LINES, 'more setting')} in the whole report")
    if away:
        screen.paragraph(
            "→ set them batch by batch, watched:",
            Span(profile_command(fleet), "command", whole=True),
            first="  ",
            rest="    ",
        )


def _value(value: Mapping[str, Any]) -> str:
    shown = "unset" if value.get("value") is None else value["value"]
    owner = f", {value['owner']}" if value.get("owner") else ""
    winner = f" ({value['winner']}{owner})" if value.get("winner") else ""
    manager = f", {value['manager']} sets it" if value.get("manager") else ""
    return f"{shown} on {plural(int(value.get('hosts') or 0), 'host')}{winner}{manager}"


def _not_seen(screen: Screen, hosts: Mapping[str, Any]) -> None:
    groups: dict[str, list[str]] = {}
    for row in rows(hosts, "not_audited"):
        groups.setdefault(_why(row), []).append(str(row.get("host")))
    # The report names some of the hosts, and counts all of them.
    counted = {_why(row): int(row.get("hosts") or 0) for row in rows(hosts, "not_audited_reasons")}
    totals = {what: max(len(names), counted.get(what, 0)) for what, names in groups.items()}
    partial: dict[str, list[str]] = {}
    for row in rows(hosts, "incomplete_hosts"):
        reasons = "; ".join(str(reason) for reason in row.get("reasons") or []) or "seen in part"
        partial.setdefault(reasons, []).append(str(row.get("host")))
    said = [f"{joined(names, _NAMES, totals[what])} {what}" for what, names in groups.items()]
    said += [f"{joined(names, _NAMES)}: {what}" for what, names in partial.items()]
    cut = int(hosts.get("not_audited_truncated") or 0) + int(hosts.get("incomplete_hosts_truncated") or 0)
    for index, text in enumerate(said[:_REASONS]):
        lead: Span | str = Span("Not seen:", "bold") if index == 0 else ""
        screen.paragraph(lead, text, first="" if index == 0 else "  ", rest="    ")
    told = [*totals.values(), *(len(names) for names in partial.values())][:_REASONS]
    more = sum(map(len, [*groups.values(), *partial.values()])) + cut - sum(told)
    if more > 0:
        screen.line(f"  … {plural(more, 'more host')} in the whole report")


def _why(row: Mapping[str, Any]) -> str:
    return f"{row.get('outcome')} ({row['reason']})" if row.get("reason") else str(row.get("outcome"))
