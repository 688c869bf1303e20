# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sysctls that a script, a unit or a cloud-init document sets by command, found line by line.

Read are ``sysctl -w KEY=VALUE`` (sysctl(8), also without ``-w``, in shell and in YAML lists) and ``echo VALUE >
/proc/sys/PATH``. What a script computes, loops over or loads from a file stays unseen.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_files import sysctl_key, sysctl_path

__all__ = ["Commanded", "sysctl_commands"]

_MAX_LINE = 4096
_MAX_FOUND = 200

# Not /usr/lib/systemd/systemd-sysctl, /etc/sysctl.d or the word in "sysctl_baseline".
_COMMAND = re.compile(r"(?<![\w.-])sysctl(?![\w./-])(?P<rest>[^;|&#]*)")
_ASSIGNED = re.compile(r"(?P<key>[a-z]+[./][\w./*-]+)[ \t]*=[ \t]*(?P<value>\"[^\"]*\"|'[^']*'|[^\s\"',\]]*)")
_WRITTEN = re.compile(
    r"(?:\becho|\bprintf)[ \t]+(?:-n[ \t]+)?(?P<value>\"[^\"]*\"|'[^']*'|[^>\"'|;&]*?)[ \t]*"
    r"(?:>>?|\|[ \t]*(?:sudo[ \t]+)?tee)[ \t]*\"?/proc/sys/(?P<key>[\w./-]+)"
)


class Commanded(NamedTuple):
    """One sysctl that a command sets."""

    key: str
    """Dotted."""
    value: str
    """As written: a variable of the shell stays its name."""
    line: int


def sysctl_commands(text: str) -> list[Commanded]:
    """Return the settings of a text in its order, at most 200; comments and lines over 4 KiB are left out."""
    found = []
    for number, line in _lines(text):
        stripped = line.lstrip()
        if stripped.startswith(("#", ";")) or len(line) > _MAX_LINE:
            continue
        if "/proc/sys/" in line:
            found += [_commanded(match, number) for match in _WRITTEN.finditer(line)]
        if "sysctl" in line:
            for command in _COMMAND.finditer(line):
                found += [_commanded(match, number) for match in _ASSIGNED.finditer(command["rest"])]
        if len(found) >= _MAX_FOUND:
            break
    return found[:_MAX_FOUND]


def _lines(text: str) -> list[tuple[int, str]]:
    """Return lines with the number of their first part; a backslash at the end joins the next one (sh, systemd)."""
    joined: list[tuple[int, str]] = []
    goes_on = False
    for number, line in enumerate(text.split("\n"), start=1):
        part = line.rstrip("\r")
        if goes_on:
            first, before = joined[-1]
            joined[-1] = first, f"{before} {part.rstrip(chr(92))}"[: _MAX_LINE + 1]
        else:
            joined.append((number, part.removesuffix("\\")))
        goes_on = part.endswith("\\")
    return joined


def _commanded(match: re.Match[str], number: int) -> Commanded:
    return Commanded(sysctl_key(sysctl_path(match["key"])), match["value"].strip().strip("\"'").strip(), number)
