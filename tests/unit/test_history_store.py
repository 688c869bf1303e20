# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The history file: nothing is lost, nobody else's file is touched, and an older file is understood."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils import history_schema, history_store
from ansible_collections.lastack.linux.plugins.plugin_utils.history_days import build_history
from ansible_collections.lastack.linux.plugins.plugin_utils.history_schema import APPLICATION_ID, VERSION, HistoryError
from ansible_collections.lastack.linux.plugins.plugin_utils.history_store import (
    AppFigures,
    FindingFigures,
    default_path,
    opened,
)
from history_samples import figures, fill, run_on

ROOT = Path(__file__).parents[2]
VERSION_1 = ROOT / "tests" / "fixtures" / "history" / "version_1.sqlite"


def _integrity(path: Path) -> None:
    """SQLite's own judgement, and the references between the tables."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_what_was_added_is_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "history.sqlite"
    apps = {"checkout-api": AppFigures(31, 14_200, 32_400.0, 97.3, 4.5), "gateway": AppFigures(1, 37, None, None, None)}
    findings = {"fd.dead_sockets": FindingFigures("warning", 12)}
    with opened(path, write=True) as store:
        assert store.add(run_on(1), apps, findings)
    with opened(path) as store:
        assert store.runs("2026-11-01") == [run_on(1)]
        assert store.runs("2026-11-02") == []
        assert store.apps("run-1") == apps
        assert store.findings("run-1") == findings
    _integrity(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "history.sqlite"
    before = os.umask(0)
    try:
        with opened(path, write=True) as store:
            store.add(run_on(1), {}, {})
            for file in path.parent.iterdir():
                assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    finally:
        os.umask(before)


def test_the_same_run_twice_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    with opened(path, write=True) as store:
        assert store.add(run_on(1), {"a": figures(5)}, {})
        assert not store.add(run_on(1, audited=7), {"b": figures(9)}, {})
    with opened(path) as store:
        assert store.runs("2026-11-01") == [run_on(1)]
        assert store.apps("run-1") == {"a": figures(5)}


def test_a_run_that_had_not_finished_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    with opened(path, write=True) as store:
        assert store.add(run_on(1, audited=7, finished=False), {"a": figures(5)}, {"x.y": FindingFigures("info", 1)})
        assert store.add(run_on(1), {"b": figures(9)}, {})
    with opened(path) as store:
        assert store.runs("2026-11-01") == [run_on(1)]
        assert store.apps("run-1") == {"b": figures(9)}
        assert store.findings("run-1") == {}
    _integrity(path)


def test_a_run_that_cannot_be_added_whole_is_not_added(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    with pytest.raises(HistoryError), opened(path, write=True) as store:
        store.add(run_on(1), {"a": figures(5)}, {"x.y": FindingFigures("info", None)})  # type: ignore[arg-type]
    with opened(path) as store:
        assert store.runs("") == []
    _integrity(path)


def test_forgetting_takes_all_of_a_day_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    fill(path, {run_on(1): {"old": 1}, run_on(2): {"kept": 2}, run_on(3): {"kept": 3}}, {"fd.dead_sockets": 4})
    with opened(path, write=True) as store:
        assert store.forget("2026-11-02") == 1
        assert store.forget("2026-11-02") == 0
    with opened(path) as store:
        assert [run.run_id for run in store.runs("")] == ["run-2", "run-3"]
        assert (store.apps("run-1"), store.findings("run-1")) == ({}, {})
        assert store.apps("run-3") == {"kept": figures(3)}
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM app").fetchall() == [("kept",)]
    _integrity(path)


def _version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def test_a_file_of_version_1_is_brought_up_to_date_with_all_it_has(tmp_path: Path) -> None:
    path = Path(shutil.copy(VERSION_1, tmp_path / "history.sqlite"))
    with closing(sqlite3.connect(path)) as connection:
        before = connection.execute("SELECT run_id, day, meant, audited, incomplete FROM run").fetchall()
    assert len(before) == 3
    with opened(path, write=True) as store:
        store.add(run_on(4), {"checkout-api": figures(1_300)}, {})
    assert _version(path) == VERSION
    with opened(path) as store:
        runs = store.runs("")
        assert [(run.run_id, run.day, run.meant, run.audited, run.incomplete) for run in runs[:3]] == before
        assert [(run.finished, run.judged, run.apps_left_out) for run in runs[:3]] == [(True, None, 0)] * 3
        assert store.apps("v1-0") == {
            "checkout-api": AppFigures(10, 1_000, 3_600.0, 50.5, None),
            "gateway": AppFigures(1, 37, None, None, None),
        }
        assert store.findings("v1-2") == {"fd.dead_sockets": FindingFigures("warning", 7)}
        history = build_history(store, days=30)
    assert [day["fewer_hosts"] for day in history["days"]] == [False, False, True, False]
    assert history["apps"][0]["growth_per_day"] == 100
    _integrity(path)


def test_a_reader_leaves_an_older_file_as_it_is(tmp_path: Path) -> None:
    path = Path(shutil.copy(VERSION_1, tmp_path / "history.sqlite"))
    before = path.read_bytes()
    with opened(path) as store:
        assert len(store.runs("")) == 3
        assert store.apps("v1-1") == {"checkout-api": AppFigures(10, 1_100, 7_200.0, 50.5, None)}
    assert path.read_bytes() == before
    assert _version(path) == 1


def test_a_migration_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(shutil.copy(VERSION_1, tmp_path / "history.sqlite"))
    broken = (*history_schema._STEPS, ("CREATE TABLE more (x)", "CREATE TABLE run (x)"))
    monkeypatch.setattr(history_schema, "_STEPS", broken)
    with pytest.raises(HistoryError, match="already exists"), opened(path, write=True):
        pass
    assert _version(path) == 1
    monkeypatch.undo()
    with opened(path, write=True) as store:
        assert len(store.runs("")) == 3
    _integrity(path)


def _foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE important (x)")


def _with_pragma(pragma: str, value: int) -> object:
    def make(path: Path) -> None:
        fill(path, {run_on(1): {"a": 1}})
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA {pragma} = {value}")

    return make


def _damaged(path: Path) -> None:
    fill(path, {run_on(day): {f"app-{number}": number for number in range(200)} for day in range(1, 9)})
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = path.read_bytes()
    path.write_bytes(data[:100] + b"\xa5" * (len(data) - 100))


def _use(path: Path, *, write: bool) -> None:
    with opened(path, write=write) as store:
        store.runs("")
        store.add(run_on(9), {"app-1": figures(1)}, {})


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_foreign, "is a database of another program"),
        (_with_pragma("application_id", 7), "is a database of another program"),
        (_with_pragma("user_version", 0), "is a database of another program"),
        (_with_pragma("user_version", VERSION + 1), f"has version {VERSION + 1} of the history, this lastack knows"),
        (lambda path: path.write_text("host,sockets\n" * 99), "is no history file"),
        (lambda path: path.write_bytes(VERSION_1.read_bytes()[:50] * 20), "is damaged"),
        (_damaged, "is damaged"),
        (lambda path: path.mkdir(), "is a folder: name the history file"),
    ],
    ids=["foreign", "other id", "no version", "newer", "text", "header", "damaged", "folder"],
)
def test_a_file_that_is_none_of_ours_stays_as_it_is(make: object, said: str, write: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    path = tmp_path / "history.sqlite"
    make(path)  # type: ignore[operator]
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(HistoryError) as refused:
        _use(path, write=write)
    assert str(refused.value).startswith(f"{path} ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_file_that_is_not_there_is_not_made_by_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    with pytest.raises(HistoryError, match="there is no history until"), opened(path):
        pass
    assert not list(tmp_path.iterdir())


def test_an_empty_file_becomes_a_history(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    path.touch()
    with opened(path) as store:
        assert store.last_day() is None
    fill(path, {run_on(1): {"a": 1}})
    with opened(path) as store:
        assert store.last_day() == "2026-11-01"


def test_a_writer_that_was_killed_leaves_what_was_whole(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    fill(path, {run_on(1): {"a": 1}})
    program = (
        "import os, sys\n"
        "from history_samples import figures, run_on\n"
        "from ansible_collections.lastack.linux.plugins.plugin_utils.history_store import opened\n"
        "with opened(sys.argv[1], write=True) as store:\n"
        "    store.add(run_on(2), {'b': figures(2)}, {})\n"
        "    store._connection.execute('BEGIN IMMEDIATE')\n"
        "    store._connection.execute('DELETE FROM run')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    paths = os.pathsep.join([str(ROOT / "collections"), str(Path(__file__).parent)])
    ended = subprocess.run(
        [sys.executable, "-c", program, str(path)], check=False, env={"PYTHONPATH": paths}, timeout=60
    )
    assert ended.returncode == -9
    with opened(path) as store:
        assert [run.run_id for run in store.runs("")] == ["run-1", "run-2"]
    _integrity(path)


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    failures: list[BaseException] = []

    def write(day: int) -> None:
        try:
            fill(path, {run_on(day): {"shared": day, f"own-{day}": 1}})
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failures.append(error)

    threads = [threading.Thread(target=write, args=(day,)) for day in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with opened(path) as store:
        assert sorted(run.run_id for run in store.runs("")) == sorted(f"run-{day}" for day in range(1, 9))
        assert all(store.apps(f"run-{day}")["shared"] == figures(day) for day in range(1, 9))
    _integrity(path)


def test_tables_that_another_one_makes_between_two_reads_are_ours(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"

    def interfere(statement: str) -> None:
        if statement != "PRAGMA user_version":
            return
        with (
            suppress(sqlite3.OperationalError),
            closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other,
        ):
            other.execute("BEGIN IMMEDIATE")
            history_schema.migrate(other, 0)
            other.execute("COMMIT")

    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.set_trace_callback(interfere)
        assert history_schema.version_of(connection, str(path)) in (0, VERSION)


def test_a_file_that_another_one_writes_to_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "history.sqlite"
    fill(path, {run_on(1): {"a": 1}})
    monkeypatch.setattr(history_store, "_BUSY_S", 0.05)
    with opened(path, write=True) as busy:
        busy._connection.execute("BEGIN IMMEDIATE")
        with (
            pytest.raises(HistoryError, match="is being written to by another lastack"),
            opened(path, write=True) as store,
        ):
            store.add(run_on(2), {}, {})
        with opened(path) as reader:
            assert len(reader.runs("")) == 1, "a reader waits for nobody"
        busy._connection.execute("ROLLBACK")


def test_the_default_place_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere")
    assert default_path() == Path("/somewhere/lastack/history.sqlite")
    for useless in ("", "relative"):
        monkeypatch.setenv("XDG_STATE_HOME", useless)
        assert default_path() == tmp_path / ".local" / "state" / "lastack" / "history.sqlite"


def test_odd_names_are_file_names(tmp_path: Path) -> None:
    path = tmp_path / "a?mode=memory#%20b.sqlite"
    fill(path, {run_on(1): {"a": 1}})
    assert path.read_bytes().startswith(b"SQLite format 3")
    assert int.from_bytes(path.read_bytes()[68:72], "big") == APPLICATION_ID
