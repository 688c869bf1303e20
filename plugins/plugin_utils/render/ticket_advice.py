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
    MEANING,
    USELESS,
    page_or_none,
    section,
    with_process,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lastack.linux.plugins.plugin_utils.ticket_evidence import AppEvidence, Section

__all__ = ["cause_lines", "change_lines", "process_lines", "useless_lines"]

_LIBRARIES = 3
_RUNTIMES = 2
_CANDIDATES = 8
_LIBRARY = re.compile(r"\blibrary\.[a-z0-9_]+")

#: What accepts connections; a program that only makes some has its leak elsewhere.
_SERVERS = ("library.python_servers", "library.nginx", "library.haproxy")


def cause_lines(evidence: AppEvidence) -> list[str]:
    """Return a section for each cause, worst first: what it is, by which sockets, and what fixes it."""
    sections = evidence.sections()
    lines: list[str] = []
    for number, one in enumerate(sections, 1):
        which = f"Cause {number} of {len(sections)}" if len(sections) > 1 else "Cause"
        lines += [f"## {which}: {headline(one)}", "", *_figures(evidence, one), ""]
        lines += [section(one.finding, MEANING) or "There is no page about this finding.", ""]
        fix = section(one.finding, FIX)
        lines += [f"What fixes it ({code(one.finding)}):", "", fix, ""] if fix else []
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
    if len(one.causes) > 1 or any(cause not in CAUSE_WORDS for cause in one.causes):
        ranked = sorted(one.causes.items(), key=lambda item: (-item[1], item[0]))
        shown = ", ".join(f"{count(number)} {CAUSE_WORDS[name]} (`{name}`)" for name, number in ranked)
        lines.append(f"By what the kernel shows of each socket: {shown}.")
    return lines


def _library_pages(evidence: AppEvidence) -> list[str]:
    pages = dict.fromkeys(key[3] for key, __ in evidence.ranked_libraries() if key[3].startswith("library."))
    return [page for page in pages if page_or_none(page)][:_LIBRARIES]


def _pages(evidence: AppEvidence) -> list[str]:
    """The pages of the libraries that were seen; without any, those of the runtimes."""
    runtimes = [f"runtime.{name}" for name, __ in evidence.facts["runtime"].ranked()]
    return _library_pages(evidence) or [page for page in runtimes if page_or_none(page)][:_RUNTIMES]


def change_lines(evidence: AppEvidence) -> list[str]:
    """Return the lines to change, from the pages of the libraries that were seen, else of the runtime."""
    if not (evidence.sockets or evidence.dead):
        return []
    pages, lines = _pages(evidence), ["## The lines to change", ""]
    if not pages:
        return [
            *lines,
            "The runtime of this program is not known, so no code is shown: an unknown interpreter, or a process that",
            "could not be read. What fixes it in any language stands above; the peer and the port say which connection",
            "is meant.",
        ]
    if {one.finding for one in evidence.sections()} == {"close_wait.stuck_accept"}:
        lines.append("What keeps the program from accepting is in its own code or in its server library.")
    elif _library_pages(evidence):
        lines.append("These libraries are loaded in the process. That is no proof that one of them leaks: the peer and")
        lines.append("the port say which client is meant. If it is another one, the cause above holds all the same.")
    else:
        lines.append("Which library holds the connections cannot be seen from outside: these are candidates. The peer")
        lines.append("and the port say which client is meant.")
    for page in pages:
        loaded = page_or_none(page)
        title = loaded.title if loaded else page
        lines += ["", f"### {title[:1].upper()}{title[1:]} ({code(page)})"]
        for text in (section(page, MEANING), section(page, FIX)):
            lines += ["", text] if text else []
    for page in _candidates(evidence, pages):
        fix, loaded = section(page, FIX), page_or_none(page)
        title = loaded.title if loaded else page
        lines += ["", f"### A candidate: {title} ({code(page)})", "", fix] if fix else []
    return lines


def _candidates(evidence: AppEvidence, pages: list[str]) -> list[str]:
    """The libraries that the pages of the runtimes name: the ticket has to bring what its reader cannot look up."""
    roles = {role for role, __ in evidence.facts["role"].ranked()}
    named = [name for page in pages for part in (CONFIRM, FIX) for name in _LIBRARY.findall(section(page, part))]
    found = [name for name in dict.fromkeys(named) if name not in pages and page_or_none(name)]
    if roles == {"client"}:
        found = [name for name in found if name not in _SERVERS]
    elif roles == {"server"}:
        # Most runtimes have no page of their server libraries: then a client's is better than none.
        found = [name for name in found if name in _SERVERS] or found
    return found[:_CANDIDATES]


def useless_lines(evidence: AppEvidence) -> list[str]:
    """Return why no setting and no restart is the fix, from the pages of the causes and of the libraries."""
    findings = [one.finding for one in evidence.sections()]
    lines = ["## Why no sysctl and no restart fixes it", ""]
    if evidence.sockets:
        lines += [
            "A connection leaves CLOSE_WAIT when the program closes its socket, and only then (RFC 9293): the kernel",
            "waits without any time-out.",
        ]
    if evidence.sockets or evidence.dead:
        lines += [
            "A restart closes everything that the process holds, so it buys time before the descriptors run out.",
            "The same code then leaks again.",
        ]
    else:
        lines += ["The program decides this by itself; the kernel only shows it. A restart changes nothing."]
    lines.append("")
    for page in dict.fromkeys([*findings, *_pages(evidence)]):
        text = section(page, USELESS)
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
    lines += ["Ports and addresses in them are examples: the right ones are in the table of evidence.", ""]
    for page in dict.fromkeys([*_pages(evidence), *(one.finding for one in evidence.sections())]):
        text = section(page, CONFIRM)
        if text:
            lines += [f"{code(page)}:", "", with_process(text, pid=pid, host=host), ""]
    return lines[:-1]
