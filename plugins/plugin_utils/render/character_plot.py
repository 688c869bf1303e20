# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small charts of characters: one character a day in a line, or a plot with an axis; blocks, or ASCII without UTF-8."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import count

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FEWER", "Mark", "bucketed", "plot", "spark"]

FEWER = "?"
"""A day that says too little."""

_BLOCKS = "▁▂▃▄▅▆▇█"
_LETTERS = "_.:-=+*#"
_EIGHTHS = 8


class Mark(NamedTuple):
    """One day: its figure, ``None`` if there is none, and whether the figure is only a lower bound."""

    value: float | None
    at_least: bool = False
    run: bool = True
    """Whether there was a run on this day at all."""


_NO_RUN = Mark(None, run=False)


def bucketed(marks: Sequence[Mark], width: int) -> list[Mark]:
    """Return at most ``width`` marks: where days share one, the highest figure of them that is whole, else any."""
    if len(marks) <= width:
        return list(marks)
    groups = [marks[index * len(marks) // width : (index + 1) * len(marks) // width] for index in range(width)]
    return [max(group, key=_telling) for group in groups]


def _telling(mark: Mark) -> tuple[bool, bool, float]:
    return mark.value is not None and not mark.at_least, mark.run, mark.value or 0.0


def spark(marks: Sequence[Mark], *, ascii_only: bool = False) -> str:
    """Return one character a mark, as high as its figure; blank without a run, ``?`` for fewer hosts."""
    steps = _LETTERS if ascii_only else _BLOCKS
    most = max((mark.value for mark in marks if mark.value is not None), default=0)
    return "".join(_step(mark, most, steps) for mark in marks)


def _step(mark: Mark, most: float, steps: str) -> str:
    if not mark.run:
        return " "
    if mark.value is None or mark.at_least:
        return FEWER
    if not mark.value:
        return steps[0]
    # Nothing is the lowest step, so something is never shown as nothing.
    return steps[min(len(steps) - 1, 1 + int((len(steps) - 1) * mark.value / most))]


def plot(marks: Sequence[Mark], *, width: int, height: int = 8, ascii_only: bool = False) -> list[str]:
    """Return the lines of a plot from 0 to the highest figure, top first, without a line for the days.

    ``width`` is in columns, with the axis. A day of fewer hosts is drawn with another character.
    """
    most = max((mark.value for mark in marks if mark.value is not None), default=0) or 1
    labels = [count(round(most * (height - row) / height)) if row in (0, height // 2) else "" for row in range(height)]
    margin = max(len(label) for label in labels)
    room = max(1, width - margin - 2)
    shown = bucketed(marks, room)
    wide = max(1, min(4, room // max(1, len(shown))))
    axis, corner = ("|", "+") if ascii_only else ("┤", "┤")
    lines = []
    for row in range(height):
        level = height - 1 - row
        cells = (_cell(mark, most, level, height, ascii_only=ascii_only) for mark in shown)
        body = "".join((cell * (wide - 1) + " " if wide > 1 else cell) for cell in cells)
        lines.append(f"{labels[row]:>{margin}} {axis}{body}".rstrip())
    return [*lines, f"{'0':>{margin}} {corner}"]


def _cell(mark: Mark, most: float, level: int, height: int, *, ascii_only: bool) -> str:
    if mark.value is None:
        return FEWER if mark.run and not level else " "
    eighths = mark.value / most * height * _EIGHTHS - level * _EIGHTHS
    if eighths <= 0 or (ascii_only and eighths < _EIGHTHS / 2 and level):
        return " "
    if mark.at_least:
        return ":" if ascii_only else "░"
    return "#" if ascii_only else _BLOCKS[min(_EIGHTHS, max(1, round(eighths))) - 1]
