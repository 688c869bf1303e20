# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's key files: OpenSSH's and PEM's private keys, with and without a passphrase (ssh-keygen(1))."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import stat
import threading
from typing import Any

from ansible_collections.lastack.linux.sweep.public_keys import (
    CERTIFICATE_SUFFIX,
    KeyFormatError,
    pack,
    plain_key,
    read_line,
    unpack,
)

__all__ = ["KeyFile", "KeyFileError", "public_line"]

_MAX_BYTES = 1024 * 1024
_MAGIC = b"openssh-key-v1\0"
_OPENSSH = re.compile(rb"-{5}BEGIN OPENSSH PRIVATE KEY-{5}\s+([A-Za-z0-9+/=\s]+)-{5}END")
_OTHERS = 0o077


class KeyFileError(Exception):
    """A private key cannot be used; the text says why, after the file's name."""


def public_line(path: str) -> bytes:
    """Return the public key or certificate in the first line of a file. Raises ``OSError``, ``KeyFormatError``."""
    with open(path, "rb", opener=_open) as file:
        blob = read_line(file.read(_MAX_BYTES))
    plain_key(blob)
    return blob


def _open(path: str, flags: int) -> int:
    # A pipe would wait for a writer.
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


class KeyFile:
    """A file that IdentityFile names, read at once; its private key is opened when the first host asks for it.

    Thread-safe. ``blob`` is the public key, None if it is not known; ``locked`` is whether a passphrase is missing;
    ``problem`` says why the private key cannot be used.
    """

    def __init__(self, path: str) -> None:
        """Read ``path``, or ``path.pub`` where an agent alone holds the private key."""
        self.path = path
        self.blob: bytes | None = None
        self.locked = False
        self.is_there = True
        self.problem = ""
        self._data = b""
        self._private: Any = None
        self._lock = threading.Lock()
        self._wrong: set[bytes] = set()
        self._salt = os.urandom(16)
        try:
            with open(path, "rb", opener=_open) as file:
                status = os.fstat(file.fileno())
                data = file.read(_MAX_BYTES) if stat.S_ISREG(status.st_mode) else b""
        except FileNotFoundError:
            self.is_there, self.problem = False, "there is no such file"
        except OSError as error:
            self.problem = f"it cannot be read: {(error.strerror or str(error)).lower()}"
        else:
            self._look(data, status)
        if self.blob is None:
            self.blob = _beside(path)

    def _look(self, data: bytes, status: os.stat_result) -> None:
        if not data.lstrip().startswith(b"-----BEGIN "):
            self.problem = "it is no private key"
            try:
                self.blob = plain_key(read_line(data))
            except KeyFormatError:
                return
            self.problem = "it is a public key, and no agent holds the private one"
            return
        self._data = data
        if status.st_uid == os.getuid() and status.st_mode & _OTHERS:
            # As ssh: what others can read is no secret.
            self.problem = f"others may read it (its mode is {stat.S_IMODE(status.st_mode):04o})"
        match = _OPENSSH.search(data)
        if match is None:
            self.locked = b"ENCRYPTED" in data[:400]
            return
        try:
            self.blob, self.locked = _envelope(match[1])
        except (KeyFormatError, binascii.Error, ValueError):
            self.problem = "it is broken"

    def sign(self, data: bytes, algorithm: str) -> bytes:
        """Return the signature of ``data``, as ssh sends it. Raises ``KeyFileError``."""
        with self._lock:
            if self._private is None:
                self._open(None)
            private = self._private
        return _signature(private, data, algorithm.removesuffix(CERTIFICATE_SUFFIX))

    def public(self) -> bytes | None:
        """Return the public key; a file of another format than OpenSSH's is opened for it."""
        if self.blob is None and self._data and not self.locked and not self.problem:
            with self._lock:
                try:
                    self._open(None)
                except KeyFileError as error:
                    self.problem = str(error)
        return self.blob

    def unlock(self, passphrase: str) -> bool:
        """Open the private key; return whether the passphrase was the right one. A wrong one is not tried again."""
        secret = passphrase.encode("utf-8", "surrogateescape")
        mark = hmac.digest(self._salt, secret, hashlib.sha256)
        with self._lock:
            if self.problem or mark in self._wrong:
                return False
            if not self.locked:
                return True
            try:
                self._open(secret)
            except KeyFileError:
                self._wrong.add(mark)
                return False
            self.locked = False
            return True

    def _open(self, passphrase: bytes | None) -> None:
        if self.problem:
            raise KeyFileError(self.problem)
        if self.locked and not passphrase:
            raise KeyFileError("it is protected by a passphrase, which was not given")
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - only where a key file is used
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - as above

        load = serialization.load_ssh_private_key if _OPENSSH.search(self._data) else serialization.load_pem_private_key
        try:
            private: Any = load(self._data, passphrase)
            line = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
            self.blob = read_line(line)
        except (ValueError, TypeError, AttributeError, UnsupportedAlgorithm) as error:
            raise KeyFileError("it cannot be opened") from error
        self._private = private


def _envelope(text: bytes) -> tuple[bytes, bool]:
    """Return the public key, which is in the clear, and whether the private one is protected (PROTOCOL.key)."""
    data = base64.b64decode(b"".join(text.split()), validate=True)
    if not data.startswith(_MAGIC):
        raise KeyFormatError("it has another format")
    cipher, at = unpack(data, len(_MAGIC))
    __, at = unpack(data, at)
    __, at = unpack(data, at)
    return plain_key(unpack(data, at + 4)[0]), cipher != b"none"


def _beside(path: str) -> bytes | None:
    try:
        return plain_key(public_line(f"{path}.pub"))
    except (OSError, KeyFormatError):
        return None


def _signature(private: Any, data: bytes, algorithm: str) -> bytes:  # noqa: ANN401 - any of cryptography's key classes
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - only where a key file is used
    from cryptography.hazmat.primitives.asymmetric import ec, padding, utils  # noqa: PLC0415 - as above

    if algorithm == "ssh-ed25519":
        made = private.sign(data)
    elif algorithm.startswith("rsa-sha2-"):
        made = private.sign(data, padding.PKCS1v15(), getattr(hashes, f"SHA{algorithm[-3:]}")())
    elif algorithm.startswith("ecdsa-sha2-"):
        # RFC 5656, 3.1.2 and 6.2.1.
        hashed = getattr(hashes, {"256": "SHA256", "384": "SHA384"}.get(algorithm[-3:], "SHA512"))()
        made = pack(*(_mpint(one) for one in utils.decode_dss_signature(private.sign(data, ec.ECDSA(hashed)))))
    else:
        raise KeyFileError(f"nothing signs with {algorithm} here")
    return pack(algorithm.encode("ascii"), made)


def _mpint(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1, "big") if number else b""
