# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hold CHANGELOG.rst and changelogs/changelog.yaml to the fragments; with ``--write``, make them anew.

The fragments are kept, because they grow until their release is published: antsibull-changelog makes the newest
release's entry anew from all of them, and leaves older releases as they are.
"""

from __future__ import annotations

import argparse
import datetime
import difflib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from check_packages import copy_source

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MADE", "differences", "main", "release_date"]

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
LIMIT_S = 300

MADE = ("CHANGELOG.rst", "changelogs/changelog.yaml")
"""What antsibull-changelog writes."""


def release_date(root: Path) -> str | None:
    """Return the date that the newest release has, as ``YYYY-MM-DD``; ``None`` if it has no entry yet."""
    version = str(yaml.safe_load((root / "galaxy.yml").read_text(encoding="utf-8"))["version"])
    changelog = yaml.safe_load((root / "changelogs" / "changelog.yaml").read_text(encoding="utf-8"))
    date = (changelog["releases"].get(version) or {}).get("release_date")
    return str(date) if date else None


def differences(before: Path, after: Path) -> list[str]:
    """Return the lines by which the made files of two trees differ, as a unified diff."""
    lines: list[str] = []
    for name in MADE:
        old, new = (
            path.read_text(encoding="utf-8").splitlines() if path.exists() else []
            for path in (before / name, after / name)
        )
        lines += difflib.unified_diff(old, new, name, f"{name} as the fragments make it", lineterm="")
    return lines


def _make(root: Path, date: str) -> None:
    """Lint the fragments and write the made files of the tree ``root``; raises ``CalledProcessError``."""
    # It finds ansible-doc on the PATH.
    environment = {**os.environ, "PATH": os.pathsep.join([str(BIN), os.environ.get("PATH", "")])}
    release = ["release", "--update-existing", "--refresh", "--reload-plugins", "--date", date]
    for arguments in (["lint"], release):
        subprocess.run(
            [str(BIN / "antsibull-changelog"), *arguments],
            cwd=root,
            env=environment,
            check=True,
            stdin=subprocess.DEVNULL,
            timeout=LIMIT_S,
        )


def main(arguments: Sequence[str]) -> int:
    """Compare, or write; return 0 if the files are as the fragments make them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the two files, with the date of today")
    options = parser.parse_args(arguments)
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    date = today if options.write else release_date(ROOT) or today
    with tempfile.TemporaryDirectory(prefix="lastack-changelog-") as folder:
        # A tree of its own: antsibull-changelog writes a cache beside the fragments, and asks ansible-doc.
        tree = Path(folder) / "ansible_collections" / "lastack" / "linux"
        copy_source(tree)
        shutil.rmtree(tree / "collections", ignore_errors=True)
        try:
            _make(tree, date)
        except subprocess.CalledProcessError as error:
            print(f"changelog: {' '.join(map(str, error.cmd[1:2]))} failed", flush=True)
            return 1
        changed = differences(ROOT, tree)
        if options.write:
            for name in MADE:
                shutil.copyfile(tree / name, ROOT / name)
            return 0
    print("\n".join(changed), flush=True)
    if changed:
        print("changelog: run `.venv/bin/python scripts/check_changelog.py --write`, and commit it", flush=True)
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
