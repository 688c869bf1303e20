# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON as root reads it from an unprivileged writer (RFC 8259): what parsers take differently or fall over is refused.

The bundle for targets has no part of the controller's own reader, and Python 3.9 has no possessive quantifiers.
"""

from __future__ import annotations

import json
import math
from typing import Any

__all__ = ["InvalidJson", "parse_strict"]

_MAX_DIGITS = 20
"""Of an integer; longer ones take the parser quadratic time, and nothing here counts beyond 64 bits."""


class InvalidJson(ValueError):  # noqa: N818 - it says what the bytes are
    """Bytes that are not taken for JSON; the text is the reason, one clause."""


def parse_strict(data: bytes, *, max_depth: int = 8) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value that ``data`` holds; raises ``InvalidJson``.

    Refuses nesting beyond ``max_depth``, a key that stands twice in one object, NaN, infinities, numbers beyond 64
    bits or a finite double, text that is not UTF-8, and lone surrogates. The caller bounds the size.
    """
    _check_depth(data, max_depth)
    try:
        text = data.decode("utf-8")
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_no_number, parse_float=_finite, parse_int=_bounded
        )
    except InvalidJson:
        raise
    except UnicodeDecodeError as error:
        raise InvalidJson("is not UTF-8 text") from error
    except ValueError as error:
        # The parser's own words may quote nothing but positions; still none of them is needed.
        raise InvalidJson("is not JSON, or only the beginning of it") from error
    _check_text(value)
    return value


def _check_depth(data: bytes, limit: int) -> None:
    depth = 0
    inside = escaped = False
    for byte in data:
        if inside:
            if escaped:
                escaped = False
            elif byte == 0x5C:  # noqa: PLR2004 - a backslash
                escaped = True
            elif byte == 0x22:  # noqa: PLR2004 - a quotation mark
                inside = False
        elif byte == 0x22:  # noqa: PLR2004 - a quotation mark
            inside = True
        elif byte in b"[{":
            depth += 1
            if depth > limit:
                raise InvalidJson(f"is nested deeper than {limit} levels")
        elif byte in b"]}":
            depth -= 1


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise InvalidJson("has the same key twice in one object")
    return result


def _no_number(constant: str) -> Any:  # noqa: ANN401 - the parser wants a value, this never gives one
    raise InvalidJson(f"holds {constant}, which is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise InvalidJson("holds a number that is out of range")
    return number


def _bounded(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise InvalidJson("holds a number that is out of range")
    return int(text)


def _check_text(value: object) -> None:
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InvalidJson("holds half a character (a lone surrogate)") from error
    elif isinstance(value, list):
        for item in value:
            _check_text(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            _check_text(item)
