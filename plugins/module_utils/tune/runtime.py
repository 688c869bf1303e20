# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sysctls as they run: read, tried and written through /proc/sys, one write(2) a value (proc_sys(5))."""

from __future__ import annotations

import os

from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_files import sysctl_key, sysctl_path

__all__ = ["like_named", "opens_for_writing", "read_runtime", "write_runtime"]

# ip_local_reserved_ports is the longest: a list of up to 65,536 ports.
_USUAL_BYTES = 1 << 16
_MAX_VALUE_BYTES = 1 << 19
_FLAGS = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_INTERFACE_AT = 3


def read_runtime(key: str, *, proc: str = "/proc") -> str:
    """Return what the kernel shows, with each run of white space as one blank.

    Raises ``OSError`` as open(2) and read(2) do; ``FileNotFoundError`` and its kin where there is no such key.
    """
    data = _read_once(_path(key, proc), _USUAL_BYTES)
    if len(data) == _USUAL_BYTES:
        data = _read_once(_path(key, proc), _MAX_VALUE_BYTES)
    return " ".join(data.decode("utf-8", "backslashreplace").split())


def opens_for_writing(key: str, *, proc: str = "/proc") -> OSError | None:
    """Return why the kernel would not let the key be opened for writing, ``None`` if it does; nothing is written."""
    try:
        os.close(os.open(_path(key, proc), _FLAGS))
    except OSError as error:
        return error
    return None


def write_runtime(key: str, value: str, *, proc: str = "/proc") -> None:
    """Set a value; raises ``OSError`` as open(2) and write(2) do: ``EINVAL`` where the kernel refuses it."""
    # Truncating means nothing to procfs, and a plain file that stands for a sysctl in tests needs it.
    descriptor = os.open(_path(key, proc), _FLAGS | os.O_TRUNC)
    try:
        left = value.encode("utf-8") + b"\n"
        # More than a page is taken in parts, by lists of ports only (proc_do_large_bitmap).
        while left:
            left = left[os.write(descriptor, left) :]
    finally:
        os.close(descriptor)


def like_named(key: str, *, proc: str = "/proc") -> str:
    """Return an existing key that was probably meant; empty if there is none.

    In ``net.ipv4.conf.eth0.100.rp_filter`` the dot of the interface ``eth0.100`` has to be a slash (sysctl.d(5)).
    """
    parts = sysctl_path(key).split("/")
    head, name, tail = parts[:_INTERFACE_AT], ".".join(parts[_INTERFACE_AT:-1]), parts[-1]
    if len(parts) > _INTERFACE_AT + 2 and parts[2] in ("conf", "neigh"):
        path = "/".join([*head, name, tail])
        if os.path.isfile(f"{proc}/sys/{path}"):  # noqa: PTH113 - never raises
            return sysctl_key(path)
    return ""


def _read_once(path: str, size: int) -> bytes:
    # A second read(2) of the same file shows nothing more of a list of ports (proc_do_large_bitmap).
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        return os.read(descriptor, size)
    finally:
        os.close(descriptor)


def _path(key: str, proc: str) -> str:
    return f"{proc}/sys/{sysctl_path(key)}"
