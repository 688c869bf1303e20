# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The screen of ``lastack drift``: where hosts differ, on how many, which file wins and whose it is."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.render.inert_markdown import shell_word
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import (
    count,
    data,
    joined,
    moment,
    plural,
    rows,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.render.table import Column, Screen, Span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["limit_value", "owner_words", "render_drift"]

_KEYS = 20
_VALUES = 6
_NAMES = 3
_NAMES_IN_FULL = 30
_WHAT = {
    "application": "open files of {name}",
    "login": "open files of the login {name}",
    "default": "open files of a service without a limit of its own",
}


def render_drift(
    drift: Mapping[str, Any], *, key: str | None = None, folder: str = "RUN", colour: bool = False, width: int = 100
) -> str:
    """Return the screen of one ``lastack.drift/1`` as text; with ``key`` that one in full.

    ``folder`` is the run folder as the user named it, for the commands that the screen suggests.
    """
    screen = Screen(colour=colour, width=width)
    hosts, run = data(drift, "hosts"), data(drift, "run")
    audited, meant = int(hosts.get("audited") or 0), int(hosts.get("meant") or 0)
    screen.paragraph(
        Span(f"{plural(audited, 'host')} audited", "bold"),
        Span(f"· {count(meant - audited)} not audited" if meant > audited else "", "warning", whole=True),
        Span(f"· run {moment(run.get('started_at'))}", whole=True),
        Span("" if run.get("finished_at") else "· not finished", "warning", whole=True),
        rest="  ",
    )
    settings, limits = rows(drift, "settings"), rows(drift, "limits")
    if not audited:
        screen.paragraph(Span("No host was audited, so nothing is known.", "critical"))
    elif not settings and not limits:
        screen.paragraph(Span("No setting and no limit differs between the hosts.", "good"))
    _section(screen, "Settings", settings, 0, in_full=key is not None)
    _section(screen, "Limits", limits, int(drift.get("limits_truncated") or 0), in_full=key is not None)
    if key is None and (settings or limits):
        first = str(settings[0].get("key") if settings else limits[0].get("name"))
        run_folder, name = shlex.quote(folder), shell_word(first) or "KEY"
        screen.gap()
        screen.paragraph(
            "→ one of them with its hosts:", Span(f"lastack drift {run_folder} {name}", "command", whole=True)
        )
    return screen.text()


def _section(screen: Screen, title: str, entries: Sequence[Mapping[str, Any]], cut: int, *, in_full: bool) -> None:
    if not entries:
        return
    screen.gap()
    screen.line(Span(title, "bold"))
    for entry in entries[:_KEYS]:
        name = entry.get("key") or _WHAT.get(str(entry.get("what")), "{name}").replace("{name}", str(entry.get("name")))
        away = int(entry.get("away_hosts") or 0)
        said = (
            f"{plural(away, 'host')} away from the most common value" if away else "the same on every host that has it"
        )
        screen.paragraph(Span(str(name), "bold"), Span(f"· {said}", whole=True), rest="    ")
        _values(screen, entry, in_full=in_full)
    more = len(entries) - len(entries[:_KEYS]) + cut
    if more:
        screen.line(f"… {count(more)} more: lastack drift --json")


def _values(screen: Screen, entry: Mapping[str, Any], *, in_full: bool) -> None:
    values = rows(entry, "values")
    shown = values if in_full else values[:_VALUES]
    columns = [
        Column("soft:hard" if "what" in entry else "value", least=24),
        Column("hosts", right=True),
        Column("file that wins", least=24),
        Column("owner", least=10),
    ]
    table: list[list[Span | str]] = [
        [
            limit_value(value) if "what" in entry else "unknown" if value.get("value") is None else str(value["value"]),
            count(value.get("hosts")),
            str(value.get("winner") or "no file"),
            owner_words(value),
        ]
        for value in shown
    ]
    screen.table(columns, table, [_notes(value, index, in_full=in_full) for index, value in enumerate(shown)])
    more = len(values) - len(shown) + int(entry.get("values_truncated") or 0)
    if more:
        screen.line(f"  … {plural(more, 'more value')}")


def _notes(value: Mapping[str, Any], index: int, *, in_full: bool) -> list[list[Span]]:
    notes = []
    if stale := int(value.get("stale_hosts") or 0):
        notes.append([Span(f"on {plural(stale, 'host')} the file says otherwise: a restart changes it", "warning")])
    # A source is a file and a manager: the same manager over different files is one of them here.
    managers: Counter[str] = Counter()
    for source in rows(value, "sources"):
        if source.get("manager"):
            managers[f"{source['manager']} sets it later ({source.get('place')})"] += int(source.get("hosts") or 0)
    notes += [[Span(f"{note} on {plural(number, 'host')}", "warning")] for note, number in sorted(managers.items())]
    if in_full:
        for source in rows(value, "sources")[1:]:
            file, on = source.get("winner") or "no file", plural(int(source.get("hosts") or 0), "host")
            notes.append([Span(f"also by {file} on {on}{_whose(source)}")])
    names = [str(name) for name in value.get("examples") or []]
    # Most hosts have the first value; who has another one is the question.
    if names and (index or in_full):
        notes.append([Span(joined(names, _NAMES_IN_FULL if in_full else _NAMES, int(value.get("hosts") or 0)))])
    return notes


def limit_value(value: Mapping[str, Any]) -> str:
    """A soft and a hard limit as ulimit(1) and systemd write them: "1,024:524,288", or that no line sets it."""
    soft, hard = value.get("soft"), value.get("hard")
    if soft is None and hard is None:
        return "not set"
    return f"{_number(soft)}:{_number(hard)}"


def _number(limit: object) -> str:
    if not isinstance(limit, int):
        return "not set"
    return "unlimited" if limit < 0 else count(limit)


def owner_words(value: Mapping[str, Any]) -> str:
    """Who owns a value: the manager that sets it after the files, else whose the winning file is."""
    if value.get("manager"):
        return str(value["manager"])
    if not value.get("winner"):
        return ""
    return str(value.get("owner") or "unknown")


def _whose(source: Mapping[str, Any]) -> str:
    return f", of {source['owner']}" if source.get("owner") else ""
