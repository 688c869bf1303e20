# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that a process has mapped, by ``/proc/PID/maps`` (proc_pid_maps(5)): names only, none is opened."""

from __future__ import annotations

import os
import re
import sys
from typing import NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import try_read_head

__all__ = ["MappedFiles", "carries_own_tls", "parse_maps", "read_mapped_files"]

_MAPS_LIMIT = 1 << 20
_NAMES = 1024
_NAME_LENGTH = 512

# What a mapped library is called when it speaks TLS: OpenSSL, LibreSSL, GnuTLS, NSS, mbed TLS, wolfSSL, s2n,
# BoringSSL as Conscrypt and Netty load it, and Python's own extension module.
_TLS_LIBRARY = re.compile(
    rb"/(?:libssl|libtls|libgnutls|libnss3|libmbedtls|libwolfssl|libs2n|libbearssl|libboringssl|libconscrypt"
    rb"|libnetty_tcnative|_ssl\.)[^/]*$"
)
_C_LIBRARY = re.compile(rb"/(?:ld-|libc[.-])[^/]*$")
# Where Go's heap starts on most 64-bit systems, and what it calls its memory where the kernel takes names
# (runtime/malloc.go, runtime/set_vma_name_linux.go): its TLS is compiled in and cannot be seen.
_GO_HEAP = b"c000000000-"
_GO_NAME = b"[anon: Go: "
_CODE = (b".so", b".jar", b".war", b".node", b".dll")
_RUNTIMES_WITH_TLS = frozenset({"java", "node", "nodejs", "deno", "bun"})


class MappedFiles(NamedTuple):
    """What the mapped files of a process say."""

    tls_library: bool | None
    """Whether one speaks TLS; ``None`` when the answer would be a guess."""
    go: bool
    """Whether Go's memory shows."""
    names: tuple[str, ...]
    """Paths of those with code in them (shared objects, jars, add-ons, assemblies), at most 1,024 of them."""
    executable_device: tuple[int, int] | None
    """Major and minor number of the file system that the executable lies on; ``None`` when it shows nowhere."""


def carries_own_tls(executable: str | None) -> bool:
    """Return whether a program is known to speak TLS without a library that could be mapped."""
    return executable is not None and executable.rpartition("/")[2] in _RUNTIMES_WITH_TLS


def read_mapped_files(pid: int, executable: str | None, *, proc: str = "/proc") -> MappedFiles | None:
    """Return the mapped files of a process; ``None`` when they cannot be read or there are none.

    ``executable`` is the target of ``/proc/PID/exe``. This waits for the memory lock of the process: ask it only for
    processes that the report names.
    """
    data = try_read_head(f"{proc}/{pid}/maps", _MAPS_LIMIT)
    return parse_maps(data, executable) if data else None


def parse_maps(data: bytes, executable: str | None) -> MappedFiles:
    """Parse the head of ``/proc/PID/maps``; the kernel escapes newlines in a path, so no path can forge a line."""
    own = None if executable is None else os.fsencode(executable)
    device = None
    dynamic = tls = go = False
    names: dict[str, None] = {}
    before = b""
    for line in data.split(b"\n"):
        start = line.find(b"/")
        if start < 0:
            go = go or line.startswith(_GO_HEAP) or _GO_NAME in line
            continue
        # A file has several lines, one after the other as a rule.
        if line[start:] == before:
            continue
        before = line[start:]
        path = before.removesuffix(b" (deleted)")
        tls = tls or bool(_TLS_LIBRARY.search(path))
        dynamic = dynamic or bool(_C_LIBRARY.search(path))
        if path == own and device is None:
            device = _device(line)
        if len(names) < _NAMES and len(path) <= _NAME_LENGTH and _has_code(path):
            # Workers of one program map the same files: the text is kept once.
            names[sys.intern(path.decode("utf-8", "backslashreplace"))] = None
    certain = dynamic and not go and len(data) < _MAPS_LIMIT
    return MappedFiles(tls or (False if certain else None), go, tuple(names), device)


def _has_code(path: bytes) -> bool:
    return path.endswith(_CODE) or b".so." in path[path.rfind(b"/") :]


def _device(line: bytes) -> tuple[int, int] | None:
    fields = line.split(None, 4)
    try:
        major, __, minor = fields[3].partition(b":")
        return int(major, 16), int(minor, 16)
    except (IndexError, ValueError):
        return None
