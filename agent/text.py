# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent shows a person: the report of one look, and how the agent that runs is doing."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.wording import (
    format_age,
    format_count,
    plural,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["render_fact_text", "render_status"]

_WIDTH = 100
_INDENT = " " * 10
_VERDICTS = {
    "leak": "leaks",
    "stuck": "is not accepting",
    "watching": "is watched",
    "pool": "is a pool",
    "burst": "was a burst",
}


def render_fact_text(fact: Mapping[str, Any], *, remembered: bool) -> str:
    """Return a fact as a report for a terminal: the worst application first, each with verdict, evidence and remedy."""
    return "".join(f"{line}\n" for line in _fact_lines(fact, remembered=remembered))


def render_status(
    document: Mapping[str, Any], *, boot_id: str | None, now_s: float, alive: bool, published_s: float | None
) -> tuple[str, bool]:
    """Return the agent's status for a terminal, and whether it runs and its word is still fresh.

    ``alive`` says whether the process that wrote the document runs; ``published_s`` is the moment of the fact that root
    has published, in seconds of CLOCK_BOOTTIME, ``None`` if there is none of this boot.
    Raises ``KeyError``, ``TypeError`` or ``ValueError`` for a document of another shape.
    """
    silent_s = now_s - float(document["published_boottime_s"])
    same_boot = boot_id is not None and document["boot_id"] == boot_id
    fresh = same_boot and 0 <= silent_s <= float(document["fresh_for_s"])
    silent = silent_s if same_boot else None
    lines = [_status_head(document, silent, alive=alive, fresh=fresh), *_status_lines(document, silent, published_s)]
    return "".join(f"{clean_text(line, 512)}\n" for line in lines), fresh and alive


def _fact_lines(fact: Mapping[str, Any], *, remembered: bool) -> Iterator[str]:
    close_wait = fact["close_wait"]
    verdicts = close_wait["verdicts"]
    told = [f"{count} {_VERDICTS[name]}" for name, count in verdicts.items() if count]
    yield f"{plural(close_wait['total'], 'socket')} in CLOSE_WAIT" + (
        f"; applications: {', '.join(told)}" if told else ""
    )
    since = f"watched since {fact['watching_since']}" if remembered else "first look: verdicts need several"
    yield f"({since})"
    for offender in fact["offenders"]:
        yield ""
        yield from _offender_lines(offender)
    if fact["truncated"]:
        yield f"\n... and {plural(fact['truncated'], 'application')} more."
    warnings = fact["completeness"]["warnings"]
    if warnings:
        yield "\nNot seen:"
    for warning in warnings:
        yield from _wrapped(f"{format_count(warning['count'])} x {warning['detail']} ({warning['code']})", "  ")


def _offender_lines(offender: Mapping[str, Any]) -> Iterator[str]:
    trend = offender["trend"]
    where = "" if offender["namespace"] == "host" else f" in {offender['namespace']}"
    age = format_age(offender["age_s"])
    yield clean_text(
        f"{trend['verdict'].upper():<9} {offender['app']}{where}: {plural(trend['count'], 'socket')}, oldest {age}", 512
    )
    yield from _wrapped(trend["reason"], _INDENT)
    facts = [
        ("cause", offender["cause"]),
        ("user", offender["user"]),
        ("pids", ", ".join(str(pid) for pid in offender["pids"])),
        ("peers", ", ".join(_peer(peer) for peer in offender["peers"])),
        ("ports", ", ".join(f":{port['port']}" for port in offender["local_ports"])),
        ("descriptors", _descriptors(offender["descriptors"])),
    ]
    yield from _joined([clean_text(f"{name} {value}") for name, value in facts if value], _INDENT)
    if trend["exhaustion_in_s"] is not None:
        left = format_age({"at_least": trend["exhaustion_in_s"], "at_most": trend["exhaustion_in_s"]})
        yield from _wrapped(f"Out of descriptors in about {left} (pid {trend['exhaustion_pid']}).", _INDENT)
    if offender["remedy"]:
        yield from _wrapped(offender["remedy"], _INDENT)


def _status_head(document: Mapping[str, Any], silent_s: float | None, *, alive: bool, fresh: bool) -> str:
    if silent_s is None:
        return f"The agent has not written in this boot; its last word is of {document['published_at']}."
    if not alive:
        return f"The agent does not run: its last word is of {document['published_at']}, {_age(silent_s)} ago."
    if not fresh:
        return f"The agent is silent: its last word is of {document['published_at']}, and it holds no longer."
    program = f"lastack-agent {document['version']}"
    return f"{program} runs (pid {document['pid']}), watching since {document['watching_since']}."


def _status_lines(document: Mapping[str, Any], silent_s: float | None, published_s: float | None) -> Iterator[str]:
    close_wait = document["close_wait"]
    told = ", ".join(f"{name} {count}" for name, count in close_wait["verdicts"].items() if count)
    yield (
        f"  watches     {plural(close_wait['total'], 'CLOSE_WAIT socket')} of"
        f" {plural(close_wait['applications'], 'application')}{f': {told}' if told else ''}"
    )
    stretched = (
        ""
        if document["interval_s"] <= document["configured_interval_s"]
        else (f" (wanted: {document['configured_interval_s']:g} s; longer to keep to the CPU budget)")
    )
    yield f"  looks       every {document['interval_s']:g} s{stretched}, {plural(document['passes'], 'look')} so far"
    # Its start is in it: a young agent shows more than it takes later.
    share = f"{100 * document['cpu_s'] / document['running_s']:.2f} %" if document["running_s"] else "?"
    memory = document["resident_bytes"]
    yield (
        f"  costs       {share} of one core since its start (budget {document['cpu_budget_percent']:g} %),"
        f" {document['cpu_pass_s']:.3f} CPU s the last pass,"
        f" {'unknown memory' if memory is None else f'{memory / 2**20:.1f} MiB'}"
    )
    age = "" if silent_s is None else f", {_age(silent_s)} ago"
    yield f"  written     {document['published_at']}{age}: {', '.join(document['outputs']) or 'nothing'}"
    if "fact" in document["outputs"]:
        yield f"  published   {_published(document, silent_s, published_s)}"
    dropped = document["dropped"]
    if dropped["sockets"] or dropped["applications"]:
        yield f"  left out    {plural(dropped['sockets'], 'socket')}, {plural(dropped['applications'], 'application')}"
    for one in document["unseen"]:
        yield f"  not seen    {format_count(one['count'])} x {one['detail']} ({one['code']})"


def _published(document: Mapping[str, Any], silent_s: float | None, published_s: float | None) -> str:
    """Say how far root's part of the agent, which is no part of this process, has come with the fact."""
    if silent_s is None or published_s is None:
        return "no fact of this boot that can be read: root's lastack-agent publish does that"
    behind_s = float(document["published_boottime_s"]) - published_s
    age = _age(max(0.0, silent_s + behind_s))
    # The agent's word is fresh for three publications.
    late = behind_s > float(document["fresh_for_s"]) / 3
    return f"the fact of {age} ago{f', which is {_age(behind_s)} behind what is written' if late else ''}"


def _age(seconds: float) -> str:
    return str(format_age({"at_least": seconds, "at_most": seconds}))


def _wrapped(text: str, indent: str) -> Iterator[str]:
    yield from textwrap.wrap(
        clean_text(text, 1024), _WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )


def _joined(items: Sequence[str], indent: str) -> Iterator[str]:
    """Put items side by side as long as they fit, none of them broken."""
    line = ""
    for item in items:
        longer = f"{line} · {item}" if line else indent + item
        if line and len(longer) > _WIDTH:
            yield line
            longer = indent + item
        line = longer
    if line:
        yield line


def _peer(peer: Mapping[str, Any]) -> str:
    address = f"[{peer['address']}]" if ":" in peer["address"] and peer["port"] is not None else peer["address"]
    return f"{address}:{peer['port']}" if peer["port"] is not None else str(address)


def _descriptors(use: Mapping[str, Any] | None) -> str:
    if not use or use["open"] is None:
        return ""
    limit = use["soft_limit"]
    return format_count(use["open"]) + (f" of {format_count(limit)}" if limit is not None and limit > 0 else "")
