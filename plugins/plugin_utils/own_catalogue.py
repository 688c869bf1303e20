# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A catalogue of one's own beside the vetted one: it adds and replaces, and lifts nothing that keeps hosts safe."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["held_entry", "why_lifted", "widened"]


_LIFT = "and a catalogue of your own cannot lift that"


def why_lifted(vetted: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """Return what an own entry would lift that holds for the key, as a sentence; empty for nothing.

    A key that is never written stays so, and no range of ``allowed`` may hold a value that is known to do harm.
    """
    if "never" in vetted and "never" not in own:
        return f"lastack never writes this key, {_LIFT}: {vetted['never']['reason']}"
    for one in _wider(vetted, own):
        rule = next((rule for rule in vetted.get("harmful", ()) if _meets(one, rule)), None)
        if rule is not None:
            return f"allowed {_told([one])} holds values that do harm, {_LIFT}: {rule['reason']}"
    return ""


def widened(vetted: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """Return how an own entry goes beyond the vetted range, in one clause; empty if it does not."""
    if not _wider(vetted, own):
        return ""
    return f"allows {_told(own['allowed'])}, beyond what is vetted ({_told(vetted['allowed'])})"


def held_entry(vetted: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return an own entry with what holds for the key in any case, and the vetted range where it names none."""
    kept = {name: vetted[name] for name in ("allowed", "range", "harmful") if name in vetted}
    never = {"never": {**vetted["never"], **own["never"]}} if "never" in vetted else {}
    return {**kept, **own, **never}


def _wider(vetted: Mapping[str, Any], own: Mapping[str, Any]) -> list[Sequence[int | None]]:
    """Return the own ranges that are not within a vetted one."""
    ranges = vetted.get("allowed", ())
    return [one for one in own.get("allowed", ()) if ranges and not any(_within(one, other) for other in ranges)]


def _within(one: Sequence[int | None], other: Sequence[int | None]) -> bool:
    (low, high), (start, end) = _ends(one), _ends(other)
    return start <= low and high <= end


def _meets(one: Sequence[int | None], rule: Mapping[str, Any]) -> bool:
    low, high = _ends(one)
    start, end = rule.get("between", (math.inf, -math.inf))
    return (
        any(low <= number <= high for number in rule.get("equals", ()))
        or ("below" in rule and low < rule["below"])
        or ("above" in rule and high > rule["above"])
        or max(low, start) <= min(high, end)
    )


def _ends(one: Sequence[int | None]) -> tuple[float, float]:
    low, high = one
    return -math.inf if low is None else low, math.inf if high is None else high


def _told(ranges: Sequence[Sequence[int | None]]) -> str:
    return ", ".join(f"{low} and more" if high is None else f"{low} to {high}" for low, high in ranges)
