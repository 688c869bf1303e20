# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of ``lastack explain`` that are made from the catalogue: each of its sysctls, and the copied snippet."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_files import sysctl_key, sysctl_path
from ansible_collections.lastack.linux.plugins.plugin_utils.catalogue import PROFILES, load_catalogue
from ansible_collections.lastack.linux.plugins.plugin_utils.explain import Page

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.plugins.plugin_utils.catalogue import Catalogue, CatalogueKey

__all__ = ["SNIPPET", "setting_page"]

SNIPPET = "snippet"
"""The id of the page on the settings that are copied from page to page."""

_WIDTH = 100
_SCOPES = {
    "ns": "Each network namespace has its own value; a container may have another one than the host.",
    "ro": "Each network namespace shows a value; only the host may write it.",
    "init": "The machine has one value, which containers do not see.",
    "global": "The machine has one value, for containers too.",
}
_TOPICS = {
    "net.ipv4.ip_local_port_range": "topic.ephemeral_ports",
    "net.ipv4.tcp_fin_timeout": "topic.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl": "topic.tcp_keepalive",
    "net.ipv4.tcp_keepalive_probes": "topic.tcp_keepalive",
    "net.ipv4.tcp_keepalive_time": "topic.tcp_keepalive",
    "net.ipv4.tcp_max_tw_buckets": "topic.time_wait_cost",
    "net.ipv4.tcp_tw_recycle": "topic.tcp_tw_recycle",
    "net.ipv4.tcp_tw_reuse": "topic.ephemeral_ports",
}
_MATCHES = {"exact": "", "at_least": "at least ", "at_most": "at most ", "wider": "at least ", "union": "in addition "}


def setting_page(name: str) -> Page | None:
    """Return the page of a sysctl, in dot or slash notation or by its last part alone, or of ``snippet``.

    ``None`` where the catalogue has no such key.
    """
    wanted = name.strip().lower()
    catalogue = load_catalogue()
    if wanted == SNIPPET:
        return _snippet(catalogue)
    key = sysctl_key(sysctl_path(wanted))
    found = [one for one in catalogue.keys if one in (wanted, key) or one.rpartition(".")[2] == wanted]
    return _key(catalogue, catalogue.keys[found[0]]) if found else None


def _snippet(catalogue: Catalogue) -> Page:
    lines = [_paragraph("These lines are copied as a cure for TIME_WAIT, CLOSE_WAIT and open files alike."), ""]
    for verdict in catalogue.snippet:
        lines += [f"- `{verdict.setting}`: **{verdict.verdict}**", _paragraph(verdict.today, indent="  ")]
    body = "\n".join(
        [
            "## What it means",
            "",
            *lines,
            "",
            "## What does not help",
            "",
            _paragraph(catalogue.close_wait),
            "",
            "## How to fix",
            "",
            _paragraph(
                "The role lastack.linux.tcp_baseline applies what is left of it, and brings back what was before. "
                "`lastack explain KEY` has each key."
            ),
        ]
    )
    return Page(SNIPPET, "the settings that are copied from page to page, today", "setting", "kernel", f"{body}\n")


def _key(catalogue: Catalogue, key: CatalogueKey) -> Page:
    sections = {
        "What it means": [key.summary, *_facts(key)],
        "What it can do": [key.improves],
        "What it does not help": [key.cannot, catalogue.close_wait],
        "What may go wrong": [key.risk],
        "What to do": [f"{key.recommendation} {key.reason}", *_advice(catalogue, key)],
        "Source": [key.source, *([f"`lastack explain {_TOPICS[key.name]}` says more."] if key.name in _TOPICS else [])],
    }
    parts = []
    for heading, texts in sections.items():
        parts += [f"## {heading}", "", "\n".join(_paragraph(text) for text in texts if text), ""]
    return Page(key.name, _title(key.summary), "setting", "kernel", "\n".join(parts).rstrip() + "\n")


def _title(summary: str) -> str:
    return summary[:1].lower() + summary[1:].rstrip(".")


def _facts(key: CatalogueKey) -> list[str]:
    low, high = key.range
    ends = f"{'any' if low is None else low} to {'any' if high is None else high}"
    default = key.default if key.default is not None else key.default_rule
    versions = [f"since Linux {key.since}"] if key.since else []
    versions += [f"removed in Linux {key.removed}"] if key.removed else []
    checked = "the kernel does not check it" if key.range == (None, None) else f"the kernel takes {ends}"
    facts = f"- unit: {key.unit}; {checked}; default {default or 'empty'}"
    return ["", ", ".join([facts, *versions]), f"- counts {key.effect}", f"- {_SCOPES[key.scope]}"]


def _advice(catalogue: Catalogue, key: CatalogueKey) -> list[str]:
    advice = []
    for profile in PROFILES:
        if profile in key.profiles:
            value, when = key.profiles[profile]["value"], key.profiles[profile]["when"]
            wanted = f"{_MATCHES[key.match or 'exact']}{value or 'the ports of listeners inside the range'}"
            needs = f", if: {catalogue.evidence[when].needs}" if when != "always" else ""
            advice.append(f"- profile {profile}: {wanted}{needs}")
    if key.option:
        value = f"{_MATCHES[key.option['match']]}{key.option['value'] or 'a value of your own'}"
        advice.append(f"- on request: {value}. {key.option['reason']}")
    if key.never:
        advice.append(f"- lastack never writes it: {key.never.reason}")
    return ["", *advice] if advice else []


def _paragraph(text: str, indent: str = "") -> str:
    rest = "  " if text.startswith("- ") else indent
    return textwrap.fill(
        text, _WIDTH, initial_indent=indent, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
