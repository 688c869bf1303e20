# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one file that lastack adds to sysctl.d: what it holds, and how it is told from anybody else's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_files import parse_file

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["DROPIN", "Line", "dropin_content", "dropin_lines", "is_ours"]

DROPIN = "/etc/sysctl.d/99-tcp-lastack.conf"
"""Sorts after the distributions' link 99-sysctl.conf."""

_MARK = "# Written by lastack.linux.sysctl_baseline"
_HEADER = f"""\
{_MARK}; the next run replaces what is changed here.
# To undo: the same module with state=restored (values and files as they were) or state=absent (these lines only).
"""
_LESS = re.compile(r"# (\S+) = (.*) was asked for; this is what the kernel accepted\.")
# A key of a module does not exist before the module is loaded; that must not fail a whole reload.
_MODULE_KEYS = ("net.netfilter.", "net.bridge.", "net.nf_conntrack_")


class Line(NamedTuple):
    """One key of the file."""

    key: str
    value: str
    asked: str = ""
    """What was asked for, where the kernel accepted something else."""
    reason: str = ""
    """Why, for whoever reads the file."""


def dropin_content(lines: Iterable[Line]) -> bytes | None:
    """Return the file; ``None`` when there is nothing to say in it."""
    parts = []
    for line in lines:
        if line.reason:
            parts.append(f"# {line.reason}\n")
        if line.asked:
            parts.append(f"# {line.key} = {line.asked} was asked for; this is what the kernel accepted.\n")
        minus = "-" if line.key.startswith(_MODULE_KEYS) else ""
        parts.append(f"{minus}{line.key} = {line.value}".rstrip() + "\n")
    return (_HEADER + "\n" + "".join(parts)).encode("utf-8") if parts else None


def dropin_lines(content: bytes) -> dict[str, Line]:
    """Return the lines of a file that ``dropin_content`` made, by key and in their order."""
    text = content.decode("utf-8", "replace").split("\n")
    found = {}
    for key, line in parse_file(content):
        above = line.line - 2
        less = _LESS.fullmatch(text[above]) if above >= 0 else None
        asked = less[2] if less and less[1] == key else ""
        above -= 1 if asked else 0
        told = above >= 0 and text[above].startswith("# ") and text[above] not in _HEADER
        found[key] = Line(key, line.value, asked, text[above][2:] if told else "")
    return found


def is_ours(content: bytes) -> bool:
    """Whether a file was written by this module, also if somebody has edited it since."""
    return content.startswith(_MARK.encode())
