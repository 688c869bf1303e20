# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of a publishable collection: what they take for a fault, and what they keep between runs."""

from __future__ import annotations

import subprocess
import sys
from configparser import ConfigParser
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

import check_changelog
import check_galaxy
import check_sanity
import pytest
import tool_cache
from check_sanity import Result

if TYPE_CHECKING:
    from pathlib import Path

TARGETS = ("3.9", "3.11")
TESTS = ("compile", "import", "pep8", "pslint", "shellcheck")
GOOD = [
    *(Result(test, python, "passed") for test in ("compile", "import") for python in TARGETS),
    Result("pep8", "", "passed"),
    Result("pslint", "3.11", "skipped"),
    Result("shellcheck", "", "passed"),
]
FILES = ["plugins/modules/one.py", "tests/hosts/two.sh"]


def junit(folder: Path, name: str, inside: str) -> None:
    text = f"<testsuites><testsuite><testcase name={quoteattr(name)}>{inside}</testcase></testsuite></testsuites>"
    (folder / f"ansible-test-sanity-{name}.xml").write_text(text, encoding="utf-8")


def test_results_are_read_as_ansible_test_writes_them(tmp_path: Path) -> None:
    junit(tmp_path, "import-python-3.9", "")
    junit(tmp_path, "pep8", "<failure>2 errors</failure>")
    junit(tmp_path, "pslint-python-3.11", '<skipped message="No tests applicable."/>')
    assert check_sanity.read_results(tmp_path, TESTS) == [
        Result("import", "3.9", "passed"),
        Result("pep8", "", "failed"),
        Result("pslint", "3.11", "skipped"),
    ]


def test_a_good_run_has_no_fault() -> None:
    assert check_sanity.faults(GOOD, TESTS, TARGETS, FILES) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (Result("pep8", "", "passed"), Result("pep8", "", "failed"), "pep8 failed."),
        (Result("import", "3.9", "passed"), Result("import", "3.9", "failed"), "import on Python 3.9 failed."),
        (Result("pep8", "", "passed"), None, "pep8 did not look at anything, though it should have."),
        (
            Result("shellcheck", "", "passed"),
            Result("shellcheck", "3.11", "skipped"),
            "shellcheck did not look at anything, though it should have.",
        ),
        (
            Result("import", "3.9", "passed"),
            Result("import", "3.9", "skipped"),
            "import did not run on Python 3.9, which is here.",
        ),
        (Result("compile", "3.11", "passed"), None, "compile did not run on Python 3.11, which is here."),
    ],
)
def test_what_did_not_look_is_a_fault(old: Result, new: Result | None, fault: str) -> None:
    results = [one if one != old else new for one in GOOD]
    assert check_sanity.faults([one for one in results if one], TESTS, TARGETS, FILES) == [fault]


def test_a_test_without_anything_to_look_at_is_none() -> None:
    results = [one for one in GOOD if one.test != "shellcheck"]
    assert check_sanity.faults(results, TESTS, TARGETS, ["plugins/modules/one.py"]) == []


def test_no_result_at_all_is_one_fault() -> None:
    assert check_sanity.faults([], TESTS, TARGETS, FILES) == ["ansible-test ended before the first result."]


def test_pip_is_told_in_a_file_what_it_was_told_here() -> None:
    listed = (
        "global.cert='/etc/ca.crt'\nglobal.find-links='/one\\n/two'\n:env:.find-links='/three'\ninstall.user='no'\n"
    )
    config = ConfigParser(interpolation=None)
    config.read_string(check_sanity.pip_settings(listed, {"HTTPS_PROXY": "http://proxy.invalid:3128/%20"}))
    assert dict(config["global"]) == {
        "cert": "/etc/ca.crt",
        "find-links": "/three",
        "proxy": "http://proxy.invalid:3128/%20",
    }


def test_pip_settings_are_private_and_do_not_stay(tmp_path: Path) -> None:
    with check_sanity.Home(tmp_path / "home") as home:
        path = tmp_path / "home" / ".config" / "pip" / "pip.conf"
        assert path.stat().st_mode & 0o777 == 0o600
        home.provide_pip(["24.2"])
    assert not path.exists()
    assert (tmp_path / "home" / ".ansible" / "test" / "cache" / "get_pip_24_2.py").exists()


def test_the_stand_in_for_get_pip_is_python() -> None:
    compile(check_sanity.GET_PIP, "get_pip.py", "exec")


def test_the_pythons_are_real_and_of_their_version() -> None:
    found = {one.version: one.path for one in tool_cache.pythons()}
    ours = "{}.{}".format(*sys.version_info[:2])
    assert ours in found
    for version, path in found.items():
        told = subprocess.run([path, "--version"], check=True, capture_output=True, text=True, timeout=60).stdout
        assert told.startswith(f"Python {version}.")


def test_a_program_that_is_no_python_is_not_taken(tmp_path: Path) -> None:
    for name, text in (("fails", "exit 127"), ("other", "echo /usr/bin/python3.8; exit 1")):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        program.chmod(0o755)
        assert tool_cache._real(str(program), "3.9") is None
    assert tool_cache._real(str(tmp_path / "absent"), "3.9") is None


def test_an_environment_that_cannot_be_had_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LASTACK_CACHE", str(tmp_path))
    with pytest.raises(tool_cache.NoEnvironment, match=r"tried: 3\.9\) can have nothing==1: .*absent"):
        tool_cache.environment_with("x", ["nothing==1"], [tool_cache.Python("3.9", tmp_path / "absent")])


def test_the_cache_is_where_the_user_wants_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LASTACK_CACHE", str(tmp_path / "a"))
    assert tool_cache.cache_folder("x") == tmp_path / "a" / "x"
    monkeypatch.delenv("LASTACK_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert tool_cache.cache_folder("x") == tmp_path / "b" / "lastack" / "x"


@pytest.mark.parametrize(
    ("log", "status", "number"),
    [
        ("Loading\nImporter processing completed successfully\n", 0, 0),
        ("WARNING: no changelog\nImporter processing completed successfully\n", 0, 1),
        ("ERROR: The import failed\n", 1, 2),
        ("Loading\n", 0, 1),
    ],
)
def test_what_the_importer_says_is_a_fault(log: str, status: int, number: int) -> None:
    assert len(check_galaxy.complaints(log, status)) == number


def tree(root: Path, date: str | None) -> Path:
    (root / "changelogs").mkdir(parents=True)
    (root / "galaxy.yml").write_text("version: 1.2.3\n", encoding="utf-8")
    entry = f"{{1.2.3: {{release_date: '{date}'}}}}" if date else "{}"
    (root / "changelogs" / "changelog.yaml").write_text(f"releases: {entry}\n", encoding="utf-8")
    return root


@pytest.mark.parametrize("date", ["2026-01-02", None])
def test_the_date_is_that_of_the_newest_release(tmp_path: Path, date: str | None) -> None:
    assert check_changelog.release_date(tree(tmp_path, date)) == date


def test_a_changelog_that_was_not_made_is_shown(tmp_path: Path) -> None:
    before, after = tree(tmp_path / "before", "2026-01-02"), tree(tmp_path / "after", "2026-01-02")
    assert check_changelog.differences(before, after) == []
    (after / "CHANGELOG.rst").write_text("Release notes\n", encoding="utf-8")
    assert "+Release notes" in check_changelog.differences(before, after)
