# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only files that lastack may change on a host: four kinds of path, read and written following no link."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from typing import NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.tune.guarded_directories import (
    RefusedPath,
    check_room,
    flush_directory,
    make_directory,
    open_directory,
    remove_directory,
    rightful_owner,
)

__all__ = [
    "KINDS",
    "MAX_BYTES",
    "FileState",
    "RefusedPath",
    "check_writable",
    "kind_of",
    "missing_directory",
    "read_state",
    "remove_file",
    "remove_leftover",
    "remove_made_directory",
    "write_file",
]

KINDS = {
    "sysctl_dropin": re.compile(r"/etc/sysctl\.d/([^/]+)\.conf"),
    "sysctl_conf": re.compile(r"/etc/sysctl\.conf"),
    "unit_dropin": re.compile(r"/etc/systemd/system/([^/]+\.service)\.d/([^/]+)\.conf"),
    "limits_dropin": re.compile(r"/etc/security/limits\.d/([^/]+)\.conf"),
}
"""The kinds of path that may be written and restored, and what they look like."""

MAX_BYTES = 1 << 20
"""The largest file that is read, kept in the ledger and written."""

_MODE = 0o644
_LONGEST_NAME = 230
_SELINUX = "security.selinux"
_NO_ATTRIBUTE = (errno.ENODATA, errno.ENOTSUP, errno.EPERM, errno.ENOSYS)
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class FileState(NamedTuple):
    """What makes a file exactly itself again; its times do not belong to it."""

    content: bytes
    mode: int
    """Permission bits, set-id and sticky bits included."""
    uid: int
    gid: int
    selinux: str | None
    """The SELinux context; ``None`` where the file has none."""


def kind_of(path: str) -> str:
    """Return which of ``KINDS`` a path is.

    Raises:
        RefusedPath: for every other path; names are plain: printable, no ``..``, no leading dot, bounded in length.
    """
    for kind, pattern in KINDS.items():
        match = pattern.fullmatch(path)
        if match and path.isprintable() and ".." not in path and all(_is_plain(name) for name in match.groups()):
            return kind
    raise RefusedPath(
        f"{path[:200]!r} is none of the files that lastack may change: /etc/sysctl.conf, /etc/sysctl.d/NAME.conf, "
        "/etc/systemd/system/UNIT.service.d/NAME.conf, /etc/security/limits.d/NAME.conf."
    )


def read_state(path: str, *, root: str = "/") -> FileState | None:
    """Return what stands at ``path`` below ``root``; ``None`` when there is no such file or directory.

    Raises:
        RefusedPath: for a path that is none of ``KINDS``, a link anywhere in it, anything but a regular file with
            one name, a file that is not root's or larger than ``MAX_BYTES``, and a directory open to others.
        OSError: as open(2) and read(2) do.
    """
    kind_of(path)
    parent, __, name = path.rpartition("/")
    try:
        with open_directory(parent, root=root) as directory:
            if not _is_there(directory, name, path):
                return None
            descriptor = os.open(name, _READ, dir_fd=directory)
            try:
                return _read(descriptor, path, rightful_owner(root))
            finally:
                os.close(descriptor)
    except FileNotFoundError:
        return None


def write_file(path: str, content: bytes, *, root: str = "/", like: FileState | None = None) -> None:
    """Put ``content`` at ``path``, whole or not at all, flushed to disk.

    Owner, mode and SELinux context are those of ``like``; without it root, 0644 and what the directory gives. A missing
    directory is made (0755) if it is the last one and its own parent exists: an ``X.service.d``, a ``sysctl.d``.
    The temporary name beside the file is always the same, so one that a killed run left is used up by the next.

    Raises:
        RefusedPath: as ``read_state`` does, and then nothing is changed.
        OSError: as write(2) does, ``ENOSPC`` for example; then ``path`` is as it was.
    """
    kind_of(path)
    if len(content) > MAX_BYTES:
        raise RefusedPath(f"{path} would be larger than {MAX_BYTES} bytes; it was not written.")
    parent, __, name = path.rpartition("/")
    made = missing_directory(path, root=root)
    if made is not None:
        make_directory(made, root=root)
    with open_directory(parent, root=root) as directory:
        if _is_there(directory, name, path):
            _check_file(os.stat(name, dir_fd=directory, follow_symlinks=False), path, rightful_owner(root))
        temporary = _temporary(name)
        _discard(directory, temporary)
        try:
            _write(directory, temporary, content, like)
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            _discard(directory, temporary)
            raise
        flush_directory(directory)


def remove_file(path: str, *, root: str = "/") -> None:
    """Remove the file at ``path``, and what a killed run left beside it; a missing one is no error.

    Raises ``RefusedPath`` as ``read_state`` does, and ``OSError``.
    """
    kind_of(path)
    parent, __, name = path.rpartition("/")
    try:
        with open_directory(parent, root=root) as directory:
            _discard(directory, _temporary(name))
            if _is_there(directory, name, path):
                _check_file(os.stat(name, dir_fd=directory, follow_symlinks=False), path, rightful_owner(root))
                os.unlink(name, dir_fd=directory)
                flush_directory(directory)
    except FileNotFoundError:
        return


def check_writable(path: str, *, root: str = "/", size: int | None = None) -> None:
    """Raise what ``write_file`` of ``size`` bytes, or ``remove_file``, would raise, as far as that shows beforehand.

    The errors are those of ``check_room``; a missing directory above the one that would be made is ``ENOENT``.
    """
    directory = missing_directory(path, root=root) or path
    with open_directory(directory.rpartition("/")[0], root=root) as descriptor:
        check_room(descriptor, path, size)


def remove_leftover(path: str, *, root: str = "/") -> None:
    """Remove what a killed run may have left beside ``path``; raises ``RefusedPath`` and ``OSError``."""
    kind_of(path)
    parent, __, name = path.rpartition("/")
    with contextlib.suppress(FileNotFoundError), open_directory(parent, root=root) as directory:
        _discard(directory, _temporary(name))


def missing_directory(path: str, *, root: str = "/") -> str | None:
    """Return the directory of ``path`` that ``write_file`` would make; ``None`` where there is one.

    Raises ``RefusedPath`` and ``OSError`` as ``read_state`` does.
    """
    kind_of(path)
    parent = path.rpartition("/")[0]
    try:
        with open_directory(parent, root=root):
            return None
    except FileNotFoundError:
        return parent


def remove_made_directory(directory: str, *, root: str = "/") -> None:
    """Remove a directory that ``write_file`` made, if it is empty; raises ``RefusedPath`` and ``OSError``."""
    if directory == "/etc" or kind_of(f"{directory}/x.conf") == "sysctl_conf":
        raise RefusedPath(f"{directory} is no directory that lastack makes; it was not removed.")
    remove_directory(directory, root=root)


def _is_plain(name: str) -> bool:
    return not name.startswith(".") and len(name.encode("utf-8", "surrogateescape")) <= _LONGEST_NAME


def _temporary(name: str) -> str:
    # No loader reads it: sysctl.d, limits.d and systemd all want names that end in ".conf".
    return f".{name}.lastack-new"


def _is_there(directory: int, name: str, path: str) -> bool:
    """Whether there is a file of that name; anything but a regular file is refused before it is opened."""
    try:
        mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISLNK(mode):
        raise RefusedPath(f"{path} is a symbolic link; it was neither followed nor changed.")
    if not stat.S_ISREG(mode):
        raise RefusedPath(f"{path} is no regular file; it was neither read nor changed.")
    return True


def _check_file(status: os.stat_result, path: str, owner: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise RefusedPath(f"{path} is no regular file; it was neither read nor changed.")
    if status.st_uid != owner:
        raise RefusedPath(f"{path} belongs to uid {status.st_uid} and not to root; it was neither used nor changed.")
    if status.st_nlink > 1:
        raise RefusedPath(
            f"{path} has {status.st_nlink} names (hard links); writing one of them would part them, it was not changed."
        )
    if status.st_size > MAX_BYTES:
        raise RefusedPath(f"{path} is larger than {MAX_BYTES} bytes; it was neither read nor changed.")


def _read(descriptor: int, path: str, owner: int) -> FileState:
    status = os.fstat(descriptor)
    _check_file(status, path, owner)
    parts = []
    left = MAX_BYTES + 1
    while left > 0:
        part = os.read(descriptor, left)
        if not part:
            break
        parts.append(part)
        left -= len(part)
    if left == 0:
        raise RefusedPath(f"{path} is larger than {MAX_BYTES} bytes; it was neither read nor changed.")
    return FileState(
        content=b"".join(parts),
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        selinux=_read_context(descriptor),
    )


def _read_context(descriptor: int) -> str | None:
    try:
        value = os.getxattr(descriptor, _SELINUX)
    except OSError as error:
        if error.errno in _NO_ATTRIBUTE:
            return None
        raise
    return value.rstrip(b"\0").decode("utf-8", "surrogateescape")


def _write(directory: int, temporary: str, content: bytes, like: FileState | None) -> None:
    descriptor = os.open(temporary, _CREATE, 0o600, dir_fd=directory)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]
        status = os.fstat(descriptor)
        if like is not None and (like.uid, like.gid) != (status.st_uid, status.st_gid):
            os.fchown(descriptor, like.uid, like.gid)
        # After the owner, because chown(2) takes set-id bits away.
        os.fchmod(descriptor, _MODE if like is None else like.mode)
        if like is not None and like.selinux is not None and like.selinux != _read_context(descriptor):
            os.setxattr(descriptor, _SELINUX, like.selinux.encode("utf-8", "surrogateescape") + b"\0")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _discard(directory: int, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)
