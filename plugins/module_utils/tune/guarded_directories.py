# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories in which root changes files: opened component by component, following no link, open to root alone."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "RefusedPath",
    "check_room",
    "flush_directory",
    "make_directory",
    "open_directory",
    "remove_directory",
    "rightful_owner",
]

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o755


class RefusedPath(Exception):  # noqa: N818 - it says what happened to the path
    """A path that is not touched; the text says which and why in one sentence."""


def rightful_owner(root: str) -> int:
    """Return who must own what is trusted: uid 0, or below any other root than ``/`` (in tests) the caller."""
    return 0 if root == "/" else os.getuid()


@contextlib.contextmanager
def open_directory(path: str, *, root: str = "/") -> Iterator[int]:
    """Give a descriptor of the directory at ``path`` below ``root``, for openat(2) and its kin.

    No component may be a link, belong to anybody but root, or be writable by others: who can rename a component
    could send a write of root's anywhere. Raises ``FileNotFoundError`` where a component is missing, ``RefusedPath``
    and ``OSError``.
    """
    owner = rightful_owner(root)
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        done = ""
        for part in path.strip("/").split("/"):
            done += "/" + part
            inner = _open_component(descriptor, part, done)
            os.close(descriptor)
            descriptor = inner
            _check(os.fstat(descriptor), done, owner)
        yield descriptor
    finally:
        os.close(descriptor)


def make_directory(path: str, *, root: str = "/", mode: int = _MODE) -> None:
    """Make the directory at ``path``, whose parent exists; one that is there already stays as it is.

    Raises ``RefusedPath`` and ``OSError`` as ``open_directory`` does for the parent.
    """
    parent, __, name = path.rpartition("/")
    with open_directory(parent, root=root) as descriptor:
        try:
            os.mkdir(name, mode, dir_fd=descriptor)
        except FileExistsError:
            return
        # The umask may have taken bits away.
        os.chmod(name, mode, dir_fd=descriptor)
        flush_directory(descriptor)


def remove_directory(path: str, *, root: str = "/") -> None:
    """Remove the directory at ``path`` if it is empty; one that is not, or is missing, is left.

    Raises ``RefusedPath`` and ``OSError``.
    """
    parent, __, name = path.rpartition("/")
    try:
        with open_directory(parent, root=root) as descriptor:
            os.rmdir(name, dir_fd=descriptor)
            flush_directory(descriptor)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EBUSY):
            raise


def check_room(directory: int, path: str, size: int | None = None) -> None:
    """Raise the ``OSError`` that writing ``size`` bytes to a new file in ``directory`` would meet, where that shows.

    A read-only file system is ``EROFS``, a missing right ``EACCES``, a full disk ``ENOSPC``. ``None``: nothing is
    written, only removed. ``path`` is what the error names.
    """
    status = os.fstatvfs(directory)
    number = 0
    if not os.access(".", os.W_OK | os.X_OK, dir_fd=directory):
        number = errno.EROFS if status.f_flag & os.ST_RDONLY else errno.EACCES
    elif size is not None:
        # A file system without a limit says 0 of 0.
        full = bool(status.f_blocks) and status.f_bfree * status.f_frsize < size
        number = errno.ENOSPC if full or (status.f_files and not status.f_ffree) else 0
    if number:
        raise OSError(number, os.strerror(number), path)


def flush_directory(descriptor: int) -> None:
    """Flush a directory to disk; some file systems cannot, and the files themselves are on disk already."""
    with contextlib.suppress(OSError):
        os.fsync(descriptor)


def _open_component(parent: int, name: str, shown: str) -> int:
    try:
        return os.open(name, _FLAGS, dir_fd=parent)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise OSError(error.errno, os.strerror(error.errno or 0), shown) from error
        try:
            is_link = stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
        except OSError:
            is_link = False
        what = "a symbolic link" if is_link else "no directory"
        raise RefusedPath(f"{shown} is {what}; nothing behind it is read or changed.") from error


def _check(status: os.stat_result, shown: str, owner: int) -> None:
    if status.st_uid != owner:
        raise RefusedPath(f"{shown} belongs to uid {status.st_uid} and not to root; nothing in it is read or changed.")
    # Group 0 is root's own; /tmp and its like are sticky, and still anybody may put a name there first.
    shared = stat.S_IWOTH | (stat.S_IWGRP if status.st_gid != 0 else 0)
    if status.st_mode & shared:
        mode = stat.S_IMODE(status.st_mode)
        raise RefusedPath(f"{shown} can be written by others than root (mode {mode:04o}); nothing in it is changed.")
