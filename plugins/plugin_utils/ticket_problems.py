# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the applications of one host have to change: its offenders, dead sockets and findings, by application."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.causes import FINDING_OF_CAUSE
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.finding import REMEDIES, SEVERITIES, WARNING
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.identity import UNKNOWN_APP
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import data, namespace_suffix, rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["APPLICATION", "KERNEL", "UNKNOWN", "AppKey", "Problem", "problems_of"]

APPLICATION, KERNEL, UNKNOWN = "application", "kernel", "unknown"
"""What a ticket's name stands for: a program; the kernel itself; a holder that nobody could name."""

AppKey = tuple[str, str]
"""Name and one of the three above. The rule that found the name (``kind`` of an offender) is no part of it: the same
program is a unit on one host, a container on the next, and a listener while its accept queue is all that leaks."""

_LEAK, _INHERITED, _GROWING = "close_wait.leak", "close_wait.inherited", "close_wait.growing"
_DEAD, _CLOSED_HERE, _OVERFLOW = "fd.dead_sockets", "time_wait.closed_here", "listen.overflow"


class Problem(NamedTuple):
    """One finding about one application on one host, in one namespace."""

    key: AppKey
    finding: str
    severity: str
    number: int
    """Sockets in CLOSE_WAIT, dead descriptors, entries in TIME_WAIT or waiting connections, as the finding says."""
    causes: Mapping[str, int]
    program: Mapping[str, Any]
    """The report's entry: whatever it says of the program."""
    part: Mapping[str, Any]
    """``age_s``, ``unread_bytes``, ``peers`` and ``local_ports`` of these sockets alone, where the report has them."""


def problems_of(report: Mapping[str, Any]) -> tuple[list[Problem], list[str]]:
    """Return the problems of one valid host report, worst first, and the ids of findings that name no program.

    Only what an application can change: a finding's remedy is ``app`` by lastack's own table, whatever the host says.
    """
    severities = _severities(report)
    problems = [*_close_wait(report, severities), *_dead(report, severities)]
    told = {problem.finding for problem in problems} | {_GROWING}
    unnamed = []
    for finding in report["findings"]:
        page = finding["id"]
        if REMEDIES.get(page) != "app" or page in told:
            continue
        named = _named(report, finding)
        if named is not None:
            problems.append(named)
        else:
            unnamed.append(page)
    problems.sort(key=lambda one: (SEVERITIES.index(one.severity), -one.number))
    return problems, unnamed


def _severities(report: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for finding in report["findings"]:
        key = finding["id"], finding["subject"]
        found[key] = _worse(found.get(key), finding["severity"])
    return found


def _worse(one: str | None, other: str | None) -> str:
    return min(filter(None, (one, other)), key=SEVERITIES.index, default=WARNING)


def _severity(severities: Mapping[tuple[str, str], str], finding: str, app: str) -> str:
    """The severity of a leak: its own finding's or that of its growth, whichever is worse."""
    return _worse(severities.get((finding, app)), severities.get((_GROWING, app)))


def _key(app: str, kind: object) -> AppKey:
    if kind == KERNEL:
        return app, KERNEL
    return app, UNKNOWN if app == UNKNOWN_APP or app.startswith(f"{UNKNOWN_APP} (") else APPLICATION


def _close_wait(report: Mapping[str, Any], severities: Mapping[tuple[str, str], str]) -> Iterator[Problem]:
    for offender in data(report, "close_wait").get("offenders", ()):
        app = offender["app"]
        by_finding: dict[str, Counter[str]] = {}
        for cause, count in offender["causes"].items():
            finding = FINDING_OF_CAUSE.get(cause, _LEAK)
            if finding and count:
                by_finding.setdefault(finding, Counter())[cause] = count
        if not by_finding and offender["count"]:
            by_finding[_LEAK] = Counter(unknown=offender["count"])
        for finding, causes in by_finding.items():
            severity = _severity(severities, finding, app)
            part = _part(offender, causes, whole=len(by_finding) == 1)
            yield Problem(_key(app, offender["kind"]), finding, severity, causes.total(), causes, offender, part)
        if offender["shared_with"]:
            count = data(offender, "flags").get("shared") or offender["count"]
            severity = _severity(severities, _INHERITED, app)
            yield Problem(_key(app, offender["kind"]), _INHERITED, severity, count, {}, offender, {})


def _part(offender: Mapping[str, Any], causes: Counter[str], *, whole: bool) -> dict[str, Any]:
    """What belongs to some causes only; nothing that belongs to others, even if then less is known."""
    if whole:
        return {key: offender[key] for key in ("age_s", "unread_bytes", "peers", "local_ports")}
    details = data(offender, "by_cause")
    parts = [data(details, cause) for cause in causes]
    ages = [age for part in parts if (age := data(part, "age_s"))]
    most = [age.get("at_most") for age in ages]
    return {
        "age_s": {
            "at_least": max((_figure(age.get("at_least")) for age in ages), default=0.0),
            "at_most": None if any(bound is None for bound in most) else max(map(_figure, most)),
        }
        if ages
        else None,
        "unread_bytes": sum(int(_figure(part.get("unread_bytes"))) for part in parts) if any(parts) else None,
        "peers": [peer for part in parts for peer in rows(part, "peers")],
        "local_ports": [port for part in parts for port in rows(part, "local_ports")],
    }


def _figure(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0


def _dead(report: Mapping[str, Any], severities: Mapping[tuple[str, str], str]) -> Iterator[Problem]:
    for offender in data(report, "dead_sockets").get("offenders", ()):
        severity = severities.get((_DEAD, offender["app"]), WARNING)
        yield Problem(_key(offender["app"], None), _DEAD, severity, offender["count"], {}, offender, {})


def _named(report: Mapping[str, Any], finding: Mapping[str, Any]) -> Problem | None:
    """The problem of a finding that speaks of a port, if the report says whose port it is."""
    if finding["id"] == _CLOSED_HERE:
        places: list[Mapping[str, Any]] = [
            {**place, "namespace": one["namespace"]}
            for one in rows(report, "time_wait")
            for place in one["closed_here"]
        ]
        fits = [one for one in places if f":{one['port']}" == finding["subject"] and one.get("app")]
        count = "count"
    elif finding["id"] == _OVERFLOW:
        fits = [one for one in rows(report, "listeners") if one.get("app") and _subject(one) == finding["subject"]]
        count = "queue"
    else:
        return None
    if not fits:
        return None
    worst = max(fits, key=lambda one: int(one[count]))
    part = {"local_ports": [{"port": worst["port"], "count": worst[count]}]}
    key = _key(worst["app"], None)
    return Problem(key, finding["id"], finding["severity"], worst[count], {}, worst, part)


def _subject(listener: Mapping[str, Any]) -> str:
    return f"{listener['app']} :{listener['port']}{namespace_suffix(listener['namespace'])}"
