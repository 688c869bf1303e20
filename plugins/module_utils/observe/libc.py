# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The few calls of the C library that Python 3.9 lacks."""

from __future__ import annotations

import errno
import os
import platform

try:
    import ctypes
except ImportError:  # a Python without libffi: namespaces cannot be entered, everything else works
    ctypes = None  # type: ignore[assignment]

__all__ = ["filesystem_type", "setns"]


def setns(descriptor: int, kind: int) -> None:
    """Move the calling thread into the namespace behind ``descriptor`` (in Python itself only from 3.12 on).

    See the manual page of the system call. ``kind`` is a ``CLONE_NEW*`` constant. Raises ``OSError``.
    """
    native = getattr(os, "setns", None)
    if native is not None:
        native(descriptor, kind)
        return
    library = _library()
    if library.setns(ctypes.c_int(descriptor), ctypes.c_int(kind)) != 0:
        raise _last_error()


def filesystem_type(descriptor: int) -> int:
    """Magic number of the file system that ``descriptor`` is on (``f_type`` of fstatfs(2)). Raises ``OSError``."""
    library = _library()
    # struct statfs has at most 120 bytes on any Linux; only its first member is read.
    answer = ctypes.create_string_buffer(512)
    if library.fstatfs(ctypes.c_int(descriptor), answer) != 0:
        raise _last_error()
    word = ctypes.c_uint if platform.machine().startswith("s390") else ctypes.c_ulong
    return int(word.from_buffer(answer).value)


def _library() -> ctypes.CDLL:
    if ctypes is None:
        raise OSError(errno.ENOSYS, "this Python has no ctypes")
    return ctypes.CDLL(None, use_errno=True)


def _last_error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
