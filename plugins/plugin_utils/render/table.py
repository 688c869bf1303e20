# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines, paragraphs and tables for a terminal: cells measured in columns, every text cleaned, colour on request."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Column", "Screen", "Span", "cut", "display_width"]

# ECMA-48 SGR parameters, from the sixteen colours that every terminal maps to something readable.
_STYLES = {"": "", "bold": "1", "dim": "2", "critical": "1;31", "warning": "33", "good": "32", "command": "36"}


class Span(NamedTuple):
    """A piece of text, its style (a key of the styles above, "" for none), and whether it stays on one line."""

    text: str
    style: str = ""
    whole: bool = False


class Column(NamedTuple):
    """One column of a table: its heading, whether figures align right, and the width below which it is not cut."""

    heading: str
    right: bool = False
    least: int = 0


def display_width(text: str) -> int:
    """The terminal columns that a text takes: wide characters two, combining marks none (Unicode UAX 11)."""
    return sum(
        0
        if unicodedata.combining(c) or unicodedata.category(c) in ("Mn", "Me", "Cf")
        else 2
        if unicodedata.east_asian_width(c) in "WF"
        else 1
        for c in text
    )


def cut(text: str, width: int) -> str:
    """The text in at most ``width`` columns, with an ellipsis where something was left out."""
    if display_width(text) <= width:
        return text
    kept, used = [], 0
    for c in text:
        used += display_width(c)
        if used > width - 1:
            break
        kept.append(c)
    return "".join(kept).rstrip() + "…"


def _span(piece: Span | str) -> Span:
    return Span(piece) if isinstance(piece, str) else piece


def _words(pieces: Sequence[Span | str], line: int) -> list[Span]:
    """The pieces cut at spaces; whole ones stay whole if they fit in ``line`` columns.

    A word over ``line`` columns is cut in any case; what goes on in the next line is marked as whole.
    """
    words = []
    for text, style, whole in map(_span, pieces):
        if whole and display_width(clean(text)) <= line:
            words.append(Span(clean(text), style))
            continue
        for word in clean(text).split(" "):
            words += [Span(part, style, index > 0) for index, part in enumerate(_lines(word, line)) if part]
    return words


def _lines(word: str, width: int) -> list[str]:
    """A word in pieces of at most ``width`` columns."""
    if len(word) <= width // 2 or display_width(word) <= width:
        return [word]
    parts, used = [""], 0
    for c in word:
        size = display_width(c)
        if used + size > width:
            parts.append("")
            used = 0
        parts[-1] += c
        used += size
    return parts


class Screen:
    """Lines for a terminal, collected top to bottom; ``width`` is in columns."""

    def __init__(self, *, colour: bool, width: int) -> None:
        """Start an empty screen."""
        self.width = max(40, width)
        self._colour = colour
        self._lines: list[str] = []

    def _paint(self, span: Span) -> str:
        text = clean(span.text)
        code = _STYLES[span.style] if self._colour else ""
        return f"\x1b[{code}m{text}\x1b[0m" if code and text.strip() else text

    def line(self, *spans: Span | str) -> None:
        """Add one line as it is; it is neither wrapped nor cut."""
        self._lines.append("".join(self._paint(_span(span)) for span in spans).rstrip())

    def gap(self) -> None:
        """Add an empty line, unless there is one already or the screen is empty."""
        if self._lines and self._lines[-1]:
            self._lines.append("")

    def paragraph(self, *spans: Span | str, first: Span | str = "", rest: str = "") -> None:
        """Add a text wrapped at spaces, with a prefix for its first line and one for the others; none if empty."""
        taken = max(display_width(_span(first).text), display_width(rest))
        words = _words(spans, self.width - taken)
        pieces, used = [_span(first)], display_width(_span(first).text)
        for index, word in enumerate(words):
            size = display_width(word.text)
            # A command stands apart from the sentence before it.
            apart = word.style == "command" and index > 1 and words[index - 1].text != "·"
            gap = "" if len(pieces) == 1 else "  " if apart else " "
            # A space inside a word would be read, and copied, as part of it.
            if gap and (word.whole or used + len(gap) + size > self.width):
                self.line(*pieces)
                pieces, used, gap = [Span(rest)], display_width(rest), ""
            pieces += [Span(gap), word]
            used += len(gap) + size
        if words:
            self.line(*pieces)

    def table(
        self,
        columns: Sequence[Column],
        body: Sequence[Sequence[Span | str]],
        notes: Sequence[Sequence[Sequence[Span]]] = (),
    ) -> None:
        """Add a table two columns in; what is too wide is cut in the widest column that may be cut.

        ``notes`` holds the lines that follow each row, four columns in and wrapped.
        """
        cells = [[Span(clean(text), style) for text, style, __ in map(_span, row)] for row in body]
        widths = [
            max([display_width(column.heading), *(display_width(row[index].text) for row in cells)])
            for index, column in enumerate(columns)
        ]
        room = self.width - 2 - 2 * (len(columns) - 1)
        while sum(widths) > room:
            able = [index for index, column in enumerate(columns) if column.least and widths[index] > column.least]
            if not able:
                break
            widths[max(able, key=lambda index: widths[index])] -= 1
        self._row([Span(column.heading, "dim") for column in columns], columns, widths)
        for index, row in enumerate(cells):
            self._row(row, columns, widths)
            for note in notes[index] if index < len(notes) else ():
                self.paragraph(*note, first="    ", rest="      ")

    def _row(self, row: Sequence[Span], columns: Sequence[Column], widths: Sequence[int]) -> None:
        pieces, room = [Span("  ")], self.width - 2
        for cell, column, wanted in zip(row, columns, widths, strict=True):
            width = max(0, min(wanted, room))
            text = cut(cell.text, width) if width else ""
            padding = Span(" " * (width - display_width(text)))
            pieces += [padding, Span(text, cell.style)] if column.right else [Span(text, cell.style), padding]
            pieces.append(Span("  "))
            room -= width + 2
        self.line(*pieces)

    def text(self) -> str:
        """All lines, each ended by a line feed."""
        return "".join(line + "\n" for line in self._lines)
