# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""npm packages of the gallery, by exact version and content: fetched by npm into the cache, no script of theirs run."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from debian_programs import NoProgram
from tool_cache import cache_folder, locked

__all__ = ["node_modules"]

_FETCH_S = 120


def node_modules(name: str, version: str, integrity: str) -> Path:
    """Return a ``node_modules`` folder with this package alone, unpacked once; ``NODE_PATH`` may name it.

    Args:
        name: of a package without dependencies.
        version: the exact one.
        integrity: ``sha512-`` and the digest in base64, as ``npm view NAME@VERSION dist.integrity`` says it.

    Raises:
        NoProgram: npm is not there, its registry does not answer, or the content is another one.
    """
    folder = cache_folder("npm")
    modules = folder / f"{name}-{version}" / "node_modules"
    with locked(folder):
        if not modules.exists():
            _fetch(name, version, integrity, modules)
    return modules


def _fetch(name: str, version: str, integrity: str, modules: Path) -> None:
    if shutil.which("npm") is None:
        raise NoProgram("npm is not installed")
    with tempfile.TemporaryDirectory(dir=modules.parents[1]) as scratch:
        command = ["npm", "pack", "--ignore-scripts", "--pack-destination", scratch, f"{name}@{version}"]
        try:
            done = subprocess.run(
                command, check=False, cwd=scratch, capture_output=True, text=True, errors="replace", timeout=_FETCH_S
            )
        except subprocess.TimeoutExpired as error:
            raise NoProgram(f"{name}@{version}: npm did not answer within {_FETCH_S} s") from error
        archives = sorted(Path(scratch).glob("*.tgz"))
        if done.returncode or len(archives) != 1:
            raise NoProgram(f"{name}@{version}: {(done.stderr.strip().splitlines() or ['npm brought nothing'])[-1]}")
        found = base64.b64encode(hashlib.sha512(archives[0].read_bytes()).digest()).decode("ascii")
        if integrity != f"sha512-{found}":
            raise NoProgram(f"{name}@{version} is not the package that the gallery knows: sha512-{found}")
        made = Path(scratch) / "made" / "node_modules"
        made.mkdir(parents=True)
        with tarfile.open(archives[0]) as archive:
            archive.extractall(scratch, filter="data")
        (Path(scratch) / "package").rename(made / name)
        made.parent.rename(modules.parent)
