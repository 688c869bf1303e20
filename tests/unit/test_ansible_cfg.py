# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example of an ansible.cfg: Ansible knows every key of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "ansible.cfg"


def validate(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("ansible-config")), "validate", "-t", "all"],
        env={**os.environ, "ANSIBLE_CONFIG": str(path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_ansible_knows_every_key_of_the_example(tmp_path: Path) -> None:
    assert validate(EXAMPLE).returncode == 0
    wrong = tmp_path / "ansible.cfg"
    wrong.write_text(EXAMPLE.read_text(encoding="utf-8").replace("forks =", "forkz ="), encoding="utf-8")
    said = validate(wrong)
    assert said.returncode != 0
    assert "forkz" in said.stdout + said.stderr
