# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tools that cannot live in ``.venv``: the Pythons of this machine, and virtual environments kept between runs."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "CONTROLLERS",
    "VERSIONS",
    "NoEnvironment",
    "Python",
    "cache_folder",
    "controller_pythons",
    "environment_with",
    "locked",
    "pythons",
]

VERSIONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
"""What a host or a controller may run."""
CONTROLLERS = VERSIONS[VERSIONS.index("3.11") :]
"""What a controller may run."""

_PROBE = "import ensurepip, sys, venv; print(sys.executable); sys.exit('%d.%d' % sys.version_info[:2] != sys.argv[1])"
_PROBE_S = 30
_INSTALL_S = 600


class NoEnvironment(Exception):  # noqa: N818 - what is not there, in one sentence
    """No Python of this machine can have the wanted packages."""


class Python(NamedTuple):
    """An interpreter that can make virtual environments."""

    version: str
    path: Path


def cache_folder(name: str) -> Path:
    """Return (and make) a folder that outlives the run, below ``$LASTACK_CACHE`` or the user's cache."""
    base = os.environ.get("LASTACK_CACHE")
    if not base:
        base = str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lastack")
    folder = Path(base).absolute() / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def pythons() -> list[Python]:
    """Return one working interpreter for every version that this machine has: on the PATH, or made by pyenv."""
    made = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = []
    for version in VERSIONS:
        candidates = [shutil.which(f"python{version}"), f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"]
        candidates += [str(path / "bin" / "python") for path in sorted(made.glob(f"{version}.*"))]
        paths = (_real(candidate, version) for candidate in candidates if candidate)
        path = next((path for path in paths if path), None)
        if path:
            found.append(Python(version, path))
    return found


def controller_pythons() -> list[Python]:
    """Return those on which a controller runs, oldest first."""
    return [one for one in pythons() if one.version in CONTROLLERS]


def _real(candidate: str, version: str) -> Path | None:
    """Ask the interpreter for its own path: a pyenv shim or a link is not it."""
    try:
        done = subprocess.run(
            [candidate, "-c", _PROBE, version], check=False, capture_output=True, text=True, timeout=_PROBE_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else Path(done.stdout.strip())


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: two clones may run at once."""
    with (folder / "lock").open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def environment_with(name: str, requirements: Sequence[str], candidates: Sequence[Python]) -> Path:
    """Return the ``bin`` folder of a virtual environment with exactly these requirements, made once.

    The candidates are tried in their order, because a package may refuse a Python that is too old for it.

    Raises:
        NoEnvironment: none of them could have it; the message ends with the last one's reason.
    """
    with locked(cache_folder("environments")):
        return _made(name, requirements, candidates)


def _made(name: str, requirements: Sequence[str], candidates: Sequence[Python]) -> Path:
    reason = "there is no such Python here"
    for python in candidates:
        key = hashlib.sha256("\n".join([str(python.path), *requirements]).encode()).hexdigest()[:12]
        folder = cache_folder("environments") / f"{name}-{python.version}-{key}"
        if (folder / "complete").exists():
            return folder / "bin"
        shutil.rmtree(folder, ignore_errors=True)
        install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input", *requirements]
        try:
            for command in ([str(python.path), "-m", "venv", str(folder)], install):
                subprocess.run(command, check=True, capture_output=True, text=True, timeout=_INSTALL_S)
        except subprocess.CalledProcessError as error:
            reason = (str(error.stderr).strip().splitlines() or ["it ended without a word"])[-1]
            continue
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = str(error)
            continue
        (folder / "complete").touch()
        return folder / "bin"
    tried = ", ".join(python.version for python in candidates) or "none"
    raise NoEnvironment(f"No Python of this machine (tried: {tried}) can have {' '.join(requirements)}: {reason}.")
