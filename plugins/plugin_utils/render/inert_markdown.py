# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Markdown in which nothing that a host has written can act: no mention, link, heading, HTML or second line.

Trackers turn ``@team``, ``#1`` and bare addresses into mentions and links after the Markdown is rendered, so a
backslash before them does not help. What a host has written stands in code spans only (CommonMark 6.1), where none of
it acts, and the two characters that could end a span or a table cell are shown as escapes.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import endpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["code", "codes", "plain_name", "shell_endpoint", "shell_word", "table"]

_ESCAPES = str.maketrans({"`": "\\x60", "|": "\\x7c"})
_LONGEST = 256

#: What stands in a command as it is: no blank, nothing that a shell reads, no leading hyphen that would be an option.
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@%+-]{0,254}")

_NAME = 80


def code(text: object, limit: int = _LONGEST) -> str:
    """Return a code span that shows ``text`` in one line; also inside a cell of a table."""
    shown = clean_text(str(text), limit).translate(_ESCAPES)
    if not shown.strip(" "):
        return "(no name)"
    # A backslash at the end would escape the closing mark for readers that are not quite CommonMark.
    return f"`{shown} `" if shown.endswith("\\") else f"`{shown}`"


def codes(texts: Sequence[str], most: int, total: int | None = None, *, more: bool = False) -> str:
    """Return the first ``most`` texts as code spans, and that there are more (of ``total``), with their number."""
    shown = ", ".join(code(text) for text in texts[:most])
    left = (len(texts) if total is None else total) - len(texts[:most])
    if more:
        return f"{shown} and more"
    return f"{shown} and {left:,} more" if left > 0 else shown


def plain_name(text: str) -> str:
    """Return a name that does nothing in a title, in Markdown or in a chat.

    It is letters, digits and ``._-+`` only, and no domain. What else there is becomes a hyphen, so two names can look
    alike; the id tells them apart.
    """
    kept = "".join(character if character.isalnum() or character in "._-+" else "-" for character in text[:_LONGEST])
    # Chats make links of what looks like a host in a domain: worker.py is one in Paraguay.
    kept = re.sub(r"\.(?=[^\W\d_])", "-", kept)
    return re.sub(r"-{2,}", "-", kept).strip("._-+")[:_NAME] or "unnamed"


def shell_word(text: object) -> str:
    """Return ``text`` if it can stand in a command just so; else nothing."""
    return text if isinstance(text, str) and _WORD.fullmatch(text) else ""


def shell_endpoint(address: object, port: object) -> str:
    """Return an address and port as a filter of ss(8) has them; nothing if the address is none."""
    try:
        plain = str(ipaddress.ip_address(str(address)))
    except ValueError:
        return ""
    if "%" in plain or (port is not None and not isinstance(port, int)):
        return ""
    return endpoint(plain, port)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table; cells are ours or code spans, and hold no pipe."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows)]
