# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vetted catalogue of sysctls: loaded, checked, and cut down to what travels to a host."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PROFILES", "Catalogue", "CatalogueError", "CatalogueKey", "Limit", "for_target", "load_catalogue"]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe loader written in C where PyYAML has it: a tenth of the time, on the way of every probe."""

PROFILES = ("server", "client", "mixed")
"""The profiles of a baseline, in the order in which they are shown."""

_FILE = Path(__file__).with_name("catalogue.yml")
_KEY = re.compile(r"[a-z]+(\.[a-z0-9_-]+){1,4}\Z")
_VERSION = re.compile(r"\d+\.\d+\Z")
_NAMESPACES = ("ns", "ro", "init", "global")
_SEMANTICS = ("at_least", "at_most", "exactly", "union", "leave", "never")
_WHEN = ("always", "port_pressure", "idle_cutter")
_SEVERITIES = ("warning", "info")
_PAIR = 2

_REQUIRED = frozenset(
    {"summary", "unit", "range", "default", "namespace", "semantics", "recommendation", "reason", "effect"}
)
_OPTIONAL = frozenset({"accepts", "allowed", "default_rule", "harmful", "option", "profiles", "removed", "since"})
_TEXTS = ("summary", "unit", "recommendation", "reason", "effect")
_CONDITIONS = frozenset({"any", "equals", "below", "above", "between", "unordered"})


class CatalogueError(ValueError):
    """The catalogue file does not hold what it must; the message names the place."""


@dataclass(frozen=True)
class CatalogueKey:
    """One sysctl of the catalogue; values are text as /proc/sys shows them."""

    name: str
    summary: str
    unit: str
    range: tuple[int | None, int | None]
    """Lowest and highest number that the kernel takes; ``None`` where it does not check."""
    default: str | None
    """Of a current kernel; ``None`` where the kernel computes it, which ``default_rule`` then explains."""
    default_rule: str | None
    since: str | None
    removed: str | None
    namespace: str
    semantics: str
    allowed: tuple[tuple[int, int | None], ...]
    """What lastack itself would ever write, as ranges of the first number; empty: no opinion."""
    accepts: tuple[str, ...]
    """Values beside the recommended one that an administrator may keep under ``exactly``."""
    recommendation: str
    reason: str
    effect: str
    harmful: tuple[dict[str, Any], ...]
    """Rules as :func:`for_target` sends them."""
    profiles: dict[str, dict[str, str]]
    """``value`` and ``when`` by profile; a profile that leaves the key alone is absent."""
    option: dict[str, str] | None
    """``semantics``, ``value`` (empty: the operator's own) and ``reason`` of what may be asked for explicitly."""


@dataclass(frozen=True)
class Limit:
    """One resource limit of systemd services."""

    name: str
    summary: str
    unit: str
    semantics: str
    value: str
    recommendation: str
    reason: str
    profiles: tuple[str, ...]


@dataclass(frozen=True)
class Catalogue:
    """Every key and limit, in the order of the file."""

    keys: dict[str, CatalogueKey]
    limits: dict[str, Limit]

    def profile(self, name: str) -> dict[str, dict[str, str]]:
        """Return ``value``, ``when`` and ``semantics`` of every key that a profile sets; raises ``KeyError``."""
        if name not in PROFILES:
            raise KeyError(name)
        return {
            key.name: {**key.profiles[name], "semantics": key.semantics}
            for key in self.keys.values()
            if name in key.profiles
        }


def load_catalogue(path: str | Path | None = None) -> Catalogue:
    """Load and check the catalogue; raises ``CatalogueError`` with the place of the first fault, ``OSError`` unread."""
    file = _FILE if path is None else Path(path)
    try:
        data = yaml.load(file.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 - safe loaders, both
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{file.name}: no YAML: {error}") from error
    _expect(isinstance(data, dict) and set(data) == {"keys", "limits"}, file.name, "holds exactly keys and limits")
    for part in ("keys", "limits"):
        _expect(isinstance(data[part], dict) and bool(data[part]), part, "is a mapping of at least one entry")
    return Catalogue(
        keys={name: _key(name, entry) for name, entry in data["keys"].items()},
        limits={name: _limit(name, entry) for name, entry in data["limits"].items()},
    )


def for_target(catalogue: Catalogue) -> dict[str, dict[str, Any]]:
    """Return what a host needs to judge its sysctls: by key ``harmful``, ``removed`` and ``namespace``, where set.

    ``harmful`` is a list of rules: one condition (``any``, ``equals``, ``below``, ``above``, ``between``,
    ``unordered``), ``reason``, ``severity`` and perhaps ``only_if_set``. JSON-able and under 8 KiB.
    """
    travelling: dict[str, dict[str, Any]] = {}
    for key in catalogue.keys.values():
        entry: dict[str, Any] = {}
        if key.harmful:
            entry["harmful"] = [dict(rule) for rule in key.harmful]
        if key.removed is not None:
            entry["removed"] = key.removed
        if key.namespace == "init":
            entry["namespace"] = key.namespace
        travelling[key.name] = entry
    return travelling


def _expect(holds: bool, place: str, sentence: str) -> None:  # noqa: FBT001 - an assertion's condition
    if not holds:
        raise CatalogueError(f"{place}: {sentence}")


def _key(name: object, entry: object) -> CatalogueKey:
    _expect(isinstance(name, str) and bool(_KEY.match(name)), str(name), "is no dotted sysctl key")
    key, place = str(name), str(name)
    fields = _fields(entry, place, required=_REQUIRED, optional=_OPTIONAL, texts=_TEXTS)
    _choice(fields["namespace"], f"{place}: namespace", _NAMESPACES)
    _choice(fields["semantics"], f"{place}: semantics", _SEMANTICS)
    for field in ("default", "default_rule"):
        text = fields.get(field)
        _expect(text is None or isinstance(text, str), f"{place}: {field}", "is text or null")
    _expect(fields["default"] is not None or bool(fields.get("default_rule")), place, "has a default or a default_rule")
    for field in ("since", "removed"):
        version = fields.get(field)
        _expect(
            version is None or (isinstance(version, str) and bool(_VERSION.match(version))),
            f"{place}: {field}",
            'is a quoted kernel version such as "4.12"',
        )
    profiles = _profiles(fields.get("profiles", {}), f"{place}: profiles")
    _expect(
        bool(profiles) <= (fields["semantics"] not in {"leave", "never"}), place, "is left alone and yet has profiles"
    )
    accepts = fields.get("accepts", [])
    _expect(
        isinstance(accepts, list) and all(isinstance(value, str) for value in accepts),
        f"{place}: accepts",
        "is a list of quoted values",
    )
    low, high = _range(fields["range"], f"{place}: range")
    return CatalogueKey(
        name=key,
        **{field: fields[field] for field in _TEXTS},
        range=(low, high),
        default=fields["default"],
        default_rule=fields.get("default_rule"),
        since=fields.get("since"),
        removed=fields.get("removed"),
        namespace=fields["namespace"],
        semantics=fields["semantics"],
        allowed=_allowed(fields.get("allowed", []), f"{place}: allowed"),
        accepts=tuple(accepts),
        harmful=_harmful(fields.get("harmful", []), f"{place}: harmful"),
        profiles=profiles,
        option=_option(fields.get("option"), f"{place}: option"),
    )


def _limit(name: object, entry: object) -> Limit:
    place = str(name)
    texts = ("summary", "unit", "value", "recommendation", "reason")
    fields = _fields(
        entry, place, required=frozenset({*texts, "semantics", "profiles"}), optional=frozenset(), texts=texts
    )
    _choice(fields["semantics"], f"{place}: semantics", _SEMANTICS)
    _expect(isinstance(fields["profiles"], list), f"{place}: profiles", "is a list")
    for profile in fields["profiles"]:
        _choice(profile, f"{place}: profiles", PROFILES)
    return Limit(
        name=place,
        **{text: fields[text] for text in texts},
        semantics=fields["semantics"],
        profiles=tuple(fields["profiles"]),
    )


def _fields(
    entry: object, place: str, *, required: frozenset[str], optional: frozenset[str], texts: tuple[str, ...] = ()
) -> Mapping[str, Any]:
    if not isinstance(entry, dict):
        raise CatalogueError(f"{place}: is no mapping")
    missing = sorted(required - set(entry))
    _expect(not missing, place, f"lacks {', '.join(missing)}")
    unknown = sorted(str(field) for field in set(entry) - required - optional)
    _expect(not unknown, place, f"has unknown fields: {', '.join(unknown)}")
    for field in texts:
        text = entry[field]
        _expect(isinstance(text, str) and bool(text.strip()), f"{place}: {field}", "is a sentence or word")
    return entry


def _choice(value: object, place: str, choices: tuple[str, ...]) -> None:
    _expect(value in choices, place, f"is {value!r}, not one of {', '.join(choices)}")


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _range(value: object, place: str) -> tuple[int | None, int | None]:
    if not (isinstance(value, list) and len(value) == _PAIR and all(end is None or _is_number(end) for end in value)):
        raise CatalogueError(f"{place}: is a list of two numbers, null for an open end")
    low, high = value
    _expect(low is None or high is None or low <= high, place, "begins above its end")
    return low, high


def _allowed(value: object, place: str) -> tuple[tuple[int, int | None], ...]:
    if not isinstance(value, list):
        raise CatalogueError(f"{place}: is a list of ranges")
    ranges = []
    for item in value:
        low, high = _range(item, place)
        if low is None:
            raise CatalogueError(f"{place}: every range has a beginning")
        ranges.append((low, high))
    return tuple(ranges)


def _harmful(value: object, place: str) -> tuple[dict[str, Any], ...]:
    _expect(isinstance(value, list), place, "is a list of rules")
    return tuple(_rule(rule, place) for rule in (value if isinstance(value, list) else []))


def _rule(rule: object, place: str) -> dict[str, Any]:
    fields = _fields(
        rule,
        place,
        required=frozenset({"reason"}),
        optional=_CONDITIONS | {"only_if_set", "severity"},
        texts=("reason",),
    )
    conditions = sorted(_CONDITIONS & set(fields))
    _expect(len(conditions) == 1, place, f"has {len(conditions)} conditions in one rule, not 1")
    name = conditions[0]
    operand = fields[name]
    if name in {"any", "unordered"}:
        _expect(operand is True, place, f"{name} is true or absent")
    elif name == "equals":
        valid = isinstance(operand, list) and bool(operand) and all(map(_is_number, operand))
        _expect(valid, place, "equals is a list of numbers")
    elif name == "between":
        low, high = _range(operand, place)
        _expect(low is not None and high is not None, place, "between has two ends")
    else:
        _expect(_is_number(operand), place, f"{name} is a number")
    severity = fields.get("severity", "warning")
    _choice(severity, f"{place}: severity", _SEVERITIES)
    _expect(isinstance(fields.get("only_if_set", False), bool), place, "only_if_set is true or false")
    checked = {name: operand, "reason": fields["reason"], "severity": severity}
    if fields.get("only_if_set"):
        checked["only_if_set"] = True
    return checked


def _profiles(value: object, place: str) -> dict[str, dict[str, str]]:
    if not isinstance(value, dict):
        raise CatalogueError(f"{place}: is no mapping")
    profiles = {}
    for name, entry in value.items():
        _choice(name, place, PROFILES)
        fields = _fields(entry, f"{place}: {name}", required=frozenset({"value", "when"}), optional=frozenset())
        _expect(isinstance(fields["value"], str), f"{place}: {name}", "has its value in quotes")
        _choice(fields["when"], f"{place}: {name}: when", _WHEN)
        profiles[name] = {"value": fields["value"], "when": fields["when"]}
    return profiles


def _option(value: object, place: str) -> dict[str, str] | None:
    if value is None:
        return None
    required = frozenset({"semantics", "value", "reason"})
    fields = _fields(value, place, required=required, optional=frozenset(), texts=("reason",))
    _choice(fields["semantics"], f"{place}: semantics", _SEMANTICS)
    _expect(isinstance(fields["value"], str), place, "has its value in quotes")
    return dict(fields)
