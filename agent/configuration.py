# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's configuration file ``agent.json``: what may stand in it, and what it means where something is left out.

``lastack.agent-1.json`` on the controller says the same as a JSON Schema.
"""

from __future__ import annotations

import math
import os
import stat
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.agent.records import THRESHOLD_RANGES, Thresholds
from ansible_collections.lastack.linux.agent.strict_json import InvalidJson, parse_strict
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text
from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import read_head

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "MOST_EXCLUDED",
    "RANGES",
    "Configuration",
    "ConfigurationError",
    "check_configuration",
    "read_configuration",
]

# ruff: noqa: PTH116 - the agent does without pathlib, which costs memory

MOST_EXCLUDED = 100
LONGEST_PATTERN = 256
_MOST_BYTES = 65536
_NAMESPACES = ("all", "host")
_OUTPUTS = ("fact", "metrics", "journal")

RANGES: dict[str, tuple[float, float]] = {
    "interval_s": (0.05, 3600.0),
    "cpu_budget_percent": (0.01, 100.0),
    "min_age_s": THRESHOLD_RANGES["min_age_s"],
    "publish_s": (0.05, 3600.0),
}
"""Smallest and largest value of the numbers at the top level; those of ``thresholds`` are ``THRESHOLD_RANGES``."""


class ConfigurationError(ValueError):
    """The configuration cannot be used; the text is one sentence that names the key."""


class Configuration(NamedTuple):
    """What ``agent.json`` says; the defaults are those of an empty file."""

    interval_s: float = 15.0
    """Between two looks, unless the CPU budget needs longer."""
    cpu_budget_percent: float = 0.5
    """Of one core."""
    namespaces: str = "all"
    """``all``, or ``host`` for the agent's own network namespace alone."""
    publish_s: float = 60.0
    """Between two publications while no verdict changes."""
    thresholds: Thresholds = Thresholds()
    fact: bool = True
    metrics: bool = True
    journal: bool = True
    exclude: tuple[str, ...] = ()
    """Applications to leave out, with ``*``, ``?`` and ``[...]`` as in the shell."""
    redact: bool = True


def read_configuration(path: str, *, may_be_missing: bool = False) -> Configuration:
    """Return what the file at ``path`` says; without a file the defaults if ``may_be_missing``.

    Raises:
        ConfigurationError: the file cannot be read or used.
    """
    name = clean_text(path)
    try:
        regular = stat.S_ISREG(os.stat(path).st_mode)
        data = b"" if not regular else read_head(path, _MOST_BYTES + 1, flags=os.O_NONBLOCK)
    except FileNotFoundError:
        if may_be_missing:
            return Configuration()
        raise ConfigurationError(f"{name} does not exist.") from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if not regular:
        raise ConfigurationError(f"{name} is no regular file.")
    if len(data) > _MOST_BYTES:
        raise ConfigurationError(f"{name} is larger than {_MOST_BYTES // 1024} KiB.")
    try:
        value = parse_strict(data)
    except InvalidJson as error:
        raise ConfigurationError(f"{name} {error}.") from error
    try:
        return check_configuration(value)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from error


def check_configuration(value: object) -> Configuration:
    """Return the configuration that a JSON value says. Raises ``ConfigurationError``."""
    given = _object(value, "the configuration", (*RANGES, "namespaces", "thresholds", "outputs", "exclude", "redact"))
    default = Configuration()
    outputs = _object(given.get("outputs", {}), "outputs", _OUTPUTS)
    thresholds = _thresholds(given.get("thresholds", {}))
    if "min_age_s" in given:
        thresholds = thresholds._replace(min_age_s=_number(given, "min_age_s", *RANGES["min_age_s"]))
    found: dict[str, Any] = {
        key: _number(given, key, *RANGES[key]) for key in RANGES if key in given and key != "min_age_s"
    }
    found.update({name: _boolean(outputs[name], f"outputs.{name}") for name in _OUTPUTS if name in outputs})
    return default._replace(
        **found,
        namespaces=_namespaces(given.get("namespaces", default.namespaces)),
        thresholds=thresholds,
        exclude=_exclude(given.get("exclude", [])),
        redact=_boolean(given.get("redact", default.redact), "redact"),
    )


def _thresholds(value: object) -> Thresholds:
    # The least age is not only the watch's: it stands at the top level.
    names = tuple(name for name in THRESHOLD_RANGES if name != "min_age_s")
    given = _object(value, "thresholds", names)
    found: dict[str, Any] = {}
    for name in given:
        number = _number(given, name, *THRESHOLD_RANGES[name], prefix="thresholds.")
        if isinstance(Thresholds._field_defaults[name], int):
            if number != int(number):
                raise ConfigurationError(f"thresholds.{name}: {number} is no whole number.")
            number = int(number)
        found[name] = number
    return Thresholds()._replace(**found)


def _object(value: object, name: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ConfigurationError(f"{name} must be an object, not {_shown(value)}.")
    for key in value:
        if key not in keys:
            where = "" if name == "the configuration" else f"{name}."
            raise ConfigurationError(
                f"{where}{clean_text(key, 64)}: there is no such key; there are {', '.join(keys)}."
            )
    return value


def _number(given: Mapping[str, Any], key: str, least: float, most: float, *, prefix: str = "") -> float:
    value = given[key]
    usual = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not usual or not least <= value <= most:
        raise ConfigurationError(f"{prefix}{key}: {_shown(value)} is not a number from {least:,g} to {most:,.10g}.")
    return float(value)


def _boolean(value: object, key: str) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{key}: {_shown(value)} is neither true nor false.")
    return value


def _namespaces(value: object) -> str:
    if not isinstance(value, str) or value not in _NAMESPACES:
        raise ConfigurationError(f"namespaces: {_shown(value)} is neither 'all' nor 'host'.")
    return value


def _exclude(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MOST_EXCLUDED:
        raise ConfigurationError(f"exclude must be a list of at most {MOST_EXCLUDED} applications.")
    for pattern in value:
        if not isinstance(pattern, str) or not 0 < len(pattern) <= LONGEST_PATTERN:
            raise ConfigurationError(f"exclude: {_shown(pattern)} is no name of at most {LONGEST_PATTERN} characters.")
    return tuple(value)


def _shown(value: object) -> str:
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return clean_text(repr(value), 64)
