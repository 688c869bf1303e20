# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptor use of fixture trees and of the real system."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe import descriptors
from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline
from ansible_collections.lastack.linux.plugins.module_utils.observe.descriptors import (
    read_descriptor_use,
    read_system_descriptors,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import DescriptorUse
from process_trees import add_process, add_self


def links(count: int) -> dict[int, str]:
    return dict.fromkeys(range(count), "/dev/null")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    add_self(tmp_path)
    return tmp_path


def test_the_largest_share_comes_first(proc: Path) -> None:
    add_process(proc, 10, comm=b"many", links=links(50), soft=1000)
    add_process(proc, 11, comm=b"near", links=links(9), soft=10, hard=20)
    add_process(proc, 12, comm=b"free", links=links(60), soft="unlimited", hard="unlimited")
    add_process(proc, 13, comm=b"kthread", links={})
    uses, unseen = read_descriptor_use(proc=str(proc))
    assert uses == [
        DescriptorUse(11, "near", 9, 10, 20),
        DescriptorUse(10, "many", 50, 1000, 4096),
        DescriptorUse(12, "free", 60, -1, -1),
    ]
    assert unseen == []
    assert read_descriptor_use(proc=str(proc), top=1)[0] == uses[:1]


def test_a_limit_of_nothing(proc: Path) -> None:
    add_process(proc, 10, links=links(2), soft=0, hard=0)
    assert read_descriptor_use(proc=str(proc))[0] == [DescriptorUse(10, "server", 2, 0, 0)]


def test_the_size_of_the_folder_serves_where_the_kernel_has_it(proc: Path) -> None:
    (proc / "self/fd").mkdir()
    add_process(proc, 10, links=links(3))
    # On this file system a folder's size is something else than its entries, which shows which was read.
    size = (proc / "10/fd").stat().st_size
    assert size not in (0, 3)
    assert [use.open for use in read_descriptor_use(proc=str(proc))[0] if use.pid == 10] == [size]


@pytest.mark.parametrize("missing", ["fd", "limits"])
def test_a_process_that_vanishes_is_no_error(proc: Path, missing: str) -> None:
    folder = add_process(proc, 10, links=links(3))
    target = folder / missing
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink()
    assert read_descriptor_use(proc=str(proc)) == ([], [])


def test_denied_processes_are_counted(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_process(proc, 10, links=links(3))
    add_process(proc, 11, links=links(3))

    def deny(pid: int, *, proc: str, has_size: bool) -> int:
        if pid == 10:
            raise PermissionError(1, "Operation not permitted")
        return len(os.listdir(f"{proc}/{pid}/fd")) + has_size  # noqa: PTH208 - as the original

    monkeypatch.setattr(descriptors, "measure_descriptors", deny)
    uses, unseen = read_descriptor_use(proc=str(proc))
    assert [use.pid for use in uses] == [11]
    assert [(each.code, each.occurrences) for each in unseen] == [("descriptors_denied", 1)]


def test_hidden_processes_are_said(proc: Path) -> None:
    shutil.rmtree(proc / "1")
    assert [each.code for each in read_descriptor_use(proc=str(proc))[1]] == ["processes_hidden"]


def test_what_the_deadline_cut_is_said(proc: Path) -> None:
    add_process(proc, 10, links=links(3))
    uses, unseen = read_descriptor_use(proc=str(proc), deadline=Deadline(0))
    assert uses == []
    assert [(each.code, each.occurrences) for each in unseen] == [("deadline", 2)]


def test_the_real_system() -> None:
    uses, __ = read_descriptor_use()
    mine = next(use for use in uses if use.pid == os.getpid())
    assert mine.open >= 3
    assert mine.soft_limit == os.sysconf("SC_OPEN_MAX")
    allocated, maximum = read_system_descriptors()
    assert allocated is not None
    assert maximum is not None
    assert 0 < allocated < maximum
    assert maximum == int(Path("/proc/sys/fs/file-max").read_text())


@pytest.mark.parametrize("text", ["", "1", "1 2", "a b c"])
def test_file_nr_that_is_cut_short(tmp_path: Path, text: str) -> None:
    (tmp_path / "sys/fs").mkdir(parents=True)
    (tmp_path / "sys/fs/file-nr").write_text(text)
    assert read_system_descriptors(str(tmp_path)) == (None, None)


def test_no_file_nr(tmp_path: Path) -> None:
    assert read_system_descriptors(str(tmp_path)) == (None, None)
