# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first lines of a ticket: how urgent it is, what to do tonight, and the change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.finding import CRITICAL
from ansible_collections.lastack.linux.plugins.plugin_utils.render.inert_markdown import code, codes
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import count, limit_words
from ansible_collections.lastack.linux.plugins.plugin_utils.render.ticket_pages import LIBRARY_ANSWERS, recognised
from ansible_collections.lastack.linux.plugins.plugin_utils.render.trends import due_words, rate

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.plugins.plugin_utils.ticket_evidence import AppEvidence, Section

__all__ = ["short_lines"]

_FULL_PERCENT = 80.0
_HALF_PERCENT = 50.0
_NIGHT_S = 86_400.0
_CHANGES = 2

_CHANGE = {
    "close_wait.leak": "close each connection on every path: at the peer's end, and after an error",
    "close_wait.idle_pool": "evict idle connections in the background, sooner than the peer ends them",
    "close_wait.unread_body": "read each response to its end or close it, on every path",
    "close_wait.stuck_accept": "let no wait keep the program from accepting: bound what each request may wait for, and"
    " serve each in a worker or thread of its own (either alone may not be enough)",
    "close_wait.inherited": "start {others} without the descriptors of these connections",
    "fd.dead_sockets": "close the descriptor when its connection has ended or failed",
    "time_wait.closed_here": "keep connections open for further requests, or let the clients close first",
    "listen.overflow": "accept faster: more workers, or less work between two accepts",
}
_SERVED = "bound what a worker may wait for, and give reads from clients a time-out"

_NOTICED = {
    "close_wait.idle_pool": "the next request on a dead pooled connection fails",
    "close_wait.stuck_accept": "new clients wait, or run into their time-out",
    "close_wait.unread_body": "where a pool is small, requests wait for a free connection, however many descriptors are"
    " left",
    "listen.overflow": "new clients wait, or run into their time-out",
}


def short_lines(evidence: AppEvidence) -> list[str]:
    """Return the section "In short": urgency, tonight, and one line for each of the worst causes."""
    sections = evidence.sections()
    lines = ["## In short", "", f"- **How urgent**: {evidence.severity}. {_urgency(evidence)}"]
    lines.append(f"- **Tonight**: {_tonight(evidence)}")
    libraries = recognised(evidence)
    answered = next((one for one in sections if one.finding in LIBRARY_ANSWERS), None)
    for number, one in enumerate(sections[:_CHANGES]):
        where = f"; the lines: {codes(libraries, len(libraries))}, below" if libraries and one is answered else ""
        again = ", if they still stay open" if number and evidence.held_twice else ""
        what = "The change" if not number else "Then" if again else "And"
        lines.append(f"- **{what}**{again}: {_change(evidence, one)}{where}.")
    return lines


def _change(evidence: AppEvidence, one: Section) -> str:
    if one.finding == "close_wait.idle_pool" and one.served:
        return _SERVED
    others = [text for text, __ in evidence.shared_with.ranked()]
    return _CHANGE[one.finding].format(others=codes(others, 2, more=evidence.shared_with.more) or "the other program")


def _urgency(evidence: AppEvidence) -> str:
    if not (evidence.sockets or evidence.dead):
        return "New clients wait or are dropped now." if _stuck(evidence) else "No descriptor is lost by this."
    share, used = _share(evidence), "How many of its descriptors are used is not known"
    if evidence.descriptors and share is not None:
        used = (
            f"At worst {limit_words(evidence.descriptors[2])} descriptors are used (on {code(evidence.descriptors[1])})"
        )
    trend = evidence.trend.result()
    growing = bool(trend and trend["growing_hosts"])
    if trend and growing:
        due = trend["earliest_exhaustion"]
        gone = due_words(due["in_s"]) if due else ""
        grows = f"it grows {rate(trend['growth_per_min'])}" + (f", {gone} on {code(due['host'])}" if gone else "")
    else:
        grows = "no growth known"
    if share is not None and share >= _FULL_PERCENT:
        verdict = "new connections will fail soon"
    elif _stuck(evidence):
        verdict = "but it does not accept its clients, or too slowly, now"
    elif _runs_out(evidence):
        verdict = "then new connections fail"
    elif growing:
        verdict = "mend it in the next days"
    elif share is None:
        verdict = "look at that first"
    else:
        calm = share < _HALF_PERCENT and evidence.severity != CRITICAL
        verdict = "it can wait for working hours" if calm else "mend it soon, in working hours"
    said = f"{used}, {grows}: {verdict}."
    # What was never accepted is not served, however young it is.
    return said if not evidence.young or _stuck(evidence) else f"{said} {_young(evidence)}"


def _young(evidence: AppEvidence) -> str:
    worst = evidence.sections()[0]
    pool = worst.finding == "close_wait.idle_pool" and not worst.served
    alike = "a healthy pool looks the same so early" if pool else "a slow program may still close them"
    return (
        f"But this was one look, the oldest was younger than a minute, and {alike}: look again in some minutes before"
        " changing code."
    )


def _tonight(evidence: AppEvidence) -> str:
    findings = [
        one.finding for one in evidence.sections() if not (one.served and one.finding == "close_wait.idle_pool")
    ]
    noticed = next((_NOTICED[finding] for finding in findings if finding in _NOTICED), "")
    told = f" Users notice: {noticed}." if noticed else ""
    if _stuck(evidence):
        freed = f" {_freed(evidence)}" if _runs_out(evidence) else ""
        return f"if clients get no answer, save its stacks (commands below), then restart it.{freed}{told}"
    if not _runs_out(evidence):
        return f"nothing.{told}"
    with_others = " together with the programs that it started" if evidence.held_twice else ""
    return f"restart it{with_others}. {_freed(evidence)} The same code then leaks again.{told}"


def _freed(evidence: AppEvidence) -> str:
    """What a restart frees where it is needed most."""
    trend = evidence.trend.result()
    due = trend["earliest_exhaustion"] if trend else None
    full = evidence.descriptors and (_share(evidence) or 0) >= _FULL_PERCENT
    host = evidence.descriptors[1] if evidence.descriptors and (full or not due) else due["host"] if due else None
    for row in evidence.worst.ranked():
        if row["host"] == host:
            return f"On {code(host)} that frees {count(row['sockets'] + row['dead'])} descriptors for now."
    return "That frees them for now."


def _stuck(evidence: AppEvidence) -> bool:
    return evidence.sections()[0].finding in ("close_wait.stuck_accept", "listen.overflow")


def _share(evidence: AppEvidence) -> float | None:
    return -evidence.descriptors[0] if evidence.descriptors else None


def _runs_out(evidence: AppEvidence) -> bool:
    """Whether descriptors are, or before another night will be, too few."""
    share, trend = _share(evidence), evidence.trend.result()
    due = trend["earliest_exhaustion"] if trend else None
    return (share is not None and share >= _FULL_PERCENT) or (due is not None and due["in_s"] <= _NIGHT_S)
