# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Markdown of lastack's own pages as HTML: a small subset, everything escaped, no raw HTML, no links."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["to_html"]

_HEADING = re.compile(r"(#{1,6})\s+(.*)")
_ITEM = re.compile(r"(\s*)(?:[-*]|(\d+)[.)])\s+(.*)")
_INLINE = re.compile(r"(`+)(.+?)\1|\*\*(.+?)\*\*|(?<![\w*])\*([^*\s][^*]*)\*(?![\w*])", re.DOTALL)


def to_html(markdown: str, *, top: int = 4) -> Markup:
    """Headings ("#" becomes ``<hTOP>``), paragraphs, lists, code blocks, code, bold, emphasis; the rest is text."""
    return Markup("\n").join(_blocks(markdown.splitlines(), top))


def _inline(text: str) -> Markup:
    out, at = Markup(), 0
    for match in _INLINE.finditer(text):
        out += escape(text[at : match.start()])
        if match[1]:
            out += Markup("<code>{}</code>").format(match[2].strip())
        elif match[3]:
            out += Markup("<strong>{}</strong>").format(_inline(match[3]))
        else:
            out += Markup("<em>{}</em>").format(_inline(match[4]))
        at = match.end()
    return out + escape(text[at:])


def _blocks(lines: list[str], top: int) -> Iterator[Markup]:
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
            level = min(6, len(heading[1]) + top - 1)
            yield Markup("<h{0}>{1}</h{0}>").format(level, _inline(heading[2].strip()))
            at += 1
        elif line.startswith("    "):
            at = _until(lines, at, lambda text: not text.startswith("    "))
            yield Markup("<pre><code>{}</code></pre>").format("\n".join(_dedent(lines[start:at])))
        elif _ITEM.fullmatch(line):
            at = _end_of_list(lines, at)
            yield _list(lines[start:at], top)
        else:
            at = _until(lines, at + 1, _opens_block)
            yield Markup("<p>{}</p>").format(_inline(" ".join(text.strip() for text in lines[start:at])))


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


def _list(lines: list[str], top: int) -> Markup:
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
    shown = Markup("").join(Markup("<li>{}</li>").format(_item(item, top)) for item in items)
    return Markup("<{0}>{1}</{0}>").format(tag, shown)


def _item(lines: list[str], top: int) -> Markup:
    """An item: its own text, then whatever blocks are indented below it."""
    rest = _dedent(lines[1:])
    text = _until(rest, 0, _opens_block)
    words = _inline(" ".join([lines[0], *(line.strip() for line in rest[:text])]))
    return Markup("\n").join([words, *_blocks(rest[text:], top)])
