# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""This machine's loaders on the resolver's own trees; tests/hosts does the same on each distribution."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from loaded_sysctls import CASES, PROGRAM, expected, question

if TYPE_CHECKING:
    from loaded_sysctls import Case

pytestmark = pytest.mark.needs_root


@pytest.mark.parametrize("loader", ["boot", "reload"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_loader_writes_what_the_resolver_says(case: Case, loader: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", str(PROGRAM)],
        input=json.dumps(question(loader, [case])),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    answer = json.loads(done.stdout)
    if "missing" in answer:
        pytest.skip(answer["missing"])
    sysctl = Path(shutil.which("sysctl", path="/usr/sbin:/sbin") or "/dev/null").read_bytes()
    assert answer["runs"][0]["written"] == expected(case, loader, tmp_path, sysctl), answer["runs"][0]["log"]
