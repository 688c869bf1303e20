# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A catalogue of one's own beside the vetted one: it adds and replaces, and lifts nothing that keeps hosts safe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["held_entry", "why_lifted"]


def why_lifted(vetted: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """Return what an own entry would lift that holds for the key, as a sentence; empty for nothing."""
    lift = "and a catalogue of your own cannot lift that"
    if "never" in vetted and "never" not in own:
        return f"lastack never writes this key, {lift}: {vetted['never']['reason']}"
    ranges = vetted.get("allowed")
    if ranges and not all(_within(one, ranges) for one in own.get("allowed", ())):
        told = ", ".join(f"{low} and more" if high is None else f"{low} to {high}" for low, high in ranges)
        return f"allowed goes beyond what is safe to set ({told}), {lift}."
    return ""


def held_entry(vetted: Mapping[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return an own entry with what holds for the key in any case."""
    kept = {name: vetted[name] for name in ("allowed", "range", "harmful") if name in vetted}
    never = {"never": {**vetted["never"], **own["never"]}} if "never" in vetted else {}
    return {**kept, **own, **never}


def _within(own: Sequence[int | None], ranges: Sequence[Sequence[int | None]]) -> bool:
    low, high = own
    return low is not None and any(
        start is not None and start <= low and (end is None or (high is not None and high <= end))
        for start, end in ranges
    )
