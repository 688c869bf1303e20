# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CLOSE_WAIT sockets that are not leaked, in words: young ones, undecided ones, and those that were not judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.render import host as facts
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import count, data, plural
from ansible_collections.lastack.linux.plugins.plugin_utils.render.unseen import left_out

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Waiting", "fate", "of_fleet", "of_host", "second_look", "undecided_words", "young_words"]

_MIN_AGE_S = 60.0
_LOOK_EVERY_S = 30


class Waiting(NamedTuple):
    """The CLOSE_WAIT sockets of a host or a fleet, in numbers of sockets."""

    total: int | None
    """All that were counted; ``None`` if they could not be."""
    leaked: int
    in_transit: int
    undecided: int
    not_judged: int
    """Counted by state alone: nobody looked at their age and owner."""
    min_age_s: float | None
    """The age below which a socket is in transit; ``None`` if it is not known or not the same everywhere."""


def of_host(report: Mapping[str, Any]) -> Waiting:
    """The CLOSE_WAIT sockets of one ``lastack.host/1`` report."""
    total, seen = data(report, "states").get("CLOSE_WAIT"), data(data(report, "completeness"), "close_wait")
    total = total if isinstance(total, int) else None
    least = data(report, "options").get("min_age_s", _MIN_AGE_S)
    return Waiting(
        total=total,
        leaked=facts.leaked(report),
        in_transit=int(seen.get("in_transit") or 0),
        undecided=int(seen.get("undecided") or 0),
        not_judged=(total or 0) if "close_wait" in left_out(report) else 0,
        min_age_s=float(least) if isinstance(least, int | float) else _MIN_AGE_S,
    )


def of_fleet(fleet: Mapping[str, Any]) -> Waiting:
    """The CLOSE_WAIT sockets of one ``lastack.fleet/1`` report."""
    part, counted = data(fleet, "close_wait"), data(data(fleet, "states"), "CLOSE_WAIT").get("sum")
    judged = int(part.get("total") or 0)
    leaked, undecided = int(part.get("leaked") or 0), int(part.get("undecided") or 0)
    total = max(judged, counted) if isinstance(counted, int) else judged
    return Waiting(total, leaked, max(0, judged - leaked - undecided), undecided, total - judged, None)


def fate(waiting: Waiting) -> str:
    """What "CLOSE_WAIT" and these words say where nothing is leaked: "812 in transit"; nothing if unknown."""
    if waiting.total is None:
        return ""
    if waiting.total and waiting.not_judged == waiting.total:
        return f"{count(waiting.total)} (not judged: left out by gather)"
    if waiting.total == waiting.in_transit:
        return f"{count(waiting.total)} in transit" if waiting.total else "0"
    parts = [
        (waiting.in_transit, "in transit"),
        (waiting.undecided, "undecided"),
        (waiting.not_judged, "not judged"),
        (waiting.total - waiting.in_transit - waiting.undecided - waiting.not_judged - waiting.leaked, "half-closed"),
    ]
    said = ", ".join(f"{count(number)} {word}" for number, word in parts if number > 0)
    return f"{count(waiting.total)} ({said})" if said else count(waiting.total)


def young_words(waiting: Waiting) -> str:
    """The sockets in transit: "547, all younger than 60 s: in transit"; nothing if there is none."""
    if not waiting.in_transit:
        return ""
    every = "all " if waiting.in_transit == waiting.total else ""
    more = "more " if waiting.leaked else ""
    young = "" if waiting.min_age_s is None else f"younger than {waiting.min_age_s:g} s: "
    return f"{count(waiting.in_transit)}{', ' if every else ' '}{every}{more}{young}in transit"


def undecided_words(waiting: Waiting) -> str:
    """The sockets without a verdict: "3 sockets undecided: not provably older than 60 s"; nothing if there is none."""
    if not waiting.undecided:
        return ""
    old = "min_age_s" if waiting.min_age_s is None else f"{waiting.min_age_s:g} s"
    return f"{plural(waiting.undecided, 'socket')} undecided: not provably older than {old}"


def second_look(waiting: Waiting) -> str:
    """The command that settles what is undecided on a host: it remembers every socket from look to look."""
    least = waiting.min_age_s
    same = "" if least in (None, _MIN_AGE_S) else f" --min-age-s {least:g}"
    return f"lastack probe --watch {_LOOK_EVERY_S}{same}"
