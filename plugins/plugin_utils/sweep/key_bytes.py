# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys as bytes: the strings of RFC 4251, section 5, and the public key inside of a certificate."""

from __future__ import annotations

import base64
import binascii

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.plugins.plugin_utils.sweep.public_keys import (
    CERTIFICATE_SUFFIX,
    key_type,
    plain_algorithm,
)

__all__ = ["KeyFormatError", "is_certificate", "pack", "plain_key", "read_line", "rsa_bits", "unpack"]

# How many fields follow the type's name in a public key of this type.
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


class KeyFormatError(ValueError):
    """These bytes are no public key or certificate; the text says why."""


def unpack(blob: bytes, at: int = 0) -> tuple[bytes, int]:
    """Return the length-prefixed string at ``at`` and where it ends. Raises ``KeyFormatError``."""
    begin = at + 4
    end = begin + int.from_bytes(blob[at:begin], "big")
    if begin > len(blob) or end > len(blob):
        raise KeyFormatError("it ends too early")
    return blob[begin:end], end


def pack(*strings: bytes) -> bytes:
    """Return these strings, each with its length before it."""
    return b"".join(len(one).to_bytes(4, "big") + one for one in strings)


def is_certificate(blob: bytes) -> bool:
    """Return whether ``blob`` says that it is a certificate."""
    return key_type(blob).endswith(CERTIFICATE_SUFFIX)


def plain_key(blob: bytes) -> bytes:
    """Return the public key alone of a public key or a certificate. Raises ``KeyFormatError``."""
    name = key_type(blob)
    plain = plain_algorithm(name)
    if plain not in _FIELDS:
        raise KeyFormatError(f"its type {one_line(name, 60)} is not known")
    at = unpack(blob)[1]
    begin = unpack(blob, at)[1] if is_certificate(blob) else at
    end = begin
    for _field in range(_FIELDS[plain]):
        end = unpack(blob, end)[1]
    if not is_certificate(blob) and end != len(blob):
        raise KeyFormatError("something follows it")
    return pack(plain.encode("ascii")) + blob[begin:end]


def rsa_bits(blob: bytes) -> int | None:
    """Return the length of an RSA key in bits; None for any other key. Raises ``KeyFormatError``."""
    plain = plain_key(blob)
    name, at = unpack(plain)
    if name != b"ssh-rsa":
        return None
    return int.from_bytes(unpack(plain, unpack(plain, at)[1])[0], "big").bit_length()


def read_line(text: bytes) -> bytes:
    """Return the key or certificate of a line ``type base64 comment``. Raises ``KeyFormatError``."""
    words = text.split(None, 2)
    if len(words) < 2:  # noqa: PLR2004 - a type and a key
        raise KeyFormatError("it has no key")
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError):
        raise KeyFormatError("its key is not base64") from None
    if unpack(blob)[0] != words[0]:
        raise KeyFormatError("its key is of another type than it says")
    return blob
