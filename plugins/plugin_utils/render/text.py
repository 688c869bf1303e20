# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one renderer for text: the first screen of a host, of a fleet, and of a run of either size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import data
from ansible_collections.lastack.linux.plugins.plugin_utils.render.table import Screen, Span
from ansible_collections.lastack.linux.plugins.plugin_utils.render.text_fleet import (
    put_baseline,
    put_fleet,
    put_report,
    put_run,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.render.text_host import put_host
from ansible_collections.lastack.linux.plugins.plugin_utils.render.text_merged import put_merged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["render_fleet", "render_host", "render_run"]


def render_host(report: Mapping[str, Any], *, colour: bool = False, width: int = 100) -> str:
    """The screen of one ``lastack.host/1`` report, worst first; lines end with a line feed, ``width`` in columns."""
    screen = Screen(colour=colour, width=width)
    put_host(screen, report)
    return screen.text()


def render_fleet(
    fleet: Mapping[str, Any], *, report_path: str | None = None, colour: bool = False, width: int = 100
) -> str:
    """The screen of one ``lastack.fleet/1`` report, exceptions only; ``report_path`` is named in its last line."""
    screen = Screen(colour=colour, width=width)
    put_fleet(screen, fleet)
    put_merged(screen, fleet)
    put_report(screen, report_path)
    return screen.text()


def render_run(
    fleet: Mapping[str, Any],
    hosts: Sequence[Mapping[str, Any]],
    *,
    report_path: str | None = None,
    colour: bool = False,
    width: int = 100,
) -> str:
    """The screen of a run: of a single audited host all that its report says, else the fleet's screen.

    ``hosts`` needs to hold the reports of a run of one host only; others are not looked at.
    """
    if data(fleet, "hosts").get("meant") != 1 or len(hosts) != 1:
        return render_fleet(fleet, report_path=report_path, colour=colour, width=width)
    screen = Screen(colour=colour, width=width)
    put_run(screen, fleet)
    screen.gap()
    put_host(screen, hosts[0])
    screen.gap()
    if data(fleet, "baseline"):
        screen.line(Span("Settings", "bold"))
        put_baseline(screen, fleet)
    put_merged(screen, fleet)
    put_report(screen, report_path)
    return screen.text()
