# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines about open files in limits.conf and limits.d, in the order in which pam_limits reads them."""

from __future__ import annotations

import re
from typing import NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.rooted_files import RootedFiles

__all__ = ["LIMITS_CONF", "LimitLine", "parse_limits_file", "read_limit_lines"]

LIMITS_CONF = "/etc/security/limits.conf"

_FOLDER = "/etc/security/limits.d"
_MAX_BYTES = 1 << 20
_ENDLESS = frozenset({"-1", "unlimited", "infinity"})
_COMPLETE = 4
_EXEMPT = 2
_INFINITE = -1


class LimitLine(NamedTuple):
    """One line about open files."""

    file: str
    line: int
    domain: str
    soft: int | None
    """What it sets, -1 for no limit; ``None`` where it does not set it."""
    hard: int | None
    """With neither it is ``DOMAIN -``: whoever it means gets no limits at all."""

    @property
    def place(self) -> str:
        """``file:line``, for a person."""
        return f"{self.file}:{self.line}"


def read_limit_lines(*, root: str = "/") -> tuple[list[LimitLine], list[str]]:
    """Return all lines about open files in the order of pam_limits, and the files that could not be read.

    limits.conf first, then ``limits.d/*.conf`` in byte order, as in the C locale (pam_limits.c). Never raises.
    """
    files = RootedFiles(root)
    try:
        names = sorted(
            files.names(files.locate(_FOLDER) or _FOLDER), key=lambda name: name.encode(errors="surrogateescape")
        )
    except OSError:
        names = []
    found: list[LimitLine] = []
    missed = []
    # glob(3) leaves dot files out.
    chosen = [f"{_FOLDER}/{name}" for name in names if name.endswith(".conf") and not name.startswith(".")]
    for path in [LIMITS_CONF, *chosen]:
        try:
            text = files.read(files.locate(path) or path, _MAX_BYTES)
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            missed.append(path)
            continue
        found += parse_limits_file(text, path)
    return found, missed


def parse_limits_file(text: bytes, path: str) -> list[LimitLine]:
    """Return the lines about open files of one file (limits.conf(5)); what pam_limits skips is left out."""
    found = []
    for number, line in enumerate(text.decode("utf-8", "backslashreplace").split("\n"), 1):
        # What follows the value is not read.
        words = line.partition("#")[0].split()[:_COMPLETE]
        if len(words) == _EXEMPT and words[1].startswith("-"):
            found.append(LimitLine(path, number, words[0], None, None))
        if len(words) != _COMPLETE or words[2].lower() != "nofile":
            continue
        kind = words[1].lower()
        value = (
            _INFINITE
            if words[3].lower() in _ENDLESS
            else int(words[3])
            if re.fullmatch(r"[0-9]{1,19}", words[3])
            else None
        )
        if value is None or kind not in ("soft", "hard", "-"):
            continue
        soft = None if kind == "hard" else value
        hard = None if kind == "soft" else value
        found.append(LimitLine(path, number, words[0], soft, hard))
    return found
