# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's side of a login over ssh (RFC 4252, RFC 4256): one question after the other, each with one answer.

Paramiko's own signs with every key before it knows whether the host would take it; here the host is asked first, so
that an agent signs once, and a person touches a hardware key once.
"""

from __future__ import annotations

import contextlib
import queue
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import paramiko
from paramiko import common
from paramiko.auth_handler import AuthHandler

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LoginHandler", "Reply"]

_ROUNDS = 8
_QUESTIONS = 32
_WAIT_S = 1.0


class Reply(NamedTuple):
    """What the host said: "success", "failure", "key" (it would take it), "questions" or "change" (of a password)."""

    kind: str
    methods: tuple[str, ...] = ()
    """What may go on, after a failure."""
    partial: bool = False
    """Whether this method succeeded, and another one is wanted too."""
    hidden: tuple[bool, ...] = ()
    """For each question whether its answer is not to be seen."""


class LoginHandler(AuthHandler):  # type: ignore[misc] # Paramiko ships no types
    """Logs ``user`` in on a started transport; every method waits at most ``transport.auth_timeout`` in all.

    Raises ``paramiko.SSHException`` and ``EOFError`` where the connection broke.
    """

    def __init__(self, transport: paramiko.Transport, user: str) -> None:
        """Take over the login of ``transport``, and ask for the service."""
        super().__init__(transport)
        self.username = user
        self._ends = time.monotonic() + float(transport.auth_timeout)
        self._replies: queue.Queue[Reply | None] = queue.Queue(_QUESTIONS)
        transport.auth_handler = self
        message = paramiko.Message()
        message.add_byte(common.cMSG_SERVICE_REQUEST)
        message.add_string("ssh-userauth")
        self._ask(message, "service")

    def nothing(self) -> Reply:
        """Ask what the host takes; some take everybody."""
        return self._ask(self._request("none"), "none")

    def public_key(self, algorithm: str, blob: bytes, sign: Callable[[bytes], bytes]) -> Reply:
        """Show a key or certificate, and sign only if the host would take it; what ``sign`` raises comes through."""
        reply = self._ask(self._request("publickey", (False, algorithm, blob)), "publickey")
        if reply.kind != "key":
            return reply
        request = self._request("publickey", (True, algorithm, blob))
        signed = paramiko.Message()
        signed.add_string(self.transport.session_id)
        request.add_string(sign(signed.asbytes() + request.asbytes()))
        return self._ask(request, "publickey")

    def send_password(self, secret: str) -> Reply:
        """Send a password."""
        return self._ask(self._request("password", (False, secret)), "password")

    def questions(self, answer: Callable[[Reply], list[str] | None]) -> Reply:
        """Let the host ask; ``answer`` gives the answers, or None to give up, which is a failure."""
        reply = self._ask(self._request("keyboard-interactive", ("", "")), "keyboard-interactive")
        for _round in range(_ROUNDS):
            if reply.kind != "questions":
                return reply
            answers = answer(reply)
            if answers is None:
                break
            message = paramiko.Message()
            message.add_byte(common.cMSG_USERAUTH_INFO_RESPONSE)
            message.add_int(len(answers))
            for one in answers:
                message.add_string(one)
            reply = self._ask(message, "keyboard-interactive")
        return Reply("failure")

    def _request(self, method: str, fields: tuple[bool | str | bytes, ...] = ()) -> paramiko.Message:
        message = paramiko.Message()
        message.add_byte(common.cMSG_USERAUTH_REQUEST)
        for one in (self.username, "ssh-connection", method):
            message.add_string(one)
        for field in fields:
            if isinstance(field, bool):
                message.add_boolean(field)
            else:
                message.add_string(field)
        return message

    def _ask(self, message: paramiko.Message, method: str) -> Reply:
        self.auth_method = method
        if not self.transport.is_active():
            raise EOFError
        self.transport._send_message(message)  # noqa: SLF001 - Paramiko's own handlers send so
        while True:
            left = self._ends - time.monotonic()
            if left <= 0:
                raise paramiko.SSHException("no answer to the login in time")
            try:
                reply = self._replies.get(timeout=min(left, _WAIT_S))
            except queue.Empty:
                if self.transport.is_active():
                    continue
                reply = None
            if reply is None:
                raise EOFError
            return reply

    # What Paramiko's thread calls, under Paramiko's names.

    def abort(self) -> None:
        """Wake who waits: the connection is gone."""
        # Who has that much to read yet sees it for themselves.
        with contextlib.suppress(queue.Full):
            self._replies.put_nowait(None)

    @property
    def _client_handler_table(self) -> dict[int, Callable[[Any], None]]:
        return {
            common.MSG_SERVICE_ACCEPT: self._parse_service_accept,
            common.MSG_USERAUTH_SUCCESS: self._parse_userauth_success,
            common.MSG_USERAUTH_FAILURE: self._parse_userauth_failure,
            common.MSG_USERAUTH_BANNER: self._parse_userauth_banner,
            common.MSG_USERAUTH_INFO_REQUEST: self._parse_sixty,
        }

    def _say(self, reply: Reply) -> None:
        try:
            self._replies.put_nowait(reply)
        except queue.Full:
            raise paramiko.SSHException("the host answers what nobody asked") from None

    def _parse_service_accept(self, __: Any) -> None:  # noqa: ANN401 - Paramiko ships no types
        self._say(Reply("accepted"))

    def _parse_userauth_success(self, message: Any) -> None:  # noqa: ANN401 - Paramiko ships no types
        if self.auth_method == "service":
            raise paramiko.SSHException("the host ended the login before it began")
        super()._parse_userauth_success(message)
        self._say(Reply("success"))

    def _parse_userauth_failure(self, message: Any) -> None:  # noqa: ANN401 - Paramiko ships no types
        names = message.get_binary().decode("ascii", "replace")
        self._say(Reply("failure", tuple(names.split(",")), bool(message.get_boolean())))

    def _parse_userauth_banner(self, message: Any) -> None:  # noqa: ANN401 - Paramiko ships no types
        """Drop it: nobody reads the greetings of a thousand hosts."""

    def _parse_sixty(self, message: Any) -> None:  # noqa: ANN401 - Paramiko ships no types
        """60 means something else in every method."""
        if self.auth_method == "publickey":
            self._say(Reply("key"))
        elif self.auth_method == "password":
            self._say(Reply("change"))
        elif self.auth_method == "keyboard-interactive":
            for _text in ("name", "instruction", "language"):
                message.get_binary()
            number = message.get_int()
            if number > _QUESTIONS:
                raise paramiko.SSHException("the host asks too many questions at the login")
            hidden = []
            for _question in range(number):
                message.get_binary()
                hidden.append(not message.get_boolean())
            self._say(Reply("questions", hidden=tuple(hidden)))
        else:
            raise paramiko.SSHException("the host asks before the login has begun")
