# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host patterns of known_hosts and ssh_config: ``*``, ``?``, lists with ``!`` (ssh_config(5), PATTERNS)."""

from __future__ import annotations

import functools
import re

__all__ = ["matches_list", "matches_pattern"]


def matches_pattern(text: str, pattern: str) -> bool:
    """Return whether ``pattern``, in which ``*`` is any text and ``?`` one character, is all of ``text``.

    Source: match_pattern() of OpenSSH's match.c; there are no sets in brackets, an address in brackets is itself.
    """
    return _expression(pattern).fullmatch(text) is not None


def matches_list(name: str, patterns: str) -> bool:
    """Return whether a list of patterns between commas names ``name``; a matching ``!pattern`` forbids it.

    Source: match_hostname() of OpenSSH's match.c; the case does not matter.
    """
    text = name.lower()
    found = False
    for pattern in patterns.lower().split(","):
        negated = pattern.startswith("!")
        if matches_pattern(text, pattern[negated:]):
            if negated:
                return False
            found = True
    return found


@functools.lru_cache(maxsize=4096)
def _expression(pattern: str) -> re.Pattern[str]:
    # Runs of stars are one: each more would be another loop for the matcher.
    parts = re.split(r"(\*+|\?)", pattern)
    text = "".join(".*" if part[:1] == "*" else "." if part == "?" else re.escape(part) for part in parts)
    return re.compile(text, re.DOTALL)
