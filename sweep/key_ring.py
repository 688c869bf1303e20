# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which keys a host is shown, and in which order: certificates, the agent's keys, key files (ssh_config(5))."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.sweep.agent_keys import Agent, AgentError, AgentKey
from ansible_collections.lastack.linux.sweep.key_files import KeyFile, KeyFileError, public_line
from ansible_collections.lastack.linux.sweep.public_keys import (
    KeyFormatError,
    is_certificate,
    plain_key,
)

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.sweep.ssh_settings import SshSettings

__all__ = ["Identity", "KeyRing", "SigningError"]

_AGENT_VARIABLE = "SSH_AUTH_SOCK"


class SigningError(Exception):
    """A key that the host would take cannot sign; the text is one sentence."""


class Identity(NamedTuple):
    """A key or certificate that can be shown, and who signs for it."""

    blob: bytes
    shown: str
    agent: Agent | None
    agent_blob: bytes
    file: KeyFile | None

    def sign(self, data: bytes, algorithm: str) -> bytes:
        """Return the signature of ``data``. Raises ``SigningError``."""
        try:
            if self.agent is not None:
                return self.agent.sign(self.agent_blob, data, algorithm)
            if self.file is not None:
                return self.file.sign(data, algorithm)
        except AgentError as error:
            raise SigningError(str(error)) from None
        except KeyFileError as error:
            raise SigningError(f"{self.shown}: {error}") from None
        raise AssertionError


class KeyRing:
    """The agents and key files of a sweep, each read once for all hosts; thread-safe."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._lock = threading.Lock()
        self._files: dict[str, KeyFile] = {}
        self._certificates: dict[str, bytes | None] = {}
        self._agents: dict[str, tuple[Agent, list[AgentKey], str]] = {}
        self._chosen: dict[tuple[object, ...], tuple[tuple[Identity, ...], tuple[str, ...]]] = {}

    def identities(self, settings: SshSettings) -> tuple[tuple[Identity, ...], tuple[str, ...]]:
        """Return what can be shown, the best first, and why some of it cannot. Source: pubkey_prepare() of OpenSSH."""
        wanted = (
            settings.identity_files,
            settings.certificate_files,
            settings.identities_only,
            settings.identity_agent,
        )
        with self._lock:
            if wanted not in self._chosen:
                self._chosen[wanted] = self._choose(settings)
            return self._chosen[wanted]

    def file(self, path: str) -> KeyFile:
        """Return the key file at ``path``."""
        with self._lock:
            return self._file(path)

    def locked(self, settings: SshSettings) -> list[str]:
        """Return the key files that wait for a passphrase and that no agent holds."""
        with self._lock:
            held = {_plain(one.blob) for one in self._agent(settings.identity_agent)[1]}
            files = [self._file(path) for path in settings.identity_files]
        return [one.path for one in files if one.locked and not one.problem and one.blob not in held]

    def forget(self) -> None:
        """Drop all of it."""
        with self._lock:
            for one in (self._files, self._certificates, self._agents, self._chosen):
                one.clear()

    def _file(self, path: str) -> KeyFile:
        real = str(Path(path).expanduser())
        if real not in self._files:
            self._files[real] = KeyFile(real)
        return self._files[real]

    def _certificate(self, path: str) -> bytes | None:
        real = str(Path(path).expanduser())
        if real not in self._certificates:
            try:
                blob: bytes | None = public_line(real)
            except (OSError, KeyFormatError):
                blob = None
            self._certificates[real] = blob if blob and is_certificate(blob) else None
        return self._certificates[real]

    def _agent(self, path: str) -> tuple[Agent, list[AgentKey], str]:
        if path not in self._agents:
            agent, keys, problem = Agent(path), [], ""
            if path:
                try:
                    keys = agent.keys()
                except AgentError as error:
                    problem = str(error)
            self._agents[path] = (agent, keys, problem)
        return self._agents[path]

    def _choose(self, settings: SshSettings) -> tuple[tuple[Identity, ...], tuple[str, ...]]:
        agent, held, problem = self._agent(settings.identity_agent)
        files = [self._file(path) for path in settings.identity_files]
        by_key = {blob: one for one in files if (blob := one.public()) is not None}
        paths = [*settings.certificate_files, *(f"{one.path}-cert.pub" for one in files)]
        certificates = [blob for path in paths if (blob := self._certificate(path)) is not None]
        in_agent = {one.blob: one for one in held}
        every: list[Identity] = []
        for blob in certificates:
            key = in_agent.get(plain_key(blob)) or in_agent.get(blob)
            file = by_key.get(plain_key(blob))
            if key is not None:
                every.append(Identity(blob, f"{key.comment} (certificate, agent)", agent, key.blob, None))
            elif file is not None and not file.problem:
                every.append(Identity(blob, f"{file.path} (certificate)", None, b"", file))
        named = {*by_key, *certificates}
        chosen = [one for one in held if one.blob in named]
        chosen += [one for one in held if one.blob not in named and not settings.identities_only]
        every += [Identity(one.blob, f"{one.comment} (agent)", agent, one.blob, None) for one in chosen]
        every += [Identity(blob, one.path, None, b"", one) for blob, one in by_key.items() if not one.problem]
        first: dict[bytes, Identity] = {}
        for identity in every:
            first.setdefault(identity.blob, identity)
        notes = [problem] if problem else []
        notes += [
            f"{one.path}: {one.problem}" for one in files if one.problem and one.is_there and one.blob not in first
        ]
        return tuple(first.values()), tuple(notes)


def _plain(blob: bytes) -> bytes:
    try:
        return plain_key(blob)
    except KeyFormatError:
        return blob
