# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run every test of ``ansible-test sanity`` on a copy of this clone, and fail if one of them did not look.

The copy is needed because ansible-test wants a real folder ``ansible_collections/lastack/linux``. The tests' tools come
from PyPI in the versions that ansible-core pins, and are kept between runs. Each target Python that this machine has is
tested; those that it lacks are named.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from configparser import ConfigParser
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn, Self

from check_packages import copy_source
from tool_cache import (
    CONTROLLERS,
    VERSIONS,
    NoEnvironment,
    Python,
    cache_folder,
    controller_pythons,
    environment_with,
    locked,
    pythons,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["EMPTY", "Result", "faults", "main", "pip_settings", "read_results"]

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
LIMIT_S = 900

EMPTY = {
    # For Python 2, in older versions of ansible-core.
    "future-import-boilerplate": r"(?!)",
    "metaclass-boilerplate": r"(?!)",
    "empty-init": r"(?:plugins/modules|tests/unit)/(?:.*/)?__init__\.py",
    "pslint": r".*\.ps[dm]?1",
    "shellcheck": r".*\.sh",
}
"""Tests that have nothing to look at where no file's path is like this; every other test must have looked."""

GET_PIP = """\
# Stands in for get-pip.py, which ansible-test would download: Python's own ensurepip, then what was asked for.
import subprocess
import sys

subprocess.run([sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
wanted = [one for one in sys.argv[1:] if one not in ("--no-setuptools", "--no-wheel")]
sys.exit(subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *wanted]).returncode)
"""

_ASK = """\
import json, pathlib, re, sys
import ansible_test
root = pathlib.Path(ansible_test.__file__).parent
sys.path.insert(0, str(root / "_util" / "target" / "common"))
import constants
text = (root / "_internal" / "python_requirements.py").read_text(encoding="utf-8")
print(json.dumps({
    "pips": sorted(set(re.findall(r"pip=['\\"]([0-9.]+)['\\"]", text))),
    "targets": constants.REMOTE_ONLY_PYTHON_VERSIONS,
    "controllers": constants.CONTROLLER_PYTHON_VERSIONS,
}))
"""


class Result(NamedTuple):
    """How one test ended, on one Python where it runs on several."""

    test: str
    python: str
    """Empty where the test does not depend on the target's Python."""
    ended: str
    """``passed``, ``failed`` or ``skipped``."""


def read_results(folder: Path, tests: Iterable[str]) -> list[Result]:
    """Read the JUnit files of ansible-test; ``tests`` are the names that it lists."""
    known = sorted(tests, key=len, reverse=True)
    results = []
    for path in sorted(folder.glob("ansible-test-sanity-*.xml")):
        name = path.stem.removeprefix("ansible-test-sanity-")
        test = next((one for one in known if name == one or name.startswith(f"{one}-python-")), name)
        python = name.removeprefix(test).removeprefix("-python-")
        (case,) = ET.parse(path).iter("testcase")  # noqa: S314 - written by ansible-test a moment ago
        bad = case.find("failure") is not None or case.find("error") is not None
        ended = "failed" if bad else "skipped" if case.find("skipped") is not None else "passed"
        results.append(Result(test, python, ended))
    return results


def faults(results: Sequence[Result], tests: Iterable[str], targets: Iterable[str], names: Iterable[str]) -> list[str]:
    """Return why the run is not good, one sentence a reason.

    ``tests`` must all have looked, those that run on several Pythons on each of ``targets``; ``names`` are the files of
    the collection, which tell whether a test had anything to look at.
    """
    if not results:
        return ["ansible-test ended before the first result."]
    files = list(names)
    found = []
    for test in tests:
        mine = [one for one in results if one.test == test]
        looked = [one for one in mine if one.ended != "skipped"]
        found += [f"{_called(one)} failed." for one in looked if one.ended == "failed"]
        if not looked and not _has_nothing(test, files):
            found.append(f"{test} did not look at anything, though it should have.")
        if test in {"compile", "import"}:
            missing = sorted(set(targets) - {one.python for one in looked})
            found += [f"{test} did not run on Python {version}, which is here." for version in missing]
    return found


def _has_nothing(test: str, files: Sequence[str]) -> bool:
    return test in EMPTY and not any(re.fullmatch(EMPTY[test], name) for name in files)


def _called(one: Result) -> str:
    return f"{one.test} on Python {one.python}" if one.python else one.test


def pip_settings(listed: str, environment: Mapping[str, str]) -> str:
    """Return a pip.conf that says what ``pip config list`` and the proxy variables say.

    ansible-test gives pip neither the caller's home nor the caller's variables.
    """
    config = ConfigParser(interpolation=None)
    config["global"] = {}
    found: dict[str, str] = {}
    for line in listed.splitlines():
        match = re.fullmatch(r"(global|:env:)\.([\w-]+)=('.*'|\".*\")", line)
        # What the environment says comes after the files, and wins.
        if match:
            found[match[2]] = " ".join(str(ast.literal_eval(match[3])).split())
    for name, variables in (("proxy", ("https_proxy", "HTTPS_PROXY")), ("cert", ("REQUESTS_CA_BUNDLE",))):
        value = next((environment[one] for one in variables if environment.get(one)), None)
        if value:
            found.setdefault(name, value)
    config["global"].update({name: value for name, value in found.items() if name != "config-file"})
    lines = [f"{name} = {value}" for name, value in config["global"].items()]
    return "\n".join(["[global]", *lines, ""])


class Home:
    """The home that ansible-test gets: its tools stay there between runs, pip's settings do not."""

    def __init__(self, folder: Path) -> None:
        """Use ``folder``, which is made."""
        self.folder = folder
        self._settings = folder / ".config" / "pip" / "pip.conf"

    def __enter__(self) -> Self:
        """Write pip's settings, readable by the user only: an index may need a password."""
        self._settings.parent.mkdir(parents=True, exist_ok=True)
        listed = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"], check=False, capture_output=True, text=True, timeout=60
        )
        self._settings.unlink(missing_ok=True)
        descriptor = os.open(self._settings, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(pip_settings(listed.stdout, os.environ))
        return self

    def __exit__(self, *_what: object) -> None:
        """Forget pip's settings."""
        self._settings.unlink(missing_ok=True)

    def provide_pip(self, versions: Iterable[str]) -> None:
        """Put the stand-in where ansible-test looks before it downloads."""
        cache = self.folder / ".ansible" / "test" / "cache"
        cache.mkdir(parents=True, exist_ok=True)
        for version in versions:
            (cache / f"get_pip_{version.replace('.', '_')}.py").write_text(GET_PIP, encoding="utf-8")


def _wrap(python: Python, folder: Path) -> None:
    """Make the interpreter known by its usual name; a link would end up in the environments that outlive the run."""
    script = folder / f"python{python.version}"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(str(python.path))} "$@"\n', encoding="utf-8")
    script.chmod(0o755)


def _run(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> int:
    """Run with its output to the terminal, and end it and its children, and only those, when the time is over."""
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        return process.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        print(f"stopped after {LIMIT_S} s", flush=True)
        return 124
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def check(core: Path, wanted: Sequence[str], here: Sequence[Python], work: Path) -> list[str]:
    """Run the tests with the ansible-core whose ``bin`` folder is ``core``; return what is wrong."""
    asked = json.loads(subprocess.run([core / "python", "-c", _ASK], check=True, capture_output=True).stdout)
    # Old ansible-core has controllers older than lastack's: there, plugins cannot be imported.
    controllers = [one for one in CONTROLLERS if one in asked["controllers"]]
    possible = [one for one in VERSIONS if one in asked["targets"] or one in controllers]
    targets = [python for python in here if python.version in possible]
    absent = [one for one in possible if one not in {python.version for python in targets}]
    collection = work / "ansible_collections" / "lastack" / "linux"
    copy_source(collection)
    # The link to the clone itself is for working in the clone only.
    shutil.rmtree(collection / "collections", ignore_errors=True)
    names = [str(path.relative_to(collection)) for path in collection.rglob("*") if path.is_file()]
    programs = work / "bin"
    programs.mkdir()
    for python in targets:
        _wrap(python, programs)
    # ansible-test looks for Pythons on the PATH, so a version is used where this run found a working one.
    path = os.pathsep.join([str(programs), str(core), str(BIN), "/usr/local/bin", "/usr/bin", "/bin"])
    key = hashlib.sha256("".join(f"{core}{targets}").encode()).hexdigest()[:12]
    folder = cache_folder(f"sanity-{key}")
    with locked(folder), Home(folder) as home:
        home.provide_pip(asked["pips"])
        environment = {"HOME": str(home.folder), "PATH": path, "LC_ALL": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
        command = [str(core / "ansible-test"), "sanity"]
        listing = subprocess.run(
            [*command, "--list-tests"], check=True, cwd=collection, env=environment, capture_output=True, text=True
        )
        tests = [one for one in listing.stdout.split() if one in wanted or not wanted]
        command += ["--color", "no", "--junit", "--controller", "origin:python=default"]
        command += [word for python in targets for word in ("--target-python", python.version)]
        command += [word for one in wanted for word in ("--test", one)]
        status = _run(command, collection, environment)
    results = read_results(collection / "tests" / "output" / "junit", tests)
    found = faults(results, tests, [python.version for python in targets], names)
    if status and not found:
        found.append(f"ansible-test ended with status {status}.")
    looked = {one.test for one in results if one.ended != "skipped"}
    print(f"{len(looked)} of {len(tests)} tests looked, {len(results)} results", flush=True)
    empty = [one for one in tests if one not in looked and _has_nothing(one, names)]
    print(f"nothing to look at: {', '.join(empty) or '-'}", flush=True)
    print(f"target Pythons: {', '.join(python.version for python in targets)}; not here: {', '.join(absent) or '-'}")
    return found


def _stop(_number: int, _frame: object) -> NoReturn:
    """End as after Ctrl-C, so that what was begun is cleaned up."""
    raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> int:
    """Run the tests; return 0 if all looked and passed, else 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--core", metavar="VERSION", help="this ansible-core instead of the one in .venv")
    parser.add_argument("--test", metavar="NAME", action="append", default=[], help="only this test (may be repeated)")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _stop)
    started = time.monotonic()
    here = pythons()
    try:
        core = BIN
        if options.core:
            core = environment_with("core", [f"ansible-core=={options.core}"], controller_pythons())
        with tempfile.TemporaryDirectory(prefix="lastack-sanity-") as folder:
            found = check(core, options.test, here, Path(folder))
    except NoEnvironment as error:
        found = [str(error)]
    for fault in found:
        print(f"sanity: {fault}", flush=True)
    print(f"sanity: {'FAILED' if found else 'passed'} after {time.monotonic() - started:.0f} s", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
