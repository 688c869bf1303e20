# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wished for descriptor limits: read from options, and settled against what is configured and may be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "HEADER",
    "INFINITE",
    "SELECT_LIMIT",
    "Limits",
    "NofileError",
    "ProcessWish",
    "Settled",
    "Wish",
    "parse_process_wishes",
    "parse_wishes",
    "settle",
    "shown",
]

HEADER = "# Written by lastack.linux.nofile_limits"
"""How every file of ours begins."""

INFINITE = -1
"""Stands for "unlimited", as in ``resource.RLIM_INFINITY``."""

SELECT_LIMIT = 1024
"""FD_SETSIZE: ``select()`` with a larger descriptor writes beyond its bitmap (select(2))."""

_NUMBER = re.compile(r"[0-9]{1,10}")
_ENDLESS = frozenset({"infinity", "unlimited", "-1", "inf"})
_FEWEST = 64
_MOST = 1 << 30
_LONGEST_NAME = 200


class NofileError(ValueError):
    """The options make no sense; the text says where and why in one sentence, and nothing was changed."""


class Limits(NamedTuple):
    """Soft and hard limit of open files; ``None`` for unknown, ``INFINITE`` for unlimited."""

    soft: int | None
    hard: int | None


class Wish(NamedTuple):
    """What one unit or login should have."""

    name: str
    soft: int | None
    hard: int | None
    match: str
    """``at_least`` or ``exact``."""
    refusal: str = ""
    """Why it is not applied, one sentence; empty if it is."""


class ProcessWish(NamedTuple):
    """What running processes should have at least."""

    by: str
    """``unit``, ``pid`` or ``program``."""
    name: str
    soft: int | None
    hard: int | None
    refusal: str = ""


class Settled(NamedTuple):
    """What a wish comes to."""

    limits: Limits
    """Numbers, never unknown or endless, soft at most hard."""
    changes: bool
    """Whether the limits configured without us must be changed for it."""
    stronger: bool
    """Whether those are higher than wished, and stay."""
    capped: bool
    """Whether ``fs.nr_open`` allows less than wished."""


def parse_wishes(entries: Sequence[Any], where: str) -> list[Wish]:
    """Return the wishes of the option ``where``; a value that is refused is told in the wish, so that others go on.

    Raises:
        NofileError: for an entry that is no wish at all, and for a name given twice.
    """
    wishes = []
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        place = f"{where}[{index}]"
        fields = _fields(entry, place, {"name", "soft", "hard", "match"})
        name = fields.get("name")
        if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST_NAME:
            raise NofileError(f"{place}: name is missing or longer than {_LONGEST_NAME} characters.")
        if name in seen:
            raise NofileError(f"{place}: {name} is named twice; give each name once.")
        seen.add(name)
        match = "at_least" if fields.get("match") is None else fields["match"]
        if match not in ("at_least", "exact"):
            raise NofileError(f"{place} ({name}): match is neither at_least nor exact.")
        soft, hard, refusal = _limits(fields, f"{place} ({name})")
        wishes.append(Wish(name, soft, hard, match, refusal))
    return wishes


def parse_process_wishes(entries: Sequence[Any], where: str) -> list[ProcessWish]:
    """Return the wishes for running processes; raises ``NofileError`` for an entry that is none."""
    wishes = []
    for index, entry in enumerate(entries):
        place = f"{where}[{index}]"
        fields = _fields(entry, place, {"unit", "pid", "program", "soft", "hard"})
        named = [by for by in ("unit", "pid", "program") if fields.get(by) is not None]
        if len(named) != 1:
            raise NofileError(f"{place}: name exactly one of unit, pid and program.")
        name = str(fields[named[0]])
        if not name or len(name) > _LONGEST_NAME or (named[0] == "pid" and not re.fullmatch(r"[1-9][0-9]{0,9}", name)):
            raise NofileError(f"{place}: {name[:40]!r} is no {named[0]}.")
        soft, hard, refusal = _limits(fields, f"{place} ({name})")
        wishes.append(ProcessWish(named[0], name, soft, hard, refusal))
    return wishes


def settle(wish: Wish | ProcessWish, configured: Limits, *, nr_open: int, usual_hard: int) -> Settled:
    """Return what a wish comes to where ``configured`` stands without us; ``at_least`` never lowers.

    ``nr_open`` is the ceiling of every limit (fs.nr_open, kernel/sys.c ``do_prlimit``), which is also what an endless
    limit means; ``usual_hard`` is the hard limit where none is configured.
    """
    soft_wish = None if wish.soft is None else min(wish.soft, nr_open)
    hard_wish = None if wish.hard is None else min(wish.hard, nr_open)
    capped = (soft_wish, hard_wish) != (wish.soft, wish.hard)
    soft_now = _known(configured.soft, nr_open)
    hard_now = _known(configured.hard, nr_open)
    if isinstance(wish, Wish) and wish.match == "exact":
        hard = hard_wish or max(hard_now or min(usual_hard, nr_open), soft_wish or 0)
        soft = soft_wish or min(soft_now or min(SELECT_LIMIT, hard), hard)
    else:
        soft = max(soft_wish or 0, soft_now or 0) or min(SELECT_LIMIT, nr_open)
        hard = max(hard_wish or 0, hard_now or min(usual_hard, nr_open), soft)
    missing = (wish.soft is not None and soft_now is None) or (wish.hard is not None and hard_now is None)
    differs = (soft_now is not None and soft != soft_now) or (hard_now is not None and hard != hard_now)
    stronger = (soft_wish is not None and soft > soft_wish) or (hard_wish is not None and hard > hard_wish)
    return Settled(Limits(soft, hard), changes=missing or differs, stronger=stronger, capped=capped)


def shown(limits: Limits) -> dict[str, int | None]:
    """Return limits as a result shows them: numbers, -1 for unlimited, ``None`` for unknown."""
    return {"soft": limits.soft, "hard": limits.hard}


def _known(value: int | None, nr_open: int) -> int | None:
    return nr_open if value == INFINITE else value


def _fields(entry: Any, place: str, names: set[str]) -> Mapping[str, Any]:  # noqa: ANN401 - an option's value
    if not isinstance(entry, dict):
        raise NofileError(f"{place}: it is no mapping with {', '.join(sorted(names))}.")
    strange = sorted(str(name) for name in entry if name not in names)
    if strange:
        raise NofileError(f"{place}: {strange[0][:40]!r} is none of {', '.join(sorted(names))}.")
    return entry


def _limits(fields: Mapping[str, Any], place: str) -> tuple[int | None, int | None, str]:
    soft, why_soft = _limit(fields.get("soft"), f"{place}: soft")
    hard, why_hard = _limit(fields.get("hard"), f"{place}: hard")
    refusal = why_soft or why_hard
    if not refusal and soft is None and hard is None:
        raise NofileError(f"{place}: neither soft nor hard is given.")
    if not refusal and soft is not None and hard is not None and soft > hard:
        refusal = f"{place}: soft {soft} is above hard {hard}, which no kernel accepts."
    return soft, hard, refusal


def _limit(value: Any, place: str) -> tuple[int | None, str]:  # noqa: ANN401 - an option's value
    if value is None:
        return None, ""
    text = str(value).strip()
    if text.lower() in _ENDLESS:
        return None, (
            f"{place} {text} is refused: it means fs.nr_open, a billion on some systems, and programs that size tables "
            "or loop over it hang; give a number."
        )
    if isinstance(value, bool) or not _NUMBER.fullmatch(text) or not _FEWEST <= int(text) <= _MOST:
        return None, f"{place} {text[:40]!r} is no whole number from {_FEWEST} to {_MOST}."
    return int(text), ""
