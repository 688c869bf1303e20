# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the resident agent's memory adds to one look: a trend for each offender that it has watched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.causes import UNACCEPTED
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.redaction import redact_text
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.wording import format_age
from ansible_collections.lastack.linux.plugins.module_utils.observe.agent_fact import VERDICTS, AgentFact
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Unseen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.lastack.linux.plugins.module_utils.observe.agent_fact import AgentKey

__all__ = ["add_trends", "agent_section", "grows"]

_LISTENER = "listener"
_REASON = 512


def grows(offender: Mapping[str, Any]) -> bool:
    """Return whether the agent has seen an offender's leak grow."""
    trend = offender.get("trend") or {}
    return trend.get("verdict") == "leak" and (trend.get("growth_per_min") or 0) > 0


def add_trends(
    offenders: Sequence[Mapping[str, Any]], fact: AgentFact | Unseen | None, *, redact: bool
) -> list[dict[str, Any]]:
    """Return the offenders, each with its ``trend`` or ``None``, growing leaks first and else in their order.

    They meet by ``app``, ``kind`` and ``namespace``; a trend is given once, to the offender with most sockets. The
    agent tells connections that were never accepted apart from held ones: of the two the graver speaks.
    """
    left = dict(fact.trends) if isinstance(fact, AgentFact) else {}
    told = [{**offender, "trend": _take(left, offender, redact=redact)} for offender in offenders]
    return sorted(told, key=lambda offender: not grows(offender))


def agent_section(fact: AgentFact | Unseen | None) -> dict[str, Any] | None:
    """Return the report's ``agent``: whether an agent watches this host and how far its word goes; else ``None``.

    A silent agent takes nothing away from what the look saw: it is said here and makes no report incomplete.
    """
    if fact is None:
        return None
    if isinstance(fact, Unseen):
        return {"state": "unusable", "reason": clean_text(fact.detail, _REASON)}
    return {
        "state": "stale" if fact.stale else "fresh",
        "reason": _silence(fact),
        "version": clean_text(fact.version, 64),
        "published_at": fact.published_at,
        "age_s": None if fact.age_s is None else round(fact.age_s, 1),
        "fresh_for_s": fact.fresh_for_s,
        "interval_s": fact.interval_s,
        "watching_since": fact.watching_since,
        "complete": fact.complete,
        "dropped": {"sockets": fact.dropped_sockets, "applications": fact.dropped_applications},
    }


def _silence(fact: AgentFact) -> str | None:
    if not fact.stale:
        return None
    if fact.age_s is None:
        return "the agent has said nothing since this host started: no trend"
    return f"the agent's last word is {format_age({'at_least': fact.age_s, 'at_most': fact.age_s})} old: no trend"


def _take(left: dict[AgentKey, Mapping[str, Any]], offender: Mapping[str, Any], *, redact: bool) -> Any:  # noqa: ANN401 - an object or null
    app, kind, namespace = offender["app"], offender["kind"], offender["namespace"]
    kinds = [kind] if UNACCEPTED not in (offender.get("causes") or {}) else [kind, _LISTENER]
    found = [trend for one in dict.fromkeys(kinds) if (trend := left.pop((app, one, namespace), None))]
    if not found:
        return None
    gravest = min(found, key=_gravity)
    reason = str(gravest["reason"])
    return {**gravest, "reason": clean_text(redact_text(reason) if redact else reason, _REASON)}


def _gravity(trend: Mapping[str, Any]) -> tuple[int, float]:
    soonest = trend["exhaustion_in_s"]
    return VERDICTS.index(trend["verdict"]), float("inf") if soonest is None else soonest
