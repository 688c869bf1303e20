# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger as a JSON document, ``lastack.ledger/1``: written from records, and checked field by field when read."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, NoReturn

from ansible_collections.lastack.linux.plugins.module_utils.tune.guarded_files import (
    MAX_BYTES,
    FileState,
    RefusedPath,
    kind_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ABSENT",
    "SCHEMA",
    "DocumentError",
    "Entries",
    "FileEntry",
    "ProcessEntry",
    "RuntimeEntry",
    "check_key",
    "parse",
    "render",
]

SCHEMA = "lastack.ledger/1"
ABSENT = "absent"
"""Stands for the digest of a file that was removed."""

_MAX_VALUE = 1 << 19
_MAX_NUMBER = (1 << 64) - 1
_MAX_DIGITS = 20
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PROCESS = re.compile(r"[1-9][0-9]{0,9}:[0-9]{1,20}")
_BOOT = re.compile(r"[0-9a-f-]{0,36}")
# Interface names may hold any byte but "/" and white space (dev_valid_name, net/core/dev.c); in a dotted key their
# dots stand as slashes.
_KEY = re.compile(r"[a-z0-9_]+(?:\.[^\s.]+)+")
_LONGEST_KEY = 255


class DocumentError(ValueError):
    """What is wrong with a ledger's text, and where."""


class RuntimeEntry(NamedTuple):
    """One sysctl that was changed at runtime."""

    before: str
    """Its value before the first change."""
    set: str | None
    """The value that the kernel accepted from us; ``None`` until that is confirmed."""
    pending: str | None
    """The value that is about to be written."""
    recorded: float
    """When the entry was made, in seconds since 1970."""


class FileEntry(NamedTuple):
    """One file that was changed."""

    kind: str
    """One of ``guarded_files.KINDS``."""
    before: FileState | None
    """What it was before the first change; ``None`` when there was no such file."""
    set_sha256: str | None
    """The digest of what was written, or ``ABSENT``; ``None`` until that is confirmed."""
    pending_sha256: str | None
    """The digest of what is about to be written, or ``ABSENT``."""
    made_directories: tuple[str, ...]
    """Directories that were not there before, the outermost first."""
    recorded: float


class ProcessEntry(NamedTuple):
    """One running process whose descriptor limits were raised; -1 stands for unlimited."""

    before_soft: int
    before_hard: int
    set_soft: int
    set_hard: int
    recorded: float
    boot: str = ""
    """The boot id at that time: pid and start time mean nothing after a restart."""


class Entries(NamedTuple):
    """All that a ledger holds."""

    runtime: dict[str, RuntimeEntry]
    files: dict[str, FileEntry]
    processes: dict[str, ProcessEntry]


def check_key(key: str) -> None:
    """Raise ``DocumentError`` for what is no canonical dotted sysctl key, so that no key leads out of /proc/sys."""
    parts = key.replace("/", ".").split(".")
    if not (_KEY.fullmatch(key) and key.isprintable() and len(key) <= _LONGEST_KEY and all(parts)):
        raise DocumentError(f"{key[:80]!r} is no sysctl key")


def render(entries: Entries) -> bytes:
    """Return the document, sorted, so that the same entries are always the same bytes."""
    document = {
        "schema": SCHEMA,
        "runtime": {key: entry._asdict() for key, entry in entries.runtime.items()},
        "files": {path: _file_fields(entry) for path, entry in entries.files.items()},
        "processes": {key: entry._asdict() for key, entry in entries.processes.items()},
    }
    return json.dumps(document, indent=1, sort_keys=True).encode("ascii") + b"\n"


def parse(text: bytes) -> Entries:
    """Return what a document holds.

    Raises:
        DocumentError: for anything but a whole ``lastack.ledger/1``: names the place and what is wrong with it.
    """
    try:
        document = json.loads(text.decode("utf-8"), parse_int=_short_integer, parse_constant=_no_constant)
    except DocumentError:
        raise
    except RecursionError:
        raise DocumentError("it is nested too deeply") from None
    except ValueError as error:
        raise DocumentError(f"it is not JSON ({str(error)[:80]})") from None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise DocumentError(f"its schema is not {SCHEMA}")
    _fields("the document", document, {"schema", "runtime", "files", "processes"})
    return Entries(
        runtime=_entries(document["runtime"], "runtime", _runtime_entry),
        files=_entries(document["files"], "files", _file_entry),
        processes=_entries(document["processes"], "processes", _process_entry),
    )


def _file_fields(entry: FileEntry) -> dict[str, Any]:
    fields = entry._asdict()
    if entry.before is not None:
        fields["before"] = {
            **entry.before._asdict(),
            "content": base64.b64encode(entry.before.content).decode("ascii"),
        }
    return fields


def _entries(values: Any, where: str, read: Callable[[str, str, Mapping[str, Any]], Any]) -> dict[str, Any]:  # noqa: ANN401 - JSON
    if not isinstance(values, dict):
        raise DocumentError(f"{where} is no object")
    found = {}
    for key, fields in values.items():
        place = f"{where}[{key[:80]!r}]"
        if not isinstance(fields, dict):
            raise DocumentError(f"{place} is no object")
        found[key] = read(place, key, fields)
    return found


def _runtime_entry(place: str, key: str, fields: Mapping[str, Any]) -> RuntimeEntry:
    _fields(place, fields, set(RuntimeEntry._fields))
    check_key(key)
    return RuntimeEntry(
        before=_value(place, "before", fields["before"]),
        set=None if fields["set"] is None else _value(place, "set", fields["set"]),
        pending=None if fields["pending"] is None else _value(place, "pending", fields["pending"]),
        recorded=_time(place, fields["recorded"]),
    )


def _file_entry(place: str, path: str, fields: Mapping[str, Any]) -> FileEntry:
    _fields(place, fields, set(FileEntry._fields))
    try:
        kind = kind_of(path)
    except RefusedPath as error:
        raise DocumentError(str(error).rstrip(".")) from None
    if fields["kind"] != kind:
        raise DocumentError(f"{place}.kind is not {kind}")
    made = fields["made_directories"]
    parent = path.rpartition("/")[0]
    if not isinstance(made, list) or made not in ([], [parent]):
        raise DocumentError(f"{place}.made_directories is neither empty nor the file's own directory")
    return FileEntry(
        kind=kind,
        before=None if fields["before"] is None else _file_state(f"{place}.before", fields["before"]),
        set_sha256=_digest(place, "set_sha256", fields["set_sha256"]),
        pending_sha256=_digest(place, "pending_sha256", fields["pending_sha256"]),
        made_directories=tuple(made),
        recorded=_time(place, fields["recorded"]),
    )


def _file_state(place: str, fields: Any) -> FileState:  # noqa: ANN401 - JSON
    if not isinstance(fields, dict):
        raise DocumentError(f"{place} is no object")
    _fields(place, fields, set(FileState._fields))
    content, selinux = fields["content"], fields["selinux"]
    try:
        data = base64.b64decode(content, validate=True) if isinstance(content, str) else None
    except (binascii.Error, ValueError):
        data = None
    if data is None or len(data) > MAX_BYTES:
        raise DocumentError(f"{place}.content is no base64 of at most {MAX_BYTES} bytes")
    if selinux is not None and not (isinstance(selinux, str) and 0 < len(selinux) <= 4096 and "\0" not in selinux):  # noqa: PLR2004 - far above any context
        raise DocumentError(f"{place}.selinux is no context")
    return FileState(
        content=data,
        mode=_number(place, "mode", fields["mode"], most=0o7777),
        uid=_number(place, "uid", fields["uid"], most=(1 << 32) - 2),
        gid=_number(place, "gid", fields["gid"], most=(1 << 32) - 2),
        selinux=selinux,
    )


def _process_entry(place: str, key: str, fields: Mapping[str, Any]) -> ProcessEntry:
    _fields(place, fields, set(ProcessEntry._fields))
    if not _PROCESS.fullmatch(key):
        raise DocumentError(f"{place} is no PID:STARTTIME")
    if not isinstance(fields["boot"], str) or not _BOOT.fullmatch(fields["boot"]):
        raise DocumentError(f"{place}.boot is no boot id")
    return ProcessEntry(
        before_soft=_number(place, "before_soft", fields["before_soft"], least=-1),
        before_hard=_number(place, "before_hard", fields["before_hard"], least=-1),
        set_soft=_number(place, "set_soft", fields["set_soft"], least=-1),
        set_hard=_number(place, "set_hard", fields["set_hard"], least=-1),
        recorded=_time(place, fields["recorded"]),
        boot=fields["boot"],
    )


def _fields(place: str, fields: Mapping[str, Any], names: set[str]) -> None:
    if missing := sorted(names - fields.keys()):
        raise DocumentError(f"{place} has no {missing[0]}")
    if strange := sorted(fields.keys() - names):
        raise DocumentError(f"{place} has a field {strange[0][:80]!r} that does not belong there")


def _value(place: str, name: str, value: Any) -> str:  # noqa: ANN401 - JSON
    if not isinstance(value, str) or len(value) > _MAX_VALUE or "\0" in value:
        raise DocumentError(f"{place}.{name} is no sysctl value")
    return value


def _digest(place: str, name: str, value: Any) -> str | None:  # noqa: ANN401 - JSON
    if value is None or (isinstance(value, str) and (value == ABSENT or _DIGEST.fullmatch(value))):
        return value
    raise DocumentError(f"{place}.{name} is no SHA-256")


def _number(place: str, name: str, value: Any, *, least: int = 0, most: int = _MAX_NUMBER) -> int:  # noqa: ANN401 - JSON
    # True and False are numbers to Python, and not here.
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise DocumentError(f"{place}.{name} is no whole number from {least} to {most}")
    return int(value)


def _time(place: str, value: Any) -> float:  # noqa: ANN401 - JSON
    if type(value) not in (int, float) or not math.isfinite(value) or value < 0:
        raise DocumentError(f"{place}.recorded is no time")
    return float(value)


def _short_integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise DocumentError("it holds a number of more than 20 digits")
    return int(digits)


def _no_constant(name: str) -> NoReturn:
    raise DocumentError(f"it holds {name}, which is no JSON")
