# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words and units that every screen uses: causes, remedy classes, shares, ages and counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.causes import FINDING_OF_CAUSE
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.wording import (
    format_age,
    format_count,
    format_percent,
    plural,
)

__all__ = [
    "CAUSE_WORDS",
    "LEAK_SENTENCE",
    "MATCH_WORDS",
    "REMEDY_WORDS",
    "SEVERITIES",
    "age",
    "cause_words",
    "clean",
    "count",
    "data",
    "dominant_cause",
    "endpoint",
    "joined",
    "limit_words",
    "moment",
    "namespace_suffix",
    "page_of",
    "percent",
    "plural",
    "rows",
    "runtime_page",
    "thousand",
]

#: What a cause of facts.md is called on a screen: few words, no jargon of ours.
CAUSE_WORDS: Mapping[str, str] = {
    "unaccepted": "never accepted",
    "eof_unnoticed": "idle pool",
    "eof_unnoticed_tls": "idle pool, likely TLS",
    "eof_unnoticed_farewell": "idle pool, farewell",
    "unread_data": "body not read",
    "eof_read": "not closed at the end",
    "eof_consumed": "end consumed, not closed",
    "half_close": "half-closed by design",
    "unknown": "cause unknown",
}

#: Who has to act, per remedy class.
REMEDY_WORDS: Mapping[str, str] = {
    "app": "application",
    "kernel": "kernel setting",
    "limits": "limit",
    "none": "nothing to fix",
}

#: How a wanted value is to be read, before it; nothing for an exact one.
MATCH_WORDS: Mapping[str, str] = {"at_least": "at least ", "at_most": "at most ", "wider": "at least as wide as "}

#: Severities, worst first.
SEVERITIES = ("critical", "warning", "info")

# What a report may name; each has a page, and a name that is not among them never becomes a command.
_RUNTIMES = ("java", "node", "python", "go", "ruby", "php", "native")

# The longest text that the schema of a host report lets pass.
_LONGEST = 4096

LEAK_SENTENCE = "the application must close them, no sysctl will"


def clean(text: object) -> str:
    """One line of harmless text, whatever a host wrote into it; at most as long as the longest text of a report."""
    return clean_text(str(text), _LONGEST)


def count(number: int | None) -> str:
    """A count with thousands separators; unknown is said as "unknown", never as 0."""
    return format_count(number)


def age(bracket: Mapping[str, Any] | None) -> str:
    """An age bracket in seconds as "≥ 3 h", "3 to 4 h" or "40 min"; "unknown" if nothing is known."""
    return format_age(bracket)


def percent(share: float | None) -> str:
    """A share in whole percent, rounded down so that 100 % means full; a trace is "<1 %"."""
    return format_percent(share)


def thousand(size: int) -> str:
    """Bytes in the unit that a person would use, in decimal units (1 kB is 1,000 bytes)."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.0f} {unit}"
    return plural(size, "byte")


def data(mapping: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The object under ``key``; an empty one if it is missing, null or of another type."""
    value = mapping.get(key)
    return value if isinstance(value, Mapping) else {}


def rows(mapping: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    """The objects of the list under ``key``; none if it is missing, null or of another type."""
    value = mapping.get(key)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def cause_words(cause: str, role: object = None) -> str:
    """A cause in a few words; a server has no pool whose connections could idle."""
    words = CAUSE_WORDS.get(cause, cause)
    return words.replace("idle pool", "end not noticed") if role == "server" else words


def dominant_cause(causes: Mapping[str, int]) -> str:
    """The cause of most sockets; "unknown" if there is none."""
    return max(causes, key=lambda cause: causes[cause], default="unknown")


def page_of(causes: Mapping[str, int]) -> str:
    """The page of ``lastack explain`` that answers the cause of most sockets."""
    return FINDING_OF_CAUSE.get(dominant_cause(causes)) or "close_wait.leak"


def runtime_page(app: Mapping[str, Any]) -> str:
    """The page of ``lastack explain`` on an application's runtime; nothing if the runtime is not known."""
    return f"runtime.{app['runtime']}" if app.get("runtime") in _RUNTIMES else ""


def endpoint(address: object, port: object) -> str:
    """An address and a port as RFC 3986 writes them, IPv6 in brackets; without a port the address alone."""
    host = str(address)
    if port is None:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def limit_words(use: Mapping[str, Any]) -> str:
    """The use of descriptors in words: "68 % of 4,096", or what is known of it."""
    soft, opened = use.get("soft_limit"), use.get("open")
    share = use.get("used_percent")
    if share is not None and isinstance(soft, int) and soft > 0:
        return f"{percent(share)} of {count(soft)}"
    return f"{count(opened)} open" if isinstance(opened, int) else ""


def moment(time: object) -> str:
    """An RFC 3339 time (UTC) to the minute, as a person reads it: "2026-11-23 04:30 UTC"."""
    text = str(time or "")
    return f"{text[:10]} {text[11:16]} UTC" if len(text) >= len("2026-11-23T04:30") else text


def joined(names: Sequence[str], most: int, total: int | None = None) -> str:
    """The first ``most`` names with commas, and how many more there are of ``total``."""
    total = len(names) if total is None else total
    shown = names[:most]
    more = total - len(shown)
    return ", ".join(shown) + (f" and {count(more)} more" if more > 0 else "")


def namespace_suffix(label: object) -> str:
    """The addition for a namespace that is not the host's own, such as " in blue"; else nothing."""
    return "" if label in (None, "", "host") else f" in {label}"
