# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked for: one setting a sysctl, read from a task's arguments and refused with one sentence if it is none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_files import sysctl_key, sysctl_path
from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_values import numbers, ports

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["MATCHES", "NEEDS", "SCOPES", "Setting", "SettingsError", "is_whole", "parse_settings", "too_large"]

MATCHES = ("exact", "at_least", "at_most", "wider", "union")
"""How the value that runs is held against the value that is asked for."""
SCOPES = ("ns", "ro", "init", "global", "")
"""Whose value a key is: of the network namespace (also ``ro``: not written there, ``init``: not shown there), or of
the machine; empty is unknown."""
NEEDS = ("", "port_pressure")
"""The evidence of this host without which a setting is not applied."""

_MAX_VALUE = 1 << 16
_LONGEST_KEY = 255
# More digits than a number of the kernel's can have.
_LARGE = re.compile(r"-?[0-9]{21,}", re.ASCII)
_PART = re.compile(r"[^\s/*?\[\]=#;\\]+")
_BOOLEANS = {"true": "1", "yes": "1", "on": "1", "false": "0", "no": "0", "off": "0"}
_PAIR = 2


class SettingsError(ValueError):
    """What is asked for makes no sense; the text says which entry and why in one sentence."""


class Setting(NamedTuple):
    """One sysctl and what it should be."""

    key: str
    """Dotted, as ``sysctl`` prints it."""
    value: str
    match: str = "exact"
    reason: str = ""
    """Why, for a person; handed back with the result."""
    persist: bool = True
    never: str = ""
    """Why no value of this key is written; empty: it may be."""
    gated: str = ""
    """Why it is only reported on this host; empty: it is applied."""
    needs: str = ""
    scope: str = ""
    accepts: tuple[str, ...] = ()
    """Further values that are as good under ``exact``."""
    allowed: tuple[tuple[int | None, int | None], ...] = ()
    """Ranges of the first number that are ever written; empty: no opinion."""
    range: tuple[int | None, int | None] = (None, None)
    """Lowest and highest number that the kernel takes, which only the prediction of a check needs."""


def parse_settings(entries: object, *, values: bool = True) -> list[Setting]:
    """Return the settings in the order given; ``values=False`` takes entries that only name a key.

    Raises:
        SettingsError: names the entry by index and key, and says what to write instead.
    """
    if not isinstance(entries, (list, tuple)):
        raise SettingsError("settings is no list.")
    settings: list[Setting] = []
    seen: dict[str, int] = {}
    for index, entry in enumerate(entries):
        setting = _setting(f"settings[{index}]", entry, values=values)
        if setting.key in seen:
            raise SettingsError(
                f"settings[{seen[setting.key]}] and settings[{index}] both set {setting.key}; name each key once."
            )
        seen[setting.key] = index
        settings.append(setting)
    return settings


def is_whole(text: str) -> bool:
    """Whether a text is whole numbers and nothing else."""
    fields = text.split()
    return bool(fields) and len(numbers(text)) == len(fields)


def too_large(text: str) -> str:
    """Return that a number is larger than any of the kernel's, in one clause; empty when none is."""
    large = next((field for field in text.split() if _LARGE.fullmatch(field)), "")
    return f"the number {large[:40]} has {len(large)} digits, and the kernel's have 20 at most" if large else ""


def _setting(place: str, entry: object, *, values: bool) -> Setting:
    if not isinstance(entry, dict):
        raise SettingsError(f"{place} is no mapping with key and value.")
    key = _key(place, entry.get("key"))
    place = f"{place} ({key})"
    unknown = sorted(str(name)[:40] for name in entry if name not in Setting._fields)
    if unknown:
        raise SettingsError(f"{place} has {unknown[0]!r}, which is none of {', '.join(Setting._fields)}.")
    match = entry.get("match") or "exact"
    value = ""
    if values:
        value = _value(place, entry.get("value"))
        _check_match(place, match, value)
    return Setting(
        key=key,
        value=value,
        match=match,
        persist=_flag(place, "persist", entry.get("persist")),
        scope=_choice(place, "scope", entry.get("scope"), SCOPES),
        needs=_choice(place, "needs", entry.get("needs"), NEEDS),
        accepts=tuple(_value(f"{place}: accepts", one) for one in _list(place, "accepts", entry.get("accepts"))),
        allowed=tuple(_range(place, "allowed", one) for one in _list(place, "allowed", entry.get("allowed"))),
        range=(None, None) if entry.get("range") is None else _range(place, "range", entry["range"]),
        **{name: _text(place, name, entry) for name in ("reason", "never", "gated")},
    )


def _key(place: str, key: object) -> str:
    if key is None:
        raise SettingsError(f"{place} has no key.")
    if not isinstance(key, str):
        raise SettingsError(f"{place}: the key {key!r:.80} is no text.")
    parts = sysctl_path(key).split("/")
    plain = key.isprintable() and len(key) <= _LONGEST_KEY and not key.startswith("-")
    if not plain or len(parts) < _PAIR or not all(_PART.fullmatch(part) and part != ".." for part in parts):
        raise SettingsError(f"{place}: {key[:80]!r} is no sysctl key; write one like net.ipv4.tcp_syncookies.")
    return sysctl_key("/".join(parts))


def _value(place: str, value: object) -> str:
    if value is None:
        raise SettingsError(f"{place} has no value.")
    if isinstance(value, bool):
        raise SettingsError(
            f'{place}: the value is the YAML boolean {str(value).lower()}; write value: "{int(value)}".'
        )
    if isinstance(value, (list, dict)):
        kind = "list" if isinstance(value, list) else "mapping"
        raise SettingsError(
            f'{place}: the value is a {kind}; write its numbers as one text, like value: "4096 131072 6291456".'
        )
    if isinstance(value, float):
        raise SettingsError(f"{place}: the value {value} is no whole number.")
    text = str(value).strip()
    if text.lower() in _BOOLEANS:
        raise SettingsError(f'{place}: the value {text!r} is a boolean; write value: "{_BOOLEANS[text.lower()]}".')
    if len(text) > _MAX_VALUE:
        raise SettingsError(f"{place}: the value is longer than {_MAX_VALUE} characters.")
    if not text.replace("\t", " ").isprintable():
        raise SettingsError(f"{place}: the value holds a line break or another control character.")
    return " ".join(text.split())


def _check_match(place: str, match: object, value: str) -> None:
    if match not in MATCHES:
        raise SettingsError(f"{place}: match {match!r:.40} is none of {', '.join(MATCHES)}.")
    if match in ("at_least", "at_most", "wider"):
        if not value:
            raise SettingsError(f"{place}: match {match} needs whole numbers, and the value is empty.")
        if too_large(value):
            raise SettingsError(f"{place}: {too_large(value)}.")
    if match in ("at_least", "at_most") and not is_whole(value):
        raise SettingsError(f"{place}: match {match} needs whole numbers, and the value is {value[:80]!r}.")
    if match == "wider":
        ends = numbers(value)
        if not is_whole(value) or len(ends) != _PAIR or ends[0] > ends[1]:
            raise SettingsError(
                f'{place}: match wider needs two ports, the lower one first, like value: "16384 65535"; '
                f"the value is {value[:80]!r}."
            )
    if match == "union" and ports(value) is None:
        raise SettingsError(
            f'{place}: match union needs a list of ports and ranges, like value: "8080,9000-9010"; '
            f"the value is {value[:80]!r}."
        )


def _text(place: str, name: str, entry: Mapping[str, Any]) -> str:
    text = entry.get(name)
    if text is None:
        return ""
    if not isinstance(text, str) or not text.isprintable():
        raise SettingsError(f"{place}: {name} is no line of text.")
    return text


def _flag(place: str, name: str, value: object) -> bool:
    if value is None:
        return True
    if not isinstance(value, bool):
        raise SettingsError(f"{place}: {name} is neither true nor false.")
    return value


def _choice(place: str, name: str, value: object, choices: Sequence[str]) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or value not in choices:
        raise SettingsError(f"{place}: {name} {value!r:.40} is none of {', '.join(filter(None, choices))}.")
    return value


def _list(place: str, name: str, value: object) -> Sequence[object]:
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        raise SettingsError(f"{place}: {name} is no list.")
    return value


def _range(place: str, name: str, value: object) -> tuple[int | None, int | None]:
    ends = value if isinstance(value, (list, tuple)) else ()
    # True and False are numbers to Python, and not here.
    if len(ends) != _PAIR or not all(
        end is None or (isinstance(end, int) and not isinstance(end, bool)) for end in ends
    ):
        raise SettingsError(f"{place}: {name} is no pair of the lowest and the highest number.")
    return ends[0], ends[1]
