# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a baseline: a profile of the catalogue, the operator's own values in front, exclusions taken out.

What lastack refuses to write is decided here, where the catalogue is; what the kernel takes is decided on the host.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_files import sysctl_key, sysctl_path
from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_values import numbers
from ansible_collections.lastack.linux.plugins.module_utils.tune.match import unvetted
from ansible_collections.lastack.linux.plugins.module_utils.tune.settings import SettingsError, parse_settings
from ansible_collections.lastack.linux.plugins.plugin_utils.catalogue import PROFILES
from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ansible_collections.lastack.linux.plugins.module_utils.tune.settings import Setting
    from ansible_collections.lastack.linux.plugins.plugin_utils.catalogue import Catalogue, CatalogueKey

__all__ = ["BaselineError", "baseline_settings", "removable"]

_FIRST = "net.ipv4.ip_local_reserved_ports"
"""Before the range of automatic ports grows over the ports of listeners, they are reserved."""

_THEN = "net.ipv4.ip_local_port_range"


_OPERATORS = ("key", "value", "match", "reason", "persist")
_PLACE = re.compile(r"settings\[(\d+)\]")


class BaselineError(ValueError):
    """The options of a baseline make no sense; the message is one sentence for the operator."""


def baseline_settings(  # noqa: PLR0913 - the options of the controller's half
    catalogue: Catalogue,
    *,
    profile: str | None = None,
    settings: Sequence[Mapping[str, Any]] = (),
    exclude: Iterable[str] = (),
    idle_cutter: bool = False,
    values: bool = True,
) -> list[dict[str, Any]]:
    """Return the finished list for the module, in the order of writing, as plain JSON.

    Each entry has the fields of ``tune.settings.Setting``. An own setting replaces the profile's, with the match rule
    of the catalogue unless it names one; ``exclude`` takes keys out of both. ``never`` says why a value is refused;
    ``gated`` why it is not applied; ``needs`` what the host has to be asked for first; ``range`` what the kernel
    takes. With ``values=False`` own settings may name a key alone. Raises ``BaselineError``.
    """
    if profile is not None and profile not in PROFILES:
        raise BaselineError(f"profile is {one_line(str(profile), 60)!r}, not one of {', '.join(PROFILES)}.")
    own = _own(catalogue, settings, values=values)
    left_alone = _excluded(catalogue, own, exclude)
    wanted = {**_of_profile(catalogue, profile, idle_cutter=idle_cutter), **own}
    everything = [setting for key, setting in wanted.items() if key not in left_alone]
    finished = []
    for setting in _parse(_reserved_first(everything), values=values, whose="the catalogue"):
        refusal = _refusal(catalogue.keys.get(setting.key), setting) if values else ""
        finished.append({**setting._asdict(), **_lists(setting), "never": refusal})
    return finished


def removable(catalogue: Catalogue) -> dict[str, str]:
    """Return the keys whose lines ``remove_harmful`` takes out of files, each with the reason."""
    return {key: never.reason for key, never in catalogue.never.items() if never.remove}


def _parse(settings: Sequence[Mapping[str, Any]], *, values: bool, whose: str = "") -> list[Setting]:
    try:
        return parse_settings(settings, values=values)
    except SettingsError as error:
        # People count from one, and have not written a list that is put together here.
        text = _PLACE.sub(lambda match: whose or f"entry {int(match[1]) + 1} of settings", str(error))
        raise BaselineError(text[:1].upper() + text[1:]) from error


def _own(catalogue: Catalogue, settings: Sequence[Mapping[str, Any]], *, values: bool) -> dict[str, dict[str, Any]]:
    """Return the operator's settings by key, each with what the catalogue knows of it."""
    # First what may be said at all: the parser knows fields that are not the operator's.
    for number, entry in enumerate(settings, start=1):
        unknown = sorted(map(str, entry.keys() - set(_OPERATORS))) if isinstance(entry, dict) else []
        if unknown:
            key = f" ({one_line(str(entry['key']), 120)})" if "key" in entry else ""
            said = one_line(unknown[0], 60)
            raise BaselineError(
                f"Entry {number} of settings{key} has {said!r}, which is none of {', '.join(_OPERATORS)}."
            )
    parsed = _parse(settings, values=values)
    own = {}
    for entry, setting in zip(settings, parsed, strict=True):
        own[setting.key] = _of_operator(catalogue.keys.get(setting.key), setting.key, entry)
    # Once more, now with the catalogue's rule; what is wrong is told by the place in the operator's own list.
    _parse(list(own.values()), values=values)
    return own


def _excluded(catalogue: Catalogue, own: Iterable[str], exclude: Iterable[str]) -> set[str]:
    known = {*catalogue.keys, *own}
    left_alone = set()
    for name in exclude:
        key = sysctl_key(sysctl_path(str(name).strip()))
        if key not in known:
            raise BaselineError(f"exclude names {one_line(str(name), 120)}, which neither catalogue nor settings have.")
        left_alone.add(key)
    return left_alone


def _lists(setting: Setting) -> dict[str, Any]:
    """Return the tuples of a setting as JSON has them."""
    return {
        "accepts": list(setting.accepts),
        "allowed": [list(ends) for ends in setting.allowed],
        "range": list(setting.range),
    }


def _of_profile(catalogue: Catalogue, profile: str | None, *, idle_cutter: bool) -> dict[str, dict[str, Any]]:
    wanted = {}
    for key, said in catalogue.profile(profile).items() if profile else ():
        entry, when = catalogue.keys[key], said["when"]
        gated = catalogue.evidence["idle_cutter"].otherwise if when == "idle_cutter" and not idle_cutter else ""
        wanted[key] = {
            "key": key,
            "value": said["value"],
            "match": said["match"],
            "reason": entry.reason,
            "gated": gated,
            "needs": when if when == "port_pressure" else "",
            "accepts": list(entry.accepts),
            **_of_kernel(entry, said["match"]),
        }
    return wanted


def _of_operator(entry: CatalogueKey | None, key: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the operator's entry with what the catalogue knows of the key."""
    setting = {name: value for name, value in said.items() if value is not None}
    option = entry.option if entry else None
    rule = (entry.match if entry else None) or (option["match"] if option else None) or "exact"
    setting.setdefault("match", rule)
    return {**setting, "key": key, **(_of_kernel(entry, setting["match"]) if entry else {})}


def _of_kernel(entry: CatalogueKey, match: str) -> dict[str, Any]:
    # A list of ports is no row of numbers.
    ends = (None, None) if match == "union" else entry.range
    return {"scope": entry.scope, "range": list(ends), "allowed": [list(one) for one in entry.allowed]}


def _reserved_first(settings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    keys = [setting["key"] for setting in settings]
    if _FIRST in keys and _THEN in keys and keys.index(_FIRST) > keys.index(_THEN):
        settings.insert(keys.index(_THEN), settings.pop(keys.index(_FIRST)))
    return settings


def _refusal(entry: CatalogueKey | None, setting: Setting) -> str:
    """Return why lastack does not write this value, as a sentence; empty if it would."""
    if entry is None:
        return ""
    if entry.never is not None:
        return entry.never.reason
    clause = unvetted(setting)
    if not clause:
        return ""
    first = numbers(setting.value)[0]
    hurts = next((rule["reason"] for rule in entry.harmful if _names(rule, first)), entry.reason)
    return f"{clause}: {hurts}"


def _names(rule: Mapping[str, Any], number: int) -> bool:
    low, high = rule.get("between", (1, 0))
    return (
        number in rule.get("equals", ())
        or ("below" in rule and number < rule["below"])
        or ("above" in rule and number > rule["above"])
        or low <= number <= high
    )
