# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Host reports are written by hosts, and so untrusted: size, depth, syntax, types and text are checked here.

Nothing else on the controller parses what came from a host.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import stat
from functools import cache
from io import FileIO
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.json_schema import load_schema, schema_problems
from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line, plain_text
from ansible_collections.lastack.linux.plugins.plugin_utils.schema_check import is_valid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = [
    "HOST_SCHEMA",
    "MAX_FILE_BYTES",
    "MAX_REPORT_BYTES",
    "InvalidReport",
    "check_depth",
    "check_host_report",
    "load_host_report",
    "open_capped",
    "parse_json",
    "plain_json",
    "read_capped",
    "require_host_report",
    "strict_decoder",
]

HOST_SCHEMA = "lastack.host/1"
MAX_REPORT_BYTES = 256 * 1024
MAX_FILE_BYTES = 1024 * 1024
_MAX_DEPTH = 32


class InvalidReport(ValueError):  # noqa: N818 - the contract's name: it is the outcome `invalid`
    """A report that must not be used; the message is the reason, one clause."""


def parse_json(data: bytes, *, max_depth: int = _MAX_DEPTH) -> Any:  # noqa: ANN401 - any JSON value
    """Parse JSON from an untrusted writer (RFC 8259); raises ``InvalidReport``.

    Refuses what parsers read differently or fall over: nesting beyond ``max_depth``, duplicate keys, ``NaN`` and
    infinities, text that is not UTF-8.
    """
    parsed = _parse(data, max_depth)
    check_depth(parsed, max_depth)
    return parsed


def _parse(data: bytes, max_depth: int) -> Any:  # noqa: ANN401 - any JSON value
    """Parse without a look at the depth, which what comes next walks anyway."""
    try:
        # Its scanner is written in C and gives up (RecursionError) long before the stack ends.
        return _DECODER.decode(data.decode("utf-8"))
    except InvalidReport:
        raise
    except UnicodeDecodeError as error:
        raise InvalidReport("is not UTF-8 text") from error
    except RecursionError as error:
        raise _too_deep(max_depth) from error
    except ValueError as error:
        raise InvalidReport(f"is not JSON: {one_line(str(error), 120)}") from error


def read_capped(path: str | Path, limit: int) -> bytes:
    """Read a regular file of at most ``limit`` bytes; raises ``InvalidReport`` as ``open_capped`` does."""
    with open_capped(path, limit) as file:
        data = b""
        while len(data) <= limit and (chunk := file.read(limit + 1 - len(data))):
            data += chunk
    if len(data) > limit:
        raise InvalidReport(f"has more than the {limit:,} bytes allowed")
    return data


@contextlib.contextmanager
def open_capped(path: str | Path, limit: int) -> Iterator[FileIO]:
    """Yield a regular file of at most ``limit`` bytes, unbuffered; raises ``InvalidReport``.

    Symbolic links, devices and pipes are refused: a run folder may come from anywhere. It may grow while it is read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise InvalidReport("is not a regular file")
            if status.st_size > limit:
                raise InvalidReport(f"has {status.st_size:,} bytes, more than the {limit:,} allowed")
            with FileIO(descriptor, closefd=False) as file:
                yield file
        finally:
            os.close(descriptor)
    except OSError as error:
        raise InvalidReport(f"cannot be read: {error.strerror}") from error


def check_host_report(data: object, *, size_bytes: int | None = None, full: bool = True) -> list[str]:
    """Return what is wrong with a parsed host report, one clause each; an empty list if it may be used.

    ``size_bytes`` is the size of its compact JSON; without it the size is measured. The standard library checks
    all that the schema asks; with ``full`` jsonschema, where installed, confirms it, at five times the cost.
    """
    if not isinstance(data, dict):
        return ["is not a JSON object"]
    if data.get("schema") != HOST_SCHEMA:
        found = data.get("schema")
        known = one_line(found, 60) if isinstance(found, str) else "missing or not a string"
        return [f"has the schema id {known}, not {HOST_SCHEMA}"]
    size = _compact_size(data) if size_bytes is None else size_bytes
    if size > MAX_REPORT_BYTES:
        return [f"has {size:,} bytes, more than the {MAX_REPORT_BYTES:,} allowed"]
    if not is_valid(data, HOST_SCHEMA):
        problems = schema_problems(data, load_schema(HOST_SCHEMA))
        if problems:
            return problems
    return _confirm(data) if full else []


def require_host_report(data: object, *, size_bytes: int | None = None) -> dict[str, Any]:
    """Return a copy of a host report that is safe to use: plain JSON types, harmless text, valid by its schema.

    ``data`` may come from Ansible, whose strings and dicts are subclasses. Raises ``InvalidReport``.
    """
    try:
        compact = json.dumps(data, separators=(",", ":"), allow_nan=False).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidReport("is not plain JSON or is nested too deeply") from error
    size = len(compact) if size_bytes is None else size_bytes
    if max(size, len(compact)) > MAX_FILE_BYTES:
        raise InvalidReport(f"has {len(compact):,} bytes, more than the {MAX_REPORT_BYTES:,} allowed")
    return _checked(compact, None, full=True)


def load_host_report(path: str | Path, *, full: bool = True) -> dict[str, Any]:
    """Read and check the host report at ``path``; raises ``InvalidReport`` with the reason.

    ``full`` as for ``check_host_report``; a merge of thousands, each of them checked when it came, does without.
    """
    data = read_capped(path, MAX_FILE_BYTES)
    # Written compactly, the JSON can only be smaller than the file.
    return _checked(data, len(data) if len(data) <= MAX_REPORT_BYTES else None, full=full)


def _checked(data: bytes, size_bytes: int | None, *, full: bool) -> dict[str, Any]:
    report = _parse(data, _MAX_DEPTH)
    # Printable ASCII without an escape holds no character that could do harm, so nothing has to be replaced.
    if data.isascii() and b"\\" not in data and b"\x7f" not in data:
        check_depth(report, _MAX_DEPTH)
    else:
        report = plain_json(report)
    problems = check_host_report(report, size_bytes=size_bytes, full=full)
    if problems or not isinstance(report, dict):
        raise InvalidReport("; ".join(problems))
    return report


def plain_json(value: Any, left: int = _MAX_DEPTH) -> Any:  # noqa: ANN401 - any JSON value
    """Return a copy with harmless text; refuses (``InvalidReport``) what is nested deeper than ``left`` allows."""
    if isinstance(value, str):
        return plain_text(value)
    if not isinstance(value, (list, dict)):
        return value
    if not left:
        raise _too_deep(_MAX_DEPTH)
    if isinstance(value, list):
        return [plain_json(item, left - 1) for item in value]
    return {plain_text(key): plain_json(item, left - 1) for key, item in value.items()}


def check_depth(value: Any, limit: int) -> None:  # noqa: ANN401 - any JSON value
    """Refuse (``InvalidReport``) a value that is nested deeper than ``limit`` lists and objects."""
    _walk(value, limit, limit)


def _walk(value: Any, left: int, limit: int) -> None:  # noqa: ANN401 - any JSON value
    kind = type(value)
    if kind is not dict and kind is not list:
        return
    if not left:
        raise _too_deep(limit)
    for item in value.values() if kind is dict else value:
        kind = type(item)
        if kind is dict or kind is list:
            _walk(item, left - 1, limit)


def _too_deep(limit: int) -> InvalidReport:
    return InvalidReport(f"is nested deeper than {limit} levels")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise InvalidReport("has the same key twice in one object")
    return result


def _refuse(constant: str) -> Any:  # noqa: ANN401 - the parser wants a value, this never gives one
    raise InvalidReport(f"holds {constant}, which is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise InvalidReport("holds a number that is out of range")
    return number


def strict_decoder() -> json.JSONDecoder:
    """Return a decoder that refuses (``InvalidReport``) duplicate keys, ``NaN`` and numbers out of range."""
    return json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite)


_DECODER = strict_decoder()


def _compact_size(data: object) -> int:
    return len(json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass"))


def _confirm(data: object) -> list[str]:
    check = _full_check()
    return check(data) if check else []


@cache
def _full_check() -> Callable[[object], list[str]] | None:
    try:
        from jsonschema import Draft202012Validator  # noqa: PLC0415 - optional on a controller (the design)
    except ImportError:
        return None
    validator = Draft202012Validator(load_schema(HOST_SCHEMA))

    def check(data: object) -> list[str]:
        if validator.is_valid(data):
            return []
        error = next(validator.iter_errors(data))
        where = ".".join(str(step) for step in error.absolute_path)
        return [f"{one_line(where, 120) or 'the report'}: {one_line(error.message, 120)}"]

    return check
