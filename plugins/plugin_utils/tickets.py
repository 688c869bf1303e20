# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tickets: one Markdown file for each application of a run that only its developers can mend, and their index.

    FOLDER/<name>-<id>.md   a ticket; the id is the same in every run
    FOLDER/tickets.json     the index, ``lastack.tickets/1``

The host reports are read one after the other; memory holds the aggregates only.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.finding import REMEDIES, SEVERITIES
from ansible_collections.lastack.linux.plugins.plugin_utils.atomic_files import write_atomically
from ansible_collections.lastack.linux.plugins.plugin_utils.folder_lock import locked
from ansible_collections.lastack.linux.plugins.plugin_utils.json_schema import load_schema, schema_problems
from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.plugins.plugin_utils.render.ticket import render_ticket
from ansible_collections.lastack.linux.plugins.plugin_utils.render.ticket_facts import first_seen_words, title_of
from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import HOSTS, RunFolder
from ansible_collections.lastack.linux.plugins.plugin_utils.safe_names import safe_file_name
from ansible_collections.lastack.linux.plugins.plugin_utils.stored_reports import stored_hosts
from ansible_collections.lastack.linux.plugins.plugin_utils.ticket_evidence import AppEvidence
from ansible_collections.lastack.linux.plugins.plugin_utils.ticket_problems import problems_of
from ansible_collections.lastack.linux.plugins.plugin_utils.validate import (
    InvalidReport,
    parse_json,
    read_capped,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lastack.linux.plugins.plugin_utils.ticket_problems import AppKey, Problem

__all__ = ["INDEX", "TICKETS_SCHEMA", "Tickets", "TicketsError", "TicketsMerge", "ticket_id", "write_tickets"]

TICKETS_SCHEMA = "lastack.tickets/1"
INDEX = "tickets.json"

_ID_DIGITS = 12
_MAX_INDEX_BYTES = 16 * 1024 * 1024
_MAX_TICKET_BYTES = 1024 * 1024
_GONE_KEPT = 5_000

# A forged report can name any number of applications: beyond so many, new names are only counted.
_APPS_TRACKED = 2_000
_APPS_OF_HOST = 200


class TicketsError(Exception):
    """The folder of the tickets cannot be used; the message is one sentence that names the path and the reason."""


class Tickets(NamedTuple):
    """What ``write_tickets`` leaves."""

    listed: dict[str, Any]
    """``lastack.tickets/1``, as it was written."""
    written: int
    """Tickets that are new or have changed; the other files were not touched."""


def ticket_id(key: AppKey) -> str:
    """Return the id of an application's ticket: the same for every run, host and cause."""
    app, kind = key
    digest = hashlib.sha256(f"{app}\0{kind}".encode("utf-8", "surrogatepass")).hexdigest()
    return f"lastack-{digest[:_ID_DIGITS]}"


class TicketsMerge:
    """Collects the problems of all hosts by application, one host after the other."""

    def __init__(self, wanted: set[str]) -> None:
        """Start with no host; the applications named ``wanted`` are followed however many others there are."""
        self._wanted = wanted
        self._apps: dict[AppKey, AppEvidence] = {}
        self._unnamed: Counter[str] = Counter()
        self._cut: set[str] = set()

    def add(self, host: str, report: Mapping[str, Any]) -> None:
        """Take one valid host report."""
        problems, unnamed = problems_of(report)
        self._unnamed.update(set(unnamed))
        by_app: dict[AppKey, list[Problem]] = {}
        for problem in problems:
            by_app.setdefault(problem.key, []).append(problem)
        for number, (key, own) in enumerate(by_app.items()):
            known = self._apps.get(key)
            if known is None:
                full = len(self._apps) >= _APPS_TRACKED or number >= _APPS_OF_HOST
                if full and key[0] not in self._wanted:
                    if len(self._cut) < _APPS_TRACKED:
                        self._cut.add(ticket_id(key))
                    continue
                known = self._apps[key] = AppEvidence(key)
            known.add(host, report, own)

    def ranked(self) -> list[AppEvidence]:
        """Return what is known of each application, the most urgent first."""
        return sorted(
            self._apps.values(),
            key=lambda one: (SEVERITIES.index(one.severity), -(one.sockets + one.dead), one.key),
        )

    def unnamed(self) -> list[dict[str, Any]]:
        """Return the findings for which no application is named, and on how many hosts."""
        return [
            {"finding": finding, "hosts": hosts}
            for finding, hosts in sorted(self._unnamed.items(), key=lambda item: (-item[1], item[0]))
        ]

    @property
    def truncated(self) -> int:
        """How many applications have no ticket because there were too many (at least so many)."""
        return len(self._cut)


def write_tickets(run_folder: str, fleet: Mapping[str, Any], folder: str | Path) -> Tickets:
    """Write the tickets of a run, of which ``fleet`` is the fleet report, and their index into ``folder``.

    A file is only written if its content changes, so a second time changes nothing. Tickets of earlier runs that no
    longer apply stay and are named in the index as ``gone``; other files are left alone. Raises ``TicketsError``,
    ``RunFolderError``, ``OSError``.
    """
    run = RunFolder.read(run_folder)
    merge = TicketsMerge({entry["app"] for entry in [*fleet["apps"], *fleet["dead_sockets"]]})
    for stored in stored_hosts(run):
        # The fleet report names the others and their reason among those that were not audited.
        if stored.report is not None:
            merge.add(stored.name, stored.report)
    place = _open_folder(Path(folder), run)
    try:
        with locked(place):
            return _write(place, merge, fleet)
    except OSError as error:
        raise TicketsError(f"Cannot write the tickets to {place}: {error.strerror or error}.") from error


def _open_folder(folder: Path, run: RunFolder) -> Path:
    folder = folder.absolute()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Tickets name processes, users and peers: they are for whoever ran the audit.
            folder.mkdir(mode=0o700)
        except FileExistsError:
            mode = folder.lstat().st_mode
            if stat.S_ISLNK(mode):
                raise TicketsError(f"{folder} is a symbolic link: name the folder for the tickets itself.") from None
            if not stat.S_ISDIR(mode):
                raise TicketsError(f"{folder} is not a folder: tickets need one.") from None
    except OSError as error:
        raise TicketsError(f"Cannot make the folder {folder}: {error.strerror or error}.") from error
    if folder.resolve() in (run.path.resolve(), (run.path / HOSTS).resolve()):
        raise TicketsError(
            f"{folder} belongs to the run itself: choose a folder of its own, such as {run.path}/tickets."
        )
    return folder


def _write(folder: Path, merge: TicketsMerge, fleet: Mapping[str, Any]) -> Tickets:
    before = _known_before(folder)
    entries: list[dict[str, Any]] = []
    written = 0
    for evidence in merge.ranked():
        entry = _entry(evidence)
        written += _write_if_changed(
            folder / entry["file"], render_ticket(entry["id"], evidence, fleet).encode("utf-8")
        )
        entries.append(entry)
    run = fleet["run"]
    index = {
        "schema": TICKETS_SCHEMA,
        "run": {key: run[key] for key in ("id", "started_at", "finished_at")},
        "hosts": {key: fleet["hosts"][key] for key in ("meant", "audited", "incomplete")},
        "tickets": entries,
        "tickets_truncated": merge.truncated,
        "unnamed": merge.unnamed(),
        "gone": _gone(folder, before, {entry["id"] for entry in entries}),
    }
    # Last, so that it never names a ticket that is not there.
    _write_if_changed(folder / INDEX, json.dumps(index, indent=1, ensure_ascii=False).encode("utf-8") + b"\n")
    return Tickets(index, written)


def _entry(evidence: AppEvidence) -> dict[str, Any]:
    own = ticket_id(evidence.key)
    sections = evidence.sections()
    return {
        "id": own,
        "app": evidence.app,
        "title": title_of(evidence),
        "file": f"{safe_file_name(evidence.app)}-{own}.md",
        "hosts": evidence.hosts,
        "sockets": evidence.sockets,
        "dead_sockets": evidence.dead,
        "finding": sections[0].finding,
        "remedy": REMEDIES[sections[0].finding],
        "severity": evidence.severity,
        "first_seen": first_seen_words(evidence),
        "causes": [{"finding": one.finding, "hosts": one.hosts, "count": one.count} for one in sections],
    }


def _write_if_changed(path: Path, data: bytes) -> bool:
    try:
        if read_capped(path, _MAX_INDEX_BYTES if path.name == INDEX else _MAX_TICKET_BYTES) == data:
            return False
    except InvalidReport:
        # Not there, or not as we would have left it.
        pass
    write_atomically(path, data)
    return True


def _known_before(folder: Path) -> dict[str, dict[str, Any]]:
    """The tickets that earlier runs have left here by their index; refuses an index that is none of ours."""
    path = folder / INDEX
    if not path.is_symlink() and not path.exists():
        return {}
    try:
        index = parse_json(read_capped(path, _MAX_INDEX_BYTES))
        problems = schema_problems(index, load_schema(TICKETS_SCHEMA))
    except InvalidReport as error:
        problems = [str(error)]
    if problems:
        raise TicketsError(f"{path} is not an index of tickets ({one_line(problems[0], 120)}): choose another folder.")
    return {entry["id"]: entry for entry in [*index["gone"], *index["tickets"]]}


def _gone(folder: Path, before: Mapping[str, Mapping[str, Any]], present: set[str]) -> list[dict[str, Any]]:
    """The tickets of earlier runs that no longer apply and whose files are still there."""
    gone = [
        {key: entry[key] for key in ("id", "app", "file")}
        for own, entry in sorted(before.items())
        if own not in present and _is_file(folder / entry["file"])
    ]
    return gone[:_GONE_KEPT]


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False
