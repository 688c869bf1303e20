# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text from a host made harmless on the controller too, whatever the host's own cleaning did."""

from __future__ import annotations

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text

__all__ = ["one_line", "plain_text"]


def plain_text(text: str) -> str:
    """Return ``text`` without control, invisible or reordering characters, never longer than before."""
    if text.isascii() and text.isprintable():
        return text
    return clean_text(text, len(text))


def one_line(text: str, limit: int = 300) -> str:
    """Return ``text`` as one harmless line of at most ``limit`` characters, for a reason or a message."""
    # Far more than is kept is not looked at: the text may have 50 MB.
    return clean_text(" ".join(text[: 4 * limit].split()), limit)
