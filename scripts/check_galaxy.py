# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the collection and import it as Galaxy does, with Galaxy's own importer; what it warns about is a failure."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from check_packages import build, copy_source, own_environment
from tool_cache import NoEnvironment, controller_pythons, environment_with

__all__ = ["complaints", "main"]

REQUIREMENTS = ("ansible-core==2.19.14", "ansible-lint==26.10.1", "galaxy-importer==0.4.44")
LIMIT_S = 300

SETTINGS = {"CHECK_CHANGELOG": "yes", "CHECK_REQUIRED_TAGS": "yes", "OFFLINE_ANSIBLE_LINT": "yes", "RUN_FLAKE8": "no"}
"""The importer's own; ruff checks what flake8 would."""

_FINISHED = "Importer processing completed successfully"


def complaints(log: str, status: int) -> list[str]:
    """Return the importer's warnings and errors, and one line more where it did not come to its end."""
    found = [line for line in log.splitlines() if line.startswith(("WARNING:", "ERROR:", "CRITICAL:"))]
    if status or _FINISHED not in log:
        found.append(f"The importer ended with status {status} before its end.")
    return found


def main() -> int:
    """Import the collection; return 0 if the importer has nothing to say."""
    with tempfile.TemporaryDirectory(prefix="lastack-galaxy-") as folder:
        work = Path(folder)
        copy_source(work / "source")
        shutil.rmtree(work / "source" / "collections", ignore_errors=True)
        (work / "built").mkdir()
        environment = own_environment(work)
        tarball = build("collection", work / "source", work / "built", environment)
        try:
            # The importer wants older packages than the other tools.
            programs = environment_with("galaxy", REQUIREMENTS, controller_pythons())
        except NoEnvironment as error:
            print(f"galaxy: {error}")
            return 1
        environment |= {f"GALAXY_IMPORTER_{name}": value for name, value in SETTINGS.items()}
        environment |= {"HOME": str(work), "PATH": os.pathsep.join([str(programs), os.environ.get("PATH", "")])}
        done = subprocess.run(
            [programs / "python", "-m", "galaxy_importer.main", str(tarball)],
            check=False,
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
        )
        found = complaints(done.stdout, done.returncode)
        if found:
            print(done.stdout)
        else:
            result = json.loads((work / "importer_result.json").read_text(encoding="utf-8"))
            kinds = Counter(one["content_type"] for one in result["contents"])
            contents = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
            print(f"galaxy: {result['metadata']['version']} for ansible-core {result['requires_ansible']}: {contents}")
    for one in found:
        print(f"galaxy: {one}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
