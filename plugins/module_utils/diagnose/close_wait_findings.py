# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings about leaked connections: CLOSE_WAIT by application and cause, and dead sockets.

All of them are for the application: no kernel setting closes a socket that a program holds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.causes import (
    EOF_CONSUMED,
    EOF_READ,
    EOF_UNNOTICED_FAREWELL,
    EOF_UNNOTICED_TLS,
    FINDING_OF_CAUSE,
)
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.finding import CRITICAL, WARNING, Finding, number
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.identity import UNKNOWN_APP
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.thresholds import NEARLY_OUT_PERCENT
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.view_findings import LONGER, deadline_passed
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.wording import (
    age_phrase,
    format_count,
    format_percent,
    plural,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["close_wait_findings", "dead_socket_findings"]

WORTH_SAYING_PERCENT = 10
"""Below it descriptors are no concern of the sentence."""
INHERITED_SHARE = 0.9
"""Of an application's sockets: so many are held by another program too that closing them ends nothing before that."""

_LEAK = "close_wait.leak"
_STUCK = "close_wait.stuck_accept"
_POOL = "close_wait.idle_pool"
_BODY = "close_wait.unread_body"
_INHERITED = "close_wait.inherited"


def close_wait_findings(report: Mapping[str, Any]) -> list[Finding]:
    """Return one finding for each (finding id, application) of ``close_wait.offenders``."""
    offenders = (report.get("close_wait") or {}).get("offenders") or []
    full = {
        (listener.get("namespace_id"), listener.get("port"))
        for listener in report.get("listeners") or []
        if number(listener.get("queue")) >= number(listener.get("backlog")) > 0
    }
    parts: dict[tuple[str, str], list[tuple[Mapping[str, Any], Counter[str]]]] = defaultdict(list)
    for offender in offenders:
        for finding_id, causes in _by_finding(offender).items():
            parts[finding_id, offender["app"]].append((_narrowed(offender, causes), causes))
    again = _look_again(report)
    return [_finding(finding_id, app, group, full, again) for (finding_id, app), group in parts.items()]


def dead_socket_findings(report: Mapping[str, Any]) -> list[Finding]:
    """Return one finding for each application of ``dead_sockets.offenders``."""
    findings = []
    again = _look_again(report)
    for offender in (report.get("dead_sockets") or {}).get("offenders") or []:
        app, count, descriptors = offender["app"], offender["count"], offender.get("descriptors") or {}
        unknown = _is_unknown(app)
        restart = f"Restart {_process(app, offender)} to free them, then close its sockets on every path, errors too."
        percent = descriptors.get("used_percent")
        findings.append(
            Finding(
                "fd.dead_sockets",
                CRITICAL if number(percent) >= NEARLY_OUT_PERCENT else WARNING,
                app,
                f"{plural(count, 'descriptor')} of {f'an {app}' if unknown else app}"
                f" {'points' if count == 1 else 'point'} to connections that no longer exist"
                f"{_descriptor_clause(descriptors)}.",
                f"{again} to learn which program holds them." if unknown else restart,
                {"count": count, "used_percent": percent, "pids": offender.get("pids") or []},
                count,
            )
        )
    return findings


def _by_finding(offender: Mapping[str, Any]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for cause, count in (offender.get("causes") or {}).items():
        finding_id = FINDING_OF_CAUSE.get(cause)
        if finding_id and count:
            found[finding_id][cause] += count
    if offender.get("shared_with"):
        found[_INHERITED]["shared"] = (offender.get("flags") or {}).get("shared") or offender["count"]
    return found


def _narrowed(offender: Mapping[str, Any], causes: Counter[str]) -> dict[str, Any]:
    """Return the offender with the age, bytes, peers and ports of some causes only, where the report has them."""
    details = offender.get("by_cause") or {}
    parts = [details[cause] for cause, __ in causes.most_common() if cause in details]
    if not parts:
        return dict(offender)
    ages = [part.get("age_s") for part in parts if part.get("age_s")]
    uppers = [age.get("at_most") for age in ages]
    age = (
        {
            "at_least": max(number(age.get("at_least")) for age in ages),
            "at_most": None if None in uppers else max(uppers),
        }
        if ages
        else None
    )
    return {
        **offender,
        "age_s": age,
        "unread_bytes": sum(int(number(part.get("unread_bytes"))) for part in parts),
        "peers": [peer for part in parts for peer in part.get("peers") or []],
        "local_ports": [port for part in parts for port in part.get("local_ports") or []],
    }


def _finding(
    finding_id: str,
    app: str,
    group: Sequence[tuple[Mapping[str, Any], Counter[str]]],
    full: set[tuple[Any, Any]],
    again: str,
) -> Finding:
    causes: Counter[str] = sum((causes for __, causes in group), Counter())
    count = sum(causes.values())
    worst = max((offender for offender, __ in group), key=lambda one: number(one.get("count")))
    descriptors = max(
        (offender.get("descriptors") or {} for offender, __ in group), key=lambda one: number(one.get("used_percent"))
    )
    percent = descriptors.get("used_percent")
    ports = {(offender.get("namespace_id"), port["port"]) for offender, __ in group for port in offender["local_ports"]}
    queue_full = finding_id == _STUCK and bool(ports & full)
    critical = number(percent) >= NEARLY_OUT_PERCENT or queue_full
    # With a pid and no user in its name it is a program that was read and has no name.
    unknown = _is_unknown(app) and (app != UNKNOWN_APP or not any(offender.get("pids") for offender, __ in group))
    if worst.get("kind") == "kernel":
        summary, next_step = _without_descriptor(count, worst)
    else:
        summary, next_step = _TEXTS[finding_id](f"an {app}" if unknown else app, count, causes, worst)
    if unknown:
        summary = summary[:1].upper() + summary[1:]
        next_step = f"{again} to learn which program holds the connections with {_peer(worst)}."
    else:
        if finding_id not in (_INHERITED, _STUCK) and _mostly_inherited(group):
            next_step = _then(_end_inheritance(worst), next_step)
        if number(percent) >= NEARLY_OUT_PERCENT and descriptors.get("worst_pid") is not None:
            next_step = _then(_restart(finding_id, count, descriptors, group), next_step)
    evidence: dict[str, Any] = {
        "count": count,
        "causes": dict(causes),
        "oldest_s": worst.get("age_s"),
        "namespaces": sorted({str(offender.get("namespace")) for offender, __ in group})[:5],
        "pids": worst.get("pids") or [],
        "used_percent": percent,
    }
    if finding_id == _BODY:
        evidence["unread_bytes"] = sum(offender.get("unread_bytes") or 0 for offender, __ in group)
    if finding_id == _STUCK:
        evidence["queue_full"] = queue_full
    if finding_id == _INHERITED:
        evidence["shared_with"] = worst.get("shared_with")
    return Finding(
        finding_id,
        CRITICAL if critical else WARNING,
        app,
        f"{summary}{_descriptor_clause(descriptors)}.",
        next_step,
        evidence,
        count,
    )


def _look_again(report: Mapping[str, Any]) -> str:
    """Return the order that may tell unknown owners; what they should do is for those who are known."""
    completeness = report.get("completeness") or {}
    if not completeness.get("privileged"):
        return "Look again as root (with Ansible: become)"
    if deadline_passed(completeness):
        return LONGER
    denied = any(warning.get("code") == "owners_denied" for warning in completeness.get("warnings") or [])
    # Else it ended between two readings, or was taken over by another program.
    return "Look again as root of the machine, outside of any container," if denied else "Look again"


def _is_unknown(app: str) -> bool:
    return app == UNKNOWN_APP or app.startswith(f"{UNKNOWN_APP} (")


def _mostly_inherited(group: Sequence[tuple[Mapping[str, Any], Counter[str]]]) -> bool:
    offenders = [offender for offender, __ in group]
    shared = sum(
        int(number((offender.get("flags") or {}).get("shared")))
        for offender in offenders
        if offender.get("shared_with")
    )
    return shared >= INHERITED_SHARE * sum(number(offender.get("count")) for offender in offenders) > 0


def _end_inheritance(worst: Mapping[str, Any]) -> str:
    names, __ = _strangers(worst)
    return f"Open its sockets with SOCK_CLOEXEC (close-on-exec) first, so that {names} does not inherit them"


def _restart(
    finding_id: str,
    count: int,
    descriptors: Mapping[str, Any],
    group: Sequence[tuple[Mapping[str, Any], Counter[str]]],
) -> str:
    """Return the order that wins time where the next connection may fail; what was never accepted has no descriptor."""
    opened = int(number(descriptors.get("open")))
    pids = {pid for offender, __ in group for pid in offender.get("pids") or []}
    freed = plural(opened if finding_id == _STUCK else min(count, opened), "descriptor")
    return f"Restart it to free {'up to ' if len(pids) > 1 else ''}{freed} for now (pid {descriptors['worst_pid']})"


def _then(first: str, step: str) -> str:
    return f"{first}, then {step[:1].lower()}{step[1:]}"


def _without_descriptor(count: int, worst: Mapping[str, Any]) -> tuple[str, str]:
    """Return the texts for sockets that no descriptor of any process shows, whatever their cause."""
    held = plural(count, "connection")
    return (
        f"{held} that the peer closed {'has' if count == 1 else 'have'} no descriptor in any process: the kernel itself"
        f" holds {'it' if count == 1 else 'them'}, or a message that nobody has received yet{_age_clause(worst)}",
        f"Look for an NFS, CIFS or iSCSI mount, an io_uring program, or a program that hands descriptors on over a Unix"
        f" socket, and talks to {_peer(worst)}.",
    )


def _leak(app: str, count: int, causes: Counter[str], worst: Mapping[str, Any]) -> tuple[str, str]:
    held = plural(count, "connection")
    age = _age_clause(worst)
    if worst.get("kind") == "unknown":
        return (
            f"{held} that the peer closed {'is' if count == 1 else 'are'} still held by {app}{age}",
            f"Find out what {_process(app, worst)} is, for it holds the connections with {_peer(worst)}.",
        )
    main = causes.most_common(1)[0][0]
    if main == EOF_READ:
        what = "after reading to their end it never closed them"
    elif main == EOF_CONSUMED:
        what = "everything is read and it never closed them"
    else:
        what = "it never closed them"
    return (
        f"{app} holds {held} that the peer closed: {what}{age}",
        f"Close the socket on every path of {_process(app, worst)}, errors included, for connections"
        f" {_direction(worst)} {_peer(worst)}.",
    )


def _stuck(app: str, count: int, _causes: Counter[str], worst: Mapping[str, Any]) -> tuple[str, str]:
    ports = ", ".join(f":{port['port']}" for port in worst.get("local_ports") or []) or "a port"
    verb = "was" if count == 1 else "were"
    return (
        f"{plural(count, 'connection')} on {ports} {verb} closed by the peer before {app} accepted"
        f" {'it' if count == 1 else 'them'}{_age_clause(worst)}",
        f"Look at what keeps {_process(app, worst)} from calling accept() on {ports}: blocked workers first, then its"
        f" descriptors.",
    )


def _pool(app: str, count: int, causes: Counter[str], worst: Mapping[str, Any]) -> tuple[str, str]:
    main = causes.most_common(1)[0][0]
    tls = " (likely TLS)" if main == EOF_UNNOTICED_TLS else ""
    told = ", likely with a farewell message," if main == EOF_UNNOTICED_FAREWELL else ""
    if worst.get("role") == "server":
        # A server has no pool to evict from: whoever should read the connection is at something else.
        return (
            f"{app} keeps {plural(count, 'accepted connection')}{tls} that {_peer(worst)} closed{told} and nobody has"
            f" looked at since{_age_clause(worst)}",
            f"Look at what the workers of {_process(app, worst)} wait for, and give its reads from clients a time-out:"
            f" connections from {_peer(worst)} have ended unnoticed.",
        )
    return (
        f"{app} keeps {plural(count, 'idle connection')}{tls} that {_peer(worst)} closed{told} and nobody has looked at"
        f" since{_age_clause(worst)}",
        f"Evict idle connections in the pool of {_process(app, worst)} before its peer closes them, or finish"
        f" reading what it has paused.",
    )


def _body(app: str, count: int, _causes: Counter[str], worst: Mapping[str, Any]) -> tuple[str, str]:
    unread = format_count(worst.get("unread_bytes"))
    if worst.get("role") == "server":
        step = f"Look at what blocks the workers of {_process(app, worst)}: requests from {_peer(worst)} wait unread."
    else:
        step = f"Consume or close the response body on every path of {_process(app, worst)} (peer {_peer(worst)})."
    return (
        f"{app} holds {plural(count, 'connection')} whose data it neither read nor closed, {unread} bytes"
        f" unread{_age_clause(worst)}",
        step,
    )


def _inherited(app: str, count: int, _causes: Counter[str], worst: Mapping[str, Any]) -> tuple[str, str]:
    names, more = _strangers(worst)
    return (
        f"{plural(count, 'closed connection')} of {app} {'is' if count == 1 else 'are'} also held open by another"
        f" program, {names}{more}, so closing in {app} alone ends nothing{_age_clause(worst)}",
        f"Open sockets of {_process(app, worst)} with SOCK_CLOEXEC (close-on-exec) so that {names} does not inherit"
        f" them, and restart it.",
    )


def _strangers(worst: Mapping[str, Any]) -> tuple[str, str]:
    others = worst.get("shared_with") or []
    names = ", ".join(f"{other['app']} (pid {other['pid']})" for other in others[:3])
    return names, f" and {len(others) - 3} more" if len(others) > 3 else ""  # noqa: PLR2004 - three are named


_TEXTS = {_LEAK: _leak, _STUCK: _stuck, _POOL: _pool, _BODY: _body, _INHERITED: _inherited}


def _age_clause(offender: Mapping[str, Any]) -> str:
    age = offender.get("age_s")
    return f"; the oldest has waited for {age_phrase(age)}" if age else "; for how long is not known"


def _descriptor_clause(descriptors: Mapping[str, Any]) -> str:
    percent, limit = descriptors.get("used_percent"), descriptors.get("soft_limit")
    if number(percent) < WORTH_SAYING_PERCENT:
        return ""
    return f"; it uses {format_percent(percent)} of its {format_count(limit)} descriptors"


def _process(app: str, offender: Mapping[str, Any]) -> str:
    descriptors = offender.get("descriptors") or {}
    pid = descriptors.get("worst_pid") or next(iter(offender.get("pids") or []), None)
    return f"{app} (pid {pid})" if pid is not None else app


def _direction(offender: Mapping[str, Any]) -> str:
    return {"client": "to", "server": "from"}.get(str(offender.get("role")), "with")


def _peer(offender: Mapping[str, Any]) -> str:
    peers = offender.get("peers") or []
    if not peers:
        return "its peers"
    first = peers[0]
    address = f"[{first['address']}]" if ":" in first["address"] and first.get("port") is not None else first["address"]
    name = f"{address}:{first['port']}" if first.get("port") is not None else address
    return name if len(peers) == 1 else f"{name} and others"
