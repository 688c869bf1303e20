# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The history file: what each run found, by application and by finding, in one SQLite database.

One writer at a time, readers beside it (write-ahead log, https://www.sqlite.org/wal.html). Hosts are not kept, only
how many there were.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from ansible_collections.lastack.linux.plugins.plugin_utils.history_schema import (
    VERSION,
    HistoryError,
    migrate,
    version_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["AppFigures", "FindingFigures", "HistoryStore", "RunFigures", "default_path", "opened"]

_BUSY_S = 10.0
_NOTADB = "file is not a database"


class AppFigures(NamedTuple):
    """What one run found of an application, over all its hosts."""

    hosts: int
    """Hosts on which it leaks."""
    sockets: int
    oldest_s: float | None
    """Lower bound of the age of the oldest leaked socket, in seconds."""
    descriptors_percent: float | None
    """The fullest descriptor table of its processes."""
    growth_per_min: float | None
    """As the agents have watched it; ``None``: none has."""


class FindingFigures(NamedTuple):
    """What one run found of a finding, whatever its subject."""

    severity: str
    """The worst of all hosts."""
    hosts: int


class RunFigures(NamedTuple):
    """One run: what was meant, what was seen."""

    run_id: str
    started_at: str
    day: str
    """UTC, ``YYYY-MM-DD``."""
    made_by: str
    meant: int
    audited: int
    incomplete: int
    finished: bool
    judged: int | None
    """Audited hosts whose CLOSE_WAIT was looked at; ``None`` in runs that version 1 kept."""
    apps_left_out: int
    """Leaks that are not among the applications, because a list was cut: absence from it says nothing."""
    blind: int = 0
    """Judged hosts on which a leak may have had no name: sockets without a known owner, namespaces not read."""
    findings_blind: int = 0
    """Audited hosts of which a finding may be missing: a subset was left out, or the list was cut."""


_RUN = ", ".join(RunFigures._fields)


def default_path() -> Path:
    """Return where the history is kept: ``$XDG_STATE_HOME/lastack/history.sqlite``, else below ``~/.local/state``.

    A relative XDG_STATE_HOME counts for nothing (XDG Base Directory Specification).
    """
    state = os.environ.get("XDG_STATE_HOME", "")
    base = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    return base / "lastack" / "history.sqlite"


@contextlib.contextmanager
def opened(path: str | Path, *, write: bool = False) -> Iterator[HistoryStore]:
    """Yield the history in ``path``; with ``write`` the file is made (mode 0600) or brought to this version.

    A reader changes nothing: an older file is brought up to date in memory. Raises ``HistoryError`` for whatever is
    wrong with the file, also inside the block.
    """
    shown = str(path)
    with contextlib.ExitStack() as stack:
        try:
            connection = stack.enter_context(contextlib.closing(_open(shown, write=write)))
            yield HistoryStore(connection)
        except sqlite3.Error as error:
            raise HistoryError(_sentence(shown, error)) from error


class HistoryStore:
    """The history, open; its methods raise ``sqlite3.Error``, which ``opened`` turns into sentences."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Wrap a connection to a file of the current version; use ``opened``."""
        self._connection = connection

    def knows(self, run_id: str) -> bool:
        """Tell whether this run is kept and was finished when it was added."""
        row = self._connection.execute("SELECT finished FROM run WHERE run_id = ?", (run_id,)).fetchone()
        return bool(row and row[0])

    def add(self, run: RunFigures, apps: Mapping[str, AppFigures], findings: Mapping[str, FindingFigures]) -> bool:
        """Keep a run; return whether anything changed.

        A run that is kept already stays as it is, unless it had not finished then: the new figures replace it.
        """
        with self._transaction():
            if self.knows(run.run_id):
                return False
            self._connection.execute("DELETE FROM run WHERE run_id = ?", (run.run_id,))
            marks = ", ".join("?" * len(run))
            cursor = self._connection.execute(f"INSERT INTO run ({_RUN}) VALUES ({marks})", run)  # noqa: S608 - our columns
            number = cursor.lastrowid
            self._connection.executemany("INSERT OR IGNORE INTO app (name) VALUES (?)", ((name,) for name in apps))
            self._connection.executemany(
                "INSERT INTO app_run (run, app, hosts, sockets, oldest_s, descriptors_percent, growth_per_min)"
                " SELECT ?, number, ?, ?, ?, ?, ? FROM app WHERE name = ?",
                ((number, *figures, name) for name, figures in apps.items()),
            )
            self._connection.executemany(
                "INSERT INTO finding_run (run, finding, severity, hosts) VALUES (?, ?, ?, ?)",
                ((number, finding, *figures) for finding, figures in findings.items()),
            )
        return True

    def forget(self, before: str) -> int:
        """Delete the runs of the days before ``before`` (``YYYY-MM-DD``); return how many there were."""
        with self._transaction():
            gone = self._connection.execute("DELETE FROM run WHERE day < ?", (before,)).rowcount
            self._connection.execute("DELETE FROM app WHERE number NOT IN (SELECT app FROM app_run)")
        return gone

    def last_day(self) -> str | None:
        """Return the day of the newest run; ``None`` if there is no run."""
        day: str | None = self._connection.execute("SELECT max(day) FROM run").fetchone()[0]
        return day

    def runs(self, since: str) -> list[RunFigures]:
        """Return the runs of the days from ``since`` on, oldest first."""
        rows = self._connection.execute(
            f"SELECT {_RUN} FROM run WHERE day >= ? ORDER BY started_at, number",  # noqa: S608 - our columns
            (since,),
        )
        return [RunFigures(*row)._replace(finished=bool(row[7])) for row in rows]

    def apps(self, run_id: str) -> dict[str, AppFigures]:
        """Return the applications of one run."""
        rows = self._connection.execute(
            "SELECT name, hosts, sockets, oldest_s, descriptors_percent, growth_per_min FROM app_run"
            " JOIN app ON app.number = app_run.app JOIN run ON run.number = app_run.run WHERE run_id = ?",
            (run_id,),
        )
        return {name: AppFigures(*figures) for name, *figures in rows}

    def findings(self, run_id: str) -> dict[str, FindingFigures]:
        """Return the findings of one run."""
        rows = self._connection.execute(
            "SELECT finding, severity, hosts FROM finding_run JOIN run ON run.number = finding_run.run"
            " WHERE run_id = ?",
            (run_id,),
        )
        return {finding: FindingFigures(*figures) for finding, *figures in rows}

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        # The writer's lock is taken before anything is read, so that two writers do not meet in the middle.
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")


def _open(path: str, *, write: bool) -> sqlite3.Connection:
    place = Path(path)
    try:
        if place.is_dir():
            raise HistoryError(f"{path} is a folder: name the history file.")
        if place.exists() and not place.is_file():
            raise HistoryError(f"{path} is no regular file, so it cannot hold the history.")
        return _writer(path) if write else _reader(path)
    except (FileExistsError, NotADirectoryError) as error:
        raise HistoryError(f"{error.filename} is not a directory, so it cannot hold the history.") from error
    except OSError as error:
        raise HistoryError(f"{error.filename or path}: {error.strerror or error}") from error


def _writer(path: str) -> sqlite3.Connection:
    folder = Path(path).absolute().parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(FileExistsError):
        # SQLite gives its log and index files the mode of the database.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    connection = _connect(path, "rw")
    try:
        version = version_of(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")
        if version < VERSION:
            connection.execute("BEGIN IMMEDIATE")
            # Another writer may have been faster.
            migrate(connection, version_of(connection, path))
            connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _reader(path: str) -> sqlite3.Connection:
    if not Path(path).exists():
        raise HistoryError(f"{path} does not exist: there is no history until 'lastack history add RUN_FOLDER'.")
    try:
        connection, version = _checked(_connect(path, "ro"), path)
    except sqlite3.OperationalError:
        if os.access(Path(path).absolute().parent, os.W_OK):
            raise
        # In a folder that cannot be written to there is no place for the index of the log, and nobody to write one.
        connection, version = _checked(_connect(path, "ro&immutable=1"), path)
    if version == VERSION:
        return connection
    with contextlib.closing(connection):
        current = sqlite3.connect(":memory:", isolation_level=None)
        connection.backup(current)
        current.execute("BEGIN")
        migrate(current, version)
        current.execute("COMMIT")
        return current


def _checked(connection: sqlite3.Connection, path: str) -> tuple[sqlite3.Connection, int]:
    try:
        return connection, version_of(connection, path)
    except BaseException:
        connection.close()
        raise


def _connect(path: str, mode: str) -> sqlite3.Connection:
    address = f"file:{quote(os.fsencode(Path(path).absolute()))}?mode={mode}"
    connection = sqlite3.connect(address, uri=True, isolation_level=None, timeout=_BUSY_S)
    # What a damaged or forged file says of its own functions is not believed.
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _sentence(path: str, error: sqlite3.Error) -> str:
    words = str(error)
    if words == _NOTADB:
        return f"{path} is no history file: choose another one with --file."
    if "locked" in words or "busy" in words:
        return f"{path} is being written to by another lastack: try again when that has ended."
    if isinstance(error, sqlite3.OperationalError):
        return f"{path}: {words}"
    return f"{path} is damaged ({words}): move it away, or choose another file with --file."
