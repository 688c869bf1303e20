# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The soak's own tools: what a run left is found, a step that takes too long ends, the page names no path."""

from __future__ import annotations

import datetime
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import leftovers
import pytest
import soak
from test_all import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHILD = "import subprocess, sys; subprocess.run(['sleep', '60'], env={})"


@pytest.fixture
def _heeds_ctrl_c() -> Iterator[None]:
    """As ``main`` does: these tests, too, may run in a shell's background job, which ignores Ctrl-C."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


def test_processes_of_a_run_are_found_also_those_that_lost_its_environment() -> None:
    environment = {**os.environ, leftovers.MARK: "here"}
    with subprocess.Popen([sys.executable, "-c", CHILD], env=environment, start_new_session=True) as process:
        try:
            while "sleep" not in (found := leftovers.marked_processes("here")).values():
                assert process.poll() is None
            assert process.pid in found
            assert leftovers.marked_processes("elsewhere") == {}
        finally:
            os.killpg(process.pid, 9)


def test_files_and_changes_of_the_machine_are_found(tmp_path: Path) -> None:
    before = leftovers.Snapshot.take()._replace(mounts=frozenset(), settings=frozenset({"fs/nr_open = 1"}))
    (tmp_path / "forgotten").touch()
    left = leftovers.left_behind(before, "nothing", tmp_path, patience_s=0)
    assert "temporary file forgotten" in left
    assert "mounts: /" in left
    assert any(one.startswith("settings: fs/nr_open = ") for one in left)
    assert not any(one.startswith("process") for one in left)


@pytest.mark.usefixtures("_heeds_ctrl_c")
def test_a_step_that_takes_too_long_is_ended_as_by_ctrl_c(tmp_path: Path) -> None:
    script = "import time, pathlib, sys\ntry: time.sleep(60)\nfinally: pathlib.Path(sys.argv[1]).touch()\n"
    status = soak.Clock(minutes=1).run([sys.executable, "-c", script, str(tmp_path / "ended")], {}, limit_s=3)
    assert status == 124
    assert (tmp_path / "ended").exists()


@pytest.mark.usefixtures("_heeds_ctrl_c")
def test_no_step_starts_after_the_end() -> None:
    assert soak.Clock(minutes=0).run(["sleep", "60"], {}, limit_s=60) == 124


def test_page_has_every_step_and_no_path_of_this_machine() -> None:
    outcomes = [
        Outcome("matrix", "passed", 90, 36, 0, 1, skips={f"no {soak.ROOT}/x": 1}),
        Outcome("molecule", "FAILED", 66, reason="round 2 left process sshd"),
    ]
    page = soak.page(outcomes, 156, datetime.date(2026, 11, 23))
    assert "on 2026-11-23." in page
    assert "Controllers: ansible-core 2.16." in page
    assert "| matrix | passed | 36 | 0 | 1 | 1.5 |" in page
    assert "| molecule | FAILED | - | - | - | 1.1 |" in page
    assert "- molecule: round 2 left process sshd" in page
    assert "- matrix, skipped 1: no ./x" in page
    assert str(soak.ROOT) not in page
