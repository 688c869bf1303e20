# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The upper half of a ticket: what leaks and since when, on which hosts, and the table of evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.wording import age_phrase
from ansible_collections.lastack.linux.plugins.plugin_utils.render.inert_markdown import code, codes, plain_name, table
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import (
    CAUSE_WORDS,
    age,
    count,
    limit_words,
    moment,
    plural,
    thousand,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.render.trends import due_words, rate
from ansible_collections.lastack.linux.plugins.plugin_utils.ticket_problems import KERNEL, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ansible_collections.lastack.linux.plugins.plugin_utils.ticket_evidence import AppEvidence, Section, Tally

__all__ = ["evidence_lines", "first_seen_words", "heading_lines", "headline", "title_of", "what_lines", "where_lines"]

_SHOWN = 5


def _sockets(what: str) -> Callable[[Section], str]:
    return lambda one: f"{plural(one.count, 'socket')} in CLOSE_WAIT, {what}"


_HEADLINES: Mapping[str, Callable[[Section], str]] = {
    "close_wait.leak": _sockets("never closed"),
    "close_wait.idle_pool": _sockets("forgotten in an idle pool"),
    "close_wait.unread_body": _sockets("body neither read nor closed"),
    "close_wait.stuck_accept": lambda one: f"{plural(one.count, 'connection')} closed by the peer, never accepted",
    "close_wait.inherited": lambda one: f"{plural(one.count, 'closed connection')} also held by another program",
    "fd.dead_sockets": lambda one: f"{plural(one.count, 'descriptor')} of connections that no longer exist",
    "time_wait.closed_here": lambda one: f"closes first, {plural(one.count, 'connection')} in TIME_WAIT",
    "listen.overflow": lambda one: f"accept queue full, {plural(one.count, 'connection')} waiting",
}


def headline(section: Section) -> str:
    """Return what is wrong in half a line: "2,204 sockets in CLOSE_WAIT, never closed"."""
    if section.finding == "close_wait.idle_pool" and section.served:
        return f"{plural(section.count, 'socket')} in CLOSE_WAIT, accepted, and their end not noticed"
    return _HEADLINES[section.finding](section)


def title_of(evidence: AppEvidence) -> str:
    """Return the title as plain text: harmless wherever a tracker or a chat shows it."""
    return f"{plain_name(evidence.app)}: {_subject(evidence)}"


def _subject(evidence: AppEvidence) -> str:
    worst = evidence.sections()[0]
    return f"{headline(worst)}, on {plural(worst.hosts, 'host')}"


def first_seen_words(evidence: AppEvidence) -> str | None:
    """Return the first known moment of the leak as RFC 3339 UTC; ``None`` if no age is known."""
    seen = evidence.first_seen
    return None if seen is None else seen.isoformat(timespec="seconds").replace("+00:00", "Z")


def heading_lines(evidence: AppEvidence) -> list[str]:
    """Return the heading: the application and its first cause."""
    return [f"# {code(evidence.app)}: {_subject(evidence)}"]


def what_lines(evidence: AppEvidence, audited: int) -> list[str]:
    """Return the list of what is wrong and since when."""
    lines = ["## What, and since when", ""]
    if evidence.key[1] == UNKNOWN:
        lines += [
            "The program that holds these connections could not be named: what is known of it is in the table below. A",
            "look as root of the machine (with Ansible: `become`), outside of any container, may name it.",
            "",
        ]
    elif evidence.key[1] == KERNEL:
        lines += [
            "No descriptor of any process shows these connections: the kernel itself holds them (NFS, CIFS, iSCSI,",
            "io_uring), or a message between programs that nobody has received yet. Look for what talks to the peers.",
            "",
        ]
    lines.append(f"- On {plural(evidence.hosts, 'host')} of {count(audited)} that were audited.")
    lines += [f"- {_upper(headline(section))}, on {plural(section.hosts, 'host')}." for section in evidence.sections()]
    if evidence.sockets:
        lines.append(
            "- The peer has closed these connections. Only the program can close its own end: no sysctl does, and"
            " nothing times out."
        )
    seen = first_seen_words(evidence)
    if evidence.oldest:
        since = f", so there since {moment(seen)} or before" if seen else ""
        lines.append(f"- The oldest has waited for {age_phrase(evidence.oldest)}{since}.")
    elif evidence.sockets:
        lines.append("- For how long is not known.")
    lines += _trend_lines(evidence)
    if evidence.undecided:
        lines.append(f"- {plural(evidence.undecided, 'further socket')} too young or too uncertain to judge.")
    return lines


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _trend_lines(evidence: AppEvidence) -> list[str]:
    trend = evidence.trend.result()
    if trend is None:
        return []
    verdicts = ", ".join(f"{name} on {plural(number, 'host')}" for name, number in trend["verdicts"].items())
    lines = [f"- The resident agent's verdict: {verdicts}."]
    if trend["growing_hosts"]:
        fastest = trend["fastest"]
        lines[0] = lines[0].removesuffix(".") + f"; it grows {rate(trend['growth_per_min'])} in all, fastest on"
        lines[0] += f" {code(fastest['host'])} ({rate(fastest['growth_per_min'])})."
    due = trend["earliest_exhaustion"]
    words = due_words(due["in_s"]) if due else ""
    if due and words:
        lines.append(f"- Forecast: {words} on {code(due['host'])}, counted from the look. Restart it before then.")
    return lines


def where_lines(evidence: AppEvidence) -> list[str]:
    """Return the table of the worst hosts, and how many more there are."""
    rows = [
        [code(row["host"]), _found(row), age(row["age_s"]), _process(row), limit_words(row["descriptors"]) or "unknown"]
        for row in evidence.worst.ranked()
    ]
    header = ["host", "found", "oldest", "process", "descriptors used"]
    lines = ["## Where", "", *table(header, rows)]
    left = evidence.worst.truncated
    return [*lines, "", f"And {plural(left, 'more host')}, not as bad as these."] if left else lines


def _found(row: Mapping[str, Any]) -> str:
    said = []
    if row["sockets"]:
        said.append(plural(row["sockets"], "socket"))
    if row["dead"]:
        said.append(f"{count(row['dead'])} dead")
    for finding, number, ports in row["problems"]:
        if finding in ("time_wait.closed_here", "listen.overflow") and ports:
            what = "in TIME_WAIT" if finding == "time_wait.closed_here" else "not accepted"
            said.append(f"port {ports[0]['port']}: {count(number)} {what}")
    return ", ".join(said) or "nothing now"


def _process(row: Mapping[str, Any]) -> str:
    said = []
    if row["pid"] is not None:
        said.append(f"pid {row['pid']}")
    if row["container_pid"] is not None:
        said.append(f"pid {row['container_pid']} inside")
    if row["processes"] > 1:
        said.append(f"{plural(row['processes'], 'process', 'processes')}")
    if row["container"]:
        said.append(f"container {code(row['container'])}")
    if row["namespace"] not in (None, "", "host") and row["namespace"] != row["container"]:
        said.append(f"namespace {code(row['namespace'])}")
    return ", ".join(said) or "not known"


def evidence_lines(evidence: AppEvidence) -> list[str]:
    """Return the table of evidence: everything that the hosts say of the program and its connections."""
    rows = [["application", code(evidence.app)]]
    if evidence.sockets:
        rows.append(["sockets in CLOSE_WAIT", count(evidence.sockets)])
    causes: dict[str, int] = {}
    for section in evidence.sections():
        for cause, number in section.causes.items():
            causes[cause] = causes.get(cause, 0) + number
    if causes:
        ranked = sorted(causes.items(), key=lambda item: (-item[1], item[0]))
        rows.append(["causes", ", ".join(f"{CAUSE_WORDS[name]} (`{name}`) {count(number)}" for name, number in ranked)])
    if evidence.dead:
        rows.append(["dead sockets (descriptors of connections that no longer exist)", count(evidence.dead)])
    if evidence.oldest:
        rows.append(["age of the oldest", age(evidence.oldest)])
    rows += [["peers", _counted(evidence.peers)], ["local ports", _counted(evidence.local_ports)]]
    rows += [[label, _tally(evidence.facts[key])] for key, label in _LABELS.items()]
    if evidence.descriptors:
        use = evidence.descriptors[2]
        rows.append(["descriptors used, at worst", f"{limit_words(use)} on {code(evidence.descriptors[1])}"])
    if evidence.unread_bytes:
        rows.append(["unread in the kernel", thousand(evidence.unread_bytes)])
    rows.append(["also held by", _tally(evidence.shared_with)])
    rows += _hint_rows(evidence)
    return ["## Evidence", "", *table(["what", "seen"], [row for row in rows if row[1]])]


_LABELS = {
    "role": "role (who connected: client is this program)",
    "user": "user",
    "unit": "systemd unit",
    "exe": "executable",
    "container": "container",
    "runtime": "runtime",
}


def _tally(tally: Tally) -> str:
    return codes([text for text, __ in tally.ranked()], _SHOWN, more=tally.more) if tally.ranked() else ""


def _counted(tally: Tally) -> str:
    ranked = tally.ranked()
    shown = ", ".join(f"{code(text)} {count(number)}" for text, number in ranked[:_SHOWN])
    left = len(ranked) - _SHOWN
    if tally.more:
        return f"{shown} and more"
    return f"{shown} and {count(left)} more" if left > 0 else shown


_SEEN = {
    "jar": "a jar",
    "mapped_file": "mapped into memory",
    "go_module": "in the Go build information",
    "executable": "in the executable",
    "script": "the script itself",
}


def _hint_rows(evidence: AppEvidence) -> list[list[str]]:
    libraries = [
        f"{code(f'{name} {version}'.strip())} ({_SEEN.get(seen, 'seen')}, {plural(hosts, 'host')})"
        for (name, version, seen, __), hosts in evidence.ranked_libraries()[:_SHOWN]
    ]
    return [
        ["loaded (evidence, no proof that it is the one)", ", ".join(libraries)],
        ["started as", _tally(evidence.programs)],
        ["log files", _tally(evidence.log_files)],
    ]
