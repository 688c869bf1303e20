# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that appear whole or not at all: written beside their place, flushed to disk, then renamed (rename(2))."""

from __future__ import annotations

import contextlib
import os

__all__ = ["write_whole"]

# ruff: noqa: PTH104, PTH108, PTH118 - the agent does without pathlib, which costs memory


def write_whole(path: str, data: bytes, mode: int) -> None:
    """Write ``data`` to ``path`` with the permission bits ``mode``; a reader sees the old content or the new one.

    The temporary name is always the same, so a killed writer leaves at most one file behind, and the next write uses
    it up. A link at either name is replaced, never followed. Raises ``OSError``; then ``path`` is as it was.
    """
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.new")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600)
    try:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
