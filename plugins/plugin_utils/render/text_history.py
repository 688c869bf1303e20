# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The screens of the history: each application on one line with its days, or one application as a plot."""

from __future__ import annotations

import datetime
import shlex
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.render.character_plot import (
    FEWER,
    Mark,
    bucketed,
    plot,
    spark,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.render.inert_markdown import shell_word
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import age, count, percent, plural
from ansible_collections.lastack.linux.plugins.plugin_utils.render.table import Column, Screen, Span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["figure", "growth", "marks_of", "render_history", "standing", "thin_words"]

_APPS = 20
_FINDINGS = 12
_SPARK = 30
_NAME = 16
_ROWS = 14
_SOME = 10
_NOUNS = (("sockets", "socket"), ("hosts", "host"))
_PLAIN = str.maketrans({"·": "-", "→": ">", "…": ".", "≥": ">", "—": "-"})


def render_history(  # noqa: PLR0913 - the defaults are what a caller wants
    history: Mapping[str, Any],
    *,
    app: str | None = None,
    file: str | None = None,
    colour: bool = False,
    width: int = 100,
    ascii_only: bool = False,
) -> str:
    """The screen of a ``lastack.history/1``; with ``app`` the plot of that application.

    ``file`` is the history file that the user named, for the command that the screen suggests.
    """
    screen = Screen(colour=colour, width=width)
    days = history["days"]
    if not days:
        screen.paragraph("The history has no run yet.", Span("lastack history add RUN_FOLDER", "command", whole=True))
        return screen.text()
    _head(screen, days)
    if app is not None:
        _application(screen, history, app, ascii_only=ascii_only)
    else:
        _applications(screen, history, file, ascii_only=ascii_only)
        _findings(screen, history, ascii_only=ascii_only)
        _legend(screen, days, [*history["apps"][:_APPS], *_shown_findings(history)])
    text = screen.text()
    return text.replace("≥ ", ">=").translate(_PLAIN) if ascii_only else text


def figure(point: Mapping[str, Any] | None, what: str) -> str:
    """One figure of a day; "≥ 12" where fewer hosts were seen, "?" where nothing is known."""
    if point is None or point[what] is None:
        return FEWER
    return f"≥ {count(point[what])}" if point["at_least"] else count(point[what])


def growth(per_day: float | None) -> str:
    """A growth a day with its sign; "?" where there are no two days to compare."""
    if per_day is None:
        return FEWER
    if not per_day:
        return "0"
    return f"{per_day:+,.0f}" if abs(per_day) >= _SOME else f"{per_day:+,.1f}"


def standing(app: Mapping[str, Any]) -> str:
    """How an application stands: "≥ 2,100 leaked sockets on ≥ 1 host, +100 a day"; and when, if that is not today."""
    last = app["last"]
    sockets, hosts = (noun if last and last[what] == 1 else f"{noun}s" for what, noun in _NOUNS)
    since = f" on {last['day']}, not known since" if last and last["day"] != app["points"][-1]["day"] else ""
    pace = f"{growth(app['growth_per_day'])} a day" if app["growth_per_day"] is not None else "growth not known"
    return f"{figure(last, 'sockets')} leaked {sockets} on {figure(last, 'hosts')} {hosts}{since}, {pace}"


def marks_of(days: Sequence[Mapping[str, Any]], points: Sequence[Mapping[str, Any]], what: str) -> list[Mark]:
    """The figures of all days from the first run to the last, those without a run among them."""
    by_day = {point["day"]: Mark(point[what], at_least=point["at_least"]) for point in points}
    first, last = (datetime.date.fromisoformat(days[index]["day"]) for index in (0, -1))
    between = (first + datetime.timedelta(days=step) for step in range((last - first).days + 1))
    return [by_day.get(day.isoformat(), Mark(None, run=False)) for day in between]


def thin_words(days: Sequence[Mapping[str, Any]]) -> str:
    """That a day saw too few hosts, the last such day by name; nothing if all saw enough."""
    thin = [day for day in days if day["fewer_hosts"]]
    if not thin:
        return ""
    last = thin[-1]
    seen = last["audited"] if last["judged"] is None else last["judged"]
    others = f" and {plural(len(thin) - 1, 'day')} before" if len(thin) > 1 else ""
    return (
        f"{last['day']}{others} saw fewer hosts ({count(seen)} of {count(last['meant'])} then): what was not seen there"
        " is not healed."
    )


def _head(screen: Screen, days: Sequence[Mapping[str, Any]]) -> None:
    first, last = days[0]["day"], days[-1]["day"]
    span = (datetime.date.fromisoformat(last) - datetime.date.fromisoformat(first)).days + 1
    seen = f"{count(days[-1]['audited'])} of {plural(days[-1]['meant'], 'host')} audited on the last day"
    when = f"{first} to {last}" if first != last else first
    screen.paragraph(
        Span("History", "bold"),
        Span(f"· {when}", whole=True),
        Span(f"· a run on {count(len(days))} of {plural(span, 'day')}", whole=True),
        Span(f"· {seen}", whole=True),
        Span(f"· {count(partly)} of them seen in part" if (partly := days[-1]["incomplete"]) else "", whole=True),
        rest="  ",
    )
    if said := thin_words(days):
        screen.paragraph(Span(said, "warning"), rest="  ")


def _applications(screen: Screen, history: Mapping[str, Any], file: str | None, *, ascii_only: bool) -> None:
    days, apps = history["days"], history["apps"]
    screen.gap()
    if not apps:
        screen.line(Span("No application has leaked on these days.", "good"))
        return
    now = sum(1 for app in apps if app["points"][-1]["sockets"])
    hidden = sum(1 for app in apps if app["points"][-1]["sockets"] is None and app["last"] and app["last"]["sockets"])
    doubt = f"; not known of {count(hidden)} more: too few hosts were seen" if hidden else ""
    screen.paragraph(
        f"{plural(now, 'application')} with leaked sockets on the last day{doubt}",
        first=Span("CLOSE_WAIT  ", "bold"),
        rest="  ",
    )
    columns = [
        Column("application", least=_NAME),
        Column("days"),
        Column("first", right=True),
        Column("last known" if hidden else "last", right=True),
        Column("a day", right=True),
        Column("hosts", right=True),
    ]
    body: list[Sequence[Span | str]] = [
        [
            Span(app["app"], "bold"),
            _spark(days, app["points"], "sockets", ascii_only=ascii_only),
            figure(app["first"], "sockets"),
            figure(app["last"], "sockets"),
            Span(growth(app["growth_per_day"]), "warning" if (app["growth_per_day"] or 0) > 0 else ""),
            figure(app["last"], "hosts"),
        ]
        for app in apps[:_APPS]
    ]
    screen.table(columns, body)
    more = len(apps) - len(body) + history["apps_truncated"]
    if more:
        screen.line(f"  … {plural(more, 'more application')}: lastack history --json")
    named = next((name for app in apps if (name := shell_word(app["app"]))), "APPLICATION")
    option = f" --file {shlex.quote(file)}" if file else ""
    screen.paragraph(
        "→ one of them as a plot:", Span(f"lastack history {named}{option}", "command", whole=True), first="  "
    )


def _shown_findings(history: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [row for row in history["findings"] if row["severity"] != "info" and not row["id"].startswith("close_wait.")]


def _findings(screen: Screen, history: Mapping[str, Any], *, ascii_only: bool) -> None:
    days, rows = history["days"], _shown_findings(history)
    if not rows:
        return
    screen.gap()
    screen.line(Span("Findings", "bold"), "  hosts that have them")
    columns = [
        Column("finding", least=_NAME),
        Column("severity"),
        Column("days"),
        Column("first", right=True),
        Column("last", right=True),
        Column("a day", right=True),
    ]
    body: list[Sequence[Span | str]] = [
        [
            Span(row["id"], "bold"),
            Span(row["severity"], row["severity"]),
            _spark(days, row["points"], "hosts", ascii_only=ascii_only),
            figure(row["first"], "hosts"),
            figure(row["last"], "hosts"),
            growth(row["growth_per_day"]),
        ]
        for row in rows[:_FINDINGS]
    ]
    screen.table(columns, body)
    if len(rows) > _FINDINGS:
        screen.line(f"  … {plural(len(rows) - _FINDINGS, 'more finding')}: lastack history --json")


def _application(screen: Screen, history: Mapping[str, Any], name: str, *, ascii_only: bool) -> None:
    days = history["days"]
    screen.gap()
    if not history["apps"]:
        screen.paragraph(Span(name, "bold"), "has not leaked on any of these days.", rest="  ")
        return
    app = history["apps"][0]
    screen.paragraph(
        Span(app["app"], "bold"),
        f"· {standing(app)}",
        rest="  ",
    )
    screen.gap()
    marks = marks_of(days, app["points"], "sockets")
    lines = plot(marks, width=screen.width - 2, ascii_only=ascii_only)
    for line in lines:
        screen.line(f"  {line}")
    margin = " " * (lines[-1].rindex("0") + 3)
    screen.line(f"  {margin}{days[0]['day']} to {days[-1]['day']}")
    told = [
        words
        for shown, words in (
            (any(not mark.run for mark in marks), "blank: no run"),
            (
                any(mark.at_least and mark.value is not None for mark in marks),
                f"{':' if ascii_only else '░'} at least this",
            ),
            (any(mark.run and mark.value is None for mark in marks), f"{FEWER} not known"),
        )
        if shown
    ]
    if told:
        screen.line(f"  {margin}{', '.join(told)}")
    screen.gap()
    _rows(screen, days, app["points"])


def _rows(screen: Screen, days: Sequence[Mapping[str, Any]], points: Sequence[Mapping[str, Any]]) -> None:
    columns = [
        Column("day"),
        *(Column(name, right=True) for name in ("hosts seen", "leaking", "sockets", "oldest", "descriptors")),
    ]
    body: list[Sequence[Span | str]] = [
        [
            day["day"],
            Span(f"{count(day['audited'])} of {count(day['meant'])}", "warning" if day["fewer_hosts"] else ""),
            figure(point, "hosts"),
            figure(point, "sockets"),
            "" if point["oldest_s"] is None else age({"at_least": point["oldest_s"], "at_most": None}),
            "" if point["descriptors_percent"] is None else percent(point["descriptors_percent"]),
        ]
        for day, point in list(zip(days, points, strict=True))[-_ROWS:]
    ]
    screen.table(columns, body)
    if len(points) > _ROWS:
        screen.line(f"  … {plural(len(points) - _ROWS, 'earlier day')}: lastack history --json")


def _spark(
    days: Sequence[Mapping[str, Any]], points: Sequence[Mapping[str, Any]], what: str, *, ascii_only: bool
) -> str:
    return spark(bucketed(marks_of(days, points, what), _SPARK), ascii_only=ascii_only)


def _legend(screen: Screen, days: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> None:
    """Add a line on what stands for a day without a run or with too few hosts, where there is such a day."""
    if not rows:
        return
    marks = marks_of(days, rows[0]["points"], "hosts")
    unsure = any(point["at_least"] or point["hosts"] is None for row in rows for point in row["points"])
    told = [
        words
        for shown, words in (
            (any(not mark.run for mark in marks), "blank: no run"),
            (unsure, f"{FEWER} too few hosts were seen to say"),
        )
        if shown
    ]
    if told:
        screen.gap()
        screen.paragraph(f"Days: {', '.join(told)}", rest="  ")
