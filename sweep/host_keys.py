# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the host that answers is the host that was meant: OpenSSH's known_hosts and host certificates."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.sweep.host_certificates import (
    HostCertificate,
    read_certificate,
)
from ansible_collections.lastack.linux.sweep.known_hosts import (
    AUTHORITY,
    PLAIN,
    REVOKED,
    KnownKey,
    known_hosts_file,
)
from ansible_collections.lastack.linux.sweep.public_keys import (
    CERTIFICATE_SUFFIX,
    describe_key,
    is_certificate,
    key_type,
    plain_algorithm,
    plain_key,
    rsa_bits,
)
from ansible_collections.lastack.linux.sweep.revoked_keys import why_revoked
from ansible_collections.lastack.linux.sweep.ssh_transport import SshTransport

if TYPE_CHECKING:
    import socket

    import paramiko
    from ansible_collections.lastack.linux.sweep.ssh_settings import SshSettings

__all__ = ["HostKeyError", "HostKeyPolicy", "HostKeyVerdict"]

_SSH_PORT = 22
# OpenSSH's own orders, without SHA-1 and what is weak; what Paramiko cannot is left out where they are used.
_PLAIN_KEYS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
_HOST_KEYS = (*(f"{name}{CERTIFICATE_SUFFIX}" for name in _PLAIN_KEYS), *_PLAIN_KEYS)
_KEX = (
    "mlkem768x25519-sha256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group-exchange-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group14-sha256",
)
_CIPHERS = ("aes128-ctr", "aes192-ctr", "aes256-ctr", "aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
_MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")
# What in a name would make a line of something else, or of more hosts than one.
_UNFIT = re.compile(r"[^\x21-\x7e]|[,*?!#|@\"]")


class HostKeyError(Exception):
    """The host's key is not the one that is known; the text is one sentence with file, line and fingerprint."""


class HostKeyVerdict(NamedTuple):
    """Why a host's key was taken.

    ``secrets_allowed`` is False where StrictHostKeyChecking=no let a wrong key pass: then no password, neither for ssh
    nor for sudo, may be sent. ``doubt`` is what the report of such a host must carry with it, mostly empty.
    """

    how: str
    secrets_allowed: bool = True
    doubt: str = ""


class HostKeyPolicy:
    """The check of one host's key; thread-safe, known_hosts files are read once for all hosts.

    Use: ``transport = policy.new_transport(sock)``; ``transport.start_client(timeout=…)``;
    ``verdict = policy.check(transport)``; only then authenticate.
    """

    def __init__(self, settings: SshSettings) -> None:
        """Check against the files and with the strictness that ``settings`` name."""
        self._settings = settings
        self._name = settings.known_name.lower()
        self._shown = one_line(self._name, 100)
        every = (*settings.user_known_hosts, *settings.global_known_hosts)
        self._files = [known_hosts_file(str(Path(path).expanduser())) for path in every]
        self._found: dict[str, list[KnownKey]] = {}

    def new_transport(self, sock: socket.socket | paramiko.Channel) -> paramiko.Transport:
        """Return a transport over ``sock`` that offers the algorithms of the settings, known host keys first.

        ``sock`` is a connected socket, or a channel or proxy of paramiko's. Nothing is sent yet.
        Source: order_hostkeyalgs() of OpenSSH's sshconnect2.c. Raises ``HostKeyError`` if nothing can be offered.
        """
        settings = self._settings
        host_keys = self._offer("HostKeyAlgorithms", settings.host_key_algorithms, _HOST_KEYS, "key")
        kex = self._offer("KexAlgorithms", settings.kex_algorithms, _KEX, "kex")
        ciphers = self._offer("Ciphers", settings.ciphers, _CIPHERS, "cipher")
        macs = self._offer("MACs", settings.macs, _MACS, "mac")
        transport = SshTransport(sock, _known_first(host_keys, self._known(self._name)))
        transport.choose(kex=kex, ciphers=ciphers, macs=macs)
        return transport

    def check(self, transport: paramiko.Transport) -> HostKeyVerdict:
        """Return why the key that ``transport`` was shown is good, or raise ``HostKeyError``.

        Call it after ``start_client`` and before anything secret is sent. With "accept-new" and "no" an unknown key is
        added to the first file of the user. Source: check_host_key() of OpenSSH's sshconnect.c.
        """
        blob = transport.host_key_blob
        try:
            key = plain_key(blob)
            certificate = read_certificate(blob) if is_certificate(blob) else None
            bits = rsa_bits(key)
        except ValueError as error:
            raise HostKeyError(f"the host key of {self._shown} cannot be trusted: {error}") from None
        wanted = self._settings.required_rsa_bits
        if bits is not None and bits < wanted:
            raise HostKeyError(f"the RSA host key of {self._shown} has {bits} bits, RequiredRSASize wants {wanted}")
        return self._check(key, certificate)

    def _check(self, key: bytes, certificate: HostCertificate | None) -> HostKeyVerdict:
        described = f"the host key of {self._shown}, {describe_key(key)}"
        if self._settings.revoked_host_keys:
            reason = why_revoked(self._settings.revoked_host_keys, key, certificate)
            if reason:
                raise HostKeyError(f"{described}, is refused: {reason}")
        known = self._known(self._name)
        shown = {key, certificate.authority} if certificate else {key}
        revoked = next((one for one in known if one.marker == REVOKED and one.blob in shown), None)
        if revoked is not None:
            return self._unsafe(f"{described}, is revoked by {revoked.place}")
        doubt = ""
        if certificate is not None:
            authority = self._authority(certificate, known)
            if authority is not None:
                name = (self._settings.host_key_alias or self._settings.hostname).lower()
                allowed = self._settings.ca_signature_algorithms or _PLAIN_KEYS
                doubt = certificate.why_not(name, allowed)
                if not doubt:
                    return HostKeyVerdict(f"certificate, authority in {authority.place}")
        return self._plain(key, known, doubt)

    def _authority(self, certificate: HostCertificate, known: list[KnownKey]) -> KnownKey | None:
        every = [*known, *self._known_for_every_port({certificate.plain, certificate.authority})]
        return next((one for one in every if one.marker == AUTHORITY and one.blob == certificate.authority), None)

    def _plain(self, key: bytes, known: list[KnownKey], doubt: str) -> HostKeyVerdict:
        """Judge a key without a certificate, or whose certificate does not count: as ssh does, it is looked up."""
        plain = [one for one in known if one.marker == PLAIN]
        every = plain or [one for one in self._known_for_every_port({key}) if one.marker == PLAIN]
        same = next((one for one in every if one.blob == key), None)
        if same is not None:
            return HostKeyVerdict(same.place)
        if plain:
            return self._changed(key, plain, doubt)
        described = f"the host key of {self._shown}, {describe_key(key)}"
        if self._settings.strict == "yes":
            problems = [one.problem for one in self._files if one.problem]
            looked = ", ".join(one_line(one.path, 80) for one in self._files[:2]) or "any file"
            unlisted = f"not in {looked}; compare it and log in once by ssh, or add it there"
            raise HostKeyError(f"{described}, is not known: {(*filter(None, [doubt]), *problems, unlisted)[0]}")
        return self._new(key, described)

    def _changed(self, key: bytes, plain: list[KnownKey], doubt: str) -> HostKeyVerdict:
        # One of the same type tells more.
        other = next((one for one in plain if key_type(one.blob) == key_type(key)), plain[-1])
        return self._unsafe(
            f"the host key of {self._shown} has changed: it shows {describe_key(key)}, "
            f"{other.place} has {describe_key(other.blob)}{doubt and f' ({doubt})'}; "
            "if the host was set up anew, remove that line"
        )

    def _new(self, key: bytes, described: str) -> HostKeyVerdict:
        settings = self._settings
        if not settings.user_known_hosts:
            return HostKeyVerdict("new, kept nowhere")
        if _UNFIT.search(self._name):
            return HostKeyVerdict("new", doubt=f"{described}, is new and was not kept: no line can have such a name")
        first = self._files[0]
        try:
            others = first.add(self._name, key, hashed=settings.hash_known_hosts)
        except OSError as error:
            problem = (error.strerror or str(error)).lower()
            return HostKeyVerdict("new", doubt=f"{described}, is new and was not kept: {first.path}: {problem}")
        if others and all(one.blob != key for one in others):
            # Somebody else came first, with another key under the same name.
            return self._changed(key, others, "")
        return HostKeyVerdict(f"new, added to {first.path}")

    def _unsafe(self, reason: str) -> HostKeyVerdict:
        if self._settings.strict != "no":
            raise HostKeyError(reason)
        return HostKeyVerdict("StrictHostKeyChecking=no", secrets_allowed=False, doubt=reason)

    def _known(self, name: str) -> list[KnownKey]:
        # Hashed names make it dear.
        if name not in self._found:
            self._found[name] = [one for file in self._files for one in file.keys_of(name)]
        return self._found[name]

    def _known_for_every_port(self, shown: set[bytes]) -> list[KnownKey]:
        """Return what is known without the port, which counts if nothing is known with it."""
        settings = self._settings
        if settings.host_key_alias or settings.port == _SSH_PORT:
            return []
        known = self._known(settings.hostname.lower())
        revoked = any(one.marker == REVOKED and one.blob in shown for one in known)
        return [] if revoked else known

    def _offer(self, option: str, wanted: tuple[str, ...], usual: tuple[str, ...], table: str) -> tuple[str, ...]:
        known = SshTransport.known(table)
        chosen = tuple(name for name in wanted or usual if name in known)
        if not chosen:
            names = one_line(",".join(wanted), 120)
            raise HostKeyError(f"{option} for {self._shown} names nothing that a sweep can: {names}")
        return chosen


def _known_first(algorithms: tuple[str, ...], known: list[KnownKey]) -> tuple[str, ...]:
    """Let the host show what is known of it, where it has more keys than one."""
    types = {key_type(one.blob) for one in known if one.marker == PLAIN}
    authority = any(one.marker == AUTHORITY for one in known)
    if plain_algorithm(algorithms[0]) in types:
        return algorithms

    def later(name: str) -> bool:
        return not (authority and name.endswith(CERTIFICATE_SUFFIX)) and plain_algorithm(name) not in types

    return tuple(sorted(algorithms, key=later))
