# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""File names made from inventory names: never a path, never hidden, never two hosts in one file."""

from __future__ import annotations

import hashlib
import re
import unicodedata

__all__ = ["safe_file_name"]

# Lower case only: "Web" and "web" are two hosts, but one file on a case-insensitive file system.
_PLAIN = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_UNSAFE = re.compile(r"[^a-z0-9._-]+")

# Windows opens these as devices, whatever follows the first dot.
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{kind}{n}" for kind in ("com", "lpt") for n in range(10))})

_KEPT = 60
_HASH_DIGITS = 24


def safe_file_name(inventory_name: str) -> str:
    """Return the file name (no suffix, ASCII, at most 100 characters) under which a host's report is kept.

    A plain lower-case name stays as it is. Any other keeps what is readable of it, then ``~`` and 96 bits of the
    name's SHA-256: no plain name holds a ``~``, so two names never meet.
    """
    if _PLAIN.fullmatch(inventory_name) and not inventory_name.endswith(".") and not _is_device(inventory_name):
        return inventory_name
    digest = hashlib.sha256(inventory_name.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
    plain = unicodedata.normalize("NFKD", inventory_name).encode("ascii", "ignore").decode("ascii").lower()
    readable = _UNSAFE.sub("-", plain)[:_KEPT].strip("._-")
    if not readable or _is_device(readable):
        readable = f"host-{readable}".rstrip("-")
    return f"{readable}~{digest}"


def _is_device(name: str) -> bool:
    return name.partition(".")[0] in _DEVICES
