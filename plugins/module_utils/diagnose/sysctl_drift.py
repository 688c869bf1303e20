# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the state of the catalogued sysctls means: drift, hidden lines, harmful values and keys of the past."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text
from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_values import numbers, same_value
from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctls import collapse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import SysctlState
    from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_managers import Manager

__all__ = ["judge_sysctls", "sysctl_section"]

_MAX_VALUE = 512
_MAX_SUBJECT = 256
_MAX_PLACE = 512
_MAX_PLACES = 10
_IN_A_SENTENCE = 120
_MODULE_KEYS = ("net.netfilter.", "net.bridge.", "net.nf_conntrack_")


def judge_sysctls(states: Sequence[SysctlState], catalogue: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the findings on the given keys, in the order of the keys and at most one of an id for each.

    ``catalogue`` is what ``plugin_utils.catalogue.for_target`` returns. Ids: ``sysctl.harmful`` (the severity of its
    rule), ``sysctl.drift`` (warning), ``sysctl.shadowed`` and ``sysctl.unknown_key`` (info); the remedy is always
    ``kernel``. Drift and shadowed lines are judged only where the files are certain.
    """
    findings: list[dict[str, Any]] = []
    for raw in states:
        entry = catalogue.get(raw.key, {})
        state = raw._replace(key=clean_text(raw.key, limit=_MAX_SUBJECT))
        harmful = _harmful(state, entry)
        found = (harmful, _drift(state), _shadowed(state), None if harmful else _unknown_key(state, entry))
        findings.extend(finding for finding in found if finding is not None)
    return findings


def sysctl_section(
    states: Sequence[SysctlState],
    managers: Sequence[Manager] = (),
    owner_of: Callable[[str | None], str | None] = lambda __: None,
) -> dict[str, dict[str, Any]]:
    """Return the section ``sysctls`` of a host report: every key that exists or that a file sets.

    The reload fields are there only where they differ from what boot says, ``owner`` only where the winning file says
    whose it is, and ``manager`` only where one of ``managers`` sets the key later; values are cut at 512 characters.
    """
    section: dict[str, dict[str, Any]] = {}
    for state in states:
        if not state.exists and state.winner is None and state.reload_winner is None:
            continue
        entry: dict[str, Any] = {
            "current": _value(state.current),
            "configured": _value(state.configured),
            "winner": _place(state.winner),
        }
        if owner := owner_of(state.winner):
            entry["owner"] = owner
        if manager := _manager(state, managers):
            entry["manager"] = manager
        if (state.configured, state.winner) != (state.reload_configured, state.reload_winner):
            entry["reload_configured"] = _value(state.reload_configured)
            entry["reload_winner"] = _place(state.reload_winner)
        section[clean_text(state.key, limit=_MAX_SUBJECT)] = entry
    return section


def _manager(state: SysctlState, managers: Sequence[Manager]) -> dict[str, Any] | None:
    """Return who sets the key after the files, by its own files: the last of several."""
    found = None
    for manager in managers:
        override = (manager.overrides or {}).get(state.key)
        # tuned lets what stands in /etc and /run win (tuned-main.conf(5), reapply_sysctl).
        if override is None or (manager.yields and (state.winner or "").startswith(("/etc/", "/run/"))):
            continue
        value = _value(collapse(override.value)) if override.value else None
        found = {"name": clean_text(manager.name), "value": value, "place": _place(override.place)}
    return found


def _drift(state: SysctlState) -> dict[str, Any] | None:
    if not state.exists or not state.certain:
        return None
    running = state.current is None or state.winner is None or same_value(state.key, state.current, state.configured)
    reload = same_value(state.key, state.configured, state.reload_configured)
    if running and reload:
        return None
    current = "unknown" if state.current is None else _quoted(state.current)
    parts = [f"{state.key} is {current} now"]
    if state.winner is None:
        parts.append("no file sets it at boot")
    else:
        parts.append(f"{_place(state.winner)} sets {_quoted(state.configured)} at boot")
    if not reload:
        if state.reload_winner is None:
            parts.append("no file sets it on reload")
        else:
            parts.append(f"{_place(state.reload_winner)} sets {_quoted(state.reload_configured)} on sysctl --system")
    places = " and ".join(dict.fromkeys(filter(None, (_place(state.winner), _place(state.reload_winner)))))
    if not reload:
        next_step = f"Make boot and reload agree: keep one line for {state.key}; look at {places}."
    elif state.key.startswith(_MODULE_KEYS):
        next_step = (
            f"Find what sets {state.key} later than {places}; a key of a module does not exist yet early at boot, "
            "so its line may have been skipped."
        )
    else:
        next_step = f"Find out who changed {state.key} since boot, then correct {places} or the running value."
    return _finding(
        "sysctl.drift",
        "warning",
        state,
        ", ".join(parts) + ".",
        next_step,
        {
            "current": _value(state.current),
            "configured": _value(state.configured),
            "winner": _place(state.winner),
            "reload_configured": _value(state.reload_configured),
            "reload_winner": _place(state.reload_winner),
        },
    )


def _shadowed(state: SysctlState) -> dict[str, Any] | None:
    if not state.shadowed or not state.certain:
        return None
    places = [_place(place) for place in state.shadowed[:_MAX_PLACES]]
    winner = "no other line sets it" if state.winner is None else f"{_place(state.winner)} decides"
    return _finding(
        "sysctl.shadowed",
        "info",
        state,
        f"{places[0]} sets {state.key} in vain: a file of the same name in a stronger directory hides it; {winner}.",
        f"If {state.key} should have the hidden value, set it in a file with a name of its own.",
        {"shadowed": places, "shadowed_total": len(state.shadowed), "winner": _place(state.winner)},
    )


def _unknown_key(state: SysctlState, entry: Mapping[str, Any]) -> dict[str, Any] | None:
    place = _place(state.winner or state.reload_winner)
    # Keys of modules come and go, and a container does not have those of the initial namespace.
    if state.exists or place is None or state.key.startswith(_MODULE_KEYS) or entry.get("namespace") == "init":
        return None
    value = state.configured if state.winner is not None else state.reload_configured
    return _finding(
        "sysctl.unknown_key",
        "info",
        state,
        f"{place} sets {state.key} = {_quoted(value)}, a key that this kernel does not have.",
        f"Remove {state.key} from {place} or correct its spelling.",
        {"place": place, "value": _value(value)},
    )


def _harmful(state: SysctlState, entry: Mapping[str, Any]) -> dict[str, Any] | None:
    sources = (
        (state.current, None),
        (state.configured, state.winner),
        (state.reload_configured, state.reload_winner),
    )
    for rule in entry.get("harmful", ()):
        hits = [
            (value, _place(place))
            for value, place in sources
            if value is not None and _breaks(rule, value) and not (rule.get("only_if_set") and place is None)
        ]
        losing = [place for place in map(_place, (*state.overridden, *state.shadowed)) if place and rule.get("any")]
        if hits or losing:
            return _harmful_finding(state, entry, rule, hits, losing[:_MAX_PLACES])
    return None


def _harmful_finding(
    state: SysctlState,
    entry: Mapping[str, Any],
    rule: Mapping[str, Any],
    hits: list[tuple[str, str | None]],
    losing: list[str],
) -> dict[str, Any]:
    """Name every line; ``losing`` are those that another line or file overrides now, and that would win without it."""
    value = hits[0][0] if hits else None
    places = list(dict.fromkeys([*(place for __, place in hits if place), *losing]))
    blamed = " and ".join(dict.fromkeys(place for said, place in hits if place and same_value(state.key, said, value)))
    if value is None:
        summary = f"{losing[0]} sets {state.key}, and only another line or file keeps it from being read"
        next_step = f"Remove {state.key} from {' and '.join(places)}."
    elif same_value(state.key, state.current, value):
        summary = f"{state.key} is {_quoted(value)}, {f'set by {blamed}' if blamed else 'and no file says so'}"
        next_step = (
            f"Correct or remove {state.key} in {' and '.join(places)}, then set the running value."
            if places
            else f"Find out what set {state.key} to {_quoted(value)} and set the vetted value."
        )
    else:
        summary = f"{state.key} = {_quoted(value)} is what {blamed} sets"
        next_step = f"Correct or remove {state.key} in {' and '.join(places)}."
    summary = f"{summary}: {rule['reason']}"
    evidence: dict[str, Any] = {
        "current": _value(state.current),
        "configured": _value(state.configured),
        "reload_configured": _value(state.reload_configured),
        "value": _value(value),
        "places": places,
    }
    if entry.get("removed") is not None:
        evidence["removed"] = entry["removed"]
    return _finding("sysctl.harmful", rule.get("severity", "warning"), state, summary, next_step, evidence)


def _breaks(rule: Mapping[str, Any], value: str) -> bool:
    """Whether a value meets a rule's condition, by its first number; an unreadable value meets only ``any``."""
    if rule.get("any"):
        return True
    found = numbers(value)
    if not found:
        return False
    if rule.get("unordered"):
        return found != sorted(found)
    first = found[0]
    low, high = rule.get("between", (1, 0))
    return (
        first in rule.get("equals", ())
        or ("below" in rule and first < rule["below"])
        or ("above" in rule and first > rule["above"])
        or low <= first <= high
    )


def _finding(  # noqa: PLR0913 - the fields of a finding
    finding_id: str, severity: str, state: SysctlState, summary: str, next_step: str, evidence: dict[str, Any]
) -> dict[str, Any]:
    return {
        "id": finding_id,
        "severity": severity,
        "remedy": "kernel",
        "subject": state.key,
        "summary": summary,
        "evidence": evidence,
        "next_step": next_step,
    }


def _value(text: str | None) -> str | None:
    return None if text is None else clean_text(text, limit=_MAX_VALUE)


def _place(text: str | None) -> str | None:
    return None if text is None else clean_text(text, limit=_MAX_PLACE)


def _quoted(text: str | None) -> str:
    """Return a value for a sentence; an empty one stays visible."""
    return clean_text(text, limit=_IN_A_SENTENCE) if text else "an empty value"
