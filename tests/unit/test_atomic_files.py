# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.atomic_files import open_atomically, write_atomically

if TYPE_CHECKING:
    from pathlib import Path


def test_content_mode_and_no_leftovers(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    mask = os.umask(0o027)
    try:
        write_atomically(path, b"one")
        write_atomically(path, b"two")
        write_atomically(tmp_path / "b", b"", mode=0o600)
    finally:
        os.umask(mask)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.json", "b"]


def test_a_link_is_replaced_and_its_target_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    (tmp_path / "link").symlink_to(target)
    write_atomically(tmp_path / "link", b"new")
    assert target.read_bytes() == b"precious"
    assert not (tmp_path / "link").is_symlink()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    write_atomically(path, b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_a_file_written_in_parts_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with open_atomically(path, mode=0o600) as file:
        file.write(b"one ")
        assert not path.exists()
        file.write(b"two")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"one two", 0o600)

    def interrupted() -> None:
        with open_atomically(path) as file:
            file.write(b"three")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"one two"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_of_several_files_the_one_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def write_both() -> None:
        with open_atomically(tmp_path / "large") as large, open_atomically(tmp_path / "small") as small:
            small.write(b"new")
            large.write(b"x" * 100_000)

    # Python ignores SIGXFSZ: a file that grows beyond the limit is an error like a full disk (setrlimit(2)).
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write_both()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.filename == str(tmp_path / "large")
    assert (tmp_path / "large").read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["large"]
