# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of a merged run: what it was merged from, and the hosts that several of the runs have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import data, joined, plural, rows
from ansible_collections.lastack.linux.plugins.plugin_utils.render.table import Span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lastack.linux.plugins.plugin_utils.render.table import Screen

__all__ = ["put_merged"]

_NAMES = 5


def put_merged(screen: Screen, fleet: Mapping[str, Any]) -> None:
    """Add what a fleet report says of its merge; nothing for a run that was none."""
    run = data(fleet, "run")
    merged = rows(run, "merged")
    if not merged:
        return
    parts = [f"{one_line(str(row.get('id')), 64)} ({plural(int(row.get('hosts') or 0), 'host')})" for row in merged]
    screen.paragraph(Span("Merged from:", "bold"), f"{joined(parts, _NAMES)}.", rest="  ")
    unfinished = [one_line(str(row.get("id")), 64) for row in merged if row.get("finished") is False]
    if unfinished:
        screen.paragraph(
            f"Cut short, so its other hosts are missing: {joined(unfinished, _NAMES)}.", first="  ", rest="    "
        )
    again = data(run, "duplicates")
    if again.get("count"):
        count = int(again["count"])
        names = [one_line(str(name), 256) for name in again.get("hosts") or []]
        verb = "was" if count == 1 else "were"
        shown = joined(names, _NAMES, count)
        screen.paragraph(
            f"{plural(count, 'host')} {verb} in more than one of the runs; the latest report counts: {shown}.",
            first="  ",
            rest="    ",
        )
