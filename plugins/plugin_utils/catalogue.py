# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vetted catalogue of sysctls: loaded, held to its schema, and cut down to what travels to a host.

The JSON Schema ``lastack.catalogue/1`` says what each field may hold; here is checked only what it cannot say.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from ansible_collections.lastack.linux.plugins.plugin_utils.json_schema import load_schema, schema_problems
from ansible_collections.lastack.linux.plugins.plugin_utils.own_catalogue import held_entry, why_lifted, widened
from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

__all__ = [
    "PROFILES",
    "SCHEMA",
    "Catalogue",
    "CatalogueError",
    "CatalogueKey",
    "Evidence",
    "Limit",
    "Never",
    "Verdict",
    "for_target",
    "load_catalogue",
]

SCHEMA = "lastack.catalogue/1"

PROFILES = ("server", "client", "mixed")
"""The profiles of a baseline, in the order in which they are shown."""

_FILE = Path(__file__).with_name("catalogue.yml")
_MAX_BYTES = 1 << 20
_CONDITIONS = ("any", "equals", "below", "above", "between", "unordered")
_PARTS = ("keys", "limits", "evidence")


class CatalogueError(ValueError):
    """The catalogue file does not hold what it must; the message names the place."""


@dataclass(frozen=True)
class Never:
    """Why no value of a key is right."""

    reason: str
    severity: str
    remove: bool
    """Whether ``remove_harmful`` takes lines that set the key out of files."""


@dataclass(frozen=True)
class CatalogueKey:
    """One sysctl of the catalogue; values are text as /proc/sys shows them, a text that is not given is empty."""

    name: str
    summary: str
    unit: str
    range: tuple[int | None, int | None]
    """Lowest and highest number that the kernel takes; ``None`` where it does not check."""
    default: str | None
    """Of a current kernel; ``None`` where the kernel computes it, which ``default_rule`` then explains."""
    default_rule: str
    since: str | None
    removed: str | None
    scope: str
    """``ns``, ``ro``, ``init`` or ``global``."""
    match: str | None
    """How a profile's value is compared; ``None`` where no profile sets the key."""
    allowed: tuple[tuple[int, int | None], ...]
    """What lastack itself would ever write, as ranges of the first number; empty: no opinion."""
    accepts: tuple[str, ...]
    """Values beside the recommended one that an administrator may keep under ``exact``."""
    recommendation: str
    reason: str
    effect: str
    improves: str
    cannot: str
    risk: str
    source: str
    never: Never | None
    harmful: tuple[dict[str, Any], ...]
    """Rules as :func:`for_target` sends them, without the one of ``never``."""
    profiles: dict[str, dict[str, str]]
    """``value`` and ``when`` by profile; a profile that leaves the key alone is absent."""
    option: dict[str, str] | None
    """``match``, ``value`` (empty: the operator's own) and ``reason`` of what may be asked for explicitly."""


@dataclass(frozen=True)
class Limit:
    """One resource limit of systemd services."""

    name: str
    summary: str
    unit: str
    match: str
    value: str
    recommendation: str
    reason: str
    profiles: tuple[str, ...]


@dataclass(frozen=True)
class Evidence:
    """What has to be true on a host before a gated value is written."""

    name: str
    summary: str
    needs: str
    otherwise: str
    """The sentence that is reported where it is not true."""


@dataclass(frozen=True)
class Verdict:
    """A line that is copied from page to page, and what to do with it today."""

    setting: str
    verdict: str
    today: str


@dataclass(frozen=True)
class Catalogue:
    """Every key and limit, in the order of the file."""

    keys: dict[str, CatalogueKey]
    limits: dict[str, Limit]
    close_wait: str
    evidence: dict[str, Evidence]
    snippet: tuple[Verdict, ...]
    notes: tuple[str, ...] = ()
    """What an own catalogue allows that is not vetted, one sentence each."""

    def profile(self, name: str) -> dict[str, dict[str, str]]:
        """Return ``value``, ``when`` and ``match`` of every key that a profile sets; raises ``KeyError``."""
        if name not in PROFILES:
            raise KeyError(name)
        return {
            key.name: {**key.profiles[name], "match": key.match or "exact"}
            for key in self.keys.values()
            if name in key.profiles
        }

    @property
    def never(self) -> dict[str, Never]:
        """The keys that lastack never writes."""
        return {key.name: key.never for key in self.keys.values() if key.never is not None}


def load_catalogue(own: str | Path | None = None) -> Catalogue:
    """Load the catalogue, with ``own`` the keys and limits of that file added to it or in place of its own.

    What is never written stays so. The vetted range of a key holds where an own entry names none; a wider one is said
    in ``notes``, and may hold nothing that is known to do harm. Raises ``CatalogueError`` with the place of the first
    fault, ``OSError`` for a file that cannot be read.
    """
    data = _read(_FILE)
    notes = []
    if own is not None:
        added = _read(Path(own))
        for name in sorted(added.get("keys", {}).keys() & data["keys"].keys()):
            vetted, entry = data["keys"][name], added["keys"][name]
            fault = why_lifted(vetted, entry)
            if fault:
                raise CatalogueError(f"{Path(own).name}: keys.{name}: {fault}")
            added["keys"][name] = held_entry(vetted, entry)
            wider = widened(vetted, entry)
            notes += [f"{Path(own).name}: {name} {wider}."] if wider else []
        merged = {part: {**data[part], **added.get(part, {})} for part in _PARTS}
        data = {**data, **added, **merged}
    return Catalogue(
        keys={name: _key(name, entry) for name, entry in data["keys"].items()},
        limits={name: Limit(name=name, **_limit(entry)) for name, entry in data["limits"].items()},
        close_wait=data["close_wait"],
        evidence={
            name: Evidence(name, entry["summary"], entry["needs"], entry["else"])
            for name, entry in data["evidence"].items()
        },
        snippet=tuple(Verdict(**entry) for entry in data["snippet"]),
        notes=tuple(notes),
    )


def for_target(catalogue: Catalogue) -> dict[str, dict[str, Any]]:
    """Return what a host needs to judge its sysctls: by key ``harmful``, ``removed`` and ``namespace``, where set.

    ``harmful`` is a list of rules: one condition (``any``, ``equals``, ``below``, ``above``, ``between``,
    ``unordered``), ``reason``, ``severity`` and perhaps ``only_if_set``. JSON-able and under 8 KiB.
    """
    travelling: dict[str, dict[str, Any]] = {}
    for key in catalogue.keys.values():
        entry: dict[str, Any] = {}
        rules = [dict(rule) for rule in key.harmful]
        if key.never is not None:
            never = {"any": True, "reason": key.never.reason, "severity": key.never.severity, "only_if_set": True}
            rules.insert(0, never)
        if rules:
            entry["harmful"] = rules
        if key.removed is not None:
            entry["removed"] = key.removed
        if key.scope == "init":
            entry["namespace"] = key.scope
        travelling[key.name] = entry
    return travelling


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # of libyaml where it is there
    """The safe loader, which refuses a name that stands twice instead of forgetting the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001,FBT002 - PyYAML's
        names = [entry[0].value for entry in node.value]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            line = node.start_mark.line + 1
            raise yaml.YAMLError(f"{twice} stands twice in the entry that begins at line {line}")
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return mapping


def _read(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        content = stream.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise CatalogueError(f"{file.name}: is larger than {_MAX_BYTES:,} bytes")
    try:
        data: dict[str, Any] = yaml.load(content.decode("utf-8"), Loader=_Loader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise CatalogueError(f"{file.name}: no YAML: {one_line(str(error), 300)}") from error
    if not isinstance(data, dict):
        raise CatalogueError(f"{file.name}: is no mapping of keys and limits")
    problems = schema_problems(data, load_schema(SCHEMA))
    if problems:
        raise CatalogueError(f"{file.name}: {problems[0]}")
    for name, entry in data.get("keys", {}).items():
        fault = next(_faults(entry), None)
        if fault is not None:
            raise CatalogueError(f"{file.name}: keys.{name}{fault}")
    return data


def _faults(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the schema cannot say: what belongs together and what excludes another."""
    if entry.get("profiles") and "match" not in entry:
        yield " has profiles and no match"
    if "never" in entry and (entry.get("profiles") or "option" in entry):
        yield " is never set and yet has profiles or an option"
    ranges = {"range": [entry.get("range", [None, None])], "allowed": entry.get("allowed", [])}
    ranges["harmful"] = [rule["between"] for rule in entry.get("harmful", ()) if "between" in rule]
    for field, pairs in ranges.items():
        if any(None not in pair and pair[0] > pair[1] for pair in pairs):
            yield f".{field} begins above its end"
    if any(low is None for low, __ in ranges["allowed"]):
        yield ".allowed has a range without a beginning"
    for rule in entry.get("harmful", ()):
        conditions = [name for name in _CONDITIONS if name in rule]
        if len(conditions) != 1:
            yield f".harmful has a rule with {len(conditions)} conditions, not 1"


def _key(name: str, entry: Mapping[str, Any]) -> CatalogueKey:
    texts = ("summary", "unit", "default_rule", "recommendation", "reason", "effect")
    honest = ("improves", "cannot", "risk", "source")
    never = entry.get("never")
    low, high = entry.get("range", (None, None))
    return CatalogueKey(
        name=name,
        **{field: entry.get(field, "") for field in (*texts, *honest)},
        range=(low, high),
        default=entry.get("default"),
        since=entry.get("since"),
        removed=entry.get("removed"),
        scope=entry["scope"],
        match=entry.get("match"),
        allowed=tuple((low, high) for low, high in entry.get("allowed", ())),
        accepts=tuple(entry.get("accepts", ())),
        never=None
        if never is None
        else Never(never["reason"], never.get("severity", "warning"), remove=never.get("remove", False)),
        harmful=tuple(_rule(rule) for rule in entry.get("harmful", ())),
        profiles={profile: dict(value) for profile, value in entry.get("profiles", {}).items()},
        option=None if entry.get("option") is None else dict(entry["option"]),
    )


def _limit(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {**entry, "profiles": tuple(entry["profiles"])}


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    # A copy down to the lists: what travels may be changed by whoever gets it.
    copied: dict[str, Any] = json.loads(json.dumps({"severity": "warning", **rule}))
    if not copied.get("only_if_set"):
        copied.pop("only_if_set", None)
    return copied
