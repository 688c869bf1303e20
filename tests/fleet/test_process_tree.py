# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a whole tree of processes costs, those that outlive the program too."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from process_tree import measure_tree

# A child that is nobody's any more, works for a while, and then stays.
_ORPHAN = """
import os, sys, time
if os.fork():
    os._exit(7)
os.setsid()
open(sys.argv[1], "w").write(str(os.getpid()))
kept = bytearray(64 << 20)
kept[::4096] = b"x" * (len(kept) // 4096)
while time.process_time() < 0.5:
    pass
os.rename(sys.argv[1], sys.argv[1] + ".done")
time.sleep(300)
"""
_STARTER = """
import os, subprocess, sys, time
print(subprocess.run([sys.executable, "-c", sys.argv[2], sys.argv[1]]).returncode)
deadline = time.monotonic() + 60
while not os.path.exists(sys.argv[1] + ".done") and time.monotonic() < deadline:
    time.sleep(0.1)
# Longer than the time between two samples.
time.sleep(2)
sys.exit(3)
"""


def test_what_outlives_the_program_is_counted_and_ended(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    cost = measure_tree([sys.executable, "-c", _STARTER, str(told), _ORPHAN], os.environ, tmp_path, 120)
    assert (cost.status, cost.output) == (3, "7\n")
    assert cost.cpu_s >= 0.4
    assert cost.peak_pss_kib >= 64 << 10
    assert cost.peak_rss_kib >= cost.peak_pss_kib
    assert cost.peak_processes >= 2
    told = told.with_name("pid.done")
    assert not Path(f"/proc/{told.read_text(encoding='ascii')}").exists()


def test_nothing_is_left_of_a_program_that_takes_too_long(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    with pytest.raises(TimeoutError, match="more than 1 s"):
        measure_tree(["sh", "-c", "echo $$ > pid; sleep 300"], os.environ, tmp_path, 1)
    assert not Path(f"/proc/{told.read_text(encoding='ascii').strip()}").exists()
