# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON of any length read value by value (RFC 8259): of a large object only one member is in memory at a time."""

from __future__ import annotations

import codecs
import json
from typing import IO, TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.plugins.plugin_utils.validate import InvalidReport, check_depth, strict_decoder

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["JsonStream"]

_CHUNK = 64 * 1024
_LONGEST_VALUE = 1024 * 1024
# A number that is cut here may go on: "1", "1e", "1e+" and "1." are prefixes of others.
_MARGIN = 4
_BLANKS = " \t\n\r"


class JsonStream:
    """Reads a file of JSON from its start; whatever it refuses is an ``InvalidReport`` with the reason.

    It refuses what ``validate.parse_json`` refuses, and single values of more than a million characters. Keys that
    ``members`` yields may repeat: who walks an object that way looks for that.
    """

    def __init__(self, file: IO[bytes], limit: int, *, max_depth: int) -> None:
        """Take an open binary file, how many bytes of it may be read, and how deep a value may be nested."""
        self._file = file
        self._left = limit
        self._limit = limit
        self._max_depth = max_depth
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._decoder = strict_decoder()
        self._text = ""
        self._at = 0
        self._ended = False

    def members(self) -> Iterator[str]:
        """Yield the keys of the object that comes next; after each, its value has to be read."""
        self._expect("{", "an object")
        if self._peek() == "}":
            self._at += 1
            return
        while True:
            if self._peek() != '"':
                raise self._wrong("a key")
            key = self.value()
            self._expect(":", "':'")
            yield key
            following = self._peek()
            if following not in {",", "}"}:
                raise self._wrong("',' or '}'")
            self._at += 1
            if following == "}":
                return

    def value(self) -> Any:  # noqa: ANN401 - any JSON value
        """Return the next value, whole."""
        self._peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._ended:
                    raise InvalidReport(f"is not JSON: {one_line(error.msg, 120)}") from error
            except RecursionError as error:
                raise InvalidReport(f"is nested deeper than {self._max_depth} levels") from error
            except InvalidReport:
                raise
            except ValueError as error:
                raise InvalidReport(f"is not JSON: {one_line(str(error), 120)}") from error
            else:
                if end + _MARGIN < len(self._text) or self._ended:
                    self._at = end
                    check_depth(value, self._max_depth)
                    return value
            self._more()

    def end(self) -> None:
        """Make sure that nothing follows."""
        if self._peek():
            raise self._wrong("the end")

    def _peek(self) -> str:
        while True:
            while self._at < len(self._text):
                character = self._text[self._at]
                if character not in _BLANKS:
                    return character
                self._at += 1
            if self._ended:
                return ""
            self._more()

    def _more(self) -> None:
        """Read on, unless the file has ended; what was used is dropped."""
        left_over = self._text[self._at :]
        if len(left_over) > _LONGEST_VALUE:
            raise InvalidReport(f"has a value of more than {_LONGEST_VALUE:,} characters")
        # A long value is scanned again from its start each time: twice as much, and the sum stays linear.
        data = self._file.read(max(_CHUNK, len(left_over)))
        self._left -= len(data)
        if self._left < 0:
            raise InvalidReport(f"has more than the {self._limit:,} bytes allowed")
        self._ended = not data
        try:
            self._text = left_over + self._decode(data, final=self._ended)
        except UnicodeDecodeError as error:
            raise InvalidReport("is not UTF-8 text") from error
        self._at = 0

    def _expect(self, character: str, what: str) -> None:
        if self._peek() != character:
            raise self._wrong(what)
        self._at += 1

    def _wrong(self, expected: str) -> InvalidReport:
        found = self._text[self._at : self._at + 20]
        return InvalidReport(f"is not JSON: expecting {expected}, not {one_line(found, 20) or 'the end'}")
