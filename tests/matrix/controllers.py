# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases of ansible-core that lastack is held to, each by itself in a folder of the cache.

A folder holds ansible-core and what it needs, nothing else: no pip, no jsonschema, no lastack. It is made once under a
lock, is named after all that it was made of, and counts only when its last file, ``complete``, is there.

    .venv/bin/python tests/matrix/controllers.py [2.16 ...]      make them now; prints their folders
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CONTROLLERS", "Controller", "cache_folder", "main", "prepare"]

# Raised when a folder is made in another way: older ones are then made anew.
_RECIPE = "1"
_PIP_LIMIT_S = 600
_COMMON = (
    "Jinja2==3.1.6",
    "MarkupSafe==3.0.4",
    "PyYAML==6.0.3",
    "cffi==2.1.1",
    "cryptography==50.0.2",
    "packaging==26.3",
    "pycparser==3.12",
)
_OLD_RESOLVELIB = "resolvelib==1.0.1"
_NEW_RESOLVELIB = "resolvelib==1.2.1"


class Controller(NamedTuple):
    """One release of ansible-core, where it runs, and in which tier."""

    core: str
    """The release series, as ``2.16``."""
    pins: tuple[str, ...]
    pythons: tuple[str, ...]
    """Versions of Python that this ansible-core supports on a controller, of those that Debian or the tests have."""
    in_host: bool = False
    """Whether it runs inside a host of the lab, on Debian 13 with Python 3.13; else on this machine."""
    gate: bool = True
    """Whether the gate runs it; the soak tier runs all."""

    @property
    def name(self) -> str:
        """The first half of a test's id, as ``core-2.16``."""
        return f"core-{self.core}"

    def why_not(self) -> str:
        """Return why this controller cannot run here; empty if it can."""
        own = _own_python()
        if self.in_host or own in self.pythons:
            return ""
        return f"ansible-core {self.core} runs on Python {' or '.join(self.pythons)}, and the tests' is {own}"


# Controllers that need a newer Python than the 3.11 of Debian 12 run in a Debian 13 host of the lab.
CONTROLLERS = (
    Controller("2.16", ("ansible-core==2.16.19", _OLD_RESOLVELIB, *_COMMON), ("3.11", "3.12")),
    Controller("2.17", ("ansible-core==2.17.14", _OLD_RESOLVELIB, *_COMMON), ("3.11", "3.12"), gate=False),
    Controller("2.18", ("ansible-core==2.18.19", _OLD_RESOLVELIB, *_COMMON), ("3.11", "3.12", "3.13")),
    Controller("2.19", ("ansible-core==2.19.14", _NEW_RESOLVELIB, *_COMMON), ("3.11", "3.12", "3.13")),
    Controller("2.20", ("ansible-core==2.20.10", _NEW_RESOLVELIB, *_COMMON), ("3.13",), in_host=True, gate=False),
    Controller("2.21", ("ansible-core==2.21.5", _NEW_RESOLVELIB, *_COMMON), ("3.13",), in_host=True),
)
"""Oldest first: the first is what ``requires_ansible`` promises, the last is the newest that there is."""


def _own_python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def cache_folder() -> Path:
    """Return the folder below which controllers are kept from run to run."""
    base = os.environ.get("LASTACK_CACHE")
    if base:
        return Path(base) / "controllers"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lastack" / "controllers"


def prepare(controller: Controller) -> Path:
    """Return the controller's folder, made first if the cache does not have it.

    For this machine the folder is a virtual environment; for a host of the lab it holds the unpacked packages, and a
    virtual environment is made round them there.

    Raises:
        RuntimeError: pip could not install it; the message has the end of what it said.
    """
    place = "3.13 in a host" if controller.in_host else f"{platform.python_version()} of {sys.base_prefix}"
    made_of = "\n".join([_RECIPE, place, platform.machine(), *controller.pins])
    folder = cache_folder() / f"{controller.name}-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        # Two runs must not make one folder at once: the second waits and then finds it made.
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = folder / "complete"
        if not stamp.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            _install(controller, folder)
            stamp.touch()
    return folder


def _install(controller: Controller, folder: Path) -> None:
    pip = [sys.executable, "-m", "pip"]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--only-binary=:all:", "--no-deps", "--no-compile"]
    if controller.in_host:
        target = ["--target", str(folder), "--python-version", "3.13", "--implementation", "cp"]
        # pip 23 compares Requires-Python with its own Python, whatever the target.
        command = [*pip, "install", *quiet, "--ignore-requires-python", *target, *controller.pins]
    else:
        venv.create(folder, with_pip=False, symlinks=True)
        command = [*pip, "--python", str(folder / "bin" / "python"), "install", *quiet, *controller.pins]
    # What the caller's shell says about Python is not for this environment.
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_PIP_LIMIT_S,
    )
    if done.returncode:
        raise RuntimeError(f"pip could not install {controller.pins[0]}: {done.stderr.strip()[-1500:]}")


def _chosen(names: list[str]) -> Iterator[Controller]:
    known = {controller.core: controller for controller in CONTROLLERS}
    for name in names or known:
        if name not in known:
            raise SystemExit(f"There is no controller {name}: known are {', '.join(known)}.")
        yield known[name]


def main(names: list[str]) -> int:
    """Make the controllers with these release series, or all of them, and print where they are."""
    for controller in _chosen(names):
        reason = controller.why_not()
        sys.stdout.write(f"{controller.name}: {reason or prepare(controller)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
