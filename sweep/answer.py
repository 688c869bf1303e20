# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The standard output of a host in a sweep: the report somewhere in what else shells and their start files print."""

from __future__ import annotations

import zlib

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.plugins.plugin_utils.validate import MAX_FILE_BYTES

__all__ = ["MOST_NOISE_BYTES", "AnswerError", "AnswerReader"]

MOST_NOISE_BYTES = 8 * 1024 * 1024
"""What a host may say beside the report before nobody listens any more."""
_LONGEST_LINE = 2048
_KEPT_NOISE = 2048
_MOST_OLD = 8


class AnswerError(Exception):
    """There is no report from a host; the text is the reason, one sentence without a full stop."""

    def __init__(self, reason: str, *, outcome: str = "failed", transient: bool = False) -> None:
        """Take the sentence, the outcome for the run folder (``failed`` or ``invalid``), and if it is worth a retry."""
        super().__init__(reason)
        self.reason = reason
        self.outcome = outcome
        self.transient = transient


class AnswerReader:
    """Finds the lines that begin with the marker, and the report that follows one of them.

    Memory is bounded by the largest report, whatever comes: 10,000 lines of a banner before it, NULs, no line end at
    all, more after it.
    """

    def __init__(self, marker: str) -> None:
        """Take the marker of the request."""
        self._needle = f"\n{marker} ".encode("ascii")
        self._pending = bytearray()
        self._body: bytearray | None = None
        self._length = 0
        self._noise_tail = b""
        self.noise_bytes = 0
        self.python: str | None = None
        """Version and path of the Python that reads the request: then it is there."""
        self.clock_s: int | None = None
        """The host's clock at the end of the look, in seconds since 1970."""
        self.old: list[str] = []
        """Versions and paths of Pythons that are too old."""
        self.no_python = False
        """Whether the search for a Python has ended without one."""
        self.error: tuple[str, str] | None = None
        """Code and sentence of what went wrong on the host, in its own words."""
        self.refused: str | None = None
        """Why nobody listens to this host any more."""

    @property
    def whole(self) -> bool:
        """Whether the report is there to its last byte."""
        return self._body is not None and len(self._body) == self._length

    @property
    def finished(self) -> bool:
        """Whether nothing that is still to come can matter."""
        return self.whole or self.no_python or self.error is not None or self.refused is not None

    @property
    def begun(self) -> tuple[int, int] | None:
        """How many bytes of the report are there, and of how many; None before its first."""
        return None if self._body is None else (len(self._body), self._length)

    @property
    def noise(self) -> bytes:
        """The last of what is no answer, at most 4 KiB."""
        return self._noise_tail + bytes(self._pending[:_KEPT_NOISE])

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        if not self.finished:
            self._take(data)
        if self.finished:
            self._pending.clear()

    def _take(self, data: bytes) -> None:
        self._pending += data
        while self._body is None and not self.finished and self._take_line():
            pass
        if self._body is not None:
            self._body += self._pending[: self._length - len(self._body)]
            self._pending.clear()

    def report(self) -> bytes:
        """Return the JSON of the report, at most ``validate.MAX_FILE_BYTES``, of which nothing is checked yet.

        Raises ``AnswerError``: it is not whole, or is no zlib stream of such a size.
        """
        if self._body is None or not self.whole:
            raise AnswerError("there is no whole report")
        unpacker = zlib.decompressobj()
        try:
            data = unpacker.decompress(bytes(self._body), MAX_FILE_BYTES + 1)
        except zlib.error:
            raise AnswerError("the report was damaged on its way", transient=True) from None
        if len(data) > MAX_FILE_BYTES:
            raise AnswerError(f"the report has more than the {MAX_FILE_BYTES:,} bytes allowed", outcome="invalid")
        if not unpacker.eof or unpacker.unused_data:
            raise AnswerError("the report was damaged on its way", transient=True)
        return data

    def _take_line(self) -> bool:
        start = self._pending.find(self._needle)
        if start < 0:
            # Its end may be the start of a marker.
            self._drop(len(self._pending) - len(self._needle) + 1)
            return False
        self._drop(start)
        end = self._pending.find(b"\n", 1, _LONGEST_LINE)
        if end < 0:
            if len(self._pending) < _LONGEST_LINE:
                return False
            self._drop(1)
            return True
        line = self._pending[len(self._needle) : end].decode("ascii", "replace")
        # The line end stays: it is the start of the next line, but a report follows it at once.
        del self._pending[:end]
        self._count(end)
        self._hear(line)
        return True

    def _drop(self, count: int) -> None:
        if count <= 0:
            return
        self._noise_tail = (self._noise_tail + bytes(self._pending[max(0, count - _KEPT_NOISE) : count]))[-_KEPT_NOISE:]
        del self._pending[:count]
        self._count(count)

    def _count(self, count: int) -> None:
        self.noise_bytes += count
        if self.noise_bytes > MOST_NOISE_BYTES and self.refused is None:
            self.refused = f"the host sent more than {MOST_NOISE_BYTES // 2**20} MiB that are no report"

    def _hear(self, line: str) -> None:
        word, __, rest = line.partition(" ")
        if word == "ready":
            self.python = one_line(rest, 200)
        elif word == "old":
            found = one_line(rest, 200).replace(" ", " at ", 1)
            if found not in self.old and len(self.old) < _MOST_OLD:
                self.old.append(found)
        elif word == "none":
            self.no_python = True
        elif word == "error":
            code, __, sentence = rest.partition(" ")
            self.error = (one_line(code, 40), one_line(sentence, 500))
        elif word == "answer":
            self._hear_answer(rest)

    def _hear_answer(self, rest: str) -> None:
        length, __, clock = rest.partition(" ")
        # int() would also take signs, blanks and other scripts' digits.
        if not (length.isascii() and length.isdigit() and clock.isascii() and clock.isdigit()):
            self.refused = "the host's answer does not begin as one"
        elif len(length) > len(str(MAX_FILE_BYTES)) or int(length) > MAX_FILE_BYTES:
            self.refused = f"the host announced a report of {one_line(length, 30)} bytes, more than {MAX_FILE_BYTES:,}"
        else:
            self._length, self._body, self.clock_s = int(length), bytearray(), int(clock[:15])
            del self._pending[:1]
