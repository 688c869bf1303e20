# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The beginning of a file, never more than asked for: what a host offers may be larger than expected."""

from __future__ import annotations

import os

__all__ = ["read_head", "try_read_head"]

_CHUNK = 65536


def read_head(path: str, limit: int, *, flags: int = 0) -> bytes:
    """Return the first ``limit`` bytes of the file at ``path``, fewer where it ends before.

    ``flags`` are added to ``O_RDONLY | O_CLOEXEC``. Raises ``OSError`` as ``open`` and ``read`` do; for a file of
    ``/proc/PID`` ``ENOENT`` and ``ESRCH`` mean that the process has gone (proc(5)).
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        parts = []
        left = limit
        # procfs may return less than asked for before the end, so only an empty read is the end.
        while left > 0:
            part = os.read(descriptor, min(left, _CHUNK))
            if not part:
                break
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def try_read_head(path: str, limit: int, *, flags: int = 0) -> bytes | None:
    """Like ``read_head``, but ``None`` where the file is missing, denied or ends in an error."""
    try:
        return read_head(path, limit, flags=flags)
    except OSError:
        return None
