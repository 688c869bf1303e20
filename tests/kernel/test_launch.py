# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``launch.py`` asked to end: nothing that it started lives on, no file stays, nothing is printed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import launch
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs_root


def family(mark: str) -> set[int]:
    """Return the processes whose environment carries the mark: all that one call has started."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes():
                found.add(int(path.parent.name))
        except OSError:
            continue
    return found


def wait_for(condition: object, seconds: float = 20.0) -> bool:
    """Return whether it became true in time."""
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def signals_end() -> Iterator[None]:
    """Undo what ``nohup`` and a shell's background job do: the programs under test would ignore what they ignore."""
    hangup = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGHUP, hangup)
    signal.signal(signal.SIGINT, interrupt)


@pytest.mark.usefixtures("signals_end")
@pytest.mark.parametrize("where", [[], ["--outside"]], ids=["inside", "outside"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_all_ends_with_the_launcher(tmp_path: Path, where: list[str], number: signal.Signals) -> None:
    ready, mark = tmp_path / "ready", f"LASTACK_TEST_MARK={tmp_path}"
    (tmp_path / "tmp").mkdir()
    environment = {**os.environ, "LASTACK_TEST_MARK": str(tmp_path), "TMPDIR": str(tmp_path / "tmp")}
    command = [sys.executable, launch.__file__, *where, "idle_pool:2", "missing_close:2", "--"]
    command += ["sh", "-c", f"touch '{ready}'; exec sleep 60"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as launcher:
        assert wait_for(ready.exists)
        assert len(family(mark)) > 4
        launcher.send_signal(number)
        status = launcher.wait(60)
        left = () if number != signal.SIGKILL or not where else family(mark)
        if left:
            # The command on the machine is the caller's own; only the programs are held to end.
            names = {pid: Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() for pid in left}
            for pid in (pid for pid, name in names.items() if name in ("sh", "sleep")):
                os.kill(pid, signal.SIGKILL)
        assert wait_for(lambda: not family(mark), 10), family(mark)
        assert launcher.stderr is not None
        assert launcher.stderr.read() == ""
    if number == signal.SIGKILL:
        assert status == -number
    else:
        assert status == 128 + number
        assert list((tmp_path / "tmp").iterdir()) == []
