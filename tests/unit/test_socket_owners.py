# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The search for owners on fixture trees: its order, its end, and what it says it has not seen."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe import socket_owners
from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Holder, OwnerScan, TcpSocket
from ansible_collections.lastack.linux.plugins.module_utils.observe.socket_owners import find_owners
from process_trees import add_process, add_self

if TYPE_CHECKING:
    from pathlib import Path


class FewChecks(Deadline):
    """A deadline that passes after so many questions."""

    def __init__(self, checks: int) -> None:
        super().__init__()
        self.left = checks

    def passed(self) -> bool:
        self.left -= 1
        return self.left < 0


def tcp(inode: int, *, uid: int | None = None, cgroup_id: int | None = None) -> TcpSocket:
    return TcpSocket(
        namespace=1,
        family=4,
        state="CLOSE_WAIT",
        local_address="127.0.0.1",
        local_port=80,
        remote_address="127.0.0.1",
        remote_port=40000,
        receive_queue=1,
        send_queue=0,
        uid=os.getuid() if uid is None else uid,
        inode=inode,
        cookie=inode,
        cgroup_id=cgroup_id,
        info=None,
    )


def holding(*inodes: int, first: int = 3) -> dict[int, str]:
    return {first + index: f"socket:[{inode}]" for index, inode in enumerate(inodes)}


def files(count: int, first: int = 100) -> dict[int, str]:
    return dict.fromkeys(range(first, first + count), "/dev/null")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    add_self(tmp_path)
    return tmp_path


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The processes whose descriptors were read, in order."""
    pids: list[int] = []
    original = socket_owners._Search._read

    def note(self: Any, pid: int) -> int:  # noqa: ANN401 - a private class
        pids.append(pid)
        return original(self, pid)

    monkeypatch.setattr(socket_owners._Search, "_read", note)
    return pids


def find(proc: Path, sockets: list[TcpSocket], **options: Any) -> OwnerScan:  # noqa: ANN401 - find_owners' own
    return find_owners(sockets, proc=str(proc), **options)


def test_every_holder_once(proc: Path) -> None:
    add_process(proc, 10, links={0: "/dev/null", 3: "socket:[7]", 4: "socket:[7]", 5: "socket:[8]", 6: "pipe:[9]"})
    add_process(proc, 11, links=holding(8))
    scan = find(proc, [tcp(7), tcp(8), tcp(9), tcp(0)])
    assert set(scan.holders) == {7, 8}
    assert scan.holders[7] in ([Holder(10, 3)], [Holder(10, 4)])
    assert scan.holders[8] == [Holder(10, 5), Holder(11, 3)]
    assert (scan.processes_examined, scan.processes_denied, scan.complete, scan.exhaustive) == (3, 0, True, True)


def test_nothing_wanted_reads_nothing(proc: Path, read: list[int]) -> None:
    add_process(proc, 10, links=holding(7))
    for sockets in ([], [tcp(0)]):
        scan = find(proc, sockets)
        assert scan == OwnerScan({}, 0, 0, complete=True, exhaustive=False)
    assert read == []


def test_the_cgroup_comes_first_then_the_user(proc: Path, read: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_owners, "_EXTRA_LINKS", 0)
    users = {10: 5, 11: 5, 12: 6, 13: 7}
    monkeypatch.setattr(socket_owners, "_owner_of", lambda folder: users.get(int(folder.rpartition("/")[2])))
    cgroup = proc / "cgroup/app.service"
    cgroup.mkdir(parents=True)
    (cgroup / "cgroup.procs").write_text("13\n")
    add_process(proc, 10, links=holding(1))
    add_process(proc, 11, links=holding(8))
    add_process(proc, 12, links=holding(9))
    add_process(proc, 13, links=holding(7))
    identity = cgroup.stat().st_ino
    mount = str(proc / "cgroup")
    assert find(proc, [tcp(7, uid=5, cgroup_id=identity)], cgroup_mount=mount).holders == {7: [Holder(13, 3)]}
    assert read == [13]
    read.clear()
    # Handed over: the cgroup of its creation holds it no more, the user does.
    scan = find(proc, [tcp(8, uid=5, cgroup_id=identity)], cgroup_mount=mount)
    assert scan.holders == {8: [Holder(11, 3)]}
    assert (scan.complete, scan.exhaustive) == (True, False)
    assert read == [13, 10, 11]
    read.clear()
    # Neither knows it: everyone is looked at.
    assert find(proc, [tcp(9, uid=5, cgroup_id=identity)], cgroup_mount=mount).holders == {9: [Holder(12, 3)]}
    assert read == [13, 10, 11, 1, 12]


def test_the_mount_is_found(proc: Path, read: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_owners, "_EXTRA_LINKS", 0)
    cgroup = proc / "c g/app"
    cgroup.mkdir(parents=True)
    (cgroup / "cgroup.procs").write_text("11\n")
    line = f"30 23 0:26 / {proc}/c\\040g rw - cgroup2 cgroup2 rw\n"
    (proc / "self/mountinfo").write_text(line)
    add_process(proc, 10, links=holding(1))
    add_process(proc, 11, links=holding(7))
    find(proc, [tcp(7, cgroup_id=cgroup.stat().st_ino)])
    assert read == [11]


def test_a_large_process_that_shows_a_wanted_socket_comes_before_the_small_ones(
    proc: Path, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_owners, "_EXTRA_LINKS", 0)
    monkeypatch.setattr(socket_owners, "_LARGE", 64)
    add_process(proc, 10, links=files(5, 0))
    large = add_process(proc, 11, links=files(300, 0))
    (large / "status").write_text("FDSize:\t300\n")
    leaking = add_process(proc, 12, links=holding(*range(1000, 1200), first=0))
    (leaking / "status").write_text("FDSize:\t256\n")
    find(proc, [tcp(inode) for inode in range(1000, 1200)])
    assert read == [12]


def test_reading_ends_where_a_process_has_shown_every_socket(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_process(proc, 10, links={**holding(7), **files(200)})
    counts: list[int] = []
    original = socket_owners._Search._read_folder

    def count(self: Any, pid: int, path: str) -> int:  # noqa: ANN401 - a private class
        counts.append(original(self, pid, path))
        return counts[-1]

    monkeypatch.setattr(socket_owners._Search, "_read_folder", count)
    monkeypatch.setattr(socket_owners, "_EXTRA_LINKS", 0)
    shutil.rmtree(proc / "1/fd")
    find(proc, [tcp(7)])
    order = os.listdir(proc / "10/fd")  # noqa: PTH208 - the order that the search sees
    assert counts == [order.index("3") + 1]


@pytest.mark.parametrize(
    ("parent", "cgroup"),
    [(20, "0::/\n"), (5, "0::/\n"), (1, "0::/app.service\n")],
    ids=["child", "sibling", "cgroup"],
)
def test_a_large_neighbour_is_tried_at_the_same_numbers(
    proc: Path, monkeypatch: pytest.MonkeyPatch, parent: int, cgroup: str
) -> None:
    monkeypatch.setattr(socket_owners, "_EXTRA_LINKS", 10)
    monkeypatch.setattr(socket_owners, "_LARGE", 10_000)
    add_process(proc, 5, parent=1)
    add_process(proc, 20, parent=5, cgroup="0::/app.service\n", links=holding(7, 8, 9))
    large = add_process(proc, 21, parent=parent, cgroup=cgroup, links={**holding(7, 8), **files(50)})
    (large / "status").write_text("FDSize:\t256\n")
    stranger = add_process(proc, 22, cgroup="0::/other\n", links={**holding(7, 8, 9), **files(50)})
    (stranger / "status").write_text("FDSize:\t256\n")
    scan = find(proc, [tcp(7), tcp(8), tcp(9)])
    assert scan.holders[7] == [Holder(20, 3), Holder(21, 3)]
    assert scan.holders[8] == [Holder(20, 4), Holder(21, 4)]
    assert scan.holders[9] == [Holder(20, 5)]
    assert (scan.complete, scan.exhaustive) == (True, False)


def test_a_small_stranger_that_was_handed_the_socket_is_found(proc: Path) -> None:
    add_process(proc, 10, links=holding(7), cgroup="0::/a\n")
    add_process(proc, 11, links=holding(7, first=30), cgroup="0::/b\n")
    assert find(proc, [tcp(7)]).holders == {7: [Holder(10, 3), Holder(11, 30)]}


def test_an_ancestor_is_a_neighbour_and_a_circle_of_parents_ends(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_owners, "_EXTRA_LINKS", 10)
    monkeypatch.setattr(socket_owners, "_LARGE", 10_000)
    large = add_process(proc, 10, parent=12, links={**holding(7), **files(50)})
    (large / "status").write_text("FDSize:\t256\n")
    add_process(proc, 11, parent=10)
    add_process(proc, 12, parent=11, links=holding(7))
    assert find(proc, [tcp(7)]).holders == {7: [Holder(10, 3), Holder(12, 3)]}


def test_the_kernels_own_socket_is_missing_from_an_exhaustive_scan(proc: Path) -> None:
    add_process(proc, 10, links=holding(7))
    scan = find(proc, [tcp(7), tcp(8)])
    assert set(scan.holders) == {7}
    assert (scan.complete, scan.exhaustive) == (True, True)


def test_a_container_does_not_see_everyone(tmp_path: Path) -> None:
    add_self(tmp_path, namespace="pid:[4026532777]")
    add_process(tmp_path, 10, links=holding(7))
    missing = find(tmp_path, [tcp(7), tcp(8)])
    assert (missing.complete, missing.exhaustive) == (False, False)
    found = find(tmp_path, [tcp(7)])
    assert (found.complete, found.exhaustive) == (True, False)


def test_hidepid_hides(proc: Path) -> None:
    shutil.rmtree(proc / "1")
    add_process(proc, 10, links=holding(7))
    scan = find(proc, [tcp(7), tcp(8)])
    assert (scan.complete, scan.exhaustive) == (False, False)


@pytest.mark.parametrize("call", ["open", "readlink"])
def test_denied_descriptors_are_counted(proc: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    add_process(proc, 10, links=holding(7))
    add_process(proc, 11, links=holding(8))
    original = getattr(os, call)
    denied: set[int] = set()

    def deny(path: Any, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - stands in for os
        descriptor = options.get("dir_fd")
        where = original_link(f"/proc/self/fd/{descriptor}") if descriptor is not None else str(path)
        if where.endswith("/10/fd"):
            denied.add(10)
            raise PermissionError(13, "Permission denied")
        return original(path, *args, **options)

    original_link = os.readlink
    monkeypatch.setattr(socket_owners.os, call, deny)
    scan = find(proc, [tcp(7), tcp(8)])
    assert denied == {10}
    assert scan.holders == {8: [Holder(11, 3)]}
    assert (scan.processes_examined, scan.processes_denied, scan.complete, scan.exhaustive) == (2, 1, False, False)


@pytest.mark.parametrize("missing", ["fd", "task", "status", "stat", "cgroup", ""])
def test_a_process_that_vanishes_is_no_error(proc: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    add_process(proc, 10, links=holding(7))
    folder = add_process(proc, 11, links={})
    original = socket_owners._Search._size

    def vanish(self: Any, pid: int) -> int | None:  # noqa: ANN401 - a private class
        size = original(self, pid)
        target = folder / missing
        if pid == 11 and target.exists():
            if target.is_dir():
                shutil.rmtree(target)
            else:
                target.unlink()
        return size

    monkeypatch.setattr(socket_owners._Search, "_size", vanish)
    scan = find(proc, [tcp(7), tcp(8)])
    assert scan.holders == {7: [Holder(10, 3)]}
    assert scan.processes_denied == 0
    assert scan.complete


def test_a_descriptor_that_is_closed_in_between_is_no_error(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_process(proc, 10, links=holding(7, 8))
    original = os.readlink

    def readlink(path: Any, **options: Any) -> str:  # noqa: ANN401 - stands in for os
        if path == "3":
            raise FileNotFoundError(2, "No such file or directory")
        return original(path, **options)

    monkeypatch.setattr(socket_owners.os, "readlink", readlink)
    scan = find(proc, [tcp(7), tcp(8)])
    assert scan.holders == {8: [Holder(10, 4)]}


def test_a_process_whose_first_thread_has_ended(proc: Path) -> None:
    folder = add_process(proc, 10, links={})
    (folder / "task/12/fd").mkdir(parents=True)
    (folder / "task/12/fd/3").symlink_to("socket:[7]")
    assert find(proc, [tcp(7)]).holders == {7: [Holder(10, 3)]}


@pytest.mark.parametrize("checks", range(8))
def test_a_deadline_is_said_wherever_it_passes(proc: Path, checks: int) -> None:
    for pid in range(10, 14):
        add_process(proc, pid, links=holding(pid))
    scan = find(proc, [tcp(13), tcp(99)], deadline=FewChecks(checks))
    assert not scan.complete
    assert not scan.exhaustive
    assert scan.processes_denied == 0


def test_a_deadline_within_a_process(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_owners, "_CHECK_EVERY", 10)
    shutil.rmtree(proc / "1/fd")
    add_process(proc, 10, links={**files(100), **holding(7)})
    deadline = FewChecks(6)
    scan = find(proc, [tcp(99)], deadline=deadline)
    assert (scan.complete, scan.holders) == (False, {})
