# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenSSH's known_hosts files: what they say of a host, and how a new host is added (sshd(8), SSH_KNOWN_HOSTS)."""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import hmac
import os
import stat
import threading
from pathlib import Path
from typing import NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.sweep.host_patterns import matches_list
from ansible_collections.lastack.linux.sweep.public_keys import (
    KeyFormatError,
    is_certificate,
    key_type,
    read_line,
)

__all__ = ["AUTHORITY", "PLAIN", "REVOKED", "KnownHostsFile", "KnownKey", "known_hosts_file"]

PLAIN = ""
AUTHORITY = "@cert-authority"
REVOKED = "@revoked"
_MAX_BYTES = 64 << 20
_SALT_BYTES = 20
_HASHED = "|1|"


class KnownKey(NamedTuple):
    """One key that a line gives to the hosts it names; ``marker`` is PLAIN, AUTHORITY or REVOKED."""

    marker: str
    blob: bytes
    path: str
    line: int

    @property
    def place(self) -> str:
        """The file and the line, as ssh writes them."""
        return f"{one_line(self.path)}:{self.line}"


class KnownHostsFile:
    """One file, read when first asked and again when it changed; thread-safe.

    Where names are hashed, each line has to be tried: about a microsecond a line and host, as every salt is another.
    Lines that ssh would not read are passed over, as ssh does. ``problem`` says why the whole file could not be read;
    it is empty for a file that does not exist.
    """

    def __init__(self, path: str) -> None:
        """Stand for the file at ``path``, which needs not exist."""
        self.path = path
        self.problem = ""
        self._lock = threading.RLock()
        self._seen: tuple[int, ...] | None = None
        self._clear()

    def _clear(self) -> None:
        self._lines = 0
        self._named: dict[str, list[KnownKey]] = {}
        self._patterns: list[tuple[str, KnownKey]] = []
        self._hashed: list[tuple[bytes, bytes, KnownKey]] = []

    def keys_of(self, name: str) -> list[KnownKey]:
        """Return the keys of ``name`` (a host, ``[host]:port`` or an alias), in the order of the file."""
        with self._lock:
            self._refresh()
            if self._hashed:
                self._unhide(name)
            named = list(self._named.get(name.lower(), ()))
            named += [key for text, key in self._patterns if matches_list(name, text)]
        return sorted(named, key=lambda key: key.line)

    def _unhide(self, name: str) -> None:
        """Let the hashed lines of ``name`` stand under it from now on: they are nobody else's."""
        encoded, digest_of = name.encode("utf-8", "surrogateescape"), hmac.digest
        hits = {key for salt, digest, key in self._hashed if digest_of(salt, encoded, "sha1") == digest}
        if hits:
            self._named.setdefault(name.lower(), []).extend(hits)
            self._hashed = [one for one in self._hashed if one[2] not in hits]

    def add(self, name: str, blob: bytes, *, hashed: bool) -> list[KnownKey]:
        """Append a line for ``name``, unless another writer gave it keys meanwhile: then return these instead.

        The file and its folder are made if they are missing (modes 600 and 700). What cannot hold lines (/dev/null)
        is passed over. Raises ``OSError``.
        """
        Path(self.path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with self._lock, os.fdopen(descriptor, "r+b", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return []
            # Other sweeps; ssh itself does not lock, its one write appends a whole line.
            fcntl.flock(file, fcntl.LOCK_EX)
            others = [key for key in self.keys_of(name) if key.marker == PLAIN]
            if others:
                return others
            size = os.fstat(file.fileno()).st_size
            torn = size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"
            line = f"{_hash(name) if hashed else name} {key_type(blob)} {base64.b64encode(blob).decode('ascii')}\n"
            whole = (b"\n" if torn else b"") + line.encode("utf-8", "surrogateescape")
            if os.write(file.fileno(), whole) != len(whole):
                raise OSError("the file system is full")
            self._lines += 1
            self._take(line, self._lines)
            self._seen = _signature(os.fstat(file.fileno()))
        return []

    def _refresh(self) -> None:
        signature: tuple[int, ...] = ()
        text = problem = ""
        try:
            status = Path(self.path).stat()
            signature = _signature(status)
            if signature == self._seen:
                return
            # /dev/null is how people say that there is none; a pipe would wait for a writer.
            if stat.S_ISREG(status.st_mode):
                text = _text(self.path)
        except FileNotFoundError:
            pass
        except OSError as error:
            problem = f"{one_line(self.path)} cannot be read ({(error.strerror or str(error)).lower()})"
        self._clear()
        self._seen, self.problem = signature, problem
        lines = text.split("\n")
        for number, line in enumerate(lines, 1):
            self._take(line, number)
        # The part after the last line feed is no line if it is empty.
        self._lines = len(lines) - (not lines[-1])

    def _take(self, line: str, number: int) -> None:
        """Take one line over; source: hostkeys_foreach_file() and check_markers() of OpenSSH's hostfile.c."""
        text = line.strip(" \t\r\n")
        if not text or text.startswith("#"):
            return
        marker = PLAIN
        if text.startswith("@"):
            marker, __, text = text.replace("\t", " ").partition(" ")
            text = text.lstrip(" ")
            if marker not in {AUTHORITY, REVOKED} or text.startswith("@"):
                return
        hosts, __, key = text.replace("\t", " ").partition(" ")
        with contextlib.suppress(KeyFormatError):
            blob = read_line(key.encode("utf-8", "surrogateescape"))
            # An authority is a key, not a certificate.
            if not is_certificate(blob):
                self._index(hosts, KnownKey(marker, blob, self.path, number))

    def _index(self, hosts: str, key: KnownKey) -> None:
        if hosts.startswith(_HASHED):
            parts = _unhash(hosts)
            if parts is not None:
                self._hashed.append((*parts, key))
        elif any(character in hosts for character in "*?!"):
            self._patterns.append((hosts, key))
        else:
            for name in set(hosts.lower().split(",")):
                self._named.setdefault(name, []).append(key)


_files: dict[str, KnownHostsFile] = {}
_files_lock = threading.Lock()


def known_hosts_file(path: str) -> KnownHostsFile:
    """Return this process's one reader of the file at ``path``."""
    with _files_lock:
        return _files.setdefault(path, KnownHostsFile(path))


def _text(path: str) -> str:
    with Path(path).open("rb") as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise OSError("more than 64 MiB")
    return data.decode("utf-8", "surrogateescape")


def _signature(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)


def _hash(name: str) -> str:
    """Return a name as HashKnownHosts stores it; source: host_hash() of OpenSSH's hostfile.c."""
    salt = os.urandom(_SALT_BYTES)
    digest = hmac.digest(salt, name.encode("utf-8", "surrogateescape"), "sha1")
    return f"{_HASHED}{base64.b64encode(salt).decode('ascii')}|{base64.b64encode(digest).decode('ascii')}"


def _unhash(hosts: str) -> tuple[bytes, bytes] | None:
    salt, mark, digest = hosts.removeprefix(_HASHED).partition("|")
    try:
        parts = base64.b64decode(salt, validate=True), base64.b64decode(digest, validate=True)
    except (ValueError, binascii.Error):
        return None
    return parts if mark and len(parts[0]) == _SALT_BYTES and len(parts[1]) == _SALT_BYTES else None
