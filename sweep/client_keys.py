# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the operator shows who they are: the agent's keys, key files with certificates, a password that was given."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.sweep.key_ring import Identity, KeyRing, SigningError
from ansible_collections.lastack.linux.sweep.login_handler import LoginHandler, Reply
from ansible_collections.lastack.linux.sweep.public_keys import (
    CERTIFICATE_SUFFIX,
    is_certificate,
    key_type,
    plain_algorithm,
    rsa_bits,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    import paramiko
    from ansible_collections.lastack.linux.sweep.ssh_settings import SshSettings

__all__ = ["AuthenticationError", "authenticate", "forget_keys", "locked_files", "unlock"]

_RSA = ("rsa-sha2-512", "rsa-sha2-256")
_TOO_MANY = "too many authentication failures"
_KEYS = KeyRing()


class AuthenticationError(Exception):
    """The host took none of what could be shown; the text is one sentence without any secret. Never transient."""


def authenticate(transport: paramiko.Transport, settings: SshSettings, password: str | None = None) -> None:
    """Log in as ``settings.user`` on a started transport whose host key was checked.

    Keys come in OpenSSH's order: certificates, the agent's keys that the settings name, its other keys (not with
    IdentitiesOnly), key files. ``password`` is tried once, and only if it was given and the host asks for it
    (password, or keyboard-interactive with one hidden question). Key files and the agent's list are read once for
    all hosts. Set ``transport.auth_timeout`` before.

    Raises ``AuthenticationError`` (final), or paramiko's ``SSHException``, ``EOFError`` or ``OSError`` where the
    connection broke for another reason (the caller may try again).
    """
    _Login(transport, settings, password).run()


def locked_files(every: Iterable[SshSettings]) -> list[str]:
    """Return the key files of these settings that are protected by a passphrase and that no agent holds, sorted.

    What a command on a terminal asks for once, before it begins; see ``unlock``.
    """
    return sorted({path for settings in every for path in _KEYS.locked(settings)})


def unlock(path: str, passphrase: str) -> bool:
    """Open a protected key file for this process; return False if the passphrase is wrong. Nothing of it is stored."""
    return _KEYS.file(path).unlock(passphrase)


def forget_keys() -> None:
    """Drop every key and close every agent's connection that this process holds."""
    _KEYS.forget()


class _Login:
    """One login from beginning to end."""

    def __init__(self, transport: paramiko.Transport, settings: SshSettings, password: str | None) -> None:
        self._transport = transport
        self._settings = settings
        self._password = password
        self._user = settings.user or getpass.getuser()
        self._identities, self._notes = _KEYS.identities(settings)
        self._shown: list[str] = []
        self._unsigned: list[str] = []
        self._sent = False
        self._asked_on = False
        """Whether a host had another question when it had heard the password."""
        self._verdict = ""
        """What the host said of the password; empty while it was not sent."""
        self._methods: tuple[str, ...] = ()
        """What the host takes; empty while that is not known."""

    def run(self) -> None:
        try:
            self._run(LoginHandler(self._transport, self._user))
        except EOFError:
            words = getattr(self._transport, "last_words", "")
            if _TOO_MANY in words.lower():
                raise self._refused(
                    "sshd allows no more tries (MaxAuthTries): name the key with IdentityFile"
                ) from None
            raise

    def _run(self, login: LoginHandler) -> None:
        untried = [name for name in self._settings.methods if name in {"publickey", "password", "keyboard-interactive"}]
        keys = list(self._identities)
        while True:
            method = next((name for name in untried if self._may(name) and (name != "publickey" or keys)), None)
            if method is None:
                break
            if method == "publickey":
                reply = self._key(login, keys.pop(0))
            else:
                untried.remove(method)
                reply = self._secret(login, method)
                if self._sent:
                    self._verdict = self._said_of_password(reply)
            if reply.kind == "success":
                return
            self._methods = reply.methods or self._methods
        if not self._methods:
            reply = login.nothing()
            if reply.kind == "success":
                return
            self._methods = reply.methods
        raise self._refused()

    def _may(self, method: str) -> bool:
        if method != "publickey" and (self._password is None or self._sent):
            return False
        return not self._methods or method in self._methods

    def _key(self, login: LoginHandler, identity: Identity) -> Reply:
        algorithm = self._algorithm(identity.blob)
        if not algorithm:
            return Reply("failure")
        self._shown.append(identity.shown)
        try:
            return login.public_key(algorithm, identity.blob, lambda data: identity.sign(data, algorithm))
        except SigningError as error:
            self._unsigned.append(str(error))
            return Reply("failure")

    def _secret(self, login: LoginHandler, method: str) -> Reply:
        secret = self._password or ""
        if method == "password":
            self._sent = True
            return login.send_password(secret)

        def answer(asked: Reply) -> list[str] | None:
            if not asked.hidden:
                return []
            if asked.hidden != (True,) or self._sent:
                self._asked_on = self._sent
                return None
            self._sent = True
            return [secret]

        return login.questions(answer)

    def _said_of_password(self, reply: Reply) -> str:
        if reply.partial:
            return f"the password was taken, but the host wants {one_line(', '.join(reply.methods), 80)} as well"
        if reply.kind == "change":
            return "the password has expired: log in once by ssh to change it"
        if self._asked_on:
            return "the host asked another question after the password: for a code or a new password, perhaps"
        return "the password was wrong"

    def _algorithm(self, blob: bytes) -> str:
        """Return with which algorithm a key signs here; empty if with none that both sides take."""
        name = key_type(blob)
        allowed = self._settings.public_key_algorithms
        if plain_algorithm(name) != "ssh-rsa":
            return name if not allowed or name in allowed else ""
        bits = rsa_bits(blob)
        if bits is not None and bits < self._settings.required_rsa_bits:
            return ""
        suffix = CERTIFICATE_SUFFIX if is_certificate(blob) else ""
        taken = self._transport.server_extensions.get("server-sig-algs", b"").decode("ascii", "replace").split(",")
        wanted = [one for one in allowed if one in {f"{rsa}{suffix}" for rsa in _RSA}] if allowed else _RSA
        plain = [one.removesuffix(CERTIFICATE_SUFFIX) for one in wanted]
        # Old servers do not say what they take (RFC 8308).
        return next((f"{one}{suffix}" for one in plain if one in taken or taken == [""]), "")

    def _refused(self, end: str = "") -> AuthenticationError:
        settings = self._settings
        parts = [end] if end else []
        if self._methods:
            parts.append(f"the host takes {one_line(', '.join(self._methods), 80)}")
        parts += self._unsigned
        if self._shown:
            more = f" and {len(self._shown) - 2} more" if len(self._shown) > 2 else ""  # noqa: PLR2004 - two say enough
            parts.append(f"shown were {', '.join(one_line(one, 100) for one in self._shown[:2])}{more}")
        else:
            parts.append("there was no key to show")
        if self._verdict:
            parts.append(self._verdict)
        parts += self._notes
        where = f"{one_line(settings.hostname, 100)} port {settings.port}"
        return AuthenticationError(
            one_line(f"{where}: login as {one_line(self._user, 40)} refused: {'; '.join(parts)}")
        )
