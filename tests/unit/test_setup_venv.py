# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What scripts/setup-venv says at its end, with a stand-in for the interpreter that installs nothing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/setup-venv"
DONE = "Done. For its tools, now: . .venv/bin/activate"
INTERPRETER = """#!/bin/sh
case "$1 $2" in
    "-m venv") mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
esac
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    clone = tmp_path / "clone"
    (clone / "scripts").mkdir(parents=True)
    shutil.copy(SCRIPT, clone / "scripts/setup-venv")
    (clone / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    python = tmp_path / "python"
    python.write_text(INTERPRETER, encoding="utf-8")
    python.chmod(0o755)
    return clone


def set_up(clone: Path, *kind: str) -> list[str]:
    done = subprocess.run(
        [str(clone / "scripts/setup-venv"), *kind],
        env={"PATH": "/usr/bin:/bin", "PYTHON": str(clone.parent / "python")},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_who_will_work_on_it_is_told_what_comes_next(clone: Path) -> None:
    assert set_up(clone, "dev")[-1] == DONE
    assert set_up(clone, "dev") == []


def test_who_only_uses_it_is_not(clone: Path) -> None:
    assert DONE not in set_up(clone)
