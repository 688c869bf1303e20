# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of the history file, their versions, and how an older file becomes a newer one.

A file says in its header that it is ours (``application_id``) and which version it has (``user_version``); both are
fields of SQLite's file format (https://www.sqlite.org/fileformat2.html, 1.3).
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

__all__ = ["APPLICATION_ID", "VERSION", "HistoryError", "migrate", "version_of"]

APPLICATION_ID = 0x6C737461
"""``lsta`` in ASCII."""

# One entry for each version, which leads to it from the one before. What was released is never changed.
_STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE run (
            number INTEGER PRIMARY KEY,
            run_id TEXT NOT NULL UNIQUE,
            started_at TEXT NOT NULL,
            day TEXT NOT NULL,
            made_by TEXT NOT NULL,
            meant INTEGER NOT NULL,
            audited INTEGER NOT NULL,
            incomplete INTEGER NOT NULL)""",
        "CREATE INDEX run_day ON run (day)",
        "CREATE TABLE app (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
        """CREATE TABLE app_run (
            run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
            app INTEGER NOT NULL REFERENCES app,
            hosts INTEGER NOT NULL,
            sockets INTEGER NOT NULL,
            oldest_s REAL,
            descriptors_percent REAL,
            PRIMARY KEY (run, app)) WITHOUT ROWID""",
        """CREATE TABLE finding_run (
            run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
            finding TEXT NOT NULL,
            severity TEXT NOT NULL,
            hosts INTEGER NOT NULL,
            PRIMARY KEY (run, finding)) WITHOUT ROWID""",
    ),
    (
        # Null is what a file of version 1 did not keep.
        "ALTER TABLE run ADD COLUMN finished INTEGER NOT NULL DEFAULT 1",
        "ALTER TABLE run ADD COLUMN judged INTEGER",
        "ALTER TABLE run ADD COLUMN apps_left_out INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE app_run ADD COLUMN growth_per_min REAL",
    ),
    (
        "ALTER TABLE run ADD COLUMN blind INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE run ADD COLUMN findings_blind INTEGER NOT NULL DEFAULT 0",
    ),
)

VERSION = len(_STEPS)


class HistoryError(Exception):
    """The history file cannot be used; the message is one sentence that names the file and the reason."""


def version_of(connection: sqlite3.Connection, path: str) -> int:
    """Return the version of a history file, 0 for a file without anything in it.

    Raises ``HistoryError`` for a database of another program or of a newer lastack, and ``sqlite3.Error``.
    """
    with _one_view(connection):
        application: int = connection.execute("PRAGMA application_id").fetchone()[0]
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not (application or version or tables):
        return 0
    if application != APPLICATION_ID or version < 1:
        raise HistoryError(f"{path} is a database of another program: choose another file with --file.")
    if version > VERSION:
        raise HistoryError(
            f"{path} has version {version} of the history, this lastack knows {VERSION}: use a newer lastack."
        )
    return version


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring a file of this version to ``VERSION``, whole or not at all; needs an open transaction."""
    for statements in _STEPS[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


@contextlib.contextmanager
def _one_view(connection: sqlite3.Connection) -> Iterator[None]:
    # Another lastack may be making the tables between two of our reads.
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.rollback()
