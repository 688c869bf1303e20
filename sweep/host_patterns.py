# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host patterns of known_hosts and ssh_config: ``*``, ``?``, lists with ``!`` (ssh_config(5), PATTERNS)."""

from __future__ import annotations

__all__ = ["matches_list", "matches_pattern"]


def matches_pattern(text: str, pattern: str) -> bool:
    """Return whether ``pattern``, in which ``*`` is any text and ``?`` one character, is all of ``text``.

    Source: match_pattern() of OpenSSH's match.c; there are no sets in brackets, an address in brackets is itself.
    """
    at = place = 0
    star, taken = -1, 0
    # Only the last star is ever tried again: a pattern of many takes no longer.
    while at < len(text):
        if place < len(pattern) and pattern[place] == "*":
            star, taken = place, at
            place += 1
        elif place < len(pattern) and pattern[place] in {"?", text[at]}:
            at, place = at + 1, place + 1
        elif star >= 0:
            taken += 1
            at, place = taken, star + 1
        else:
            return False
    return not pattern[place:].strip("*")


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
