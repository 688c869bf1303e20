# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How root takes files from a folder that an unprivileged user owns, and puts its own into folders of root's.

Every step is relative to an open folder (openat(2)), no link is followed, and nothing but the bytes is taken over.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Refused", "open_folder", "put_file", "take_file"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: neither a FIFO nor a lease (fcntl(2), F_SETLEASE) of the file's owner holds root up.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o644
_SPECIAL = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
_EXECUTE = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_LEFTOVER_AGE_S = 600.0
"""A temporary file that has stood for so long belongs to a publisher that was killed: one lives for milliseconds."""


class Refused(Exception):  # noqa: N818 - it says what happened to the file
    """A file or folder that is not used; the text says which and why, one sentence."""


@contextlib.contextmanager
def open_folder(path: str, *, root: str = "/", parents_of_root: bool = True, of_root: bool = True) -> Iterator[int]:
    """Give a descriptor of the folder at ``path`` below ``root``, for openat(2) and its kin.

    No component may be a link. The folder may not be writable by others than its owner, and with ``of_root`` the owner
    is root; ``parents_of_root`` asks both of every folder above it. Below any other root than ``/`` (in tests) the
    caller stands for root. Raises ``Refused``.
    """
    parts = [part for part in path.split("/") if part]
    if not path.startswith("/") or not parts or {".", ".."} & set(parts) or "\0" in path:
        raise Refused(f"{path!r} is no absolute path of a folder.")
    with contextlib.ExitStack() as opened:
        try:
            folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise Refused(f"{root} cannot be opened: {error.strerror}.") from error
        opened.callback(os.close, folder)
        shown = ""
        for index, part in enumerate(parts, 1):
            shown += "/" + part
            folder = _open_component(folder, part, shown)
            opened.callback(os.close, folder)
            last = index == len(parts)
            if last or parents_of_root:
                _check_folder(os.fstat(folder), shown, _root_uid(root) if of_root or not last else None)
        yield folder


def take_file(folder: int, name: str, limit: int, shown: str) -> bytes | None:
    """Return the bytes of a file in an open folder; ``None`` if there is none of that name.

    It must be a regular file with one name, of the folder's owner, not executable, writable by nobody else, of at most
    ``limit`` bytes, and stay the same while it is read. Raises ``Refused``; ``shown`` is its path for the sentence.
    """
    try:
        # Looked at first: opening a device may do something.
        _check_kind(os.stat(name, dir_fd=folder, follow_symlinks=False), shown)
        descriptor = os.open(name, _READ, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Refused(f"{shown} cannot be opened: {error.strerror}.") from error
    try:
        before = os.fstat(descriptor)
        _check_kind(before, shown)
        _check_file(before, os.fstat(folder).st_uid, limit, shown)
        data = _read(descriptor, limit + 1)
        after = os.fstat(descriptor)
    except OSError as error:
        raise Refused(f"{shown} cannot be read: {error.strerror}.") from error
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise Refused(f"{shown} has more than {limit:,} bytes.")
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(data) != after.st_size:
        raise Refused(f"{shown} was written to while it was read.")
    return data


def put_file(folder: int, name: str, data: bytes, shown: str) -> None:
    """Put ``data`` into an open folder as ``name``, 0644 and the caller's own, whole or not at all, flushed to disk.

    What stood there is replaced, a link itself and never its target. The temporary name begins with a dot and ends in
    ``.new``: fact gathering, which wants ``*.fact``, and node_exporter, which wants ``*.prom``, pass it over. Raises
    ``Refused``; then what stood there still stands.
    """
    temporary = f".{name}.{os.getpid()}-{os.urandom(8).hex()}.new"
    try:
        _remove_leftovers(folder, name)
        try:
            _write(folder, temporary, data)
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise
    except OSError as error:
        raise Refused(f"{shown} cannot be written: {error.strerror}.") from error
    # Some file systems cannot; the file itself is on disk already.
    with contextlib.suppress(OSError):
        os.fsync(folder)


def _root_uid(root: str) -> int:
    return 0 if root == "/" else os.getuid()


def _open_component(parent: int, name: str, shown: str) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=parent)
    except OSError as error:
        try:
            is_link = stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
        except OSError:
            is_link = False
        if is_link:
            raise Refused(f"{shown} is a symbolic link, which is not followed.") from error
        raise Refused(f"{shown} cannot be opened: {error.strerror}.") from error


def _check_folder(status: os.stat_result, shown: str, owner: int | None) -> None:
    if owner is not None and status.st_uid != owner:
        raise Refused(f"{shown} belongs to uid {status.st_uid} and not to root.")
    # A folder's group may be root's own (0), which is as good as root.
    shared = stat.S_IWOTH | (stat.S_IWGRP if status.st_gid != 0 else 0)
    if status.st_mode & shared:
        raise Refused(f"{shown} can be written by others than its owner (mode {stat.S_IMODE(status.st_mode):04o}).")


def _check_kind(status: os.stat_result, shown: str) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise Refused(f"{shown} is a symbolic link, which is not followed.")
    if not stat.S_ISREG(status.st_mode):
        raise Refused(f"{shown} is no regular file.")


def _check_file(status: os.stat_result, owner: int, limit: int, shown: str) -> None:
    # Its writer may have renamed a newer one over it meanwhile: then it has no name at all, and is whole.
    if status.st_nlink > 1:
        raise Refused(f"{shown} has {status.st_nlink} names (hard links).")
    if status.st_uid != owner:
        raise Refused(f"{shown} belongs to uid {status.st_uid} and not to the owner of its folder, uid {owner}.")
    if status.st_mode & (_EXECUTE | _SPECIAL | _OTHERS_WRITE):
        raise Refused(f"{shown} has the mode {stat.S_IMODE(status.st_mode):04o}: executable, or writable by others.")
    if status.st_size > limit:
        raise Refused(f"{shown} has {status.st_size:,} bytes, more than the {limit:,} allowed.")


def _read(descriptor: int, most: int) -> bytes:
    parts = []
    while most > 0:
        part = os.read(descriptor, most)
        if not part:
            break
        parts.append(part)
        most -= len(part)
    return b"".join(parts)


def _write(folder: int, name: str, data: bytes) -> None:
    descriptor = os.open(name, _CREATE, 0o600, dir_fd=folder)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        if os.fstat(descriptor).st_gid != os.getegid():
            # A set-group-id folder gave its own group.
            os.fchown(descriptor, -1, os.getegid())
        os.fchmod(descriptor, _MODE)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_leftovers(folder: int, name: str) -> None:
    """Remove what killed publishers left; one of a running publisher is younger."""
    for found in os.listdir(folder):
        if found.startswith(f".{name}.") and found.endswith(".new"):
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(found, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) and abs(time.time() - status.st_mtime) > _LEFTOVER_AGE_S:
                    os.unlink(found, dir_fd=folder)
