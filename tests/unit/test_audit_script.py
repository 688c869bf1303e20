# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``scripts/audit`` around a stand-in for ansible-playbook: its folders, its exit status, what it leaves behind."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PLAYBOOK = """#!/bin/sh
printf '%s\\n' "$ANSIBLE_HOME" "$ANSIBLE_LOCAL_TEMP" "$ANSIBLE_REMOTE_TMP" >"$SEEN"
mkdir -p "$ANSIBLE_HOME" "$ANSIBLE_LOCAL_TEMP" "$ANSIBLE_REMOTE_TMP" || exit 3
run=$(echo "$LASTACK_RUNS"/*)
mkdir "$run/hosts"
echo page >"$run/report.html"
[ -n "$UNREACHABLE" ] || echo '{}' >"$run/hosts/localhost.json"
echo "what Ansible says"
"""


def audit(folder: Path, home: Path, unreachable: str = "") -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run the script in a folder that looks like a clone; return what it said and the folders that Ansible got."""
    clone, runs, temporary = folder / "clone", folder / "runs", folder / "tmp"
    (clone / "scripts").mkdir(parents=True)
    (clone / ".venv/bin").mkdir(parents=True)
    temporary.mkdir()
    shutil.copy(ROOT / "scripts/audit", clone / "scripts")
    programs = {
        "scripts/setup-venv": "#!/bin/sh\n",
        ".venv/bin/ansible-playbook": PLAYBOOK,
        ".venv/bin/lastack": '#!/bin/sh\necho "lastack $1"\n',
    }
    for name, text in programs.items():
        (clone / name).write_text(text, encoding="utf-8")
        (clone / name).chmod(0o755)
    seen = folder / "seen"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    environment |= {"HOME": str(home), "LASTACK_RUNS": str(runs), "TMPDIR": str(temporary)}
    environment |= {"SEEN": str(seen), "UNREACHABLE": unreachable}
    done = subprocess.run(
        [str(clone / "scripts/audit")], check=False, env=environment, capture_output=True, text=True, timeout=30
    )
    assert list(temporary.iterdir()) == []
    return done, seen.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("writable", [True, False], ids=["home", "no home"])
def test_ansible_never_needs_a_home(tmp_path: Path, writable: bool) -> None:  # noqa: FBT001 - a parameter
    home = tmp_path / "home"
    if writable:
        home.mkdir()
    else:
        home.write_text("no folder, not even for root", encoding="utf-8")
    done, (ansible_home, local, remote) = audit(tmp_path, home)
    assert (done.returncode, done.stdout, done.stderr) == (0, "lastack report\n", "")
    assert (ansible_home == str(home / ".ansible")) is writable
    private = str(tmp_path / "tmp")
    assert local.startswith(private)
    assert remote.startswith(private)
    assert ansible_home.startswith(private) is not writable


def test_run_folders_are_named_as_the_playbook_names_them(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    audit(tmp_path, tmp_path / "home")
    (run,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"\d{8}T\d{6}Z", run.name)


def test_no_look_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    done, __ = audit(tmp_path, tmp_path / "home", unreachable="yes")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("what Ansible says\nThis machine was not audited; ")
    assert done.stderr.count("\n") == 2
