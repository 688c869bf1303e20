# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CONTRIBUTING, SECURITY, the licence and the code of conduct: they repeat what the code says, and are held to it."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from ansible_collections.lastack.linux.plugins.module_utils.version import VERSION
from test_all import suites

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "SECURITY.md", "docs/execution-environment.md")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def console() -> list[str]:
    (block,) = re.findall(r"```console\n(.*?)```", CONTRIBUTING, re.DOTALL)
    return [line.removeprefix("$ ").partition("  #")[0].strip() for line in block.splitlines()]


def test_how_to_run_takes_ten_lines() -> None:
    assert len(console()) == 10


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {name for line in console() for name in re.findall(r"^make ([a-z]+)", line)}
    named |= set(re.findall(r"`make ([a-z]+)`", CONTRIBUTING + SECURITY))
    assert named
    assert named - targets == set()


def test_what_ci_runs_is_told() -> None:
    run = (ROOT / ".ci/run").read_text(encoding="utf-8")
    (told,) = [line for line in CONTRIBUTING.splitlines() if line.startswith("$ bash .ci/run")]
    for target in re.findall(r"^step make ([a-z]+)", run, re.MULTILINE):
        assert f"make {target}" in told


def test_every_suite_is_told() -> None:
    told = set(re.findall(r"^\| `([a-z]+)` \|", CONTRIBUTING, re.MULTILINE))
    assert {suite.group for suite in suites()} - told == set()


def test_hosts_to_try_it_by_hand_are_told() -> None:
    (block,) = re.findall(r"```sh\n(.*?)```", CONTRIBUTING, re.DOTALL)
    commands = re.findall(r"^python tests/hosts (\w+)", block, re.MULTILINE)
    assert commands == ["up", "execute", "down"]
    known = (ROOT / "tests/hosts/__main__.py").read_text(encoding="utf-8")
    assert [name for name in commands if f'"{name}"' not in known] == []


def test_single_tests_that_are_named_exist() -> None:
    """The example picks something, and every scenario named is one."""
    examples = [re.findall(r"pytest (\S+) -k (\S+)", line) for line in console()]
    files = [(path, word) for found in examples for path, word in found if path.endswith(".py")]
    assert files
    for path, word in files:
        tests = re.findall(r"^def (test_\w+)", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
        assert [name for name in tests if word in name], (path, word)
    for scenario in re.findall(r"molecule \w+ -s (\w+)", CONTRIBUTING):
        assert (ROOT / "molecule" / scenario / "molecule.yml").is_file(), scenario


def test_fragment_of_the_example_has_a_section_that_exists() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", CONTRIBUTING, re.DOTALL)
    config = yaml.safe_load((ROOT / "changelogs/config.yaml").read_text(encoding="utf-8"))
    assert set(yaml.safe_load(example)) <= {name for name, __ in config["sections"]}


@pytest.mark.parametrize("page", PAGES)
def test_paths_exist(page: str) -> None:
    """Of links, and of paths in code spans that begin with a folder of the tree."""
    text = (ROOT / page).read_text(encoding="utf-8")
    links = {target.partition("#")[0] for target in re.findall(r"\]\(([^):]+)\)", text)}
    for target in links:
        assert ((ROOT / page).parent / target).exists(), target
    spans = re.findall(
        r"`((?:changelogs|docs|meta|molecule|plugins|scripts|tests)/[^`]*|[a-z_]+\.(?:py|txt|yml))`", text
    )
    for span in spans:
        # Words in capitals stand for a name.
        if not re.search(r"[A-Z]{2,}\.", span):
            assert (ROOT / span).exists() or (ROOT / "plugins/module_utils/diagnose" / span).exists(), span


def test_newest_version_is_supported() -> None:
    series = ".".join(VERSION.split(".")[:2])
    assert re.findall(r"^\| (\S+) \| yes \|", SECURITY, re.MULTILINE) == [f"{series}.x"]


def test_every_threat_is_held_by_tests() -> None:
    table = SECURITY.partition("## The threat model")[2]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 6
    for who, *__, held in rows:
        assert re.findall(r"`tests/\w+/test_\w+\.py`", held) or "network" in who, who


def test_reports_have_no_invented_address() -> None:
    assert not re.search(r"[\w.]+@[\w.]+|mailto:", SECURITY + CONTRIBUTING)


def test_licence_is_the_one_that_is_declared() -> None:
    """The text of the GPL as published, and every place that names the licence."""
    text = (ROOT / "LICENSE").read_bytes()
    assert hashlib.sha256(text).hexdigest() == "3972dc9744f6499f0f9b2dbf76696f2ae7ad8af9b23dde66d6af86c9dfb36986"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (project["license"], project["license-files"]) == ("GPL-3.0-or-later", ["LICENSE"])
    assert yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["license"] == ["GPL-3.0-or-later"]
    assert "GPL-3.0-or-later" in CONTRIBUTING


def test_code_of_conduct_is_linked_and_not_copied() -> None:
    text = (ROOT / "CODE_OF_CONDUCT.md").read_text(encoding="utf-8")
    assert "https://docs.ansible.com/ansible/latest/community/code_of_conduct.html" in text
    assert len(text.splitlines()) < 10
