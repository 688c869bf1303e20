# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cgroup ids to directories to processes, on fixture trees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe.cgroups import (
    find_cgroup_mount,
    find_cgroups,
    read_cgroup_pids,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

ROOT = "23 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"


def mounts(proc: Path, text: str) -> str:
    (proc / "self").mkdir(exist_ok=True)
    (proc / "self/mountinfo").write_text(text)
    return str(proc)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ROOT + "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n", "/sys/fs/cgroup"),
        (
            ROOT
            + "31 23 0:27 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n"
            + "32 31 0:28 / /sys/fs/cgroup/unified rw shared:5 master:1 - cgroup2 cgroup2 rw\n"
            + "33 31 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n",
            "/sys/fs/cgroup/unified",
        ),
        (ROOT + "30 23 0:26 /sub /mnt/c\\040g rw - cgroup2 none rw\n", "/mnt/c g"),
        # Inside a unit of Debian 13: systemd binds the unit's own memory.pressure over itself, last of all.
        (
            ROOT
            + "30 23 0:26 / /sys/fs/cgroup ro,nosuid shared:4 - cgroup2 cgroup2 rw\n"
            + "90 30 0:26 /system.slice/lastack-agent.service/memory.pressure"
            + " /sys/fs/cgroup/system.slice/lastack-agent.service/memory.pressure rw - cgroup2 cgroup2 rw\n",
            "/sys/fs/cgroup",
        ),
        # The same as a file that is there, and nothing else.
        (ROOT + "90 30 0:26 / /proc/version rw - cgroup2 cgroup2 rw\n", None),
        # In a container: the host's, covered by the container's own, and another that shows more.
        (
            ROOT
            + "30 23 0:26 /.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
            + "31 30 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
            "/sys/fs/cgroup",
        ),
        (
            ROOT
            + "30 23 0:26 /../.. /host-cgroup rw - cgroup2 cgroup2 rw\n"
            + "31 30 0:26 / /no-cgroup rw - cgroup2 cgroup2 rw\n"
            + "32 30 0:26 /sub /no-cgroup/sub rw - cgroup2 cgroup2 rw\n",
            "/host-cgroup",
        ),
        (
            ROOT
            + "30 23 0:26 / /one-cgroup rw - cgroup2 cgroup2 rw\n"
            + "31 30 0:26 / /two-cgroup rw - cgroup2 cgroup2 rw\n",
            "/two-cgroup",
        ),
        (ROOT + "30 23 0:26 / /cgroup2 rw - tmpfs cgroup2 rw\n", None),
        (ROOT, None),
        ("30 - cgroup2\n", None),
        ("", None),
    ],
)
def test_where_the_hierarchy_is_mounted(tmp_path: Path, text: str, expected: str | None) -> None:
    assert find_cgroup_mount(mounts(tmp_path, text)) == expected


def test_no_mountinfo(tmp_path: Path) -> None:
    assert find_cgroup_mount(str(tmp_path)) is None


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("system.slice/a.service", "system.slice/b.service/worker", "user.slice"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "system.slice/cgroup.procs").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "system.slice")
    return tmp_path


def test_ids_are_the_inodes_of_the_directories(tree: Path) -> None:
    names = ("system.slice", "system.slice/b.service/worker", "user.slice")
    wanted = {(tree / name).stat().st_ino: str(tree / name) for name in names}
    assert find_cgroups([*wanted, 0, 1, 99999999999], mount=str(tree)) == wanted


def test_files_and_links_are_no_cgroups(tree: Path) -> None:
    file = (tree / "system.slice/cgroup.procs").stat().st_ino
    link = (tree / "link").lstat().st_ino
    assert find_cgroups([file, link], mount=str(tree)) == {}


def test_a_hidden_mount_shows_nothing(tmp_path: Path) -> None:
    assert find_cgroups([5], mount=str(tmp_path / "missing")) == {}


def test_nothing_is_walked_after_the_deadline(tree: Path) -> None:
    wanted = [(tree / "user.slice").stat().st_ino]
    assert find_cgroups(wanted, mount=str(tree), deadline=Deadline(0)) == {}
    assert len(find_cgroups(wanted, mount=str(tree), deadline=Deadline(60))) == 1


def test_processes_of_a_cgroup(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").write_text("12\n0\n7\n12\n0\n")
    assert read_cgroup_pids(str(tmp_path)) == [7, 12]
    assert read_cgroup_pids(str(tmp_path / "missing")) == []


@given(st.binary(max_size=300))
def test_any_mountinfo_is_taken(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    proc = tmp_path_factory.mktemp("proc")
    (proc / "self").mkdir()
    (proc / "self/mountinfo").write_bytes(data)
    assert find_cgroup_mount(str(proc)) is None or b"cgroup2" in data
