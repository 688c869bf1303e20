# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text from a host made safe to show: one line, no control characters, a bounded length.

Process and unit names are written by anyone with a shell on the host; raw, they could move a terminal's cursor,
reverse the reading order of a line or forge a second one.
"""

from __future__ import annotations

__all__ = ["ELLIPSIS", "clean_text"]

ELLIPSIS = "…"

_INVISIBLE = frozenset(
    chr(code)
    for first, last in (
        (0x034F, 0x034F),  # combining grapheme joiner
        (0x115F, 0x1160),  # Hangul fillers
        (0x17B4, 0x17B5),  # Khmer inherent vowels
        (0x180B, 0x180F),  # Mongolian selectors
        (0x2800, 0x2800),  # Braille blank
        (0x3164, 0x3164),
        (0xFE00, 0xFE0F),  # variation selectors
        (0xFFA0, 0xFFA0),
        (0xE0100, 0xE01EF),
    )
    for code in range(first, last + 1)
)
"""Printable to ``str.isprintable`` and yet invisible (Default_Ignorable_Code_Point of Unicode, and Braille blank)."""


def clean_text(text: str, limit: int = 256) -> str:
    r"""Return ``text`` as one harmless line of at most ``limit`` characters.

    Control, format, separator, surrogate, private and unassigned characters (Unicode classes C*, Zl, Zp, Zs but the
    blank) and invisible ones become visible escapes such as ``\x1b`` or ``\u202e``; what does not fit ends in an
    ellipsis, never inside an escape. Cleaning twice changes nothing.
    """
    if limit < 1:
        raise ValueError("limit must be at least 1")
    pieces = [_piece(character) for character in text[: limit + 1]]
    if sum(map(len, pieces)) <= limit and len(text) <= limit:
        return "".join(pieces)
    kept: list[str] = []
    room = limit - len(ELLIPSIS)
    for piece in pieces:
        if len(piece) > room:
            break
        kept.append(piece)
        room -= len(piece)
    return "".join(kept) + ELLIPSIS


def _piece(character: str) -> str:
    if character.isprintable() and character not in _INVISIBLE:
        return character
    code = ord(character)
    if code < 0x100:  # noqa: PLR2004 - two hexadecimal digits hold it
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004 - four digits hold it
