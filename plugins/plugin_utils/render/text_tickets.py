# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``lastack report --tickets`` prints: one line a ticket, and what has none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import clean, count, joined, plural
from ansible_collections.lastack.linux.plugins.plugin_utils.render.table import Screen, Span, cut, display_width

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["render_tickets"]

_NAME = 40
_GONE_NAMED = 5


def render_tickets(
    index: Mapping[str, Any], written: int, *, folder: str, colour: bool = False, width: int = 100
) -> str:
    """Return the lines of an index ``lastack.tickets/1`` of which ``written`` tickets were new or have changed.

    File names are never cut: a line with one can be wider than ``width``.
    """
    screen = Screen(colour=colour, width=width)
    tickets = index["tickets"]
    names = [cut(clean(entry["app"]), _NAME) for entry in tickets]
    figures = [(plural(entry["hosts"], "host"), _held(entry)) for entry in tickets]
    widest = [
        max((display_width(text) for text in column), default=0) for column in (names, *zip(*figures, strict=True))
    ]
    for entry, name, (hosts, held) in zip(tickets, names, figures, strict=True):
        style = entry["severity"] if entry["severity"] in ("critical", "warning") else ""
        screen.line(
            Span(entry["id"], style),
            f"  {_padded(name, widest[0])}  {hosts:>{widest[1]}}  {held:>{widest[2]}}  ",
            _path(folder, entry["file"]),
        )
    screen.line(f"{_summary(index, written)} Index: {_path(folder, 'tickets.json')}")
    hosts = index["hosts"]
    if hosts["audited"] < hosts["meant"]:
        missing = f"{count(hosts['meant'] - hosts['audited'])} of {plural(hosts['meant'], 'host')}"
        screen.paragraph(f"Not seen: {missing}; lastack report without --tickets names them, with the reasons")
    if hosts["incomplete"]:
        screen.paragraph(f"Seen in part: {plural(hosts['incomplete'], 'host')}; each ticket says what is missing")
    if index["gone"]:
        gone = [f"{entry['id']} ({clean(entry['app'])})" for entry in index["gone"]]
        screen.paragraph(f"No longer seen, files kept: {joined(gone, _GONE_NAMED)}")
    if index["unnamed"]:
        unnamed = [f"{one['finding']} on {plural(one['hosts'], 'host')}" for one in index["unnamed"]]
        screen.paragraph(f"No ticket, because no program is named: {', '.join(unnamed)}")
    if index["tickets_truncated"]:
        screen.paragraph(f"No ticket for {count(index['tickets_truncated'])} further applications: there are too many")
    return screen.text()


def _summary(index: Mapping[str, Any], written: int) -> str:
    tickets, audited = len(index["tickets"]), index["hosts"]["audited"]
    if not tickets and not audited:
        return "No ticket, for no host was looked at."
    if not tickets:
        return f"No ticket: no application has to change anything ({plural(audited, 'host')} looked at)."
    unchanged = tickets - written
    detail = f", {count(unchanged)} unchanged" if unchanged and written else " (unchanged)" if unchanged else ""
    return f"{plural(tickets, 'ticket')}{detail}."


def _held(entry: Mapping[str, Any]) -> str:
    if entry["sockets"]:
        return plural(entry["sockets"], "socket")
    if entry["dead_sockets"]:
        return f"{count(entry['dead_sockets'])} dead"
    return str(entry["finding"])


def _padded(text: str, width: int) -> str:
    return text + " " * (width - display_width(text))


def _path(folder: str, file: str) -> str:
    return f"{folder.rstrip('/')}/{file}"
