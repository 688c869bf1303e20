# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bench of many host reports: it runs the commands of a user, and a limit that is missed is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fleet_reports import Cost, document, main, measured, tables

if TYPE_CHECKING:
    from pathlib import Path


def costs(seconds: float, cpu_s: float, peak_mib: float, diff_s: float = 1.0) -> list[Cost]:
    """What merge, report, history and diff took."""
    return [
        Cost("merge", seconds / 2, cpu_s / 2, peak_mib),
        Cost("report", seconds / 2, cpu_s / 2, peak_mib - 5),
        Cost("history", 1.0, 1.0, 10.0),
        Cost("diff", diff_s, 1.0, 10.0),
    ]


def test_kept_limits_are_said_with_what_was_measured() -> None:
    text, kept = tables({10_000: costs(20, 15, 50), 100_000: costs(200, 160, 70)})
    assert kept
    assert "| 10,000 hosts: merge and all renderers | 20.0 s | ≤ 60 s | yes |" in text
    assert "| 100,000 to 10,000 hosts: processor time of a host | 1.07 | ≤ 1.25 | yes |" in text
    assert "| 100,000 to 10,000 hosts: peak memory | 1.40 | ≤ 1.5 | yes |" in text
    assert text in document(text)


@pytest.mark.parametrize(
    ("small", "great", "missed"),
    [
        (costs(61, 15, 50), costs(200, 150, 50), "merge and all renderers"),
        (costs(20, 15, 513), costs(200, 150, 513), "their peak memory"),
        (costs(20, 15, 50, diff_s=21), costs(200, 150, 50), "hosts: diff"),
        (costs(20, 15, 50), costs(200, 200, 50), "processor time of a host"),
        (costs(20, 15, 50), costs(200, 150, 76), "to 10,000 hosts: peak memory"),
    ],
)
def test_a_missed_limit_is_said(small: list[Cost], great: list[Cost], missed: str) -> None:
    text, kept = tables({100_000: great, 10_000: small})
    assert not kept
    assert [line for line in text.splitlines() if line.endswith("| NO |")] == [
        line for line in text.splitlines() if missed in line
    ]


def test_the_bench_runs_every_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--hosts", "40", "--folder", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    for command in ("merge of the slices", "report in every form", "history add", "diff with a week later"):
        assert f"| 40 | {command} |" in said
    # What it made is gone.
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SystemExit, match=r"lastack merge: status 2 after \d+ s: lastack: .* no such directory"):
        measured("merge", "merge", str(tmp_path / "a"), str(tmp_path / "b"))
