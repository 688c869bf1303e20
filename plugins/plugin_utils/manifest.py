# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest ``lastack.run/1`` and the journal of a run folder: which hosts were meant and what came of each.

While the run goes on, outcomes are appended to the journal, one JSON line each, by any number of processes;
when it has finished they stand in the manifest.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.json_schema import load_schema, schema_problems
from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.plugins.plugin_utils.run_owner import Owner
from ansible_collections.lastack.linux.plugins.plugin_utils.validate import InvalidReport, parse_json, read_capped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = [
    "DELEGATED",
    "JOURNAL",
    "MANIFEST",
    "RUN_SCHEMA",
    "Outcome",
    "append_outcome",
    "fold",
    "manifest_owner",
    "read_journal",
    "read_manifest_file",
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


class Outcome(NamedTuple):
    """What came of one host."""

    outcome: str
    """``ok``, ``unreachable``, ``failed``, ``invalid`` or ``missing``; in the journal also ``delegated``."""
    reason: str | None
    file: str | None
    """The host's report, relative to the run folder; ``None`` unless ``ok``."""


def read_manifest_file(folder: str | Path) -> dict[str, Any]:
    """Read and check the manifest of a run folder; raises ``InvalidReport`` with the reason."""
    manifest = parse_json(read_capped(Path(folder) / MANIFEST, _MAX_BYTES))
    if not isinstance(manifest, dict) or manifest.get("schema") != RUN_SCHEMA:
        raise InvalidReport(f"is not a manifest of the schema {RUN_SCHEMA}")
    problems = schema_problems(manifest, load_schema(RUN_SCHEMA))
    if problems:
        raise InvalidReport("; ".join(problems))
    return manifest


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
    line = json.dumps({"run": run_id, "host": host, **outcome._asdict()}, ensure_ascii=True) + "\n"
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
    """Yield the outcomes of one run from its journal, oldest first; broken lines and other runs are passed over."""
    try:
        descriptor = os.open(Path(folder) / JOURNAL, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
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
    if not isinstance(host, str) or not host or len(host) > _MAX_NAME or outcome not in _OUTCOMES:
        return None
    return host, Outcome(
        outcome,
        one_line(reason) if isinstance(reason, str) else None,
        file if isinstance(file, str) and outcome == "ok" else None,
    )


def fold(meant: Iterable[str], journal: Iterable[tuple[str, Outcome]]) -> dict[str, Outcome | None]:
    """Return the last outcome of every host that was meant or heard of; ``None`` for those not heard of yet.

    A host that only lent its name to a delegated task is left out, unless it was looked at as well.
    """
    outcomes: dict[str, Outcome | None] = dict.fromkeys(meant)
    delegated = set()
    for host, outcome in journal:
        if outcome.outcome == DELEGATED:
            delegated.add(host)
        else:
            outcomes[host] = outcome
    return {host: outcome for host, outcome in outcomes.items() if outcome is not None or host not in delegated}
