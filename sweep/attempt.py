# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host of a sweep from beginning to end: connect, log in, look, and again where that may help."""

from __future__ import annotations

import functools
import random
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.sweep.carry import over_local_shell, over_ssh
from ansible_collections.lastack.linux.sweep.client_keys import AuthenticationError, unlock
from ansible_collections.lastack.linux.sweep.connect import open_connection
from ansible_collections.lastack.linux.sweep.conversation import AnswerError, Conversation
from ansible_collections.lastack.linux.sweep.dial import DialError
from ansible_collections.lastack.linux.sweep.host_keys import HostKeyError
from ansible_collections.lastack.linux.sweep.jump_hosts import JumpHosts
from ansible_collections.lastack.linux.sweep.lifeline import CutError
from ansible_collections.lastack.linux.sweep.payload import PayloadError, Request, remote_command
from ansible_collections.lastack.linux.sweep.ssh_settings import (
    Overrides,
    SettingsError,
    SshSettings,
    settings_for,
)

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.sweep.lifeline import Lifeline
    from ansible_collections.lastack.linux.sweep.target import Target

__all__ = ["Answer", "Looker"]

_FIRST_PAUSE_S = 0.5
_WRONG_KEY = (
    "the password for sudo is not sent: the host's key is not the known one, and StrictHostKeyChecking=no let it pass"
)


class Answer(NamedTuple):
    """What came of one host."""

    outcome: str
    """``ok``, ``unreachable``, ``failed`` or ``invalid``; ``missing`` where the sweep was interrupted."""
    reason: str | None
    report: dict[str, Any] | None = None
    """Parsed JSON of at most 1 MiB; nothing else of it is checked."""
    doubt: str = ""
    """Why it may have come from another host."""


class Looker:
    """Looks at hosts; one for all threads of a sweep."""

    def __init__(
        self, body: bytes, *, retries: int, overrides: Overrides, config_files: tuple[str, ...], life_s: float
    ) -> None:
        """Take what all hosts share: the body of ``payload.build_body`` and how to get to them."""
        self._body = body
        self._retries = retries
        self._overrides = overrides
        self._config_files = config_files
        self._jump_hosts = JumpHosts(life_s)

    def close(self) -> None:
        """Close the jump hosts' connections."""
        self._jump_hosts.close()

    def look(self, target: Target, lifeline: Lifeline) -> Answer:
        """Return what came of ``target``; never raises but for a defect."""
        attempt = 0
        while True:
            attempt += 1
            answer, again = self._attempt(target, lifeline)
            if answer.outcome == "ok":
                # What is here whole no interrupt takes away.
                return answer
            if lifeline.reason:
                return Answer("missing", lifeline.reason)
            if not again or attempt > self._retries:
                return _counted(answer, attempt)
            lifeline.phase = "connecting"
            try:
                # Not all at once again: a busy sshd refuses by chance (sshd_config(5), MaxStartups).
                lifeline.pause(_FIRST_PAUSE_S * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            except CutError:
                return Answer("missing", lifeline.reason) if lifeline.reason else _counted(answer, attempt)

    def _attempt(self, target: Target, lifeline: Lifeline) -> tuple[Answer, bool]:
        """Return what came of one attempt, and whether another one may help."""
        try:
            return self._once(target, lifeline), False
        except (SettingsError, PayloadError) as error:
            return Answer("failed", one_line(str(error))), False
        except CutError as error:
            outcome = "failed" if lifeline.phase == "looking" else "unreachable"
            return Answer(outcome, one_line(str(error))), False
        except (HostKeyError, AuthenticationError) as error:
            reason = lifeline.overdue() if lifeline.is_over else one_line(str(error))
            return Answer("unreachable", reason), False
        except DialError as error:
            return Answer("unreachable", one_line(str(error))), error.transient
        except AnswerError as error:
            return Answer(error.outcome, one_line(error.reason)), error.transient
        finally:
            lifeline.let_go()

    def _once(self, target: Target, lifeline: Lifeline) -> Answer:
        talk = Conversation(target.request.marker, self._body, target.become_password)
        command = _command(target.request)
        if target.local:
            return Answer("ok", None, talk.result(over_local_shell(command, talk, lifeline)))
        settings = self._settings(target)
        sock = self._jump_hosts.way_to(settings, lifeline)
        connection = open_connection(settings, sock, lifeline, target.ssh_password)
        if target.become_password is not None and not connection.verdict.secrets_allowed:
            raise AnswerError(_WRONG_KEY)
        try:
            report = talk.result(over_ssh(connection, command, talk, lifeline))
        except CutError:
            raise CutError(f"timed out: no report within {lifeline.life_s:g} s, {talk.stage}") from None
        return Answer("ok", None, report, connection.verdict.doubt)

    def _settings(self, target: Target) -> SshSettings:
        passphrase = target.variables.get("ansible_ssh_private_key_passphrase")
        key_file = target.variables.get("ansible_ssh_private_key_file")
        if passphrase is not None and key_file:
            unlock(str(key_file), str(passphrase))
        asked = {} if target.ssh_password is None else {"ansible_password": target.ssh_password}
        return settings_for(
            target.host,
            {**target.variables, **asked},
            config_files=self._config_files,
            overrides=self._overrides,
        )


def _counted(answer: Answer, attempts: int) -> Answer:
    if attempts == 1:
        return answer
    return answer._replace(reason=one_line(f"{answer.reason} ({attempts} attempts)"))


@functools.lru_cache(maxsize=256)
def _command(request: Request) -> str:
    return remote_command(request)
