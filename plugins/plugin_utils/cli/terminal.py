# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the terminal is: whether colour is wanted, how wide it is, and writing to it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

__all__ = ["add_colour_option", "on_terminal", "screen_width", "wants_colour", "write"]

_PIPED_WIDTH = 100
_WIDEST = 160


def add_colour_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--colour`` (and ``--color``) to a command."""
    parser.add_argument(
        "--colour",
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="when to use colour (default: auto, on a terminal unless NO_COLOR is set)",
    )


def on_terminal() -> bool:
    """Whether standard output is a terminal that can move its cursor."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def wants_colour(choice: str) -> bool:
    """Whether to colour standard output; ``auto`` respects NO_COLOR (https://no-color.org) and pipes."""
    if choice == "auto":
        return on_terminal() and not os.environ.get("NO_COLOR")
    return choice == "always"


def screen_width() -> int:
    """Columns to fill: the terminal's within reason, or 100 when the output is piped."""
    if not sys.stdout.isatty():
        return _PIPED_WIDTH
    try:
        columns = os.get_terminal_size(sys.stdout.fileno()).columns
    except OSError:
        columns = 0
    # A terminal that does not know its width says 0.
    return min(columns or _PIPED_WIDTH, _WIDEST)


def write(text: str) -> None:
    """Write a text to standard output, ended by one newline, and hand it on at once."""
    sys.stdout.write(text.rstrip("\n") + "\n")
    sys.stdout.flush()
