# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The middle of a ticket: each cause in plain words, the lines to change, and why nothing else helps."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.render.inert_markdown import code, codes, shell_word
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import CAUSE_WORDS, count, plural, thousand
from ansible_collections.lastack.linux.plugins.plugin_utils.render.ticket_facts import headline
from ansible_collections.lastack.linux.plugins.plugin_utils.render.ticket_pages import (
    CONFIRM,
    FIX,
    LIBRARY_ANSWERS,
    MEANING,
    USELESS,
    page_or_none,
    recognised,
    section,
    with_ports,
    with_process,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lastack.linux.plugins.plugin_utils.ticket_evidence import AppEvidence, Section

__all__ = ["cause_lines", "change_lines", "process_lines", "useless_lines"]

_RUNTIMES = 2
_CANDIDATES = 3
_LIBRARY = re.compile(r"\blibrary\.[a-z0-9_]+")

#: What accepts connections; a program that only makes some has its leak elsewhere.
_SERVERS = ("library.python_servers", "library.nginx", "library.haproxy")

_POSTGRES = "library.psycopg_pool"
_INHERITED = "close_wait.inherited"

#: Where a program only accepts connections, what its runtime's page says of clients is beside the point.
_SERVER_PAGES = {"runtime.python": "library.python_servers"}

#: An item of a list of fixes that leads to pages which the ticket brings.
_LEADS_ON = re.compile(
    r"\n(?:\d\.|-) (?:The lines to change|The same per library[^:\n]*):\s+`lastack explain (?:(?!\n(?:\d\.|-) ).)*",
    re.DOTALL,
)


def cause_lines(evidence: AppEvidence) -> list[str]:
    """Return a section for each cause, worst first: what it is, by which sockets, and what fixes it."""
    sections, known = evidence.sections(), bool(recognised(evidence))
    lines: list[str] = []
    for number, one in enumerate(sections, 1):
        which = f"Cause {number} of {len(sections)}" if len(sections) > 1 else "Cause"
        lines += [f"## {which}: {headline(one)}", "", *_figures(evidence, one), ""]
        lines += [section(one.finding, MEANING) or "There is no page about this finding.", ""]
        fix = _LEADS_ON.sub("", section(one.finding, FIX))
        if fix and not (known and one.finding in LIBRARY_ANSWERS):
            lines += [f"What fixes it ({code(one.finding)}):", "", fix, ""]
    return lines[:-1]


def _figures(evidence: AppEvidence, one: Section) -> list[str]:
    app, held = code(evidence.app), plural(one.count, "connection")
    peers = codes([text for text, __ in one.peers.ranked()], 3, more=one.peers.more)
    ports = codes([text for text, __ in one.local_ports.ranked()], 3, more=one.local_ports.more)
    others = codes([text for text, __ in evidence.shared_with.ranked()], 3, more=evidence.shared_with.more)
    with_peers = f" with {peers}" if peers else ""
    on_ports = f" on {ports}" if ports else ""
    unread = f": {thousand(one.unread_bytes)} wait unread in the kernel" if one.unread_bytes else ""
    said = {
        "close_wait.leak": f"{app} holds {held}{with_peers}{on_ports} that the peer has closed and it never closed.",
        "close_wait.idle_pool": f"{app} keeps {held}{with_peers}{on_ports} that the peer has closed; nobody has looked"
        " at them since.",
        "close_wait.unread_body": f"{app} holds {held}{with_peers}{on_ports} whose data it neither read nor closed"
        f"{unread}.",
        "close_wait.stuck_accept": f"{held}{on_ports} were closed by the peer before {app} accepted them.",
        "close_wait.inherited": f"{held} of {app} are held open by another program, too: {others or 'not named'}."
        " Closing them here alone ends nothing.",
        "fd.dead_sockets": f"{plural(one.count, 'descriptor')} of {app} point to connections that no longer exist: no"
        " tool that lists connections shows them.",
        "time_wait.closed_here": f"{app}{on_ports} closes the connections of its clients first: {held} in TIME_WAIT.",
        "listen.overflow": f"{held}{on_ports} wait for {app} to accept them; the rest is dropped.",
    }
    lines = [said[one.finding]]
    if one.finding == _INHERITED:
        lines += _holders(evidence)
    elif evidence.held_twice and one.finding.startswith("close_wait."):
        lines += [
            "These are the sockets of cause 1. What this adds: the program had not closed its own copies either.",
            "With cause 1 mended this may be gone, for the program may close them in time: look before you change it.",
        ]
    elif one.finding == "close_wait.idle_pool" and one.served and _first(evidence) == "close_wait.stuck_accept":
        lines += ["Most likely these are what the program was serving when it got stuck: they end with cause 1."]
    if len(one.causes) > 1:
        ranked = sorted(one.causes.items(), key=lambda item: (-item[1], item[0]))
        shown = ", ".join(f"{count(number)} {CAUSE_WORDS[name]} (`{name}`)" for name, number in ranked)
        lines.append(f"By what the kernel shows of each socket: {shown}.")
    return lines


def _holders(evidence: AppEvidence) -> list[str]:
    """Which process the other holder is, on the worst host that says it."""
    for row in evidence.worst.ranked():
        named = [
            (app, pid)
            for app, pid in row["shared_with"]
            if isinstance(app, str) and isinstance(pid, int) and not isinstance(pid, bool) and pid > 0
        ]
        if named:
            shown = ", ".join(f"{code(app)} (pid {pid})" for app, pid in dict.fromkeys(named))
            return [
                f"On {code(row['host'])} it is {shown}: look for what starts it, and repair that"
                f" place (`ps -o ppid,lstart,args -p {named[0][1]}` names its parent)."
            ]
    return []


def _pages(evidence: AppEvidence) -> list[str]:
    """The pages of the libraries that were seen; without any, those of the runtimes.

    Where another program holds all of the sockets, no page on closing them is the answer.
    """
    if evidence.held_twice and not recognised(evidence):
        return []
    runtimes = [f"runtime.{name}" for name, __ in evidence.facts["runtime"].ranked()]
    if _serves(evidence):
        runtimes = [_SERVER_PAGES.get(page, page) for page in runtimes]
    return recognised(evidence) or [page for page in runtimes if page_or_none(page)][:_RUNTIMES]


def _serves(evidence: AppEvidence) -> bool:
    """Whether the connections are those that the program accepted, or should accept."""
    roles = {role for role, __ in evidence.facts["role"].ranked()}
    return roles == {"server"} or _first(evidence) == "close_wait.stuck_accept"


def _first(evidence: AppEvidence) -> str:
    return evidence.sections()[0].finding


def change_lines(evidence: AppEvidence) -> list[str]:
    """Return the lines to change, from the pages of the libraries that were seen, else of the runtime."""
    if not (evidence.sockets or evidence.dead):
        return []
    known, pages, lines = recognised(evidence), _pages(evidence), ["## The lines to change", ""]
    if evidence.held_twice and not known:
        return [*lines, "They are where the other program is started, not where connections are used: see cause 1."]
    if not pages:
        return [
            *lines,
            "The runtime of this program is not known, so no code is shown: an unknown interpreter, or a process that",
            "could not be read. What fixes it in any language stands above; the peer and the port say which connection",
            "is meant.",
        ]
    if _first(evidence) == "close_wait.stuck_accept":
        lines.append("What keeps the program from accepting is in its own code or in its server library.")
    elif known:
        lines.append("This is loaded in the process, which is no proof that it leaks: the peer and the port say which")
        answered = [one.finding for one in evidence.sections() if one.finding in LIBRARY_ANSWERS]
        general = f", and the general fixes are in\n`lastack explain {answered[0]}`" if answered else ""
        lines.append(f"client is meant. If it is another one, the cause above holds all the same{general}.")
    else:
        lines.append("Which library holds the connections cannot be seen from outside: these are candidates. The peer")
        lines.append("and the port say which one is meant, the imports and the lock file which there are.")
    for page in pages:
        loaded = page_or_none(page)
        title = loaded.title if loaded else page
        lines += ["", f"### {title[:1].upper()}{title[1:]} ({code(page)})"]
        for text in (section(page, MEANING), section(page, FIX)):
            lines += ["", text] if text else []
        useless = section(page, USELESS) if page in known else ""
        lines += ["", "### Tried, and does not help", "", useless] if useless else []
    candidates = [] if known else _candidates(evidence, pages)
    for page in candidates[:_CANDIDATES]:
        fix, loaded = section(page, FIX), page_or_none(page)
        title = loaded.title if loaded else page
        lines += ["", f"### A candidate: {title} ({code(page)})", "", fix] if fix else []
    if candidates[_CANDIDATES:]:
        further = codes([f"lastack explain {page}" for page in candidates[_CANDIDATES:]], len(candidates))
        lines += ["", f"Further candidates: {further}."]
    return lines


def _candidates(evidence: AppEvidence, pages: list[str]) -> list[str]:
    """The libraries that the pages of the runtimes name: the ticket has to bring what its reader cannot look up."""
    runtimes = [page for page in pages if page.startswith("runtime.")]
    named = [name for page in runtimes for part in (CONFIRM, FIX) for name in _LIBRARY.findall(section(page, part))]
    found = [name for name in dict.fromkeys(named) if name not in pages and page_or_none(name)]
    if _serves(evidence):
        return [name for name in found if name in _SERVERS]
    if {role for role, __ in evidence.facts["role"].ranked()} == {"client"}:
        found = [name for name in found if name not in _SERVERS]
    if _POSTGRES in found:
        farewell = any("eof_unnoticed_farewell" in one.causes for one in evidence.sections())
        databases = [text.endswith(":5432") for text, __ in evidence.peers.ranked()]
        found.remove(_POSTGRES)
        if databases and all(databases):
            return [_POSTGRES]
        found = [_POSTGRES, *found] if farewell or any(databases) else found
    return found


def useless_lines(evidence: AppEvidence) -> list[str]:
    """Return why no setting and no restart is the fix, from the pages of the causes and of the libraries."""
    findings = [one.finding for one in evidence.sections()]
    lines = ["## Why no sysctl and no restart fixes it", ""]
    if evidence.sockets:
        lines += ["The kernel waits for the program to close, without any time-out (RFC 9293)."]
    if evidence.held_twice:
        lines += [
            "A restart of this program alone ends nothing, for the other one keeps its copies; a restart of both buys",
            "time before the descriptors run out. The same code then leaks again.",
        ]
    elif evidence.sockets or evidence.dead:
        lines += [
            "A restart closes everything that the process holds, so it buys time before the descriptors run out.",
            "The same code then leaks again.",
        ]
    else:
        lines += ["The program decides this by itself; the kernel only shows it. A restart changes nothing."]
    lines.append("")
    known = recognised(evidence)
    for page in dict.fromkeys([*findings, *(page for page in _pages(evidence) if page not in known)]):
        text = with_process(section(page, USELESS), pid=evidence.worst.ranked()[0]["pid"], host="")
        if text:
            lines += [f"{code(page)}:", "", text, ""]
    return lines[:-1]


def process_lines(evidence: AppEvidence, row: Mapping[str, Any]) -> list[str]:
    """Return the commands that ask the process itself, with the id and the host of the worst one filled in."""
    host, pid = shell_word(row["host"]), row["pid"]
    lines = ["## What only the process itself can tell", ""]
    if pid is None:
        lines += ["No process is known that could be asked; where the commands say PID, put its id once it is found."]
    else:
        lines += [
            f"Before the next restart, on {code(row['host'])}, as its user or root; pid {pid} is the worst one there."
        ]
        if row["container_pid"] is not None:
            lines += [
                f"Inside its container the same process has pid {row['container_pid']}: tools that run there need it."
            ]
    lines += ["lastack runs none of these: some stop the program for a moment, and their output may hold secrets."]
    lines += ["Paths and addresses in them are examples: the right ones are in the table of evidence.", ""]
    for page in dict.fromkeys([*_pages(evidence), *(one.finding for one in evidence.sections())]):
        text = section(page, CONFIRM)
        if text:
            text = with_ports(text, row)
            lines += [f"{code(page)}:", "", with_process(text, pid=pid, host=host), ""]
    return lines[:-1]
