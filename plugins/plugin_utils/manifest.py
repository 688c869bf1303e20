# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest ``lastack.run/1`` and the journal of a run folder: which hosts were meant and what came of each.

While the run goes on, outcomes are appended to the journal, one JSON line each, by any number of processes;
when it has finished they stand in the manifest.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.atomic_files import open_atomically
from ansible_collections.lastack.linux.plugins.plugin_utils.host_outcomes import HostOutcomes, Outcome
from ansible_collections.lastack.linux.plugins.plugin_utils.json_schema import load_schema, schema_problems
from ansible_collections.lastack.linux.plugins.plugin_utils.json_stream import JsonStream
from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line, plain_text
from ansible_collections.lastack.linux.plugins.plugin_utils.run_owner import Owner
from ansible_collections.lastack.linux.plugins.plugin_utils.schema_check import compiled
from ansible_collections.lastack.linux.plugins.plugin_utils.validate import (
    InvalidReport,
    open_capped,
    parse_json,
    plain_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = [
    "DELEGATED",
    "JOURNAL",
    "MANIFEST",
    "RUN_SCHEMA",
    "NewerManifest",
    "Outcome",
    "append_outcome",
    "append_outcomes",
    "fold",
    "manifest_owner",
    "open_manifest",
    "read_journal",
    "read_manifest",
    "read_manifest_head",
    "read_manifest_hosts",
    "write_manifest",
]

RUN_SCHEMA = "lastack.run/1"
MANIFEST = "manifest.json"
JOURNAL = "outcomes.jsonl"

# A host whose task looked at another host (delegate_to): nothing was meant to come from itself.
DELEGATED = "delegated"

_OUTCOMES = frozenset({"ok", "unreachable", "failed", "invalid", "missing", DELEGATED})

# A hundred thousand hosts with a reason each stay below this.
_MAX_BYTES = 64 * 1024 * 1024
_MAX_LINE = 16 * 1024
_MAX_NAME = 1024
_MAX_DEPTH = 32

_NOT_HEARD = Outcome("missing", "no outcome yet", None)


def read_manifest(folder: str | Path) -> tuple[dict[str, Any], HostOutcomes]:
    """Read and check the manifest of a run folder, all but ``hosts``, and the hosts; raises ``InvalidReport``."""
    hosts = HostOutcomes()
    return _read(folder, hosts), hosts


def read_manifest_head(folder: str | Path) -> dict[str, Any]:
    """Read and check all of the manifest but ``hosts``, which it does not look at where they come last.

    Every task of a run opens its folder: it must not cost more with more hosts. Raises ``InvalidReport``.
    """
    return _read(folder, None)


def read_manifest_hosts(folder: str | Path) -> Iterator[tuple[str, Outcome]]:
    """Yield the hosts of a manifest, one in memory at a time; raises ``InvalidReport`` where it is wrong.

    For a manifest that ``read_manifest`` found good: a host that is there twice is not noticed.
    """
    with open_capped(Path(folder) / MANIFEST, _MAX_BYTES) as file:
        stream = JsonStream(file, _MAX_BYTES, max_depth=_MAX_DEPTH)
        for key in stream.members():
            if key == "hosts":
                yield from _each_host(stream)
            else:
                stream.value()


def _read(folder: str | Path, hosts: HostOutcomes | None) -> dict[str, Any]:
    with open_capped(Path(folder) / MANIFEST, _MAX_BYTES) as file:
        stream = JsonStream(file, _MAX_BYTES, max_depth=_MAX_DEPTH)
        head: dict[str, Any] = {}
        for key in stream.members():
            if key in head:
                raise InvalidReport("has the same key twice in one object")
            if key != "hosts":
                head[key] = stream.value()
                continue
            head[key] = {}
            if hosts is None and _required() <= head.keys():
                break
            _read_hosts(stream, HostOutcomes() if hosts is None else hosts)
        else:
            stream.end()
    _check_schema_id(head.get("schema"))
    problems = schema_problems(head, load_schema(RUN_SCHEMA))
    if problems:
        raise InvalidReport("; ".join(problems))
    del head["hosts"]
    # It may come from anywhere, and its words stand in every report.
    return dict(plain_json(head))


class NewerManifest(InvalidReport):
    """The manifest of a newer lastack: not to be read, and not to be replaced."""


def _check_schema_id(schema: object) -> None:
    if schema == RUN_SCHEMA:
        return
    name, __, version = schema.partition("/") if isinstance(schema, str) else ("", "", "")
    if name == RUN_SCHEMA.partition("/")[0] and version.isdecimal():
        raise NewerManifest(f"is of the schema {one_line(f'{name}/{version}', 40)}: a newer lastack wrote it")
    raise InvalidReport(f"is not a manifest of the schema {RUN_SCHEMA}")


def _read_hosts(stream: JsonStream, hosts: HostOutcomes) -> None:
    for host, outcome in _each_host(stream):
        if host in hosts:
            raise InvalidReport("has the same key twice in one object")
        hosts[host] = outcome


def _each_host(stream: JsonStream) -> Iterator[tuple[str, Outcome]]:
    for host in stream.members():
        entry = stream.value()
        if not _host_check()(entry) or len(host) > _MAX_NAME:
            raise InvalidReport("; ".join(schema_problems({"hosts": {host: entry}}, _hosts_schema())))
        reason = entry["reason"]
        yield host, Outcome(entry["outcome"], reason and plain_text(reason), entry["file"])


@cache
def _required() -> frozenset[str]:
    return frozenset(load_schema(RUN_SCHEMA)["required"])


@cache
def _hosts_schema() -> Mapping[str, Any]:
    return {"properties": {"hosts": load_schema(RUN_SCHEMA)["properties"]["hosts"]}}


@cache
def _host_check() -> Callable[[Any], bool]:
    return compiled(load_schema(RUN_SCHEMA)["properties"]["hosts"]["additionalProperties"])


def write_manifest(folder: str | Path, head: Mapping[str, Any], hosts: Iterable[tuple[str, Outcome | None]]) -> None:
    """Write the manifest atomically, as ``open_manifest`` does; raises ``OSError``."""
    with open_manifest(folder, head) as put:
        for host, outcome in hosts:
            put(host, outcome)


@contextlib.contextmanager
def open_manifest(folder: str | Path, head: Mapping[str, Any]) -> Iterator[Callable[[str, Outcome | None], None]]:
    """Yield a function that adds one host; the manifest is replaced as a whole when the block ends.

    Hosts stand last and one a line; one without an outcome is ``missing``. No host may be added twice. Raises
    ``OSError``; then, and if the block raises, the manifest is untouched.
    """
    start = json.dumps({**head, "hosts": {}}, indent=1).encode("ascii")
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open_atomically(Path(folder) / MANIFEST))
        file.write(start[: start.rindex(b"{") + 1])
        separator = b"\n  "

        def put(host: str, outcome: Outcome | None) -> None:
            nonlocal separator
            entry = json.dumps((outcome or _NOT_HEARD)._asdict())
            file.write(separator + f"{json.dumps(host)}: {entry}".encode("ascii"))
            separator = b",\n  "

        yield put
        file.write(b"\n }\n}\n")


def manifest_owner(manifest: Mapping[str, Any]) -> Owner | None:
    """Return who writes (or wrote) the folder, if the manifest says so."""
    owner = manifest.get("owner")
    if owner is None:
        return None
    return Owner(manifest["controller"], owner["pid"], owner["process"], owner["play"])


def append_outcome(folder: str | Path, run_id: str, host: str, outcome: Outcome) -> None:
    """Append one line to the journal and flush it to disk; raises ``OSError``.

    A line that an earlier writer left half-written is ended first, so that it spoils no other.
    """
    append_outcomes(folder, run_id, ((host, outcome),))


def append_outcomes(folder: str | Path, run_id: str, outcomes: Iterable[tuple[str, Outcome]]) -> None:
    """Do the same for many hosts with one flush."""
    entries = ({"run": run_id, "host": host, **outcome._asdict()} for host, outcome in outcomes)
    line = "".join(json.dumps(entry, ensure_ascii=True) + "\n" for entry in entries)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(Path(folder) / JOURNAL, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = "\n" + line
        data = line.encode("ascii")
        if os.write(descriptor, data) != len(data):
            raise OSError(28, "No space left on device")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_journal(folder: str | Path, run_id: str) -> Iterator[tuple[str, Outcome]]:
    """Yield the outcomes of one run from its journal, oldest first.

    Broken lines, lines of other runs, and a journal that is no regular file are passed over.
    """
    try:
        descriptor = os.open(Path(folder) / JOURNAL, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return
    with os.fdopen(descriptor, "rb") as file:
        for line in _bounded_lines(file):
            try:
                entry = parse_json(line, max_depth=4)
            except InvalidReport:
                continue
            outcome = _outcome(entry, run_id)
            if outcome is not None:
                yield outcome


def _bounded_lines(file: Any) -> Iterator[bytes]:  # noqa: ANN401 - any binary file
    left = _MAX_BYTES
    while left > 0:
        line = file.readline(_MAX_LINE)
        if not line:
            return
        left -= len(line)
        yield line


def _outcome(entry: object, run_id: str) -> tuple[str, Outcome] | None:
    if not isinstance(entry, dict) or entry.get("run") != run_id:
        return None
    host, outcome, reason, file = (entry.get(key) for key in ("host", "outcome", "reason", "file"))
    if not isinstance(host, str) or not host or len(host) > _MAX_NAME:
        return None
    if not isinstance(outcome, str) or outcome not in _OUTCOMES:
        return None
    return host, Outcome(
        outcome,
        one_line(reason) if isinstance(reason, str) else None,
        file if isinstance(file, str) and outcome == "ok" else None,
    )


def fold(meant: Iterable[str], journal: Iterable[tuple[str, Outcome]]) -> HostOutcomes:
    """Return the last outcome of every host that was meant or heard of; ``None`` for those not heard of yet.

    A host that only lent its name to a delegated task is left out, unless it was looked at as well.
    """
    outcomes = HostOutcomes()
    for host in meant:
        outcomes[host] = None
    delegated = set()
    for host, outcome in journal:
        if outcome.outcome == DELEGATED:
            delegated.add(host)
        else:
            outcomes[host] = outcome
    for host in delegated:
        if host in outcomes and outcomes[host] is None:
            del outcomes[host]
    return outcomes
