# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Public keys as ssh sends and stores them, alone or in certificates (RFC 4251 section 5, RFC 4253 section 6.6)."""

from __future__ import annotations

import base64
import binascii
import hashlib

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line

__all__ = [
    "CERTIFICATE_SUFFIX",
    "KeyFormatError",
    "describe_key",
    "end_of_key",
    "is_certificate",
    "key_type",
    "pack",
    "plain_algorithm",
    "plain_key",
    "read_line",
    "rsa_bits",
    "unpack",
]

CERTIFICATE_SUFFIX = "-cert-v01@openssh.com"
# How many strings follow the type's name in a key of this type.
_FIELDS = {
    "ssh-ed25519": 1,
    "ssh-rsa": 2,
    "ssh-dss": 4,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "sk-ssh-ed25519@openssh.com": 2,
    "sk-ecdsa-sha2-nistp256@openssh.com": 3,
}
_SHORT = {"ssh-rsa": "RSA", "ssh-dss": "DSA", "ssh-ed25519": "ED25519"}


class KeyFormatError(ValueError):
    """These bytes are no public key or certificate; the text is a clause that says why."""


def unpack(blob: bytes, place: int = 0) -> tuple[bytes, int]:
    """Return the string at ``place`` and the place after it. Raises ``KeyFormatError``."""
    start = place + 4
    end = start + int.from_bytes(blob[place:start], "big")
    if start > len(blob) or end > len(blob):
        raise KeyFormatError("it is cut off")
    return blob[start:end], end


def pack(*strings: bytes) -> bytes:
    """Return these strings, each with its length before it."""
    return b"".join(len(one).to_bytes(4, "big") + one for one in strings)


def key_type(blob: bytes) -> str:
    """Return the type's name at the beginning of a public key or certificate; empty if there is none."""
    try:
        return unpack(blob)[0].decode("ascii")
    except ValueError:
        return ""


def is_certificate(blob: bytes) -> bool:
    """Return whether ``blob`` says of itself that it is a certificate."""
    return key_type(blob).endswith(CERTIFICATE_SUFFIX)


def plain_algorithm(algorithm: str) -> str:
    """Return the type of the plain key that an algorithm signs with: ssh-rsa for rsa-sha2-512-cert-v01…."""
    plain = algorithm.removesuffix(CERTIFICATE_SUFFIX)
    if plain.startswith("rsa-sha2-"):
        return "ssh-rsa"
    if algorithm.endswith(CERTIFICATE_SUFFIX) and plain.startswith("sk-"):
        return f"{plain}@openssh.com"
    return plain


def end_of_key(blob: bytes, start: int) -> int:
    """Return where the key's own strings end that begin at ``start``. Raises ``KeyFormatError``."""
    name = key_type(blob)
    if plain_algorithm(name) not in _FIELDS:
        raise KeyFormatError(f"its type {one_line(name, 60) or 'is missing'} is not known")
    for __ in range(_FIELDS[plain_algorithm(name)]):
        start = unpack(blob, start)[1]
    return start


def plain_key(blob: bytes) -> bytes:
    """Return the public key alone of a public key or a certificate. Raises ``KeyFormatError``."""
    start = unpack(blob)[1]
    if is_certificate(blob):
        start = unpack(blob, start)[1]  # past the nonce
        return pack(plain_algorithm(key_type(blob)).encode("ascii")) + blob[start : end_of_key(blob, start)]
    if end_of_key(blob, start) != len(blob):
        raise KeyFormatError("something follows the key")
    return blob


def rsa_bits(blob: bytes) -> int | None:
    """Return the length of an RSA key in bits; None for any other key. Raises ``KeyFormatError``."""
    plain = plain_key(blob)
    name, place = unpack(plain)
    if name != b"ssh-rsa":
        return None
    return int.from_bytes(unpack(plain, unpack(plain, place)[1])[0], "big").bit_length()


def describe_key(blob: bytes) -> str:
    """Return a plain public key as people compare it: ``ED25519 SHA256:…``, as ssh-keygen -l does."""
    name = key_type(blob)
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii").rstrip("=")
    short = "ECDSA" if name.startswith("ecdsa-") else _SHORT.get(name, one_line(name, 60) or "unknown")
    return f"{short} SHA256:{digest}"


def read_line(text: bytes) -> bytes:
    """Return the key or certificate at the beginning of ``type base64 [comment]``.

    Raises ``KeyFormatError`` where ssh would not read it. Source: sshkey_read() of OpenSSH's sshkey.c.
    """
    words = text.split(None, 2)
    if len(words) < 2:  # noqa: PLR2004 - a type and a key
        raise KeyFormatError("it has no key")
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError):
        raise KeyFormatError("its key is not base64") from None
    if unpack(blob)[0] != words[0]:
        raise KeyFormatError("its key is of another type than it says")
    plain_key(blob)
    return blob
