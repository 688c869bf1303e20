# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that an ssh-agent holds: their list, and signatures (draft-ietf-sshm-ssh-agent, OpenSSH's PROTOCOL.agent)."""

from __future__ import annotations

import random
import socket
import time
from typing import NamedTuple

from ansible_collections.lastack.linux.sweep.public_keys import (
    CERTIFICATE_SUFFIX,
    KeyFormatError,
    key_type,
    pack,
    unpack,
)

__all__ = ["Agent", "AgentError", "AgentKey"]

_REQUEST_IDENTITIES, _IDENTITIES_ANSWER = 11, 12
_SIGN_REQUEST, _SIGN_RESPONSE = 13, 14
_FLAGS = {"rsa-sha2-256": 2, "rsa-sha2-512": 4}
# As ssh-agent itself has it.
_MAX_ANSWER = 256 * 1024
# A person may have to touch a key or to say yes.
_ANSWER_S = 30.0
_PAUSE_S = (0.02, 0.1)


class AgentError(Exception):
    """The agent did not do what it was asked for; the text is one sentence."""


class AgentKey(NamedTuple):
    """A public key or certificate whose private key the agent holds."""

    blob: bytes
    comment: str


class Agent:
    """An ssh-agent at a socket. Every question has a connection of its own: threads do not wait for each other."""

    def __init__(self, path: str) -> None:
        """Name the agent that listens at ``path``."""
        self.path = path

    def keys(self) -> list[AgentKey]:
        """Return the keys in the agent's order. Raises ``AgentError``."""
        answer = self._ask(bytes([_REQUEST_IDENTITIES]), _IDENTITIES_ANSWER)
        found, at = [], 4
        try:
            for _key in range(int.from_bytes(answer[:4], "big")):
                blob, at = unpack(answer, at)
                comment, at = unpack(answer, at)
                found.append(AgentKey(blob, comment.decode("utf-8", "replace")))
        except KeyFormatError:
            raise AgentError(f"the agent at {self.path} gave a broken list of keys") from None
        return found

    def sign(self, blob: bytes, data: bytes, algorithm: str) -> bytes:
        """Return the signature of ``data`` by the private key of ``blob``. Raises ``AgentError``."""
        plain = algorithm.removesuffix(CERTIFICATE_SUFFIX)
        flags = _FLAGS.get(plain, 0).to_bytes(4, "big")
        answer = self._ask(bytes([_SIGN_REQUEST]) + pack(blob, data) + flags, _SIGN_RESPONSE)
        try:
            signature = unpack(answer)[0]
            made = key_type(signature)
        except KeyFormatError:
            raise AgentError(f"the agent at {self.path} gave a broken signature") from None
        if made != plain:
            raise AgentError(f"the agent at {self.path} signs with {made[:40]!r} only")
        return signature

    def _ask(self, question: bytes, wanted: int) -> bytes:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.settimeout(_ANSWER_S)
                self._connect(sock)
                sock.sendall(pack(question))
                size = int.from_bytes(_exactly(sock, 4), "big")
                if not 1 <= size <= _MAX_ANSWER:
                    raise AgentError(f"the agent at {self.path} speaks another protocol")
                answer = _exactly(sock, size)
        except OSError as error:
            raise AgentError(f"the agent at {self.path}: {(error.strerror or str(error)).lower()}") from None
        if answer[0] != wanted:
            raise AgentError(f"the agent at {self.path} refused")
        return answer[1:]

    def _connect(self, sock: socket.socket) -> None:
        """Wait in line: a sweep asks for hundreds of signatures at once, and the agent's queue is short.

        Of a full queue the kernel says so at once, whatever the socket's time-out (connect(2), EAGAIN).
        """
        ends = time.monotonic() + _ANSWER_S
        while True:
            try:
                sock.connect(self.path)
            except BlockingIOError:
                if time.monotonic() >= ends:
                    raise AgentError(f"the agent at {self.path}: its queue was full for {_ANSWER_S:g} s") from None
            else:
                return
            # Not all at once again.
            time.sleep(random.uniform(*_PAUSE_S))  # noqa: S311 - no secret


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise OSError(0, "it closed the connection")
        data += piece
    return bytes(data)
