# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator may say of a roll-out, checked before any host is touched."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.health_gate import (
    FALSE_ALARM,
    LEAST_OPENS,
    LEAST_SEGMENTS,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.health_thresholds import ThresholdError, thresholds
from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["BATCHES", "LEAST_SOAK_S", "RolloutOptionError", "RolloutOptions", "batch_sizes", "check_rollout_options"]

BATCHES: tuple[object, ...] = (1, "5%", "25%", "100%")
LEAST_SOAK_S = 120.0
"""The soak of a roll-out that names none, where no timer was changed that needs longer."""

_PERCENT = re.compile(r"([0-9]{1,3})%\Z", re.ASCII)
_WHOLE = 100
_LONGEST_S = 7 * 86400.0


class RolloutOptionError(ValueError):
    """An option makes no sense; the message is one sentence that names it."""


class RolloutOptions(NamedTuple):
    """The options of the roll-out, checked."""

    batches: tuple[object, ...] = BATCHES
    """Hosts a batch, as numbers or as shares of all hosts that need the change (Ansible's ``serial``)."""
    baseline_s: float = 120.0
    baseline_limit_s: float = 1800.0
    """A first look that is older than this is taken anew, so that a batch is held against what was lately so."""
    soak_s: float | None = None
    """``None``: two minutes, or twice the longest timer that is changed."""
    soak_limit_s: float | None = None
    """``None``: three soaks, and at least ten minutes."""
    inconclusive: str = "stop"
    least_opens: int = LEAST_OPENS
    least_segments: int = LEAST_SEGMENTS
    false_alarm: float = FALSE_ALARM
    thresholds: Mapping[str, Any] | None = None


def check_rollout_options(given: Mapping[str, object], prefix: str = "") -> RolloutOptions:
    """Return the options; raises ``RolloutOptionError`` for the first that makes no sense. ``None`` is not given."""
    checked: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            continue
        if name not in _CHECKS:
            raise RolloutOptionError(f"There is no option {prefix}{one_line(name, 80)}.")
        try:
            checked[name] = _CHECKS[name](value)
        except (ValueError, TypeError) as error:
            raise RolloutOptionError(f"{prefix}{name} {error}, not {one_line(repr(value), 80)}.") from error
    options = RolloutOptions(**checked)
    if options.soak_s is not None and options.soak_limit_s is not None and options.soak_limit_s < options.soak_s:
        raise RolloutOptionError(f"{prefix}soak_limit_s is shorter than {prefix}soak_s.")
    try:
        thresholds(options.thresholds)
    except ThresholdError as error:
        raise RolloutOptionError(f"{prefix}thresholds: {error}") from error
    return options


def batch_sizes(batches: Sequence[object], hosts: int) -> list[int]:
    """Return how many hosts each batch takes, as Ansible's ``serial`` counts; the last size repeats."""
    sizes = []
    left = hosts
    wanted = list(batches)
    while left > 0:
        size = wanted.pop(0) if len(wanted) > 1 else wanted[0]
        match = _PERCENT.match(str(size))
        number = max(1, int(int(match.group(1)) / 100.0 * hosts)) if match else int(str(size))
        taken = left if number <= 0 else min(left, number)
        sizes.append(taken)
        left -= taken
    return sizes


def _batches(value: object) -> tuple[object, ...]:
    rule = 'must be a list of numbers of hosts and of shares such as "25%"'
    items = value if isinstance(value, (list, tuple)) else [value]
    if not items:
        raise ValueError(rule)
    for item in items:
        match = _PERCENT.match(str(item))
        # 0 means all the rest to Ansible, which nobody who reads it would guess.
        good = 0 < int(match.group(1)) <= _WHOLE if match else str(item).isdecimal() and int(str(item)) > 0
        if isinstance(item, bool) or not good:
            raise ValueError(rule)
    return tuple(item if isinstance(item, int) else str(item) for item in items)


def _number(value: object, rule: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError(rule)
    try:
        number = float(value)
    except ValueError:
        raise ValueError(rule) from None
    if not math.isfinite(number) or not low <= number <= high:
        raise ValueError(rule)
    return number


def _seconds(value: object) -> float:
    return _number(value, "must be a number of seconds from 1 to a week", 1, _LONGEST_S)


def _count(value: object) -> int:
    rule = "must be a whole number, 0 or more"
    number = _number(value, rule, 0, 1e12)
    if number != int(number):
        raise ValueError(rule)
    return int(number)


def _inconclusive(value: object) -> str:
    if value not in ("stop", "go_on"):
        raise ValueError("must be stop or go_on")
    return str(value)


def _chance(value: object) -> float:
    return _number(value, "must be a probability from 1e-9 to 0.5", 1e-9, 0.5)


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("must be a mapping of counters")
    return value


_CHECKS = {
    "batches": _batches,
    "baseline_s": _seconds,
    "baseline_limit_s": _seconds,
    "soak_s": _seconds,
    "soak_limit_s": _seconds,
    "inconclusive": _inconclusive,
    "least_opens": _count,
    "least_segments": _count,
    "false_alarm": _chance,
    "thresholds": _mapping,
}
