# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data block of the HTML report: the rows of its table of hosts as JSON that no name can end or break out of."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ansible_collections.lastack.linux.plugins.plugin_utils.render.html_hosts import HostRow

__all__ = ["MAX_BYTES", "host_data"]

MAX_BYTES = 3_500_000
"""The most that the rows may take of the page."""

# Inside <script>, "</script" and "<!--" mean something to the HTML parser; as JSON escapes they mean nothing.
_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})

_UNKNOWN = -1


def host_data(hosts: Iterable[HostRow], anchors: Mapping[str, str], most: int = MAX_BYTES) -> tuple[Markup, int]:
    """Return the rows as JSON for a ``<script type="application/json">``, and how many fitted into ``most`` bytes.

    ``texts`` and ``findings`` are tables that ``hosts`` point into. A host is a list: name, view, critical, warning,
    leaked, dead, TIME_WAIT (-1 if unknown), sockets, descriptors in % and their limit, [application, sockets, …],
    [finding, …], findings not listed, reason, anchor; zeros at the end are left out. ``anchors`` has the fragment
    identifier of the details of a host. ``report.js`` reads it.
    """
    tables = _Tables()
    lines: list[str] = []
    size = 0
    for row in hosts:
        line = _json(tables.line(row, anchors))
        size += len(line.encode("utf-8")) + 1
        if size + tables.size > most:
            break
        lines.append(line)
    texts, findings = _json(list(tables.texts)), _json(list(tables.findings))
    block = f'{{"texts":{texts},"findings":{findings},"hosts":[{",".join(lines)}]}}'
    return Markup(block), len(lines)  # noqa: S704 - escaped by _json


class _Tables:
    """What rows have in common, each thing once, numbered by its first mention."""

    def __init__(self) -> None:
        self.texts: dict[str, int] = {}
        self.findings: dict[tuple[str, str, str], int] = {}
        self.size = 0

    def line(self, row: HostRow, anchors: Mapping[str, str]) -> list[Any]:
        apps = [part for name, number in row.apps for part in (self._number(self.texts, name), number)]
        line: list[Any] = [row.name, self._number(self.texts, row.view), row.critical, row.warning]
        line += [_figure(row.leaked), _figure(row.dead), _figure(row.time_wait)] if row.audited else [0, 0, 0]
        used = row.used_percent if row.used_percent is not None and math.isfinite(row.used_percent) else 0
        line += [row.sockets, round(used, 1) or 0, row.soft_limit or 0]
        line += [apps, [self._number(self.findings, finding) for finding in row.findings], row.unlisted]
        # A reason follows a view in the table of texts, so that its number is never 0.
        line += [self._number(self.texts, row.reason) if row.reason else 0, anchors.get(row.name, 0)]
        while line[-1] in (0, []):
            line.pop()
        return line

    def _number(self, table: dict[Any, int], thing: str | tuple[str, str, str]) -> int:
        if thing not in table:
            self.size += len(_json(thing).encode("utf-8")) + 1
        return table.setdefault(thing, len(table))


def _figure(number: int | None) -> int:
    return _UNKNOWN if number is None else number


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).translate(_ESCAPES)
