# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that appear whole or not at all: written beside their place, flushed to disk, then renamed (rename(2))."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["open_atomically", "write_atomically"]


def write_atomically(path: str | Path, data: bytes, *, mode: int | None = None) -> None:
    """Write ``data`` to ``path``; a reader sees the old content or the new one, never a part.

    A symbolic link at ``path`` is replaced, never followed. ``mode`` are the permission bits; without it they
    follow the umask like those of any new file. Raises ``OSError``; then ``path`` is untouched and the
    temporary file is gone.
    """
    with open_atomically(path, mode=mode) as file:
        file.write(data)


@contextlib.contextmanager
def open_atomically(path: str | Path, *, mode: int | None = None) -> Iterator[IO[bytes]]:
    """Yield a binary file that becomes ``path`` when the block ends, as ``write_atomically`` has it.

    A block that raises, by Ctrl-C too, leaves ``path`` untouched and no temporary file. Raises ``OSError``.
    """
    target = Path(path)
    descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), _default_mode() if mode is None else mode)
            os.fsync(file.fileno())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _flush_folder(target.parent)


def _default_mode() -> int:
    # There is no way to read the umask but to set it (umask(2)).
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError:
        # Some file systems cannot flush a folder; the file itself is on disk.
        pass
    finally:
        os.close(descriptor)
