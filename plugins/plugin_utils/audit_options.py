# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of an audit as people give them: checked before any host is touched, each with one clear sentence."""

from __future__ import annotations

import difflib
import math
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.options import (
    LONGEST_LOOK_S,
    MOST_SECONDS,
    MOST_TOP,
    OptionsError,
    gather_subsets,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.catalogue import PROFILES
from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["LOOK_OPTIONS", "AuditOptionError", "check_flag", "check_options", "check_profile", "check_variable_names"]


_TRUE = frozenset({"y", "yes", "on", "1", "true", "t"})
_FALSE = frozenset({"n", "no", "off", "0", "false", "f"})


class _WholeSentenceError(ValueError):
    """What is wrong with an option, value included."""


class AuditOptionError(ValueError):
    """An option that makes no sense; the message is one sentence that names it."""


def check_options(values: Mapping[str, object], prefix: str = "") -> dict[str, Any]:
    """Return the given options with their right types; raises ``AuditOptionError``.

    ``values`` holds any of the options of ``tcp_facts`` that say how to look, possibly as text from a command
    line. ``prefix`` is put before their names in messages, so that a person finds the variable to correct.
    """
    checked = {}
    for name, value in values.items():
        try:
            checked[name] = LOOK_OPTIONS[name](value)
        except _WholeSentenceError as error:
            raise AuditOptionError(f"{prefix}{name}{error}") from error
        except (ValueError, TypeError) as error:
            raise AuditOptionError(f"{prefix}{name} {error}, not {_shown(value)}.") from error
    return checked


def check_flag(name: str, value: object, prefix: str = "") -> bool:
    """Return a yes-or-no option as a bool; raises ``AuditOptionError``."""
    try:
        return _flag(value)
    except ValueError as error:
        raise AuditOptionError(f"{prefix}{name} {error}, not {_shown(value)}.") from error


def check_profile(value: object, prefix: str = "") -> str:
    """Return the profile of the baseline that hosts are held against; raises ``AuditOptionError``."""
    if value not in PROFILES:
        raise AuditOptionError(f"{prefix}profile must be one of {', '.join(PROFILES)}, not {_shown(value)}.")
    return str(value)


def check_variable_names(names: Iterable[str], prefix: str, known: Iterable[str]) -> None:
    """Refuse variables that start with ``prefix`` and are not known: they are typing errors.

    Raises ``AuditOptionError`` with the known names and the likeliest one.
    """
    allowed = sorted(f"{prefix}{name}" for name in known)
    for name in sorted(names):
        if name.startswith(prefix) and name not in allowed:
            near = difflib.get_close_matches(name, allowed, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise AuditOptionError(f"Unknown variable {one_line(name, 80)}{hint}: known are {', '.join(allowed)}.")


def _top(value: object) -> int:
    return int(_within(value, f"must be a whole number from 1 to {MOST_TOP}", 1, MOST_TOP, whole=True))


def _min_age(value: object) -> float:
    return _within(value, "must be a number of seconds, 0 or more", 0, MOST_SECONDS)


def _timeout(value: object) -> float:
    rule = f"must be a number of seconds above 0 and up to {LONGEST_LOOK_S}"
    seconds = _within(value, rule, 0, LONGEST_LOOK_S)
    if not seconds:
        raise ValueError(rule)
    return seconds


def _within(value: object, rule: str, low: float, high: float, *, whole: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError(rule)
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise ValueError(rule) from None
    if not math.isfinite(number) or not low <= number <= high or (whole and number != int(number)):
        raise ValueError(rule)
    return number


def _flag(value: object) -> bool:
    text = str(value).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("must be true or false")


def _namespaces(value: object) -> str:
    if value not in ("all", "host"):
        raise ValueError("must be all or host")
    return str(value)


def _gather(value: object) -> list[str]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)) or not all(isinstance(part, str) for part in parts):
        raise TypeError("must be a list of names")
    names = [part.strip() for part in parts if part.strip()]
    try:
        gather_subsets(tuple(names))
    except OptionsError as error:
        raise _WholeSentenceError(one_line(str(error).removeprefix("gather"), 400)) from error
    return names


def _shown(value: object) -> str:
    return one_line(repr(value) if not isinstance(value, str) else f"'{value}'", 80)


LOOK_OPTIONS: Mapping[str, Callable[[object], Any]] = {
    "agent": _flag,
    "gather": _gather,
    "min_age_s": _min_age,
    "namespaces": _namespaces,
    "redact": _flag,
    "sockets": _flag,
    "timeout_s": _timeout,
    "top": _top,
}
