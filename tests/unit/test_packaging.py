# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user gets: the wheel, the collection's tarball, and the virtual environment that ``make`` sets up."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import hatchling.build
import pytest
import yaml
from ansible_collections.lastack.linux.plugins.module_utils.version import VERSION
from archives import ALLOWED, PREFIX, Member, faults, read_archive
from check_packages import metadata_faults
from test_all import Outcome, judge, read_failures, read_junit, suites, table

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("agent", "meta", "playbooks", "plugins", "roles", "sweep")
LISTS = {"bindep.txt", "requirements.txt"}
"""What meta/execution-environment.yml names."""


def shipped_files() -> set[str]:
    """Return the files that every package must hold, as paths below the root."""
    found = (path for folder in SHIPPED for path in (ROOT / folder).rglob("*") if path.is_file())
    return {str(path.relative_to(ROOT)) for path in found if path.suffix != ".pyc"}


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Member]:
    return built_by_hatchling(tmp_path_factory.mktemp("wheel"), "build_wheel")


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Member]:
    return built_by_hatchling(tmp_path_factory.mktemp("sdist"), "build_sdist")


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Member]:
    folder = tmp_path_factory.mktemp("collection")
    command = [str(Path(sys.executable).with_name("ansible-galaxy")), "collection", "build", "--output-path"]
    environment = {**os.environ, "ANSIBLE_HOME": str(folder / "home")}
    subprocess.run([*command, str(folder)], check=True, cwd=ROOT, env=environment, capture_output=True, timeout=120)
    return read_archive(folder / f"lastack-linux-{VERSION}.tar.gz")


def built_by_hatchling(folder: Path, hook: str) -> dict[str, Member]:
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        name = getattr(hatchling.build, hook)(str(folder))
    finally:
        os.chdir(before)
    return read_archive(folder / name)


def test_versions_agree() -> None:
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))
    assert galaxy["version"] == VERSION


def test_same_builder_everywhere() -> None:
    project = pyproject()
    assert project["build-system"]["requires"][0] in project["project"]["optional-dependencies"]["dev"]


def test_every_test_tool_is_pinned() -> None:
    for requirement in pyproject()["project"]["optional-dependencies"]["dev"]:
        assert "==" in requirement


def test_wheel_holds_the_collection(wheel: dict[str, Member]) -> None:
    ours = {name.removeprefix(PREFIX) for name in wheel if name.startswith(PREFIX)}
    assert shipped_files() <= ours
    assert ours - shipped_files() == {"galaxy.yml"} | LISTS


def test_wheel_holds_nothing_else(wheel: dict[str, Member]) -> None:
    information = f"lastack-{VERSION}.dist-info/"
    assert [name for name in wheel if not name.startswith((PREFIX, information))] == []
    assert f"{information}licenses/LICENSE" in wheel
    entry = wheel[f"{information}entry_points.txt"].content.decode()
    assert "lastack = ansible_collections.lastack.linux.plugins.plugin_utils.cli.main:main" in entry
    assert f"Version: {VERSION}\n" in wheel[f"{information}METADATA"].content.decode()


def test_wheel_has_metadata_that_an_index_takes(wheel: dict[str, Member]) -> None:
    assert metadata_faults(wheel) == []


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (b"License-Expression: GPL-3.0-or-later", b"License-Expression: GPL3 or so", "license"),
        (b"Requires-Python: >=3.11", b"Requires-Python: newer", "requires-python"),
        (b"License-File: LICENSE", b"License-File: COPYING", "the licence file COPYING is named, but not there"),
        (b"text/markdown", b"text/plain", "the description is not said to be Markdown"),
    ],
)
def test_bad_metadata_is_said(wheel: dict[str, Member], old: bytes, new: bytes, sentence: str) -> None:
    name = f"lastack-{VERSION}.dist-info/METADATA"
    assert old in wheel[name].content
    bad = {**wheel, name: Member("file", wheel[name].content.replace(old, new, 1))}
    (found,) = metadata_faults(bad)
    assert sentence in found


def test_sdist_holds_what_builds_the_wheel(sdist: dict[str, Member]) -> None:
    folder = f"lastack-{VERSION}/"
    held = {name.removeprefix(folder) for name in sdist}
    assert shipped_files() | LISTS | {"LICENSE", "README.md", "galaxy.yml", "pyproject.toml"} <= held


def test_collection_holds_what_is_used(collection: dict[str, Member]) -> None:
    assert shipped_files() | LISTS | {"README.md", "LICENSE", "MANIFEST.json", "FILES.json"} <= set(collection)


@pytest.mark.parametrize("package", list(ALLOWED))
def test_packages_hold_nothing_of_the_clone_or_the_machine(package: str, request: pytest.FixtureRequest) -> None:
    """No test, cache, link, key, token, home, and no path of the builder."""
    assert faults(package, request.getfixturevalue(package), [str(ROOT)]) == []


def test_editable_installs_link_and_never_copy() -> None:
    """A copied file would win over the clone's newer one (harness.md)."""
    build = pyproject()["tool"]["hatch"]["build"]
    assert build["dev-mode-dirs"] == ["collections"]
    assert "force-include" not in build
    assert "force-include" not in build["targets"]["wheel"]
    assert (ROOT / "collections" / PREFIX.removesuffix("/")).resolve() == ROOT


# The suites.


def test_every_test_folder_has_a_suite() -> None:
    paths = {path for suite in suites() for path in suite.paths}
    folders = {f"tests/{path.parent.name}" for path in (ROOT / "tests").glob("*/test_*.py")}
    assert folders <= paths


@pytest.mark.parametrize(
    ("status", "passed", "failed", "expected"),
    [
        (0, 3, 0, "passed"),
        (5, 0, 0, "DID NOT RUN"),
        (0, 0, 0, "DID NOT RUN"),
        (1, 3, 1, "FAILED"),
        (2, 0, 0, "FAILED"),
        (124, 3, 0, "FAILED"),
    ],
)
def test_a_suite_without_tests_is_no_success(status: int, passed: int, failed: int, expected: str) -> None:
    assert judge(status, passed, failed) == expected


def test_junit_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    path.write_text(
        '<testsuites><testsuite><testcase name="a"/><testcase name="b"><failure/></testcase>'
        '<testcase name="c"><skipped message="no node"/></testcase><testcase name="d"><error/></testcase>'
        '<testcase name="e"><skipped message="no node"/></testcase></testsuite></testsuites>',
        encoding="utf-8",
    )
    assert read_junit(path) == (1, 2, 2, {"no node": 2})


def test_the_closing_table_names_each_failed_test_and_what_it_said(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    path.write_text(
        '<testsuites><testsuite><testcase classname="tests.x" name="good"/><testcase classname="tests.x" name="bad">'
        '<failure message="assert 1 == 2">def test_bad():\n&gt; assert one == two\nE assert 1 == 2</failure></testcase>'
        "</testsuite></testsuites>",
        encoding="utf-8",
    )
    failures = read_failures(path)
    assert list(failures) == ["tests.x::bad"]
    shown = table([Outcome("x", "FAILED", 1.0, 1, 1, 0, "pytest ended with status 1", {}, failures)])
    assert "FAILED tests.x::bad" in shown
    assert "E assert 1 == 2" in shown


# The virtual environment. A stand-in for Python says what a machine's own would; nothing is installed.


def set_up(folder: Path, python: str, *, apt_get: bool) -> subprocess.CompletedProcess[str]:
    """Run ``scripts/setup-venv`` of a copy of the clone with a stand-in for Python, as a user who is not root."""
    (folder / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "setup-venv", folder / "scripts")
    shutil.copy(ROOT / "pyproject.toml", folder)
    programs = folder / "bin"
    programs.mkdir()
    for name in ("sh", "dirname", "cksum", "cat", "sed", "rm", "mkdir", "mv", "tail"):
        (programs / name).symlink_to(shutil.which(name) or name)
    for name, text in {"id": "echo 1000", "python3": python, **({"apt-get": "exit 9"} if apt_get else {})}.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (programs / name).chmod(0o755)
    environment = {"PATH": str(programs)}
    return subprocess.run(
        [str(folder / "scripts" / "setup-venv")],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )


NO_ENSUREPIP = f"""case "$2" in *ensurepip*) exit 1;; esac
exec {sys.executable} "$@\""""
TOO_OLD = """case "$2" in *version_info*) exit 1;; *) echo 3.9.2;; esac"""


def test_no_ensurepip_on_debian_names_the_package(tmp_path: Path) -> None:
    done = set_up(tmp_path / "clone", NO_ENSUREPIP, apt_get=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "sudo apt-get install python3-venv" in done.stderr
    assert not (tmp_path / "clone" / ".venv").exists()


def test_no_ensurepip_elsewhere_names_the_way_out(tmp_path: Path) -> None:
    done = set_up(tmp_path / "clone", NO_ENSUREPIP, apt_get=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "PYTHON=" in done.stderr


def test_an_old_python_is_one_sentence(tmp_path: Path) -> None:
    done = set_up(tmp_path / "clone", TOO_OLD, apt_get=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Python 3.11 or newer" in done.stderr
    assert "3.9.2" in done.stderr


def test_an_interrupted_set_up_is_made_anew(tmp_path: Path) -> None:
    """The state says ``unfinished`` until pip has ended well; such an environment is thrown away."""
    failing_pip = f"""case "$2" in venv) mkdir -p "$3/bin"; printf '#!/bin/sh\\nexit 1\\n' >"$3/bin/python";
/bin/chmod +x "$3/bin/python"; exit 0;; *ensurepip*) exit 0;; esac
exec {sys.executable} "$@\""""
    clone = tmp_path / "clone"
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "lastack-setup").write_text("unfinished\n", encoding="utf-8")
    (clone / ".venv" / "half-made").touch()
    done = set_up(clone, failing_pip, apt_get=False)
    assert done.returncode == 2
    assert "pip could not install" in done.stderr
    assert not (clone / ".venv" / "half-made").exists()
    assert (clone / ".venv" / "lastack-setup").read_text(encoding="utf-8") == "unfinished\n"
