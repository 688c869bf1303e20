# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the pages of ``lastack explain`` that a ticket takes over, with the process's own id filled in."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.explain import Page, UnknownPage, load_page, page_ids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lastack.linux.plugins.plugin_utils.ticket_evidence import AppEvidence

__all__ = [
    "CONFIRM",
    "FIX",
    "LIBRARY_ANSWERS",
    "MEANING",
    "USELESS",
    "page_or_none",
    "recognised",
    "section",
    "with_ports",
    "with_process",
]

LIBRARY_ANSWERS = ("close_wait.leak", "close_wait.idle_pool", "close_wait.unread_body", "close_wait.stuck_accept")
"""What the page of a library answers better: measured there, where a general list may not hold."""

_LIBRARIES = 3

MEANING, CONFIRM, FIX, USELESS = "What it means", "How to confirm", "How to fix", "What does not help"

_HEADING = re.compile(r"^## +(.+?) *$")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_COMMENT = re.compile(r"^<!--.*-->$")


@cache
def page_or_none(page_id: str) -> Page | None:
    """Return a page by its exact id, which may come from a host; ``None`` if there is no such page."""
    if page_id not in page_ids():
        return None
    try:
        return load_page(page_id)
    except (UnknownPage, OSError):
        return None


@cache
def section(page_id: str, heading: str) -> str:
    """Return one section of a page without its heading; empty if the page or the section is missing."""
    page = page_or_none(page_id)
    if page is None:
        return ""
    found: list[str] = []
    inside, fence = False, ""
    for line in page.body.splitlines():
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and line.strip().startswith(fence) and not line.strip().strip(fence[0]):
            fence = ""
        title = None if fence else _HEADING.match(line)
        if title:
            inside = title[1] == heading
        elif inside and (fence or not _COMMENT.match(line)):
            found.append(line)
    return "\n".join(found).strip("\n")


def recognised(evidence: AppEvidence) -> list[str]:
    """Return the pages of the libraries that were seen in the process and that the host's advice names."""
    pages = dict.fromkeys(key[3] for key, __ in evidence.ranked_libraries() if key[3].startswith("library."))
    return [page for page in pages if page_or_none(page)][:_LIBRARIES]


def with_ports(text: str, row: Mapping[str, Any]) -> str:
    """Fill in the ports of a host's worst connections where a page's commands have those of an example."""
    for word, key in (("dport", "peers"), ("sport", "local_ports")):
        ports = [one.get("port") for one in row[key] if isinstance(one.get("port"), int)]
        if ports:
            text = re.sub(rf"\b{word} = :\d+", f"{word} = :{ports[0]:d}", text)
    return text


def with_process(text: str, *, pid: int | None, host: str) -> str:
    """Fill in the id of a process and the name of its host where a page's commands say PID and HOST.

    ``host`` is a word that may stand in a command, or empty.
    """
    if pid is not None:
        text = re.sub(r"\bPID\b", str(pid), text)
    return re.sub(r"\bHOST\b", host, text) if host else text
