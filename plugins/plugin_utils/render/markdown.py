# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Markdown of lastack's own pages as HTML: a small subset, everything escaped, no raw HTML, no outside links."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["to_html"]

_HEADING = re.compile(r"(#{1,6})\s+(.*)")
_ITEM = re.compile(r"(\s*)(?:[-*]|(\d+)[.)])\s+(.*)")
_INLINE = re.compile(r"(`+)(.+?)\1|\*\*(.+?)\*\*|(?<![\w*])\*([^*\s][^*]*)\*(?![\w*])", re.DOTALL)


_ROW = re.compile(r"\|.*\|\s*")
_RULE = re.compile(r"\|(?:\s*:?-+:?\s*\|)+\s*")
#: A bar that is not inside code.
_BAR = re.compile(r"\|(?=(?:[^`]*`[^`]*`)*[^`]*$)")


def to_html(markdown: str, *, top: int = 4, anchors: Mapping[str, str] | None = None) -> Markup:
    """Headings ("#" becomes ``<hTOP>``), paragraphs, lists, tables, code blocks, code, bold, emphasis; the rest: text.

    ``anchors`` maps ids of pages to fragment identifiers: code that names such a page becomes a link to it.
    """
    return Markup("\n").join(_Page(top, anchors or {}).blocks(markdown.splitlines()))


class _Page:
    """How one page is written."""

    def __init__(self, top: int, anchors: Mapping[str, str]) -> None:
        self._top = top
        self._anchors = anchors

    def inline(self, text: str) -> Markup:
        """Words of a paragraph, an item, a cell or a heading."""
        out, at = Markup(), 0
        for match in _INLINE.finditer(text):
            out += escape(text[at : match.start()])
            if match[1]:
                out += self._code(match[2].strip())
            elif match[3]:
                out += Markup("<strong>{}</strong>").format(self.inline(match[3]))
            else:
                out += Markup("<em>{}</em>").format(self.inline(match[4]))
            at = match.end()
        return out + escape(text[at:])

    def _code(self, text: str) -> Markup:
        anchor = self._anchors.get(" ".join(text.split()).removeprefix("lastack explain "))
        code = Markup("<code>{}</code>").format(text)
        return Markup('<a href="#{}">{}</a>').format(anchor, code) if anchor else code

    def blocks(self, lines: list[str]) -> Iterator[Markup]:
        """Headings, paragraphs, lists, tables and code blocks, in their order."""
        at = 0
        while at < len(lines):
            line = lines[at]
            heading = _HEADING.fullmatch(line)
            start = at
            if not line.strip():
                at += 1
            elif line.lstrip().startswith("```"):
                at = _until(lines, at + 1, lambda text: text.lstrip().startswith("```"))
                yield Markup("<pre><code>{}</code></pre>").format("\n".join(_dedent(lines[start + 1 : at])))
                at += 1
            elif heading:
                level = min(6, len(heading[1]) + self._top - 1)
                yield Markup("<h{0}>{1}</h{0}>").format(level, self.inline(heading[2].strip()))
                at += 1
            elif line.startswith("    "):
                at = _until(lines, at, lambda text: not text.startswith("    "))
                yield Markup("<pre><code>{}</code></pre>").format("\n".join(_dedent(lines[start:at])))
            elif _is_table(lines, at):
                at = _until(lines, at, lambda text: not _ROW.fullmatch(text))
                yield self._table([_cells(text) for text in (lines[start], *lines[start + 2 : at])])
            elif _ITEM.fullmatch(line):
                at = _end_of_list(lines, at)
                yield self._list(lines[start:at])
            else:
                at = _until(lines, at + 1, _opens_block)
                yield Markup("<p>{}</p>").format(self.inline(" ".join(text.strip() for text in lines[start:at])))

    def _table(self, cells: list[list[str]]) -> Markup:
        head = Markup("").join(Markup('<th scope="col">{}</th>').format(self.inline(cell)) for cell in cells[0])
        rows = []
        for row in cells[1:]:
            # On a narrow screen the heading stands before its cell.
            pairs = zip(cells[0], row, strict=False)
            cell = Markup('<td data-label="{}"><span>{}</span></td>')
            rows.append(Markup("<tr>{}</tr>").format(Markup("").join(cell.format(a, self.inline(b)) for a, b in pairs)))
        table = Markup(
            '<div class="scroll"><table class="told"><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>'
        )
        return table.format(head, Markup("").join(rows))

    def _list(self, lines: list[str]) -> Markup:
        first = _ITEM.fullmatch(lines[0])
        indent = len(first[1]) if first else 0
        tag = "ol" if first and first[2] else "ul"
        items: list[list[str]] = []
        for line in lines:
            match = _ITEM.fullmatch(line)
            if match and len(match[1]) <= indent:
                items.append([match[3]])
            elif items:
                items[-1].append(line)
        shown = Markup("").join(Markup("<li>{}</li>").format(self._item(item)) for item in items)
        return Markup("<{0}>{1}</{0}>").format(tag, shown)

    def _item(self, lines: list[str]) -> Markup:
        """An item: its own text, then whatever blocks are indented below it."""
        rest = _dedent(lines[1:])
        text = _until(rest, 0, _opens_block)
        words = self.inline(" ".join([lines[0], *(line.strip() for line in rest[:text])]))
        return Markup("\n").join([words, *self.blocks(rest[text:])])


def _is_table(lines: list[str], at: int) -> bool:
    """Whether a row and a rule below it start here; a lone bar is text."""
    return at + 1 < len(lines) and bool(_ROW.fullmatch(lines[at]) and _RULE.fullmatch(lines[at + 1]))


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in _BAR.split(line.strip())[1:-1]]


def _until(lines: list[str], at: int, stop: Callable[[str], object]) -> int:
    while at < len(lines) and not stop(lines[at]):
        at += 1
    return at


def _opens_block(line: str) -> bool:
    return not line.strip() or bool(_HEADING.fullmatch(line) or _ITEM.fullmatch(line) or line.startswith("```"))


def _dedent(lines: list[str]) -> list[str]:
    return textwrap.dedent("\n".join(lines)).splitlines()


def _end_of_list(lines: list[str], at: int) -> int:
    """Where a list ends: at a line that is neither an item nor indented, blank lines before such lines aside."""
    end = at
    while at < len(lines):
        line = lines[at]
        if line.strip():
            if not (_ITEM.fullmatch(line) or line.startswith("  ")) and (at == 0 or not lines[at - 1].strip()):
                break
            end = at + 1
        at += 1
        if line.strip() and _HEADING.fullmatch(line):
            return at - 1
    return end
