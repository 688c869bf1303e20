# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger's place on disk: a directory that is root's alone, its lock, and a file that is only ever replaced."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import time

from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import try_read_head
from ansible_collections.lastack.linux.plugins.module_utils.tune.guarded_directories import (
    RefusedPath,
    check_room,
    flush_directory,
    make_directory,
    open_directory,
    remove_directory,
)
from ansible_collections.lastack.linux.plugins.module_utils.tune.ledger_document import DocumentError, Entries, parse

__all__ = [
    "DIRECTORY",
    "MAX_BYTES",
    "PATH",
    "LedgerError",
    "check_text",
    "open_locked",
    "read_entries",
    "remove_ledger",
    "write_text",
]

DIRECTORY = "/var/lib/lastack"
PATH = f"{DIRECTORY}/ledger.json"

MAX_BYTES = 16 << 20
"""The largest ledger that is read and written."""

_NAME = "ledger.json"
_TEMPORARY = ".ledger.json.new"
_RETRY_S = 0.05
_PRIVATE = stat.S_IRWXG | stat.S_IRWXO
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOCKS_LIMIT = 1 << 20


_ADVICE = (
    f"Look at what it holds, and put a copy back if there is one; otherwise move {PATH} away: a new one is begun, and "
    "what was there before lastack's first change can no longer be restored."
)


class LedgerError(Exception):
    """The ledger cannot be used, and so nothing may be changed; the text says why in one sentence."""

    def __init__(self, why: str, advice: str = "") -> None:
        """Take the sentence, and what to do about it as another, if there is more to say than that."""
        super().__init__(why)
        self.advice = advice

    @property
    def told(self) -> str:
        """Why, and what to do."""
        return f"{self} {self.advice}".strip()


def open_locked(*, root: str, proc: str, check: bool, wait_s: float) -> int | None:
    """Return a descriptor of the ledger's directory, made if missing and locked; ``None``: none with ``check``.

    With ``check`` nothing is made or locked. Raises ``LedgerError`` and ``RefusedPath``.
    """
    deadline = time.monotonic() + wait_s
    while True:
        try:
            if not check:
                make_directory(DIRECTORY, root=root, mode=0o700)
            with open_directory(DIRECTORY, root=root) as opened:
                directory = os.dup(opened)
        except FileNotFoundError as error:
            if check and _can_be_made(root):
                return None
            raise LedgerError(f"{DIRECTORY} cannot be made ({error.strerror}); nothing was changed.") from error
        except OSError as error:
            raise _unusable(error) from error
        try:
            _check_private(directory)
            if check:
                return directory
            _lock(directory, proc=proc, deadline=deadline)
            # The run before may have removed the directory at its end, just before we had its lock.
            if os.fstat(directory).st_nlink:
                return directory
        except BaseException:
            os.close(directory)
            raise
        os.close(directory)


def _can_be_made(root: str) -> bool:
    """Whether the ledger's directory is missing and its parent is there; raises what making it would raise."""
    try:
        with open_directory(DIRECTORY.rpartition("/")[0], root=root) as parent:
            check_room(parent, DIRECTORY, 0)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unusable(error) from error
    return True


def _unusable(error: OSError) -> LedgerError:
    hint = "; become root" if isinstance(error, PermissionError) else ""
    return LedgerError(f"{DIRECTORY} cannot be used ({error.strerror}{hint}); nothing was changed.")


def _check_private(directory: int) -> None:
    mode = stat.S_IMODE(os.fstat(directory).st_mode)
    if mode & _PRIVATE:
        raise LedgerError(
            f"{DIRECTORY} is open to others than root (mode {mode:04o}, not 0700); nothing was changed.",
            f"See who opened it and whether {PATH} is still as lastack wrote it, then: chmod 0700 {DIRECTORY}",
        )


def _lock(directory: int, *, proc: str, deadline: float) -> None:
    while not _try_lock(directory):
        if time.monotonic() >= deadline:
            pid = _holder(directory, proc)
            who = "another run" if pid is None else f"another run (pid {pid})"
            raise LedgerError(
                f"{DIRECTORY} is locked by {who}; nothing was changed.", "Run this again when it has ended."
            )
        time.sleep(_RETRY_S)


def _try_lock(directory: int) -> bool:
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(directory: int, proc: str) -> int | None:
    """Return who holds the lock, as /proc/locks names it (proc_locks(5)); ``None`` where that is not to be seen."""
    status = os.fstat(directory)
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}".encode()
    for line in (try_read_head(f"{proc}/locks", _LOCKS_LIMIT) or b"").split(b"\n"):
        match = re.fullmatch(rb"[0-9]+: FLOCK +ADVISORY +WRITE ([1-9][0-9]*) ([0-9a-f:]+) 0 EOF", line)
        if match and match.group(2) == device:
            return int(match.group(1))
    return None


def read_entries(directory: int, owner: int) -> Entries:
    """Return what the ledger in ``directory`` holds; raises ``LedgerError`` for one that cannot be trusted or read."""
    try:
        descriptor = os.open(_NAME, _READ, dir_fd=directory)
    except FileNotFoundError:
        return Entries({}, {}, {})
    except OSError as error:
        link = _is_link(directory)
        why = "is a symbolic link" if link else f"cannot be read ({error.strerror})"
        raise LedgerError(f"{PATH} {why}; it was kept and nothing was changed.", _ADVICE) from error
    try:
        status = os.fstat(descriptor)
        why = _objection(status, owner)
        if why:
            raise LedgerError(f"{PATH} {why}; it was kept and nothing was changed.", _ADVICE)
        with os.fdopen(os.dup(descriptor), "rb") as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise LedgerError(f"{PATH} is larger than {MAX_BYTES} bytes; it was kept and nothing was changed.", _ADVICE)
        return parse(text)
    except DocumentError as error:
        raise LedgerError(f"{PATH} is corrupt: {error}; it was kept and nothing was changed.", _ADVICE) from error
    except OSError as error:
        raise LedgerError(f"{PATH} cannot be read ({error.strerror}); nothing was changed.") from error
    finally:
        os.close(descriptor)


def _objection(status: os.stat_result, owner: int) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "is no regular file"
    if status.st_uid != owner:
        return f"belongs to uid {status.st_uid} and not to root"
    if status.st_mode & _PRIVATE:
        return f"is open to others than root (mode {stat.S_IMODE(status.st_mode):04o}, not 0600)"
    if status.st_nlink > 1:
        return f"has {status.st_nlink} names (hard links)"
    return ""


def _is_link(directory: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(_NAME, dir_fd=directory, follow_symlinks=False).st_mode)
    except OSError:
        return False


def check_text(text: bytes, root: str) -> None:
    """Raise what ``write_text`` would raise, as far as that shows beforehand; a missing directory is no error."""
    with contextlib.suppress(FileNotFoundError), open_directory(DIRECTORY, root=root) as directory:
        check_room(directory, PATH, len(text))


def write_text(directory: int, text: bytes) -> None:
    """Replace the ledger by ``text``, on disk when it returns; raises ``OSError``, and then it is as it was."""
    _unlink(directory, _TEMPORARY)
    try:
        descriptor = os.open(_TEMPORARY, _CREATE, 0o600, dir_fd=directory)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            # The umask may have taken bits away.
            os.fchmod(file.fileno(), 0o600)
            os.fsync(file.fileno())
        os.rename(_TEMPORARY, _NAME, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        _unlink(directory, _TEMPORARY)
        raise
    flush_directory(directory)


def remove_ledger(directory: int, root: str) -> None:
    """Remove an empty ledger, and its directory if that is empty; never raises."""
    # One that stays does no harm.
    with contextlib.suppress(OSError, RefusedPath):
        _unlink(directory, _TEMPORARY)
        _unlink(directory, _NAME)
        remove_directory(DIRECTORY, root=root)


def _unlink(directory: int, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)
