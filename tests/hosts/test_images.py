# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images: where packages come from, built once, kept whole or not at all; and why there are none."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import images
import lab_registry
import lab_start
import pytest


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LASTACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(images, "UID_BASE", os.getuid())
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(images, "_NEEDED", ())
    return tmp_path / "cache" / "hosts" / "images"


def fake_apt(folder: Path, monkeypatch: pytest.MonkeyPatch, lines: str) -> None:
    program = folder / "apt-get"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{lines}\nEND\n", encoding="ascii")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_packages_come_from_where_apt_gets_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LASTACK_DEBIAN_MIRROR", raising=False)
    fake_apt(
        tmp_path,
        monkeypatch,
        "http://security.invalid/debian-security trixie-security\nhttp://near.invalid/debian/ trixie\n"
        "http://near.invalid/debian trixie\nhttp://near.invalid/debian trixie-updates\nhttp://far.invalid/tools stable",
    )
    assert images.mirrors() == ["http://near.invalid/debian", "", images.ARCHIVE]
    monkeypatch.setenv("LASTACK_DEBIAN_MIRROR", "http://mine.invalid/debian")
    assert images.mirrors()[0] == "http://mine.invalid/debian"


def test_without_apt_there_is_still_a_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert images.mirrors() == ["", images.ARCHIVE]


def test_a_suite_that_left_the_mirrors_is_taken_from_the_archive(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def bootstrap(_suite: str, tree: Path, mirror: str) -> str:
        tried.append(mirror)
        tree.mkdir()
        return "" if mirror == images.ARCHIVE else "no such release"

    monkeypatch.setattr(images, "mirrors", lambda: ["http://near.invalid/debian", "", images.ARCHIVE])
    monkeypatch.setattr(images, "_bootstrap", bootstrap)
    tree = images.image("bullseye")
    assert tried == ["http://near.invalid/debian", "", images.ARCHIVE]
    assert tree.parent == cache
    assert images.image("bullseye") == tree
    assert len(tried) == 3


def test_a_suite_that_is_nowhere_says_why_and_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bootstrap(_suite: str, tree: Path, _mirror: str) -> str:
        tree.mkdir()
        (tree / "half").touch()
        return "no such release"

    monkeypatch.setattr(images, "_bootstrap", bootstrap)
    images.why_no_suite.cache_clear()
    assert images.why_no_suite("trixie") == "The image of trixie cannot be built: no such release."
    images.why_no_suite.cache_clear()
    assert [path.name for path in cache.iterdir()] == ["trixie.lock"]


def test_two_builders_build_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    together = threading.Barrier(2, timeout=20)

    def bootstrap(suite: str, tree: Path, _mirror: str) -> str:
        built.append(suite)
        tree.mkdir()
        (tree / "file").touch()
        return ""

    def build() -> None:
        together.wait()
        images.image("bookworm")

    monkeypatch.setattr(images, "_bootstrap", bootstrap)
    threads = [threading.Thread(target=build) for __ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert built == ["bookworm"]
    assert sum(path.is_dir() for path in cache.iterdir()) == 1


def test_what_a_killed_builder_left_is_removed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bootstrap(_suite: str, tree: Path, _mirror: str) -> str:
        tree.mkdir()
        return ""

    left = cache / "bookworm-0123.tmp"
    (left / "usr").mkdir(parents=True)
    monkeypatch.setattr(images, "_bootstrap", bootstrap)
    images.image("bookworm")
    assert not left.exists()


def test_another_recipe_is_another_image(monkeypatch: pytest.MonkeyPatch) -> None:
    before = images.recipe_hash("trixie")
    assert before == images.recipe_hash("trixie") != images.recipe_hash("bookworm")
    monkeypatch.setattr(images, "PACKAGES", (*images.PACKAGES, "nftables"))
    assert images.recipe_hash("trixie") != before


@pytest.mark.needs_root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")
def test_files_go_to_the_hosts_users_and_stay_setuid(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "bin").mkdir(parents=True)
    (tree / "bin" / "su").touch()
    (tree / "bin" / "su").chmod(0o4755)
    os.chown(tree / "bin", 5, 6)
    (tree / "bin" / "also").hardlink_to(tree / "bin" / "su")
    (tree / "link").symlink_to("/etc/passwd")
    images._shift(tree)
    base = images.UID_BASE
    assert ((tree / "bin").stat().st_uid, (tree / "bin").stat().st_gid) == (base + 5, base + 6)
    assert ((tree / "bin" / "su").stat().st_uid, (tree / "bin" / "su").stat().st_mode & 0o7777) == (base, 0o4755)
    assert (tree / "link").lstat().st_uid == base
    assert Path("/etc/passwd").stat().st_uid == 0


def test_why_there_are_no_hosts_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    why_not = lab_start.why_not.__wrapped__
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert why_not() == "Test hosts need root for their private namespaces."
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(lab_start.shutil, "which", lambda name: None if name in {"crun", "ssh"} else f"/bin/{name}")
    assert why_not() == "Test hosts need the packages crun, openssh-client."
    monkeypatch.setattr(lab_start.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(lab_registry, "cgroup_tree", lambda: None)
    assert why_not() == "Test hosts need cgroup v2 mounted at /sys/fs/cgroup or /sys/fs/cgroup/unified."
    monkeypatch.setattr(lab_start.sys, "platform", "darwin")
    assert why_not() == "Test hosts need Linux."
