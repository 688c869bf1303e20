# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paramiko's transport with OpenSSH's algorithms in a wanted order, host certificates and sshd's last words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import paramiko
from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.sweep.public_keys import (
    CERTIFICATE_SUFFIX,
    KeyFormatError,
    key_type,
    plain_algorithm,
    plain_key,
)
from paramiko.packet import Packetizer

if TYPE_CHECKING:
    import socket

__all__ = ["NO_SSH", "SshTransport"]

NO_SSH = "no ssh"
"""With this begins the text of an error where who listens speaks no ssh."""
# As OpenSSH's PACKET_MAX_SIZE (packet.c); RFC 4253, 6.1 wants no more than 35,000 bytes of anybody.
_LONGEST_PACKET = 256 * 1024
_MOST_BEFORE_GREETING = 64 * 1024
_KEX_ALIASES = {"curve25519-sha256": "curve25519-sha256@libssh.org"}


class _Packetizer(Packetizer):  # type: ignore[misc] # Paramiko ships no types
    """Reads as much as ssh ever sends at once: Paramiko's own would hold whatever a host announces."""

    def __init__(self, sock: socket.socket | paramiko.Channel) -> None:
        super().__init__(sock)
        self._before_greeting = 0

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:  # noqa: FBT001,FBT002 - Paramiko's signature
        if n > _LONGEST_PACKET:
            raise paramiko.SSHException(f"the host announced a packet of {n:,} bytes")
        data: bytes = super().read_all(n, check_rekey)
        return data

    def _read_timeout(self, timeout: float) -> bytes:
        data: bytes = super()._read_timeout(timeout)
        self._before_greeting += len(data)
        if self._before_greeting > _MOST_BEFORE_GREETING:
            limit = _MOST_BEFORE_GREETING // 1024
            raise paramiko.SSHException(f"{NO_SSH}: it sent more than {limit} KiB and no greeting")
        return data


class SshTransport(paramiko.Transport):  # type: ignore[misc] # Paramiko ships no types
    """A client's transport. Paramiko itself asks for certificates last, and keeps nothing of them."""

    _kex_info = {  # noqa: RUF012 - Paramiko's own name and type
        **paramiko.Transport._kex_info,  # noqa: SLF001 - Paramiko has no other way to name an algorithm
        # RFC 8731 only gave it its name.
        **{
            name: paramiko.Transport._kex_info[old]  # noqa: SLF001 - as above
            for name, old in _KEX_ALIASES.items()
            if old in paramiko.Transport._kex_info  # noqa: SLF001 - as above
        },
    }

    def __init__(self, sock: socket.socket | paramiko.Channel, host_keys: tuple[str, ...]) -> None:
        """Speak over ``sock``, and ask for these algorithms of host keys, the best first."""
        super().__init__(sock, packetizer_class=_Packetizer)
        self.wanted_host_keys = host_keys
        self.host_key_blob = b""
        """The host's key or certificate as it was sent; its signature of this session is good."""
        self.last_words = ""
        """What sshd said when it closed the connection."""

    @classmethod
    def known(cls, table: str) -> frozenset[str]:
        """Return the algorithms that this transport can: of "kex", "cipher", "mac" or "key"."""
        return frozenset(getattr(cls, f"_{table}_info"))

    def choose(self, *, kex: tuple[str, ...], ciphers: tuple[str, ...], macs: tuple[str, ...]) -> None:
        """Take these algorithms, the best first."""
        self._preferred_kex, self._preferred_ciphers, self._preferred_macs = kex, ciphers, macs

    def accept_public_keys(self, algorithms: tuple[str, ...]) -> None:
        """Take these algorithms for the signatures of the user's RSA keys, the best first."""
        self._preferred_pubkeys = algorithms

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        """What Paramiko asks for."""
        return self.wanted_host_keys

    def _verify_key(self, host_key: bytes, sig: bytes) -> None:
        wanted, name = str(self.host_key_type), key_type(host_key)
        try:
            plain_key(host_key)
        except KeyFormatError as error:
            raise paramiko.SSHException(f"the host's key cannot be read: {error}") from None
        if plain_algorithm(name) != plain_algorithm(wanted) or name.endswith(CERTIFICATE_SUFFIX) != wanted.endswith(
            CERTIFICATE_SUFFIX
        ):
            raise paramiko.SSHException(f"the host shows a key of type {one_line(name, 60)} in place of {wanted}")
        if self.host_key_blob and self.host_key_blob != host_key:
            raise paramiko.SSHException("the host has changed its key in the middle of the connection")
        try:
            super()._verify_key(host_key, sig)
        except paramiko.SSHException:
            raise
        except Exception as error:  # noqa: BLE001 - whatever Paramiko makes of hostile bytes
            raise paramiko.SSHException(f"the host's key cannot be read: {one_line(str(error), 80)}") from None
        self.host_key_blob = host_key

    def _parse_disconnect(self, message: Any) -> None:  # noqa: ANN401 - Paramiko ships no types
        message.get_int()
        self.last_words = one_line(message.get_binary().decode("utf-8", "replace"), 120)
