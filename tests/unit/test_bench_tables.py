# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark's verdicts: a limit that is not kept must be said, and a descriptor that is read must be seen."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from descriptors_read import PATTERN, descriptors_read
from measure import Candidate, Measured, in_turns
from tables import faster_row, memory_row, ratio_rows, replaced

if TYPE_CHECKING:
    from pathlib import Path


def measured(median: float, inner: float) -> Measured:
    return Measured("a program", [median], [inner], 1024)


@pytest.mark.parametrize(
    ("ours", "limit", "what", "kept"),
    [
        (1.0, 1.0, "whole process", True),
        (1.1, 1.0, "whole process", False),
        (0.04, 1 / 25, "whole process", True),
        (0.05, 1 / 25, "whole process", False),
        (9.0, 1.6, "the count itself", True),
    ],
)
def test_limits(ours: float, limit: float, what: str, kept: bool) -> None:  # noqa: FBT001 - an expected value
    rows, verdict = ratio_rows({"a": measured(ours, 1.6), "b": measured(1.0, 1.0)}, [("a", "b", what, limit)])
    assert verdict is kept
    assert ("NO" not in rows) is kept


def test_memory_limit() -> None:
    assert memory_row(measured(1.0, 1.0), 1024) == ("| a program, peak memory | 1 MiB | ≤ 1 MiB | yes |", True)
    assert memory_row(measured(1.0, 1.0), 1023)[1] is False


@pytest.mark.parametrize(
    ("theirs", "least", "row", "kept"),
    [
        (8.0, 8, "8.0 times faster | ≥ 8 times | yes |", True),
        (7.9, 8, "7.9 times faster | ≥ 8 times | NO |", False),
        (7.96, 8, "7.9 times faster | ≥ 8 times | NO |", False),
        (0.5, None, "0.5 times faster |  |  |", True),
    ],
)
def test_times_faster(theirs: float, least: int | None, row: str, *, kept: bool) -> None:
    said, verdict = faster_row(measured(1.0, 1.0), measured(theirs, 1.0), least)
    assert said.endswith(row)
    assert verdict is kept


def test_the_page_keeps_the_parts_that_were_not_measured() -> None:
    whole = "# Benchmark\n\n<!-- sockets -->\n\n## S\n\nold\n\n<!-- baseline -->\n\n## B\n\nold\n"
    assert replaced(replaced("", "baseline", "## B\n\nold"), "sockets", "## S\n\nold\n\n") == whole
    assert replaced(replaced("", "sockets", "## S\n\nold"), "baseline", "## B\n\nold") == whole
    assert replaced(whole, "sockets", "## S\n\nnew") == whole.replace("old", "new", 1)
    assert replaced(whole, "baseline", "## B\n\nold") == whole


@pytest.mark.parametrize(
    ("line", "touched"),
    [
        ('1 openat(AT_FDCWD, "/proc/12/fd", O_RDONLY|O_DIRECTORY) = 3', True),
        ('1 readlinkat(3</proc/12/fd>, "4", "socket:[7]", 64) = 10', True),
        ('1 openat(5</proc/12>, "fd", O_RDONLY|O_DIRECTORY) = 6', True),
        ('1 readlink("/proc/12/fd/4", "socket:[7]", 64) = 10', True),
        ("os.scandir '/proc/12/fd'", True),
        ('1 openat(AT_FDCWD, "/proc/12/limits", O_RDONLY) = 3', False),
        ('1 openat(AT_FDCWD, "/proc/sys/fs/file-nr", O_RDONLY) = 3', False),
    ],
)
def test_descriptors_that_are_read_are_seen(line: str, *, touched: bool) -> None:
    assert bool(PATTERN.search(line)) is touched


def test_a_program_that_lists_descriptors_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without strace, by audit events, so that this runs everywhere."""
    monkeypatch.setattr("descriptors_read.shutil.which", lambda _name: None)
    guilty = tmp_path / "guilty.py"
    guilty.write_text("import os; os.listdir(f'/proc/{os.getpid()}/fd')", encoding="utf-8")
    innocent = tmp_path / "innocent.py"
    innocent.write_text("import os; os.stat(f'/proc/{os.getpid()}/fd')", encoding="utf-8")
    assert len(descriptors_read((str(guilty),)).lines) == 1
    assert descriptors_read((str(innocent),)).lines == []


def test_turns_and_peaks() -> None:
    command = (sys.executable, "-I", "-c", "print(0.25)")
    found = in_turns({"a": Candidate("a", command, times_itself=True), "b": Candidate("b", command, rounds=(1,))}, 3)
    assert found["a"].inner_seconds == [0.25, 0.25, 0.25]
    assert len(found["a"].seconds) == 3
    assert len(found["b"].seconds) == 1
    assert found["a"].peak_kib > 1000


def test_a_program_that_fails_ends_the_benchmark() -> None:
    with pytest.raises(SystemExit, match="status 3"):
        in_turns({"a": Candidate("a", (sys.executable, "-c", "raise SystemExit(3)"))}, 1)
