# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a figure reads: counts with thousands separators, shares, and ages as honest brackets."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["age_phrase", "format_age", "format_count", "format_percent", "plural"]

_UNITS = ((172_800.0, 86_400.0, "d"), (7_200.0, 3_600.0, "h"), (120.0, 60.0, "min"), (0.0, 1.0, "s"))
"""Smallest age shown in the unit, its seconds, its sign: 90 min reads better than 1 h, 36 h better than 1 d."""

_NARROW = 0.1
"""A bracket narrower than this share of its lower end reads as one figure."""


def format_count(n: int | None) -> str:
    """Return a count with thousands separators, ``unknown`` for ``None``."""
    return "unknown" if n is None else f"{n:,}"


def format_percent(percent: float | None) -> str:
    """Return a share such as ``68 %``, ``unknown`` for ``None``.

    Rounded down, so that 100 % means full; below one it is ``<1 %``, for a report's one decimal hides the last traces.
    """
    if percent is None:
        return "unknown"
    return "<1 %" if percent < 1 else f"{math.floor(percent):,} %"


def plural(n: int, noun: str, many: str | None = None) -> str:
    """Return ``1 socket`` or ``2,204 sockets``; ``many`` is the plural where an ``s`` will not do."""
    return f"{n:,} {noun if n == 1 else (many or noun + 's')}"


def format_age(age: Mapping[str, float | None] | None) -> str:
    """Return an age section (``at_least``, ``at_most`` in seconds) as ``≥ 3 h``, ``3 to 4 h`` or ``40 min``."""
    return _bracket(age, at_least="≥ ", at_most="≤ ")


def age_phrase(age: Mapping[str, float | None] | None) -> str:
    """Return the same for the middle of a sentence: ``at least 3 h``, ``3 to 4 h``, ``an unknown time``."""
    text = _bracket(age, at_least="at least ", at_most="at most ")
    return "an unknown time" if text == "unknown" else text


def _bracket(age: Mapping[str, float | None] | None, *, at_least: str, at_most: str) -> str:
    low = _known(age.get("at_least")) if age else None
    high = _known(age.get("at_most")) if age else None
    if low is None or low < 1:
        if high is None:
            return "unknown"
        return "< 1 s" if high < 1 else at_most + _join(*_scaled(high, up=True))
    if high is None:
        return at_least + _join(*_scaled(low, up=False))
    low_figure, unit = _scaled(low, up=False)
    if high - low <= low * _NARROW:
        return _join(low_figure, unit)
    high_figure, high_unit = _scaled(high, up=True)
    if unit != high_unit:
        return f"{_join(low_figure, unit)} to {_join(high_figure, high_unit)}"
    return f"{low_figure:,} to {_join(high_figure, unit)}" if low_figure != high_figure else _join(low_figure, unit)


def _known(seconds: float | None) -> float | None:
    return seconds if seconds is not None and math.isfinite(seconds) and seconds >= 0 else None


def _scaled(seconds: float, *, up: bool) -> tuple[int, str]:
    for least, size, unit in _UNITS:
        if seconds >= least:
            return (math.ceil if up else math.floor)(seconds / size), unit
    return 0, "s"


def _join(figure: int, unit: str) -> str:
    return f"{figure:,} {unit}"
