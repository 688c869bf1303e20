# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding network namespaces in trees that look like procfs, also denied, vanished and hostile ones."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe import libc
from ansible_collections.lastack.linux.plugins.module_utils.observe.namespaces import (
    NamespaceUnreadable,
    call_inside,
    find_namespaces,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import NetworkNamespace
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path


class Tree:
    """A procfs and a folder of named namespaces."""

    def __init__(self, root: Path) -> None:
        self.proc = root / "proc"
        self.run = root / "netns"
        self.store = root / "nsfs"
        for folder in (self.proc, self.run, self.store):
            folder.mkdir()
        self.views: dict[int, Path] = {}
        self.denied: set[str] = set()

    def namespace(self, name: str) -> int:
        path = self.store / name
        path.touch()
        (self.store / f"{name}.view").touch()
        return path.stat().st_ino

    def process(self, pid: int | str, name: str) -> None:
        folder = self.proc / str(pid)
        (folder / "ns").mkdir(parents=True)
        (folder / "net").mkdir()
        os.link(self.store / name, folder / "ns" / "net")
        os.link(self.store / f"{name}.view", folder / "net" / "stat")

    def mountinfo(self, content: bytes) -> None:
        (self.proc / "self" / "mountinfo").write_bytes(content)

    def deny(self, pid: int) -> None:
        self.denied.add(f"{self.proc}/{pid}/ns/net")

    def find(self) -> tuple[list[NetworkNamespace], list[tuple[str, int]]]:
        found, unseen = find_namespaces(proc=str(self.proc), run_netns=str(self.run))
        return found, [warning[:2] for warning in unseen]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    made = Tree(tmp_path)
    real = os.stat

    def guarded(path: str, **options: bool) -> os.stat_result:
        if path in made.denied:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path, **options)

    monkeypatch.setattr(os, "stat", guarded)
    return made


def test_each_namespace_once_own_first_then_the_host(tree: Tree) -> None:
    host, own, other = (tree.namespace(name) for name in ("host", "own", "other"))
    tree.process("self", "own")
    for pid, name in ((1, "host"), (7, "other"), (9, "own"), (10, "host"), (12, "other")):
        tree.process(pid, name)
    (tree.proc / "13").mkdir()  # it ended
    (tree.proc / "meminfo").touch()
    found, unseen = tree.find()
    assert [(entry.inode, entry.label, entry.pid, entry.current) for entry in found] == [
        (own, "", 9, True),
        (host, "host", 1, False),
        (other, "", 7, False),
    ]
    assert found[2].path == f"{tree.proc}/7/ns/net"
    assert unseen == []


def test_a_denied_process_in_a_known_namespace_is_no_loss(tree: Tree) -> None:
    own = tree.namespace("own")
    for pid in ("self", 1, 30):
        tree.process(pid, "own")
    tree.deny(1)
    found, unseen = tree.find()
    assert [(entry.inode, entry.label, entry.pid) for entry in found] == [(own, "host", 30)]
    assert unseen == []


def test_denied_processes_in_unknown_namespaces_are_counted(tree: Tree) -> None:
    tree.namespace("own")
    tree.namespace("other")
    tree.process("self", "own")
    tree.process(30, "own")
    for pid in (1, 31, 32):
        tree.process(pid, "other")
        tree.deny(pid)
    (tree.proc / "32" / "net" / "stat").unlink()
    found, unseen = tree.find()
    assert [(entry.label, entry.pid) for entry in found] == [("host", 30)]
    assert unseen == [("namespace_unknown", 3)]


def test_hidden_processes_are_said(tree: Tree) -> None:
    tree.namespace("own")
    tree.process("self", "own")
    tree.process(30, "own")
    assert tree.find()[1] == [("processes_hidden", 1)]


def test_an_empty_procfs_is_said() -> None:
    found, unseen = find_namespaces(proc="/nonexistent", run_netns="/nonexistent")
    assert found == []
    assert [warning.code for warning in unseen] == ["namespace_unknown"]


def test_names_come_from_run_netns_and_from_mounts(tree: Tree) -> None:
    tree.namespace("own")
    for pid in ("self", 1):
        tree.process(pid, "own")
    blue = tree.namespace("blue")
    os.link(tree.store / "blue", tree.run / "blue")
    tree.process(50, "blue")
    tree.mountinfo(
        b"22 1 0:21 / /proc rw - proc proc rw\n"
        + f"30 1 0:4 net:[{blue}] /elsewhere/not-this-name rw shared:1 - nsfs nsfs rw\n".encode()
        + rb"31 1 0:4 net:[77] /run/docker/netns/a\040b\134\011c rw - nsfs nsfs rw"
        + b"\n"
        + b"32 1 0:4 mnt:[78] /run/mnt rw - nsfs nsfs rw\n"
        + b"33 1 0:4 net:[79] /run/fake rw - tmpfs tmpfs rw\n"
        + b"34 1 0:4 net:[x] /run/fake rw - nsfs nsfs rw\n"
        + b"35 nsfs\n\xff - nsfs \n"
        + b"36 1 0:4 net:[80] /run/netns/\xffname rw - nsfs nsfs rw\n"
    )
    found, unseen = tree.find()
    by_inode = {entry.inode: entry for entry in found}
    assert by_inode[blue][1:4] == ("blue", f"{tree.proc}/50/ns/net", 50)
    assert by_inode[77][1:4] == ("a b\\\tc", "/run/docker/netns/a b\\\tc", None)
    assert by_inode[80].label == "\\xffname"
    assert os.fsencode(by_inode[80].path) == b"/run/netns/\xffname"
    assert len(found) == 4
    assert unseen == []


def test_a_name_that_nothing_keeps_alive_is_reached_by_its_mount(tree: Tree) -> None:
    tree.namespace("own")
    for pid in ("self", 1):
        tree.process(pid, "own")
    green = tree.namespace("green")
    os.link(tree.store / "green", tree.run / "green")
    entry = next(entry for entry in tree.find()[0] if entry.inode == green)
    assert (entry.label, entry.path, entry.pid) == ("green", str(tree.run / "green"), None)


@given(st.binary(max_size=300))
def test_a_garbled_mountinfo_never_raises(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    made = Tree(tmp_path_factory.mktemp("tree"))
    made.namespace("own")
    made.process("self", "own")
    made.process(1, "own")
    made.mountinfo(content + b"\n36 1 0:4 net:[80] /run/netns/name rw - nsfs nsfs rw\n")
    assert 80 in [entry.inode for entry in made.find()[0]]


def test_the_own_namespace_is_called_in_directly() -> None:
    entry = NetworkNamespace(1, "host", "/nonexistent", None, current=True)
    assert call_inside(entry, lambda: "here") == "here"


def test_a_path_that_is_gone_or_no_namespace_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(NamespaceUnreadable, match="it vanished"):
        call_inside(NetworkNamespace(1, "", str(tmp_path / "gone"), None, current=False), os.getpid)
    (tmp_path / "plain").touch()
    inode = (tmp_path / "plain").stat().st_ino
    with pytest.raises(NamespaceUnreadable, match="no namespace"):
        call_inside(NetworkNamespace(inode, "", str(tmp_path / "plain"), None, current=False), os.getpid)


def test_without_a_c_library_a_namespace_is_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libc, "ctypes", None)
    (tmp_path / "plain").touch()
    with pytest.raises(NamespaceUnreadable, match="no ctypes"):
        call_inside(NetworkNamespace(1, "", str(tmp_path / "plain"), None, current=False), os.getpid)


def test_the_file_system_type_is_the_kernels() -> None:
    descriptor = os.open("/proc/self/status", os.O_RDONLY)
    try:
        assert libc.filesystem_type(descriptor) == 0x9FA0  # PROC_SUPER_MAGIC
    finally:
        os.close(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        libc.filesystem_type(descriptor)
