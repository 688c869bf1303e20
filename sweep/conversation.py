# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The conversation with one host, without any input or output of its own: who carries the bytes is free to choose.

```
talk = Conversation(request.marker, body, password)
send(talk.opening())
while not talk.finished and not closed:
    send(talk.hear_output(stdout_bytes))   # or talk.hear_errors(stderr_bytes)
close the channel
report = talk.result(exit_status)          # or AnswerError
```
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.plugins.plugin_utils.validate import InvalidReport, parse_json
from ansible_collections.lastack.linux.sweep.answer import (
    MOST_NOISE_BYTES,
    AnswerError,
    AnswerReader,
)
from ansible_collections.lastack.linux.sweep.loader import OLDEST
from ansible_collections.lastack.linux.sweep.payload import password_prompt

__all__ = ["AnswerError", "Conversation"]

_KEPT_ERRORS = 4096
_SIGNAL = 128
_SIGALRM, _SIGKILL = 14, 9
_SUDO_SAYS = (
    # sudo(8), plugins/sudoers and sudo-rs in the C locale; the first that fits.
    (r"incorrect password attempt|no password was provided|Sorry, try again", "sudo refused the password"),
    (
        r"a password is required|a terminal is required to read the password|interactive authentication is required",
        "sudo asks for a password, and none was given: --ask-become-pass",
    ),
    (r"must have a tty", "sudo insists on a terminal (requiretty), which a sweep has not"),
    (
        r"is not in the sudoers file|is not allowed to (?:execute|run)|may not run sudo|I.m sorry .*I.m afraid",
        "sudo does not let this user do that",
    ),
    (r"unknown user|user .* not found", "sudo does not know the user to become"),
    (
        r"account (?:is|has) (?:locked|expired)|account validation failure|[Aa]ccount or password is expired",
        "sudo says that the account is locked or has expired",
    ),
    (r"timed out reading password|timeout reading password", "sudo no longer waited for the password"),
    (r"effective uid is not 0|no new privileges|must be owned by uid 0", "sudo cannot work on this host"),
    (r"(?:sudo|exec): .*(?:not found|No such file)", "sudo is not on this host"),
)


class _SudoSaid(NamedTuple):
    reason: str
    line: str


class Conversation:
    """What is to be sent to one host and what came back; memory is bounded whatever the host sends."""

    def __init__(self, marker: str, body: bytes, password: bytes | None = None) -> None:
        """Take the marker of the request, ``payload.build_body`` and the password for sudo, without a line end.

        The password goes out once, and only when sudo asks for it: where it asks for none, it never leaves this
        process, and a wrong one is not given twice, which could lock the account. Raises ``AnswerError`` for a password
        that has a line end or a NUL.
        """
        if password is not None and any(one in password for one in b"\n\r\0"):
            raise AnswerError("the password for sudo is more than one line")
        self._reader = AnswerReader(marker)
        self._body: bytes | None = body
        self._password = password
        self._prompt = password_prompt(marker).encode("ascii")
        self._asked = 0
        self._unsearched = b""
        self._errors = b""
        self._error_bytes = 0

    @property
    def finished(self) -> bool:
        """Whether nothing more can matter: the answer is whole, or there will be none. Close the channel then."""
        return self._reader.finished or self._asked > 1 or self._error_bytes > MOST_NOISE_BYTES

    @property
    def python(self) -> str | None:
        """Version and path of the Python that looks, as the host says: ``3.11.2 /usr/bin/python3``; None before."""
        return self._reader.python

    @property
    def clock_s(self) -> int | None:
        """The host's clock at the end of its look, in seconds since 1970; None before."""
        return self._reader.clock_s

    @property
    def stage(self) -> str:
        """What a time-out interrupts now, to be put after "no report within 60 s, "."""
        reader = self._reader
        if reader.begun is not None:
            return "while it was on its way"
        if reader.python is not None:
            return "while the host looked"
        asked = self._password is not None and not self._asked
        return "before sudo asked for the password or Python began" if asked else "before Python began"

    def opening(self) -> bytes:
        """Return what to send at once: the body, or nothing yet where sudo may ask for a password first."""
        return self._take_body() if self._password is None else b""

    def hear_output(self, data: bytes) -> bytes:
        """Take bytes of standard output, return what to send now, mostly nothing."""
        self._reader.feed(data)
        return self._take_body() if self._reader.python is not None and not self.finished else b""

    def hear_errors(self, data: bytes) -> bytes:
        """Take bytes of standard error, return what to send now: the password, when sudo asks."""
        self._error_bytes += len(data)
        self._errors = (self._errors + data[-_KEPT_ERRORS:])[-_KEPT_ERRORS:]
        # Nobody but sudo asks, and it asks before Python is there.
        if self._password is None or self._reader.python is not None:
            return b""
        searched = self._unsearched + data
        count = searched.count(self._prompt)
        self._unsearched = searched[-len(self._prompt) + 1 :] if not searched.endswith(self._prompt) else b""
        first = count and not self._asked
        self._asked += count
        return self._password + b"\n" if first and self._asked == 1 else b""

    def answer(self, exit_status: int | None) -> bytes:
        """Return the JSON of the report, at most ``validate.MAX_FILE_BYTES``, of which nothing is checked yet.

        ``exit_status`` is that of the command, or None where none came: a time-out, a lost connection. Raises
        ``AnswerError``.
        """
        if self._reader.whole:
            return self._reader.report()
        raise self._trouble(exit_status)

    def result(self, exit_status: int | None) -> dict[str, Any]:
        """Return the report, parsed, for ``validate.require_host_report``; raises ``AnswerError``."""
        try:
            report = parse_json(self.answer(exit_status))
        except InvalidReport as error:
            raise AnswerError(f"the report {error}", outcome="invalid") from None
        if not isinstance(report, dict):
            raise AnswerError("the report is not a JSON object", outcome="invalid")
        return report

    def _take_body(self) -> bytes:
        body, self._body = self._body or b"", None
        return body

    def _trouble(self, exit_status: int | None) -> AnswerError:
        """Return why there is no report, the surest reason first."""
        reader = self._reader
        if reader.refused is not None:
            return AnswerError(reader.refused, outcome="invalid")
        if self._error_bytes > MOST_NOISE_BYTES:
            text = f"the host sent more than {MOST_NOISE_BYTES // 2**20} MiB of error messages"
            return AnswerError(text, outcome="invalid")
        if reader.error is not None:
            code, sentence = reader.error
            return AnswerError(sentence or "the look failed without a word", transient=code == "input")
        if reader.begun is not None:
            have, length = reader.begun
            return AnswerError(f"the connection ended after {have:,} of the report's {length:,} bytes", transient=True)
        return self._trouble_of_start(exit_status) if reader.python is None else self._trouble_of_look(exit_status)

    def _trouble_of_start(self, exit_status: int | None) -> AnswerError:
        reader = self._reader
        if self._asked > 1:
            return AnswerError("sudo refused the password")
        if reader.no_python:
            found = f": found {', '.join(reader.old)}" if reader.old else " was found"
            reason = f"no Python {'.'.join(map(str, OLDEST))} or newer{found}; ansible_python_interpreter can name one"
            return AnswerError(self._with_words(reason, told=True))
        said = self._sudo_said()
        if said is not None:
            return AnswerError(f"{said.reason} ({said.line})")
        if exit_status is None:
            return AnswerError(self._with_words("the host ended the conversation before it looked"), transient=True)
        return AnswerError(self._with_words(f"the host's shell ended with status {exit_status} and ran nothing"))

    def _trouble_of_look(self, exit_status: int | None) -> AnswerError:
        if exit_status is None:
            return AnswerError("the connection ended while the host looked", transient=True)
        if exit_status == _SIGNAL + _SIGALRM:
            return AnswerError("the look did not come to its end and was stopped on the host")
        if exit_status == _SIGNAL + _SIGKILL:
            return AnswerError("the look was killed on the host, perhaps for want of memory")
        return AnswerError(self._with_words(f"the look ended with status {exit_status} and no report"))

    def _with_words(self, reason: str, *, told: bool = False) -> str:
        """Add the last line that the host wrote, from standard error alone where ``told`` already has the rest."""
        for text in (self._errors,) if told else (self._errors, self._reader.noise):
            lines = [line for line in self._shown(text).splitlines() if line.strip()]
            if lines:
                return f"{reason}; its last words: {one_line(lines[-1], 200)}"
        return reason

    def _sudo_said(self) -> _SudoSaid | None:
        for line in reversed(self._shown(self._errors).splitlines()):
            for pattern, reason in _SUDO_SAYS:
                if re.search(pattern, line[:500]):
                    # It names the whole command; that is ours and long.
                    return _SudoSaid(reason, one_line(re.sub(r"/bin/sh -c .*", "/bin/sh -c …", line), 200))
        return None

    def _shown(self, text: bytes) -> str:
        """Return what a host wrote without the password, should it have come back."""
        if self._password:
            text = text.replace(self._password, b"***")
        return text.replace(self._prompt, b"").replace(b"\0", b"").decode("utf-8", "replace")
