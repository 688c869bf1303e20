# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text from a host made harmless: no terminal control, no invisible reordering, valid UTF-8."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["one_line", "plain_text"]

_SPACES = re.compile(r"[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")

# Cc: C0, DEL and C1 (ECMA-48 control sequences start there); Cs: lone surrogates, which no encoder takes; the
# rest: marks that reorder or hide what a person reads (Unicode Bidirectional Algorithm, UAX 9).
_HARMFUL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def plain_text(text: str) -> str:
    """Return ``text`` without control characters; line breaks and tabs become one space."""
    if text.isascii() and text.isprintable():
        return text
    return _HARMFUL.sub("", _SPACES.sub(" ", text))


def one_line(text: str, limit: int = 300) -> str:
    """Return ``text`` as one harmless line of at most ``limit`` characters, for a reason or a message."""
    line = " ".join(unicodedata.normalize("NFC", plain_text(text)).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
