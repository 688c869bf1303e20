# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The summary of a comparison as Markdown, for a chat or a merge request; nothing that a host wrote can act in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.render.diff_words import (
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
from ansible_collections.lastack.linux.plugins.plugin_utils.render.inert_markdown import code, table
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import count, data, plural, rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["markdown_diff"]

_APPS = 20
_TOLD_IN_FULL = 8
_LINES = 10


def markdown_diff(diff: Mapping[str, Any]) -> str:
    """Return one ``lastack.diff/1`` as Markdown (CommonMark with tables), bounded in length."""
    lines = ["# What changed in TCP", "", ". ".join(run_facts(diff)) + ".", ""]
    if wrong := swapped(_quoted_hosts(diff)):
        lines += [f"**{wrong}**", ""]
    if not data(diff, "hosts").get("compared"):
        lines += ["**No host was seen both times, so no change is known.**", ""]
    lines += _apps("CLOSE_WAIT: leaked sockets", rows(diff, "apps"), int(diff.get("apps_truncated") or 0))
    dead = [app for app in rows(diff, "dead_sockets") if app.get("change") != "steady"]
    lines += _apps("Dead sockets", dead, int(diff.get("dead_sockets_truncated") or 0))
    findings = [f"{change_word(one)}: {finding_words(one, code)}" for one in other_findings(diff)]
    lines += _list("Findings", findings, changes_left_out(diff))
    settings = [setting_words(one, code) for one in rows(diff, "settings")]
    lines += _list("Settings", settings, int(diff.get("settings_truncated") or 0))
    lines += _list("Not known", host_groups(diff, code), 0)
    return "\n".join(lines).rstrip("\n") + "\n"


def _quoted_hosts(diff: Mapping[str, Any]) -> dict[str, Any]:
    """Return the diff with the host names of clock trouble as code spans: ``swapped`` has them in its sentence."""
    group = data(data(diff, "hosts"), "not_newer")
    quoted = [{"host": code(row.get("host"))} for row in rows(group, "hosts")]
    return {**diff, "hosts": {**data(diff, "hosts"), "not_newer": {**group, "hosts": quoted}}}


def _apps(title: str, apps: Sequence[Mapping[str, Any]], cut: int) -> list[str]:
    if not apps:
        return []
    cells = []
    for app in apps[:_APPS]:
        common, healed = data(app, "common"), data(app, "hosts").get("healed")
        cells.append(
            [
                code(app.get("app")),
                change_word(app),
                f"{count(common.get('old_hosts'))} → {count(common.get('new_hosts'))}",
                f"{count(common.get('old_sockets'))} → {count(common.get('new_sockets'))}",
                count(healed) if healed else "",
                count(open_hosts(app)) if open_hosts(app) else "",
            ]
        )
    lines = [f"## {title}", "", f"Applications: {tally(apps)}.", ""]
    lines += table(["application", "change", "hosts", "sockets", "healed on", "not known of"], cells)
    more = max(0, len(apps) - _APPS) + cut
    lines += ["", f"{plural(more, 'more application')} in the JSON."] if more else []
    notes = [f"- {code(app.get('app'))}: {note}" for app in apps[:_TOLD_IN_FULL] for note in app_notes(app, code)]
    return [*lines, "", *notes, ""] if notes else [*lines, ""]


def _list(title: str, entries: Sequence[str], cut: int) -> list[str]:
    if not entries:
        return []
    more = max(0, len(entries) - _LINES) + cut
    lines = [f"- {entry}" for entry in entries[:_LINES]]
    return [f"## {title}", "", *lines, *([f"- and {count(more)} more in the JSON"] if more else []), ""]
