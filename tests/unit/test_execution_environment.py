# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible-builder reads of the collection, and the example that the documentation gives."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml
from ansible_collections.lastack.linux.plugins.module_utils.version import VERSION
from bindep.depends import Depends  # type: ignore[import-untyped] # it ships no types
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
BUILDER = Path(sys.executable).with_name("ansible-builder")
EXAMPLE = ROOT / "docs" / "execution-environment.yml"
PAGE = (ROOT / "docs" / "execution-environment.md").read_text(encoding="utf-8")


def requirements(lines: list[str]) -> dict[str, str]:
    parsed = [Requirement(line) for line in (line.partition("#")[0].strip() for line in lines) if line]
    return {one.name.lower(): str(one.specifier) for one in parsed}


def test_requirements_are_those_of_the_project() -> None:
    """ansible-core is not among them: the definition of the execution environment says which one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = requirements(project["dependencies"])
    assert wanted.pop("ansible-core") == ">=2.16"
    assert requirements((ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()) == wanted


def test_bindep_is_understood_on_either_family() -> None:
    depends = Depends((ROOT / "bindep.txt").read_text(encoding="utf-8"))
    for family, package in (("platform:dpkg", "openssh-client"), ("platform:rpm", "openssh-clients")):
        assert [rule[0] for rule in depends.active_rules([family])] == [package]


def make_collection(folder: Path) -> Path:
    """Lay out the files that ansible-builder reads as an installed collection."""
    collection = folder / "ansible_collections" / "lastack" / "linux"
    (collection / "meta").mkdir(parents=True)
    for name in ("galaxy.yml", "meta/execution-environment.yml", "requirements.txt", "bindep.txt"):
        (collection / name).write_bytes((ROOT / name).read_bytes())
    return collection


def test_builder_reads_what_the_collection_needs(tmp_path: Path) -> None:
    make_collection(tmp_path)
    command = [str(BUILDER), "introspect", str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    read = yaml.safe_load(done.stdout)
    wanted = requirements((ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines())
    # The builder passes over PyYAML, which ansible-core brings.
    assert requirements(read["python"]) == {name: version for name, version in wanted.items() if name != "pyyaml"}
    assert [line.split()[0] for line in read["system"]] == ["openssh-client", "openssh-clients"]


def test_example_gives_a_build_context(tmp_path: Path) -> None:
    (tmp_path / EXAMPLE.name).write_bytes(EXAMPLE.read_bytes())
    tarball = f"lastack-linux-{VERSION}.tar.gz"
    (tmp_path / tarball).write_bytes(b"stands in for the collection")
    command = [str(BUILDER), "create", "-f", EXAMPLE.name]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True, timeout=60)
    context = tmp_path / "context"
    named = yaml.safe_load((context / "_build/requirements.yml").read_text(encoding="utf-8"))["collections"]
    assert (context / "_build" / named[0]["name"]).read_bytes() == b"stands in for the collection"
    containerfile = (context / "Containerfile").read_text(encoding="utf-8")
    for wanted in ("ansible-core>=2.16", "ansible-runner", "--offline"):
        assert wanted in containerfile


def test_page_shows_the_example_as_it_is() -> None:
    shown = re.findall(r"```yaml\n(version: 3\n.*?)```", PAGE, re.DOTALL)
    assert [yaml.safe_load(one) for one in shown] == [yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))]


def test_page_names_variables_that_exist() -> None:
    used = set(re.findall(r"\btcp_audit_[a-z_]+", (ROOT / "playbooks/tcp_audit.yml").read_text(encoding="utf-8")))
    assert set(re.findall(r"\btcp_audit_[a-z_]+", PAGE)) <= used
    for project in re.findall(r"```yaml\n(# tcp-audit\.yml.*?)```", PAGE, re.DOTALL):
        assert yaml.safe_load(project) == yaml.safe_load((ROOT / "tcp-audit.yml").read_text(encoding="utf-8"))
