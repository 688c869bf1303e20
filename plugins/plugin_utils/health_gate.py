# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The health gate: is a host as well after a change as it was before, by its own rates?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.event_rates import chance_of_rise
from ansible_collections.lastack.linux.plugins.plugin_utils.health_thresholds import THRESHOLDS, UNITS, Threshold

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = [
    "FALSE_ALARM",
    "LEAST_OPENS",
    "LEAST_SEGMENTS",
    "Demands",
    "Judgement",
    "Reason",
    "Window",
    "judge",
    "too_little",
    "window_between",
]

FALSE_ALARM = 0.001
"""How often a roll-out over hosts on which nothing changed may stop at all, by chance."""

LEAST_OPENS = 30
LEAST_SEGMENTS = 300
"""The traffic of a window below which nothing can be said of it."""

# Every kernel that we know has it: without it nothing was read.
_ALWAYS_THERE = "ListenOverflows"


class Window(NamedTuple):
    """What happened between two looks at one host."""

    seconds: float
    opens: int | None
    segments: int | None
    counters: Mapping[str, int | None]
    """Events by counter; ``None`` where a look did not have it."""


class Demands(NamedTuple):
    """What a window must hold, and how sure a stop must be."""

    least_opens: int = LEAST_OPENS
    least_segments: int = LEAST_SEGMENTS
    false_alarm: float = FALSE_ALARM
    """For all counters of one judgement; who judges many hosts shares it out among them."""
    client: bool = False
    """Whether the host is one that opens many connections."""


class Reason(NamedTuple):
    """One counter that is not as it was."""

    counter: str
    before: float
    after: float
    limit: float
    per: str
    """``second``, ``open`` or ``segment``."""
    events_before: int
    events_after: int

    @property
    def sentence(self) -> str:
        """The figures in words: ``ListenOverflows 0.0 → 14.2 a second since the change (limit 0.1)``."""
        one, other, limit = (_figure(value, self.per) for value in (self.before, self.after, self.limit))
        return f"{self.counter} {one} → {other} {UNITS[self.per]} since the change (limit {limit})"


class Judgement(NamedTuple):
    """The verdict on one host."""

    verdict: str
    """``passed``, ``failed`` or ``inconclusive``."""
    reasons: tuple[Reason, ...]
    """What failed, the worst first."""
    warnings: tuple[Reason, ...]
    """What rose and does not fail."""
    doubts: tuple[str, ...]
    """Why nothing can be said, one sentence each."""
    unjudged: tuple[str, ...]
    """What this kernel does not count."""


def window_between(first: Mapping[str, Any], second: Mapping[str, Any]) -> Window | str:
    """Return what happened from one look of ``tcp_health`` to a later one, or one clause why both tell nothing.

    Then it takes a new look: another boot, another network namespace, or a counter that fell. Looks come from hosts:
    what is no number there is unknown.
    """
    if first.get("boot_id") != second.get("boot_id"):
        return "the host has restarted between the two looks"
    if first.get("namespace") != second.get("namespace"):
        return "the two looks are of different network namespaces"
    begin, end = _time(first), _time(second)
    if begin is None or end is None or end <= begin:
        return "the clock of the host did not go on between the two looks"
    counters: dict[str, int | None] = {}
    known = [_counters(look) for look in (first, second)]
    fields = {name: (first.get(name), second.get(name)) for name in ("opens", "segments")}
    for name in {*known[0], *known[1]}:
        fields[str(name)] = (known[0].get(name), known[1].get(name))
    for name, pair in fields.items():
        one, other = (_count(value) for value in pair)
        if one is not None and other is not None and other < one:
            return f"{name} fell from {one:,} to {other:,} between the two looks"
        counters[name] = None if one is None or other is None else other - one
    return Window(round(end - begin, 3), counters.pop("opens"), counters.pop("segments"), counters)


def too_little(window: Window, when: str, demands: Demands = Demands()) -> str:  # noqa: B008 - immutable
    """Return one sentence why a window holds too little to judge by; empty if it holds enough."""
    if window.opens is None or window.segments is None or window.counters.get(_ALWAYS_THERE) is None:
        return f"The counters could not be read {when} the change."
    found = [
        f"{count:,} {name}"
        for count, least, name in (
            (window.opens, demands.least_opens, "opens"),
            (window.segments, demands.least_segments, "segments"),
        )
        if count < least
    ]
    if not found:
        return ""
    need = f"{demands.least_opens:,} opens and {demands.least_segments:,} segments"
    return f"Too little traffic {when} the change: {' and '.join(found)} in {window.seconds:.0f} s (needs {need})."


def judge(
    before: Window,
    after: Window,
    *,
    changed_keys: Collection[str] = (),
    table: Mapping[str, Threshold] = THRESHOLDS,
    demands: Demands = Demands(),  # noqa: B008 - immutable
) -> Judgement:
    """Compare the rates of a host after a change with its own before; pure.

    A counter fails where its rate is above the limit of its threshold and chance explains that with a probability
    below the share of ``demands.false_alarm`` that falls to it (Bonferroni: all counters together stay below the
    whole). ``zero`` alone fails without chance, because such an event has no healthy rate. Too little traffic never
    passes; what failed has failed all the same.
    """
    judged = {name: one for name, one in table.items() if _rule(one, changed_keys, client=demands.client) != "note"}
    level = demands.false_alarm / max(1, len(judged))
    failed: list[tuple[float, Reason]] = []
    warned: list[tuple[float, Reason]] = []
    unjudged = []
    for name, threshold in judged.items():
        excused = _excused(threshold, changed_keys)
        events = [_events(window, threshold, excused=excused) for window in (before, after)]
        if events[0] is None or events[1] is None:
            unjudged.append(name)
            continue
        reason = _reason(name, threshold, before, after, (events[0], events[1]))
        rule = _rule(threshold, changed_keys, client=demands.client)
        if rule == "sustained":
            rule = "warn" if events[0] else "fail"
        at_once = rule == "zero" and events[0] == 0 and events[1] > 0
        if not at_once and not (reason.after > reason.limit and _chance(threshold, before, after, reason) < level):
            continue
        (warned if rule == "warn" else failed).append((_badness(reason), reason))
    doubts = [text for text in (too_little(before, "before", demands), too_little(after, "after", demands)) if text]
    return Judgement(
        verdict="failed" if failed else "inconclusive" if doubts else "passed",
        reasons=_worst_first(failed),
        warnings=_worst_first(warned),
        doubts=tuple(doubts),
        unjudged=tuple(unjudged),
    )


def _excused(threshold: Threshold, changed_keys: Collection[str]) -> bool:
    return any(key.startswith(threshold.excused_by) for key in changed_keys) if threshold.excused_by else False


def _rule(threshold: Threshold, changed_keys: Collection[str], *, client: bool) -> str:
    rule = threshold.client_rule if client and threshold.client_rule else threshold.rule
    # Where only a part of the events is excused, that part is taken off and the rule stays.
    if rule != "note" and not threshold.less and _excused(threshold, changed_keys):
        return "warn"
    return rule


def _events(window: Window, threshold: Threshold, *, excused: bool) -> int | None:
    known = [count for count in (window.counters.get(name) for name in threshold.counters) if count is not None]
    if not known:
        return None
    total = sum(known)
    if excused and threshold.less:
        total = max(0, total - (window.counters.get(threshold.less) or 0))
    return total


def _exposures(per: str, before: Window, after: Window) -> tuple[float, float]:
    """What the events are held against; more opens a second may bring more events a second."""
    if per == "second":
        return before.seconds, after.seconds * _growth(before, after)
    one, other = (before.opens, after.opens) if per == "open" else (before.segments, after.segments)
    return float(max(one or 0, 1)), float(max(other or 0, 1))


def _growth(before: Window, after: Window) -> float:
    if not before.opens or not after.opens:
        return 1.0
    return max(1.0, (after.opens / after.seconds) / (before.opens / before.seconds))


def _reason(name: str, threshold: Threshold, before: Window, after: Window, events: tuple[int, int]) -> Reason:
    exposures = _exposures(threshold.per, before, after)
    growth = _growth(before, after) if threshold.per == "second" else 1.0
    rates = (events[0] / exposures[0], events[1] * growth / exposures[1])
    own = rates[0] * growth
    limit = max(own * threshold.ratio, own + threshold.margin)
    return Reason(name, rates[0], rates[1], limit, threshold.per, *events)


def _chance(threshold: Threshold, before: Window, after: Window, reason: Reason) -> float:
    exposures = _exposures(threshold.per, before, after)
    return chance_of_rise(reason.events_before, reason.events_after, *exposures, clump=threshold.clump)


def _badness(reason: Reason) -> float:
    return reason.after / reason.limit if reason.limit > 0 else float(reason.events_after)


def _worst_first(found: list[tuple[float, Reason]]) -> tuple[Reason, ...]:
    return tuple(reason for __, reason in sorted(found, key=lambda one: -one[0]))


def _figure(rate: float, per: str) -> str:
    if per == "second":
        return f"{rate:,.1f}" if rate == 0 or rate >= 1 else f"{rate:.2g}"
    share = 100 * rate
    return f"{share:.1f} %" if share == 0 or share >= 1 else f"{share:.2g} %"


def _counters(look: Mapping[str, Any]) -> dict[Any, Any]:
    value = look.get("counters")
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _time(look: Mapping[str, Any]) -> float | None:
    value = look.get("boottime_s")
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
