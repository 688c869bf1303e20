# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of ``lastack explain``: TCP states, findings, causes, flags, verdicts, runtimes, libraries and topics."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.causes import CAUSES
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.finding import REMEDIES
from ansible_collections.lastack.linux.plugins.module_utils.observe.agent_fact import VERDICTS
from ansible_collections.lastack.linux.plugins.module_utils.observe.tcp_states import STATES

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KINDS", "SECTIONS", "Page", "UnknownPage", "load_page", "page_ids"]

_PAGES = Path(__file__).parent / "pages"

SECTIONS = (
    "What you see",
    "What it means",
    "Who must act",
    "How to confirm",
    "How to fix",
    "What does not help",
    "Sources",
)
"""The headings of every page, in this order."""


def _files(kind: str) -> tuple[str, ...]:
    """The ids of the kinds that are open lists: what the folder holds."""
    return tuple(sorted(path.name.removesuffix(".md") for path in _PAGES.glob(f"{kind}.*.md")))


_IDS: Mapping[str, tuple[str, ...]] = {
    "state": STATES,
    "finding": tuple(REMEDIES),
    "cause": CAUSES,
    "flag": ("shared", "kernel_owned"),
    "verdict": tuple(f"verdict.{name}" for name in VERDICTS),
    "runtime": (
        "runtime.java",
        "runtime.node",
        "runtime.python",
        "runtime.go",
        "runtime.ruby",
        "runtime.php",
        "runtime.native",
    ),
    "library": _files("library"),
    "topic": _files("topic"),
}

KINDS = tuple(_IDS)
"""``state``, ``finding``, ``cause``, ``flag``, ``verdict``, ``runtime``, ``library``, ``topic``."""

#: Other spellings: of ss(8), of netstat(8), of RFC 9293, the bare runtimes and verdicts, and libraries by the names
#: that their users and the reports call them; a bare name of a library's or a topic's page needs no entry.
_ALIASES: Mapping[str, str] = {
    "estab": "ESTABLISHED",
    "synreceived": "SYN_RECV",
    "newsynrecv": "SYN_RECV",
    "unconn": "CLOSE",
    "closed": "CLOSE",
    "listening": "LISTEN",
    "java": "runtime.java",
    "node": "runtime.node",
    "nodejs": "runtime.node",
    "python": "runtime.python",
    "go": "runtime.go",
    "golang": "runtime.go",
    "ruby": "runtime.ruby",
    "php": "runtime.php",
    "native": "runtime.native",
    "pool": "verdict.pool",
    "burst": "verdict.burst",
    "stuck": "verdict.stuck",
    "watching": "verdict.watching",
    "http.server": "library.python_servers",
    "socketserver": "library.python_servers",
    "psycopg": "library.psycopg_pool",
    "httpclient": "library.apache_httpclient4",
    "apachehttpclient": "library.apache_httpclient4",
    "java.net.http": "library.java_net_http",
    "http.agent": "library.node_http_agent",
    "nodehttp": "library.node_http_agent",
    "fetch": "library.undici",
    "gohttp": "library.go_net_http",
    "curl": "library.php_curl",
    "net::http": "library.ruby_net_http",
    "rubynet::http": "library.ruby_net_http",
    "nodehttp.agent": "library.node_http_agent",
    "sokeepalive": "topic.tcp_keepalive",
}

#: The bare name of a sysctl leads to its page of the catalogue (setting_pages.py), not to the topic.
_SYSCTLS = ("tcpfintimeout", "tcptwrecycle")

#: Says which gallery program the code below it is cut from (scripts/page_excerpts.py).
_EXCERPT = re.compile(r"^<!-- gallery: \w+ -->\n", re.MULTILINE)

_MOST_NAMED = 60
"""Characters of an unknown id that are repeated in the message."""


class UnknownPage(LookupError):  # noqa: N818 - the name is public; a lookup that found nothing is no defect
    """No page has this id; the text says so in one sentence and names close ones."""


class Page(NamedTuple):
    """One page of ``lastack explain``."""

    id: str
    """The finding id, state, cause, flag, or ``KIND.NAME`` of the other kinds, that it explains."""
    title: str
    """One line without the id."""
    kind: str
    """One of ``KINDS``."""
    remedy: str | None
    """``app``, ``kernel``, ``limits`` or ``none``; ``None`` where no class applies."""
    body: str
    """Markdown: the sections of ``SECTIONS``, lines of at most 100 columns."""


def page_ids(kind: str | None = None) -> list[str]:
    """Return the ids of all pages, or of one kind, in the order of facts.md.

    Raises:
        KeyError: for a kind that is not in ``KINDS``.
    """
    if kind is not None:
        return list(_IDS[kind])
    return [name for names in _IDS.values() for name in names]


def load_page(page_id: str) -> Page:
    """Return the page of an id.

    Case does not matter, states may be spelt as ss(8), netstat(8) or RFC 9293 do (``CLOSE-WAIT``, ``ESTAB``), and
    libraries and topics may be given without their kind (``requests``). The id is looked up in a fixed table: no path
    is ever made from it.

    Raises:
        UnknownPage: when there is no such page.
    """
    folded = {_fold(name): name for name in page_ids()}
    wanted = _fold(page_id)
    bare = (folded.get(f"{kind}.{wanted}") for kind in ("library", "topic") if wanted not in _SYSCTLS)
    name = folded.get(wanted) or folded.get(_fold(_ALIASES.get(wanted, ""))) or next(filter(None, bare), None)
    if name is None:
        raise UnknownPage(_unknown(page_id, wanted, folded))
    kind = next(kind for kind, names in _IDS.items() if name in names)
    return _parse(name, kind, (_PAGES / f"{name}.md").read_text(encoding="utf-8"))


def _fold(page_id: str) -> str:
    return re.sub(r"[-_ /]", "", page_id.strip().lower())


def _unknown(page_id: str, wanted: str, folded: Mapping[str, str]) -> str:
    inside = [name for fold, name in folded.items() if len(wanted) > 1 and wanted in fold]
    near = [folded[fold] for fold in difflib.get_close_matches(wanted[:_MOST_NAMED], folded, n=3)]
    close = list(dict.fromkeys([*near, *inside]))[:3]
    hint = f"did you mean {' or '.join(close)}?" if close else '"lastack explain" lists all pages.'
    return f"there is no page {page_id[:_MOST_NAMED]!a}; {hint}"


def _parse(name: str, kind: str, text: str) -> Page:
    head, __, body = _EXCERPT.sub("", text).partition("\n## ")
    lines = [line for line in head.splitlines() if line.strip()]
    title = lines[0].removeprefix(f"# {name}: ").strip()
    remedies = [line.removeprefix("Remedy:").strip() for line in lines[1:] if line.startswith("Remedy:")]
    return Page(name, title, kind, remedies[0] if remedies else None, f"## {body.strip()}\n")
