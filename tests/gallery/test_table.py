# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table in docs/gallery.md is of this gallery, and the gallery judges a repair as its own test does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from entry import ENTRIES, Entry
from exhibit import version_of
from table import COLUMNS, DOCUMENT, Row, document, mistake
from toolchains import NoProgram
from trial import Fix, Leak

TRY = Path(__file__).with_name("try_program.py")
ONE = next(one for one in ENTRIES if one.name == "requests_unread")
FOUND = Leak(20, {"unread_data": 20}, True, [], ["close_wait.unread_body", "runtime.python"], True, "")  # noqa: FBT003
DRAINED = Fix(0, 0.31, 20, "")


def rows_of(text: str) -> dict[str, list[str]]:
    """The table's cells by the program's name."""
    rows = [re.split(r" (?<!\\)\| ", line.strip("| ")) for line in text.splitlines() if line.startswith("| `")]
    return {row[0].strip("`"): row for row in rows}


def test_the_table_names_exactly_the_entries() -> None:
    table = rows_of(DOCUMENT.read_text(encoding="utf-8"))
    assert list(table) == [one.name for one in ENTRIES]
    assert {len(row) for row in table.values()} == {len(COLUMNS)}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda one: one.name)
def test_the_table_has_the_page_and_the_mistake_of_each(entry: Entry) -> None:
    row = dict(zip(COLUMNS, rows_of(DOCUMENT.read_text(encoding="utf-8"))[entry.name], strict=True))
    assert mistake(entry)
    assert row["mistake"] == mistake(entry)
    assert row["page of the fix"] == f"`{entry.page}`"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda one: one.name)
def test_a_library_tells_its_version(entry: Entry) -> None:
    try:
        assert re.search(r"\d+\.\d+", version_of(entry))
    except NoProgram as reason:
        pytest.skip(str(reason))


def test_a_row_that_holds() -> None:
    row = Row(ONE, "2.34.2", FOUND, DRAINED)
    assert row.holds
    cells = dict(zip(COLUMNS, rows_of(document([row]))[ONE.name], strict=True))
    assert cells["library or server"] == "requests 2.34.2"
    assert (cells["leak found"], cells["cause"], cells["cause right"]) == ("20 of 20", "`unread_data`", "yes")
    assert (cells["the report names"], cells["page of the fix"]) == ("`runtime.python`", "`library.requests`")
    assert (cells["left after the fix"], cells["fix proven"]) == ("0 of 20 after 0.3 s", "yes")


@pytest.mark.parametrize(
    ("leak", "fix"),
    [
        (FOUND._replace(found=19), DRAINED),
        (FOUND._replace(causes={"eof_read": 20}), DRAINED),
        (FOUND._replace(age_is_true=False), DRAINED),
        (FOUND._replace(finding=False), DRAINED),
        (FOUND._replace(advice=["close_wait.unread_body"]), DRAINED),
        (FOUND._replace(problem="it has ended"), DRAINED),
        (FOUND, DRAINED._replace(left=1)),
        (FOUND, DRAINED._replace(ended=19)),
        (FOUND, DRAINED._replace(problem="it has ended")),
        (FOUND, None),
    ],
)
def test_a_row_that_does_not_hold(leak: Leak, fix: Fix | None) -> None:
    row = Row(ONE, "", leak, fix, "" if fix else "failed: no line 'ready'")
    assert not row.holds
    assert "Run here: 1. Leaked and drained as told: 0." in document([row])


def test_what_cannot_be_had_is_in_the_table_with_its_reason() -> None:
    text = document([Row(ONE, "", None, None, "not run: java is not installed")])
    assert "Programs: 1. Run here: 0." in text
    assert rows_of(text)[ONE.name][4:6] == ["not run: java is not installed", "-"]


def tried(*arguments: object) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(TRY), *map(str, arguments)], check=False, capture_output=True, text=True, timeout=120
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.mark.needs_root
def test_somebodys_repair_is_judged(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(ONE.repaired.read_text(encoding="utf-8"), encoding="utf-8")
    status, said = tried(ONE.name, mine)
    assert (status, said[:26]) == (0, "Repaired: of 20 connection")
    mine.write_text(ONE.leaking.read_text(encoding="utf-8"), encoding="utf-8")
    assert tried(ONE.name, mine) == (
        1,
        "Not repaired: 20 sockets are in CLOSE_WAIT 5 s after its load; at most 0 may be.\n",
    )


@pytest.mark.needs_root
def test_a_repair_that_breaks_the_program_is_none(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text("import sys\nsys.exit('no such price')\n", encoding="utf-8")
    status, said = tried(ONE.name, mine)
    assert status == 1
    assert "did not come to the end of its load: it has ended with status 1: no such price" in said
    # One that makes no calls leaks nothing, and repairs nothing.
    mine.write_text("import threading\nprint('ready', flush=True)\nthreading.Event().wait()\n", encoding="utf-8")
    assert tried(ONE.name, mine) == (1, "Not repaired: only 0 of its 20 connections have ended after 5 s.\n")


@pytest.mark.needs_root
def test_what_cannot_be_tried_is_said(tmp_path: Path) -> None:
    status, said = tried("nothing_of_this_name", tmp_path)
    assert status == 2
    assert said.startswith("The gallery has no entry 'nothing_of_this_name'; it has ")
    assert tried(ONE.name, tmp_path / "none.py") == (2, f"There is no file {tmp_path / 'none.py'}.\n")
