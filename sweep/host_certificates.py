# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Host certificates: what an authority says of a host's key, and whether it may (OpenSSH's PROTOCOL.certkeys)."""

from __future__ import annotations

import base64
import hashlib
import struct
import time
from datetime import UTC, datetime
from typing import NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.sweep.public_keys import (
    KeyFormatError,
    end_of_key,
    is_certificate,
    key_type,
    plain_key,
    unpack,
)

__all__ = ["HostCertificate", "read_certificate"]

_HOST = 2
_NAMES_SHOWN = 2
_LONGEST_DAY = 253402300800  # the year 10000, where datetime ends


class HostCertificate(NamedTuple):
    """A certificate whose signature is good; ``why_not`` tells whether it is good for a host. Times are since 1970."""

    plain: bytes
    authority: bytes
    signature_algorithm: str
    is_host: bool
    principals: tuple[str, ...]
    valid_after_s: int
    valid_before_s: int
    critical_options: tuple[str, ...]

    def why_not(self, name: str, algorithms: tuple[str, ...], now_s: float | None = None) -> str:
        """Return why this certificate does not vouch for the host ``name``; empty if it does.

        ``algorithms`` are those with which an authority may sign. A certificate without names is good for every
        host, and a name in it is no pattern, as in OpenSSH 9. Source: sshkey_cert_check_host() of OpenSSH's sshkey.c.
        """
        moment_s = time.time() if now_s is None else now_s
        reason = ""
        if not self.is_host:
            reason = "is one for users, not for hosts"
        elif moment_s < self.valid_after_s:
            reason = f"is not valid before {_moment(self.valid_after_s)}"
        elif moment_s >= self.valid_before_s:
            reason = f"expired on {_moment(self.valid_before_s)}"
        elif self.principals and name.lower() not in self.principals:
            reason = f"is for {_some(self.principals)}, not for {one_line(name, 80)}"
        elif self.critical_options:
            reason = f"demands {one_line(self.critical_options[0], 60)}, which is not known"
        elif self.signature_algorithm not in algorithms:
            reason = f"is signed with {one_line(self.signature_algorithm, 60)}, which is not allowed"
        return reason and f"its host certificate {reason}"


def read_certificate(blob: bytes) -> HostCertificate:
    """Read a certificate and verify the authority's signature on it.

    Raises ``KeyFormatError`` with one clause if it is broken, forged or of a type that cannot be verified here.
    Source: cert_parse() of OpenSSH's sshkey.c.
    """
    if not is_certificate(blob):
        raise KeyFormatError("it is a plain key")
    place = end_of_key(blob, unpack(blob, unpack(blob)[1])[1])
    try:
        __, kind = struct.unpack_from(">QI", blob, place)
        __, place = unpack(blob, place + 12)
        principals, place = unpack(blob, place)
        valid_after, valid_before = struct.unpack_from(">QQ", blob, place)
    except struct.error:
        raise KeyFormatError("it is cut off") from None
    critical, place = unpack(blob, place + 16)
    for __ in ("extensions", "reserved"):
        place = unpack(blob, place)[1]
    authority, place = unpack(blob, place)
    signature, end = unpack(blob, place)
    if end != len(blob) or plain_key(authority) != authority:
        raise KeyFormatError("its host certificate is broken")
    _verify(authority, signature, blob[:place])
    return HostCertificate(
        plain_key(blob),
        authority,
        key_type(signature),
        kind == _HOST,
        _texts(principals),
        valid_after,
        valid_before,
        _texts(critical)[::2],
    )


def _verify(authority: bytes, signature: bytes, signed: bytes) -> None:
    """Check the signature of ``signed``; source: sshkey_verify() of OpenSSH's sshkey.c, PROTOCOL.u2f."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415 - slow to import
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key  # noqa: PLC0415 - as above

    name, algorithm = key_type(authority), key_type(signature)
    made, place = unpack(signature, unpack(signature)[1])
    if name.startswith("sk-"):
        # A hardware key signs a digest, for whom, and how often it has signed.
        application = _strings(authority)[-1]
        digests = hashlib.sha256(application).digest(), hashlib.sha256(signed).digest()
        signed, place = digests[0] + signature[place : place + 5] + digests[1], place + 5
    if place != len(signature):
        raise KeyFormatError("the signature on its host certificate is broken")
    try:
        key = load_ssh_public_key(name.encode("ascii") + b" " + base64.b64encode(authority))
        if isinstance(key, rsa.RSAPublicKey) and algorithm in {"rsa-sha2-256", "rsa-sha2-512", "ssh-rsa"}:
            # SHA-1 is read, so that it can be named as what is not allowed.
            hashed = {"rsa-sha2-256": hashes.SHA256(), "rsa-sha2-512": hashes.SHA512()}.get(algorithm, hashes.SHA1())  # noqa: S303 - as above
            key.verify(made, signed, padding.PKCS1v15(), hashed)
        elif isinstance(key, ed25519.Ed25519PublicKey) and algorithm == name:
            key.verify(made, signed)
        elif isinstance(key, ec.EllipticCurvePublicKey) and algorithm == name:
            hashed = {256: hashes.SHA256(), 384: hashes.SHA384()}.get(key.curve.key_size, hashes.SHA512())
            first, second = unpack(made)
            numbers = int.from_bytes(first, "big"), int.from_bytes(unpack(made, second)[0], "big")
            key.verify(utils.encode_dss_signature(*numbers), signed, ec.ECDSA(hashed))
        else:
            raise KeyFormatError(f"its host certificate is signed with {one_line(algorithm, 60)}")
    except InvalidSignature:
        raise KeyFormatError("the signature on its host certificate is wrong") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        if isinstance(error, KeyFormatError):
            raise
        raise KeyFormatError(f"its host certificate cannot be verified ({one_line(str(error), 80)})") from None


def _strings(packed: bytes) -> list[bytes]:
    found, place = [], 0
    while place < len(packed):
        one, place = unpack(packed, place)
        found.append(one)
    return found


def _texts(packed: bytes) -> tuple[str, ...]:
    return tuple(one.decode("utf-8", "replace") for one in _strings(packed))


def _moment(seconds: int) -> str:
    if seconds >= _LONGEST_DAY:
        return "a day after the year 9999"
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")


def _some(names: tuple[str, ...]) -> str:
    shown = ", ".join(one_line(name, 60) for name in names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
