# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of one Molecule scenario: create.yml and destroy.yml run this, ``tests/hosts`` does the work.

    python scenario_hosts.py up FOLDER
    python scenario_hosts.py down FOLDER

LASTACK_HOSTS names the hosts of the scenario, as ``NAME=SUITE`` with spaces between. LASTACK_SUITES chooses among their
suites; a suite that is chosen has to be there, one that is merely listed is left out with a sentence where its image
cannot be had. Hosts of a command that destroys them at its end (``molecule test``) end with that command, however it
ends; those of ``molecule converge`` stay until ``molecule destroy``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["available", "ends_its_hosts", "main", "wanted"]

FACTORY = Path(__file__).resolve().parent.parent / "tests" / "hosts"
NO_FACTORY = 2
COMMANDS = frozenset({"check", "cleanup", "converge", "create", "destroy", "idempotence", "prepare", "test", "verify"})
ENDING = frozenset({"check", "test"})


def wanted(hosts: str, suites: str) -> list[tuple[str, str]]:
    """Return name and suite of the hosts of a scenario whose suite is chosen; no choice chooses all."""
    pairs = [(name, suite) for name, __, suite in (word.partition("=") for word in hosts.split())]
    chosen = suites.replace(",", " ").split()
    known = sorted({suite for __, suite in pairs})
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        raise ValueError(f"LASTACK_SUITES: {unknown[0]} is none of {', '.join(known)}.")
    return [(name, suite) for name, suite in pairs if not chosen or suite in chosen]


def ends_its_hosts(arguments: list[str]) -> bool:
    """Return whether a program with these arguments is a Molecule command that destroys its hosts at its end."""
    interpreted = Path(arguments[0]).name.startswith("python") if arguments else False
    words = [word for word in arguments if not word.startswith("-")][1 if interpreted else 0 :]
    if not words or Path(words[0]).name != "molecule":
        return False
    command = next((word for word in words if word in COMMANDS), None)
    keeps = "--destroy=never" in arguments or "--destroy never" in " ".join(arguments)
    return command in ENDING and not keeps


def _owner() -> int | None:
    pid = os.getppid()
    while pid > 1:
        folder = Path(f"/proc/{pid}")
        try:
            if ends_its_hosts(os.fsdecode((folder / "cmdline").read_bytes()).split("\0")):
                return pid
            # The program's name, in brackets, may hold anything; the parent is the second field after it (proc(5)).
            pid = int((folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
        except OSError:
            return None
    return None


def _factory(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FACTORY), *arguments]
    return subprocess.run(command, check=False, text=True, capture_output=True)  # noqa: S603 # the project's own program


def available(hosts: list[tuple[str, str]], *, chosen: bool) -> list[tuple[str, str]]:
    """Return the hosts whose suite can be had, and say which suites cannot; a suite that was chosen must be there."""
    missing = set()
    for suite in dict.fromkeys(suite for __, suite in hosts):
        built = _factory("build", suite)
        if built.returncode == NO_FACTORY and not chosen:
            sys.stdout.write(f"Without {suite}: {built.stderr.strip()}\n")
            missing.add(suite)
        elif built.returncode:
            raise ValueError(built.stderr.strip() or f"{suite} could not be built.")
    left = [(name, suite) for name, suite in hosts if suite not in missing]
    if not left:
        raise ValueError("No suite of the scenario can be had.")
    return left


def _up(folder: str) -> int:
    why = _factory("why")
    if why.returncode:
        raise ValueError((why.stderr or why.stdout).strip())
    suites = os.environ.get("LASTACK_SUITES", "")
    hosts = available(wanted(os.environ.get("LASTACK_HOSTS", ""), suites), chosen=bool(suites.strip()))
    owner = _owner()
    arguments = [word for name, suite in hosts for word in ("--host", f"{name}={suite}")]
    up = _factory("up", folder, *arguments, *([] if owner is None else ["--owner", str(owner)]))
    sys.stderr.write(up.stderr)
    return up.returncode


def main(arguments: list[str]) -> int:
    """Run one command; return 0, or 2 after one sentence on standard error."""
    command, folder = arguments
    if command == "down":
        down = _factory("down", folder)
        sys.stderr.write(down.stderr)
        return down.returncode
    try:
        return _up(folder)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return NO_FACTORY


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
