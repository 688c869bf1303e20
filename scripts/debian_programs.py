# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs from Debian's archive, unpacked below the cache and not installed.

Installing ``prometheus`` would start it as a service and add a user: a test does not do that to the machine. Its
packages are fetched by ``apt-get download`` (which checks them as installing does) and unpacked by ``dpkg-deb``.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tool_cache import cache_folder, locked

__all__ = ["NoProgram", "unpacked", "unpacked_root"]

_APT_S = 300


class NoProgram(Exception):  # noqa: N818 - what is not there, in one sentence
    """This machine cannot have the program."""


def unpacked(program: str, *packages: str) -> Path:
    """Return the path of ``program``: the machine's own if it has one, else from these packages, unpacked once.

    The root of what was unpacked is the path's third parent.

    Raises:
        NoProgram: there is no apt here or the archive does not answer; the message is one sentence.
    """
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin:/sbin")
    if found:
        return Path(found)
    root = unpacked_root(program, *packages)
    paths = [root / "usr" / place / program for place in ("bin", "sbin")]
    existing = [path for path in paths if path.exists()]
    if not existing:
        raise NoProgram(f"{program} is in none of the packages {' '.join(packages)}")
    return existing[0]


def unpacked_root(what: str, *packages: str) -> Path:
    """Return the folder below which these packages are unpacked, once; ``what`` is wanted of them.

    Raises:
        NoProgram: there is no apt here or the archive does not answer; the message is one sentence.
    """
    if not all(shutil.which(one) for one in ("apt-get", "apt-cache", "dpkg-deb")):
        raise NoProgram(f"{what} is not installed, and without apt it cannot be had")
    folder = cache_folder("debian")
    with locked(folder):
        root = folder / f"{packages[0]}-{hashlib.sha256(' '.join(packages).encode()).hexdigest()[:12]}"
        if not root.exists():
            _unpack(packages, root)
    return root


def _unpack(packages: tuple[str, ...], root: Path) -> None:
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    with tempfile.TemporaryDirectory(dir=root.parent) as scratch:
        files, new = Path(scratch) / "packages", Path(scratch) / "root"
        files.mkdir()
        # Apt's own user could not write below a private home.
        download = ["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", *packages]
        try:
            if _run(download, files, environment) and not os.environ.get("LASTACK_NO_APT"):
                # A fresh machine has no lists.
                _run(["apt-get", "update", "-q"], files, environment)
                problem = _run(download, files, environment)
                if problem:
                    raise NoProgram(f"{' '.join(packages)}: {problem}")
            for file in sorted(files.glob("*.deb")):
                problem = _run(["dpkg-deb", "-x", str(file), str(new)], files, environment)
                if problem:
                    raise NoProgram(f"{file.name}: {problem}")
        except subprocess.TimeoutExpired as error:
            raise NoProgram(f"{' '.join(packages)}: the archive did not answer within {_APT_S} s") from error
        if not new.exists():
            raise NoProgram(f"{' '.join(packages)} could not be downloaded")
        new.chmod(0o755)
        new.rename(root)


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    """Run it; return the last line of its complaint, or an empty string."""
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_APT_S,
    )
    if not done.returncode:
        return ""
    return (done.stderr.strip().splitlines() or [f"{command[0]} ended with status {done.returncode}"])[-1]
