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

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AnswerError", "Conversation"]


class AnswerError(Exception):
    """There is no report from a host; the text is the reason, one sentence."""

    def __init__(self, reason: str, *, outcome: str = "failed", transient: bool = False) -> None:
        """Take the sentence, the outcome for the run folder (``failed`` or ``invalid``), and if it is worth a retry."""
        super().__init__(reason)
        self.reason = reason
        self.outcome = outcome
        self.transient = transient


class Conversation:
    """What is to be sent to one host and what came back; memory is bounded whatever the host sends."""

    def __init__(self, marker: str, body: bytes, password: bytes | None = None) -> None:
        """Take the marker of the request, ``payload.build_body`` and the password for sudo, without a line end.

        The password goes out once, and only when sudo asks for it: where it asks for none, it never leaves this
        process, and a wrong one is not given twice.
        """
        raise NotImplementedError

    finished: bool = False
    """Whether nothing more can come: the answer is whole, or refused. Then the channel is to be closed."""

    def opening(self) -> bytes:
        """Return what to send at once: the body, or nothing yet where sudo may ask for a password first."""
        raise NotImplementedError

    def hear_output(self, data: bytes) -> bytes:
        """Take bytes of standard output, return what to send now, mostly nothing. Empty ``data`` means its end."""
        raise NotImplementedError

    def hear_errors(self, data: bytes) -> bytes:
        """Take bytes of standard error, return what to send now: the password, when sudo asks."""
        raise NotImplementedError

    def result(self, exit_status: int | None, parse: Callable[[bytes], Any] | None = None) -> dict[str, Any]:
        """Return the report: parsed JSON that is still to be checked by ``validate.require_host_report``.

        ``exit_status`` is that of the command, or None where none came (time-out, connection lost).
        Raises ``AnswerError``.
        """
        raise NotImplementedError

    @property
    def python(self) -> str | None:
        """Version and path of the Python that looks, as the host says: ``3.11.2 /usr/bin/python3``; None before."""
        raise NotImplementedError
