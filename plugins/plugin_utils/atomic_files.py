# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that appear whole or not at all: written beside their place, flushed to disk, then renamed (rename(2))."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import ReadableBuffer

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
        with io.BufferedWriter(_Named(descriptor, target)) as file:
            yield file
            file.flush()
            with _errors_of(target):
                os.fchmod(descriptor, _default_mode() if mode is None else mode)
                os.fsync(descriptor)
        with _errors_of(target):
            Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _flush_folder(target.parent)


class _Named(io.FileIO):
    """A file whose errors name the place that it is meant for: of several files, the one that cannot be written."""

    def __init__(self, descriptor: int, target: Path) -> None:
        super().__init__(descriptor, "wb")
        self._target = target

    def write(self, data: ReadableBuffer, /) -> int:
        with _errors_of(self._target):
            return super().write(data)


@contextlib.contextmanager
def _errors_of(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from None


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
