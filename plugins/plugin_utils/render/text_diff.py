# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The screen of ``lastack diff``: what is new and what grew first, and what nobody looked at again."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.render.diff_words import (
    URGENT,
    app_notes,
    change_word,
    changes_left_out,
    finding_words,
    host_groups,
    open_hosts,
    other_findings,
    run_facts,
    setting_words,
    swapped,
    tally,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.render.inert_markdown import shell_word
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import count, data, plural, rows
from ansible_collections.lastack.linux.plugins.plugin_utils.render.table import Column, Screen, Span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["render_diff"]

_APPS = 20
_TOLD_IN_FULL = 8
_LINES = 8
_STYLES = {"new": "critical", "first_seen": "warning", "grown": "critical", "unseen": "warning", "gone": "good"}


def render_diff(diff: Mapping[str, Any], *, folder: str = "NEW", colour: bool = False, width: int = 100) -> str:
    """Return the screen of one ``lastack.diff/1`` as text; ``width`` is in columns.

    ``folder`` is the newer run folder as the user named it, for the commands that the screen suggests.
    """
    screen = Screen(colour=colour, width=width)
    if wrong := swapped(diff):
        screen.paragraph(Span(wrong, "critical"), rest="  ")
    first, *facts = run_facts(diff)
    screen.paragraph(Span(first, "bold", whole=True), *(Span(f"· {fact}", whole=True) for fact in facts), rest="  ")
    if not data(diff, "hosts").get("compared"):
        screen.paragraph(Span("No host was seen both times, so no change is known.", "critical"))
    _apps(screen, diff)
    _dead(screen, diff)
    _findings(screen, other_findings(diff), changes_left_out(diff))
    _settings(screen, diff, folder)
    screen.gap()
    if _calm(diff):
        screen.paragraph(Span("Nothing changed on the hosts seen both times.", "good"))
    for index, line in enumerate(host_groups(diff)[:_LINES]):
        lead: Span | str = Span("Not known:", "bold") if index == 0 else ""
        screen.paragraph(lead, line, first="" if index == 0 else "  ", rest="    ")
    if data(data(diff, "hosts"), "not_reached").get("count"):
        screen.paragraph("→ audit these hosts again: until then none of them counts as fixed", first="  ", rest="    ")
    return screen.text()


def _calm(diff: Mapping[str, Any]) -> bool:
    return bool(data(diff, "hosts").get("compared")) and not (
        [change for change in diff.get("changes") or [] if change != "steady"]
        or other_findings(diff)
        or rows(diff, "settings")
        or data(data(diff, "hosts"), "narrower").get("count")
    )


def _apps(screen: Screen, diff: Mapping[str, Any]) -> None:
    part, apps = data(diff, "close_wait"), rows(diff, "apps")
    old, new = (int(data(part, key).get("sockets") or 0) for key in ("old", "new"))
    if not apps:
        return
    screen.gap()
    seen = "seen as well both times" if data(data(diff, "hosts"), "narrower").get("count") else "seen both times"
    screen.paragraph(
        f"{count(old)} → {plural(new, 'leaked socket')} on the hosts {seen}; applications: {tally(apps)}",
        first=Span("CLOSE_WAIT  ", "bold"),
        rest="  ",
    )
    _table(screen, apps, int(diff.get("apps_truncated") or 0))


def _dead(screen: Screen, diff: Mapping[str, Any]) -> None:
    apps = [app for app in rows(diff, "dead_sockets") if app.get("change") != "steady"]
    if not apps:
        return
    screen.gap()
    screen.paragraph(
        f"descriptors of connections that no longer exist; applications: {tally(apps)}",
        first=Span("Dead sockets  ", "bold"),
        rest="  ",
    )
    _table(screen, apps, int(diff.get("dead_sockets_truncated") or 0))


def _table(screen: Screen, apps: Sequence[Mapping[str, Any]], cut: int) -> None:
    columns = [
        Column("application", least=22),
        Column("change"),
        Column("hosts", right=True),
        Column("sockets", right=True),
        Column("healed", right=True),
        Column("not known", right=True),
    ]
    shown = apps[:_APPS]
    screen.table(
        columns,
        [_row(app) for app in shown],
        [_notes(app) if index < _TOLD_IN_FULL else [] for index, app in enumerate(shown)],
    )
    more = len(apps) - len(shown) + cut
    if more:
        screen.line(f"  … {plural(more, 'more application')}: lastack diff OLD NEW --json")


def _row(app: Mapping[str, Any]) -> list[Span | str]:
    common, change = data(app, "common"), str(app.get("change"))
    compared = bool(common.get("old_hosts") or common.get("new_hosts"))
    away = open_hosts(app)
    return [
        Span(str(app.get("app")), "bold"),
        Span(change_word(app), _STYLES.get(change, "")),
        f"{count(common.get('old_hosts'))} → {count(common.get('new_hosts'))}" if compared else "",
        f"{count(common.get('old_sockets'))} → {count(common.get('new_sockets'))}" if compared else "",
        count(healed) if (healed := data(app, "hosts").get("healed")) else "",
        Span(count(away), "warning") if away else "",
    ]


def _notes(app: Mapping[str, Any]) -> list[list[Span]]:
    notes = [[Span(note)] for note in app_notes(app)]
    if app.get("change") in URGENT and app.get("finding"):
        notes.append([Span("→"), Span(f"lastack explain {app['finding']}", "command", whole=True)])
    return notes


def _findings(screen: Screen, findings: Sequence[Mapping[str, Any]], cut: int) -> None:
    if not findings:
        return
    screen.gap()
    screen.paragraph(tally(findings), first=Span("Findings  ", "bold"), rest="  ")
    explained: set[str] = set()
    for finding in findings[:_LINES]:
        change = str(finding.get("change"))
        word = Span(f"{change_word(finding)}:", _STYLES.get(change, ""))
        screen.paragraph(word, finding_words(finding), first="  ", rest="    ")
        if change in URGENT:
            page = str(finding.get("id"))
            step = str(finding.get("next_step") or "") if change != "grown" else ""
            command = "" if page in explained else f"lastack explain {page}"
            explained.add(page)
            if step or command:
                told = [Span(piece) for piece in (step,) if piece]
                screen.paragraph("→", *told, Span(command, "command", whole=True), first="    ", rest="      ")
    more = max(0, len(findings) - _LINES) + cut
    if more:
        screen.line(f"  … {plural(more, 'more finding')}: lastack diff OLD NEW --json")


def _settings(screen: Screen, diff: Mapping[str, Any], folder: str) -> None:
    settings, cut = rows(diff, "settings"), int(diff.get("settings_truncated") or 0)
    if not settings:
        return
    screen.gap()
    screen.paragraph(
        f"changed on {plural(int(diff.get('settings_hosts') or 0), 'host')}",
        first=Span("Settings  ", "bold"),
        rest="  ",
    )
    for setting in settings[:_LINES]:
        screen.paragraph(setting_words(setting), first="  ", rest="    ")
    more = max(0, len(settings) - _LINES) + cut
    if more:
        screen.line(f"  … {plural(more, 'more change')}: lastack diff OLD NEW --json")
    if key := shell_word(settings[0].get("key")):
        command = f"lastack drift {shlex.quote(folder)} {key}"
        screen.paragraph("→ which hosts, and whose file it is:", Span(command, "command", whole=True), first="  ")
