# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's fact, ``lastack.local/1``: what ``ansible_local.lastack`` says after the next fact gathering.

Enough for a ticket by itself: application, since when, how many, cause, forecast, remedy. Every text in it was chosen
by somebody on the host; it is cleaned, and it stays text: Ansible never templates a fact's value by itself.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.agent.local_schema import (
    CAUSES,
    KINDS,
    MAX_FACT_BYTES,
    MAX_FRESH_S,
    RUNTIMES,
    SCHEMA_ID,
    render_fact,
)
from ansible_collections.lastack.linux.agent.records import BURST, LEAK, STUCK, VERDICTS, WATCHING
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.causes import FINDING_OF_CAUSE
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.close_wait_findings import close_wait_findings
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.finding import rank
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.growing_findings import growing_findings
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.redaction import redact_text
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.wording import format_age

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ansible_collections.lastack.linux.agent.records import AppKey, AppLook, DescriptorUse, Pass, Trend
    from ansible_collections.lastack.linux.agent.status import AgentStatus

__all__ = ["build_fact", "rfc3339"]

_MAX_OFFENDERS = 20
_MAX_FINDINGS = 10
_MAX_WARNINGS = 10
_MAX_INTEGER = 2**63 - 1
_LAST_SECOND = 253_402_300_799.0
"""The end of the year 9999, the last that RFC 3339 can write."""
_WORST = 5
"""Offenders and findings that keep every detail the longest."""
_SHORT = 120
_FREE_TEXTS = ("unit", "container", "user", "remedy")


def build_fact(
    trends: Mapping[AppKey, tuple[Trend, AppLook]], look: Pass, status: AgentStatus, *, redact: bool = True
) -> bytes:
    """Return the fact as the JSON that root will check and publish, at most ``MAX_FACT_BYTES``.

    Offenders are worst first: leaks by their deadline, then stuck queues, then what is still watched, pools, bursts.
    What does not fit loses its details first, then goes, and is counted in ``truncated`` and ``findings_truncated``.
    """
    ranked = sorted(trends.items(), key=_urgency)
    pairs = [_offender(key, trend, seen, status, look, redact=redact) for key, (trend, seen) in ranked[:_MAX_OFFENDERS]]
    offenders = [published for published, __ in pairs]
    findings = _findings([full for published, full in pairs if published["trend"]["verdict"] in (LEAK, STUCK)], look)
    unseen = (*look.unseen, *status.unseen)
    verdicts = Counter(trend.verdict for trend, __ in trends.values())
    deadlines = [left for trend, __ in trends.values() if (left := _seconds(trend.exhaustion_in_s)) is not None]
    fact: dict[str, Any] = {
        "schema": SCHEMA_ID,
        "collector": {"name": "agent", "version": clean_text(status.version)},
        "boot_id": None if status.boot_id is None else clean_text(status.boot_id),
        "published_at": rfc3339(status, status.now_s),
        "published_boottime_s": _seconds(status.now_s, 3) or 0.0,
        "fresh_for_s": min(_seconds(status.fresh_for_s) or 0.0, MAX_FRESH_S),
        "interval_s": _seconds(status.interval_s, 3) or 0.0,
        "watching_since": rfc3339(status, status.watching_since_s),
        "completeness": {
            "complete": not unseen,
            "warnings": [
                {"code": clean_text(code), "count": _count(count), "detail": clean_text(detail, 512)}
                for code, count, detail in unseen[:_MAX_WARNINGS]
            ],
        },
        "dropped": {"sockets": _count(status.dropped_sockets), "applications": _count(status.dropped_applications)},
        "close_wait": {
            "total": _count(look.total),
            "verdicts": {verdict: verdicts[verdict] for verdict in VERDICTS},
            "earliest_exhaustion_s": min(deadlines, default=None),
        },
        "offenders": offenders,
        "truncated": len(ranked) - len(offenders),
        "findings": findings[:_MAX_FINDINGS],
        "findings_truncated": max(0, len(findings) - _MAX_FINDINGS),
    }
    return _fitted(fact)


def rfc3339(status: AgentStatus, moment_s: float) -> str:
    """Return a moment of CLOCK_BOOTTIME as RFC 3339 UTC: an age before now, so no jump of the wall clock changes it."""
    wall = status.wall_s - (status.now_s - moment_s)
    bounded = min(max(wall, 0.0), _LAST_SECOND) if math.isfinite(wall) else 0.0
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(bounded))


def _urgency(item: tuple[AppKey, tuple[Trend, AppLook]]) -> tuple[int, float, int, AppKey]:
    key, (trend, __) = item
    left = _seconds(trend.exhaustion_in_s)
    return VERDICTS.index(trend.verdict), math.inf if left is None else left, -trend.count, key


def _offender(  # noqa: PLR0913 - one argument per record
    key: AppKey, trend: Trend, seen: AppLook, status: AgentStatus, look: Pass, *, redact: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the entry to publish, and the same in the shape of the host report for the findings."""
    given = seen.offender
    count = _count(trend.count)
    causes = _causes(seen)
    cause = max(causes, key=causes.__getitem__, default=None)
    full = {
        "shared_with": [],
        **given,
        "app": clean_text(key.app),
        "kind": key.kind if key.kind in KINDS else "unknown",
        "namespace": clean_text(key.namespace),
        "count": given.get("count") or count,
        "causes": given.get("causes") or causes,
        "local_ports": given.get("local_ports") or [],
        "trend": _trend(trend, status, look),
    }
    exe = given.get("exe")
    published = {
        **{name: full[name] for name in ("app", "kind", "namespace")},
        "unit": _text(given.get("unit")),
        "container": _text(given.get("container")),
        "exe": _text(redact_text(exe) if redact and isinstance(exe, str) else exe, 1024),
        "runtime": given.get("runtime") if given.get("runtime") in RUNTIMES else None,
        "user": _text(given.get("user")),
        "pids": [_count(pid) for pid in (given.get("pids") or [])[:5]],
        "count": count,
        "age_s": _age(trend),
        "causes": causes,
        "cause": cause,
        "role": given.get("role") if given.get("role") in ("client", "server", "mixed") else None,
        "peers": [
            {
                "address": clean_text(str(peer["address"])),
                "port": None if peer["port"] is None else _count(peer["port"]),
                "count": _count(peer["count"]),
            }
            for peer in (given.get("peers") or [])[:3]
        ],
        "local_ports": [
            {"port": _count(port["port"]), "count": _count(port["count"])} for port in full["local_ports"][:3]
        ],
        "descriptors": _descriptors(seen.descriptors, given.get("descriptors")),
        "advice": [clean_text(page) for page in (given.get("advice") or [])[:10]],
        "remedy": _remedy(full, trend, cause, look, offends=bool(given.get("count"))),
        "trend": full["trend"],
    }
    return published, full


def _trend(trend: Trend, status: AgentStatus, look: Pass) -> dict[str, Any]:
    return {
        "verdict": trend.verdict,
        "reason": clean_text(trend.reason, 1024),
        "count": _count(trend.count),
        "arrivals": _count(trend.arrivals),
        "departures": _count(trend.departures),
        "growth_per_min": _figure(trend.growth_per_min),
        "turnover_per_min": _figure(trend.turnover_per_min),
        "first_seen": rfc3339(status, trend.first_seen_s),
        "ready_in_s": _seconds(trend.ready_in_s),
        "exhaustion_in_s": _seconds(trend.exhaustion_in_s),
        "exhaustion_pid": None if trend.exhaustion_pid is None else _count(trend.exhaustion_pid),
        "observed_at": rfc3339(status, look.moment_s),
    }


def _causes(seen: AppLook) -> dict[str, int]:
    """Count the causes of what offends, or, as long as nothing does, of what is watched; most frequent first."""
    given = seen.offender.get("causes") or {}
    counts = Counter({cause: _count(count) for cause, count in given.items()}) or Counter(
        member.cause for member in seen.members.values()
    )
    return {cause: count for cause, count in counts.most_common() if cause in CAUSES}


def _remedy(full: Mapping[str, Any], trend: Trend, cause: str | None, look: Pass, *, offends: bool) -> str | None:
    if trend.verdict == BURST and not trend.count:
        return "Do nothing: its sockets are gone."
    if trend.verdict == WATCHING and not offends:
        ready = _seconds(trend.ready_in_s)
        return "Wait for a verdict" + (f": {format_age({'at_least': ready, 'at_most': ready})}." if ready else ".")
    found = _said(close_wait_findings(_report([full], look)))
    if not found:
        return None
    wanted = FINDING_OF_CAUSE.get(cause or "")
    step: str = next((entry for entry in found if entry["id"] == wanted), found[0])["next_step"]
    return step


def _findings(offenders: Sequence[Mapping[str, Any]], look: Pass) -> list[dict[str, Any]]:
    found = [*growing_findings(offenders), *close_wait_findings(_report(offenders, look))]
    found.sort(key=lambda finding: rank(finding._asdict(), finding.weight))
    return _said(found)


def _said(found: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the findings without their evidence: the offender's own figures stand in the same fact."""
    wanted = ("id", "severity", "remedy", "subject", "summary", "next_step")
    return [{name: entry[name] for name in wanted} for entry in (finding.as_dict() for finding in found)]


def _report(offenders: Sequence[Mapping[str, Any]], look: Pass) -> dict[str, Any]:
    warnings = [{"code": code, "count": count, "detail": detail} for code, count, detail in look.unseen]
    return {
        "close_wait": {"offenders": list(offenders)},
        # It has the rights of its unit; looking again with more of them is no advice to whoever reads a fact.
        "completeness": {"privileged": True, "warnings": warnings},
    }


def _age(trend: Trend) -> dict[str, float | None] | None:
    if trend.oldest is None:
        return None
    at_least, at_most = trend.oldest
    return {"at_least": _seconds(at_least), "at_most": _seconds(at_most)}


def _descriptors(use: DescriptorUse | None, given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if use is None:
        names = ("open", "soft_limit", "hard_limit", "used_percent", "worst_pid")
        return {name: given.get(name) for name in names} if given else None
    limit = use.soft_limit
    return {
        "open": _count(use.open),
        "soft_limit": limit if limit is None else min(limit, _MAX_INTEGER),
        "hard_limit": use.hard_limit if use.hard_limit is None else min(use.hard_limit, _MAX_INTEGER),
        "used_percent": round(100.0 * use.open / limit, 1) if limit is not None and limit > 0 else None,
        "worst_pid": _count(use.pid),
    }


def _fitted(fact: dict[str, Any]) -> bytes:
    """Return the fact's JSON, with less and less in it until it fits."""
    data = render_fact(fact)
    steps = _steps(fact)
    while len(data) > MAX_FACT_BYTES:
        next(steps)
        data = render_fact(fact)
    return data


def _steps(fact: dict[str, Any]) -> Iterator[None]:
    """Take something away with each step, what people came for last; in the end only figures are left."""
    offenders, findings = fact["offenders"], fact["findings"]
    while len(findings) > _WORST:
        _drop(fact, "findings", "findings_truncated")
        yield
    for entry in offenders[_WORST:]:
        yield entry.update(peers=entry["peers"][:1], local_ports=entry["local_ports"][:1], advice=[], exe=None)
    while len(offenders) > _WORST:
        _drop(fact, "offenders", "truncated")
        yield
    for entry in reversed(offenders):
        entry.update(peers=entry["peers"][:1], local_ports=entry["local_ports"][:1], advice=[], exe=None)
        yield entry["trend"].update(reason=clean_text(entry["trend"]["reason"], _SHORT))
    while len(findings) > 1:
        _drop(fact, "findings", "findings_truncated")
        yield
    for entry in reversed(offenders):
        yield entry.update({name: _text(entry[name], _SHORT) for name in _FREE_TEXTS})
    fact["completeness"]["warnings"] = fact["completeness"]["warnings"][:1]
    yield
    while len(offenders) > 1:
        _drop(fact, "offenders", "truncated")
        yield
    yield fact["completeness"]["warnings"].clear()
    while findings:
        _drop(fact, "findings", "findings_truncated")
        yield
    while offenders:
        _drop(fact, "offenders", "truncated")
        yield


def _drop(fact: dict[str, Any], key: str, counter: str) -> None:
    fact[key].pop()
    fact[counter] += 1


def _text(value: object, limit: int = 256) -> str | None:
    return clean_text(value, limit) if isinstance(value, str) else None


def _count(value: float) -> int:
    return min(max(int(value), 0), _MAX_INTEGER)


def _figure(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 3)


def _seconds(value: float | None, digits: int = 1) -> float | None:
    return None if value is None or not math.isfinite(value) else round(max(value, 0.0), digits)
