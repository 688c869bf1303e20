# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Public keys and host certificates as ssh sends and stores them (RFC 4253 section 6.6, OpenSSH's PROTOCOL.certkeys)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
import time
from datetime import datetime, timezone
from typing import NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.plugins.plugin_utils.sweep.host_patterns import matches_pattern

__all__ = [
    "CERTIFICATE_SUFFIX",
    "HostCertificate",
    "describe_key",
    "key_type",
    "parse_public_key",
    "plain_algorithm",
    "read_certificate",
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
_NAMES_SHOWN = 3
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

        ``algorithms`` are those with which an authority may sign; nothing allows all. A certificate without names is
        good for every host, as in OpenSSH up to 10.2. Source: sshkey_cert_check_host() of OpenSSH's sshkey.c.
        """
        moment_s = time.time() if now_s is None else now_s
        if not self.is_host:
            return "its certificate is one for users, not for hosts"
        if moment_s < self.valid_after_s:
            return f"its host certificate is not valid before {_moment(self.valid_after_s)}"
        if moment_s >= self.valid_before_s:
            return f"its host certificate expired on {_moment(self.valid_before_s)}"
        if self.principals and not any(matches_pattern(name, pattern) for pattern in self.principals):
            return f"its host certificate is for {_some(self.principals)}, not for {name}"
        if self.critical_options:
            return f"its host certificate demands {one_line(self.critical_options[0])}, which is not known"
        if algorithms and self.signature_algorithm not in algorithms:
            return f"its host certificate is signed with {one_line(self.signature_algorithm)}, which is not allowed"
        return ""


def key_type(blob: bytes) -> str:
    """Return the type's name at the beginning of a public key or certificate; empty if there is none."""
    try:
        return _take(blob, 0)[0].decode("ascii")
    except ValueError:
        return ""


def plain_algorithm(algorithm: str) -> str:
    """Return the type of the plain key that a host key algorithm signs with: ssh-rsa for rsa-sha2-512-cert-v01…."""
    plain = algorithm.removesuffix(CERTIFICATE_SUFFIX)
    if plain.startswith("rsa-sha2-"):
        return "ssh-rsa"
    if algorithm.endswith(CERTIFICATE_SUFFIX) and plain.startswith("sk-"):
        return f"{plain}@openssh.com"
    return plain


def describe_key(blob: bytes) -> str:
    """Return a plain public key as people compare it: ``ED25519 SHA256:…``, as ssh-keygen -l does."""
    name = key_type(blob)
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii").rstrip("=")
    short = "ECDSA" if name.startswith("ecdsa-") else _SHORT.get(name, one_line(name) or "unknown")
    return f"{short} SHA256:{digest}"


def parse_public_key(text: str) -> bytes | None:
    """Return the plain public key at the beginning of ``type base64 [comment]``; None if ssh would not read it.

    Source: sshkey_read() of OpenSSH's sshkey.c. Certificates are no keys of a known_hosts file.
    """
    fields = text.split(None, 2)
    if len(fields) < 2 or fields[0] not in _FIELDS:  # noqa: PLR2004 - a type and a key
        return None
    try:
        blob = base64.b64decode(fields[1], validate=True)
        parts = _strings(blob)
    except (ValueError, binascii.Error):
        return None
    if parts[0] != fields[0].encode("ascii") or len(parts) != 1 + _FIELDS[fields[0]] or not all(parts):
        return None
    return blob


def read_certificate(blob: bytes) -> HostCertificate:
    """Read a certificate and verify the authority's signature on it.

    Raises ``ValueError`` with one clause if it is broken, forged or of a type that cannot be verified here.
    """
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415 - slow to import
    from cryptography.hazmat.primitives.serialization import ssh  # noqa: PLC0415 - slow to import

    name = key_type(blob)
    try:
        line = name.encode("ascii") + b" " + base64.b64encode(blob)
        certificate = ssh.load_ssh_public_identity(line)
        if not isinstance(certificate, ssh.SSHCertificate):
            raise ValueError("it is a plain key")
        certificate.verify_cert_signature()
        plain, authority, algorithm = _parts(blob, plain_algorithm(name))
    except InvalidSignature:
        raise ValueError("the signature on its host certificate is wrong") from None
    except (ValueError, TypeError, AssertionError, UnsupportedAlgorithm) as error:
        raise ValueError(f"its host certificate cannot be read ({one_line(str(error)) or 'broken'})") from None
    return HostCertificate(
        plain,
        authority,
        algorithm,
        certificate.type is ssh.SSHCertificateType.HOST,
        tuple(name.decode("utf-8", "replace") for name in certificate.valid_principals),
        certificate.valid_after,
        certificate.valid_before,
        tuple(option.decode("utf-8", "replace") for option in certificate.critical_options),
    )


def _parts(blob: bytes, plain_name: str) -> tuple[bytes, bytes, str]:
    """Return the plain key, the authority's key and the signature's algorithm of a certificate."""
    __, place = _take(blob, 0)
    __, start = _take(blob, place)  # the nonce
    place = start
    for __ in range(_FIELDS[plain_name]):
        place = _take(blob, place)[1]
    name = plain_name.encode("ascii")
    plain = struct.pack(">I", len(name)) + name + blob[start:place]
    place += 8 + 4  # serial number, type
    for __ in range(2):  # key id, principals
        place = _take(blob, place)[1]
    place += 8 + 8  # valid after, valid before
    for __ in range(3):  # critical options, extensions, reserved
        place = _take(blob, place)[1]
    authority, place = _take(blob, place)
    signature, place = _take(blob, place)
    return plain, authority, key_type(signature)


def _take(blob: bytes, place: int) -> tuple[bytes, int]:
    """Return the string of RFC 4251 at ``place`` and the place after it; raise ``ValueError`` if it is cut off."""
    start = place + 4
    if start > len(blob):
        raise ValueError("cut off")
    end = start + int.from_bytes(blob[place:start], "big")
    if end > len(blob):
        raise ValueError("cut off")
    return blob[start:end], end


def _strings(blob: bytes) -> list[bytes]:
    parts: list[bytes] = []
    place = 0
    while place < len(blob):
        part, place = _take(blob, place)
        parts.append(part)
    return parts


def _moment(seconds: int) -> str:
    if seconds >= _LONGEST_DAY:
        return "a day after the year 9999"
    return datetime.fromtimestamp(seconds, tz=timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def _some(names: tuple[str, ...]) -> str:
    shown = ", ".join(one_line(name) for name in names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
