# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The history in HTML: a small picture of each application's days, for the report and as a page of its own.

Pictures are SVG without a script or a style of their own, so that the report's policy (CSP level 3) lets them be;
their figures stand in a table as well, for whoever does not see them.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import age, clean, count, percent, plural
from ansible_collections.lastack.linux.plugins.plugin_utils.render.text_history import (
    figure,
    marks_of,
    standing,
    thin_words,
)
from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ansible_collections.lastack.linux.plugins.plugin_utils.render.character_plot import Mark

__all__ = ["history_page", "history_section"]

_APPS = 12
_WIDTH, _HEIGHT, _EDGE = 640, 120, 8
_DAYS = 31

_STYLE = """
:root { color-scheme: light dark; }
body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif; }
table { border-collapse: collapse; margin: .5rem 0 1rem; }
th, td { padding: .15rem .9rem .15rem 0; text-align: right; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; }
h3 { margin: 1.75rem 0 .25rem; overflow-wrap: anywhere; }
svg { display: block; max-width: 100%; height: auto; }
"""


def history_section(history: Mapping[str, Any]) -> Markup:
    """Return the inside of the report's history section: a ``lastack.history/1`` as pictures and tables."""
    days = history["days"]
    if not days:
        return Markup("<p>The history has no run yet.</p>")
    parts = [_lead(days)]
    apps = history["apps"]
    if not apps:
        parts.append(Markup("<p>No application has leaked on these days.</p>"))
    parts += [_application(days, app) for app in apps[:_APPS]]
    more = len(apps) - _APPS + history["apps_truncated"]
    if more > 0:
        told = "{} in <code>lastack history</code>."
        parts.append(Markup(f"<p>{told}</p>").format(plural(more, "more application")))  # noqa: S704 - ours
    return Markup("\n").join(parts)


def history_page(history: Mapping[str, Any]) -> str:
    """Return the same as a page of its own: one file, no script, no network."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")
    page = Markup(
        "<!doctype html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta name="referrer" content="no-referrer">\n'
        "<title>TCP history of the fleet</title>\n<style>{style}</style>\n</head>\n"
        "<body>\n<main>\n<h1>TCP history of the fleet</h1>\n{section}\n</main>\n</body>\n</html>\n"
    )
    style = Markup(_STYLE)  # noqa: S704 - our own text
    return str(page.format(digest=digest, style=style, section=history_section(history)))


def _lead(days: Sequence[Mapping[str, Any]]) -> Markup:
    first, last = days[0]["day"], days[-1]["day"]
    seen = f"{count(days[-1]['audited'])} of {plural(days[-1]['meant'], 'host')} audited on the last day"
    text = f"{plural(len(days), 'day')} with a run, {first} to {last}; {seen}."
    thin = thin_words(days)
    return Markup("<p>{}</p>").format(text) + (Markup('<p class="notice">{}</p>').format(thin) if thin else Markup())


def _application(days: Sequence[Mapping[str, Any]], app: Mapping[str, Any]) -> Markup:
    name = clean(app["app"])
    said = standing(app)
    marks = marks_of(days, app["points"], "sockets")
    return Markup(
        "<h3>{name}</h3>\n<p>{said}</p>\n{picture}\n"
        "<details><summary>The figures of {name}</summary>\n{table}\n</details>"
    ).format(name=name, said=said, picture=_picture(marks, f"{name}: {said}"), table=_table(days, app["points"]))


def _picture(marks: Sequence[Mark], label: str) -> Markup:
    """Draw the days from left to right: a line through whole days, hollow points where fewer hosts were seen."""
    most = max((mark.value for mark in marks if mark.value is not None), default=0) or 1
    pieces = [
        Markup('<line x1="{x}" y1="{y}" x2="{w}" y2="{y}" stroke="currentColor" stroke-opacity="0.35"/>').format(
            x=_EDGE, y=_HEIGHT - _EDGE, w=_WIDTH - _EDGE
        )
    ]
    drawn = '<polyline points="{}" fill="none" stroke="currentColor" stroke-width="2" stroke-linejoin="round"/>'
    pieces += [Markup(drawn).format(" ".join(line)) for line in _lines(marks, most)]  # noqa: S704 - our own text
    for index, mark in enumerate(marks):
        if mark.value is not None:
            x, y = _place(index, mark.value, len(marks), most)
            fill = "none" if mark.at_least else "currentColor"
            dot = '<circle cx="{x}" cy="{y}" r="2.5" fill="{fill}" stroke="currentColor"/>'
            pieces.append(Markup(dot).format(x=x, y=y, fill=fill))  # noqa: S704 - our own text
    text = '<text x="{x}" y="{y}" font-size="11" fill="currentColor" text-anchor="end">{most}</text>'
    pieces.append(Markup(text).format(x=_WIDTH - _EDGE, y=_EDGE + 4, most=count(round(most))))  # noqa: S704 - our own text
    return Markup(
        '<svg viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" aria-label="{label}">{pieces}</svg>'
    ).format(w=_WIDTH, h=_HEIGHT, label=label, pieces=Markup("").join(pieces))


def _lines(marks: Sequence[Mark], most: float) -> Iterator[list[str]]:
    """Yield the stretches of whole days; a day without a run is bridged, one that saw too little ends a stretch."""
    line: list[str] = []
    for index, mark in enumerate(marks):
        if mark.value is not None and not mark.at_least:
            line.append("{},{}".format(*_place(index, mark.value, len(marks), most)))
        elif mark.run:
            if len(line) > 1:
                yield line
            line = []
    if len(line) > 1:
        yield line


def _place(index: int, value: float, days: int, most: float) -> tuple[float, float]:
    x = _EDGE + (_WIDTH - 2 * _EDGE) * (index / (days - 1) if days > 1 else 0.5)
    y = _HEIGHT - _EDGE - (_HEIGHT - 3 * _EDGE) * value / most
    return round(x, 1), round(y, 1)


def _table(days: Sequence[Mapping[str, Any]], points: Sequence[Mapping[str, Any]]) -> Markup:
    heads = ("day", "hosts seen", "leaking hosts", "sockets", "oldest", "descriptors")
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(name) for name in heads)
    lines = [Markup("<table>\n<thead><tr>{}</tr></thead>\n<tbody>").format(head)]
    for day, point in list(zip(days, points, strict=True))[-_DAYS:]:
        cells = (
            day["day"],
            f"{count(day['audited'])} of {count(day['meant'])}",
            figure(point, "hosts"),
            figure(point, "sockets"),
            "" if point["oldest_s"] is None else age({"at_least": point["oldest_s"], "at_most": None}),
            "" if point["descriptors_percent"] is None else percent(point["descriptors_percent"]),
        )
        lines.append(
            Markup("<tr>{}</tr>").format(Markup("").join(Markup("<td>{}</td>").format(escape(c)) for c in cells))
        )
    return Markup("\n").join([*lines, Markup("</tbody>\n</table>")])
