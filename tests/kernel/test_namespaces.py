# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real network namespaces: found once each, entered and left again, also when they die meanwhile."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe import namespaces, sock_diag
from ansible_collections.lastack.linux.plugins.module_utils.observe.namespaces import (
    NamespaceUnreadable,
    NamespaceVanished,
    StrandedInNamespace,
    call_inside,
    find_namespaces,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import NetworkNamespace
from ansible_collections.lastack.linux.plugins.module_utils.observe.sockets import read_inodes, read_namespace
from netns import PrivateNamespace

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs_root


def own_inode() -> int:
    return Path("/proc/thread-self/ns/net").stat().st_ino


def open_descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def found_by_inode(**where: str) -> dict[int, NetworkNamespace]:
    found, __ = find_namespaces(**where)
    by_inode = {namespace.inode: namespace for namespace in found}
    assert len(by_inode) == len(found)
    return by_inode


@contextlib.contextmanager
def bind_mount(source: str, target: Path) -> Iterator[None]:
    target.touch()
    subprocess.run(["mount", "--bind", source, str(target)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(target)], check=True)


def test_a_namespace_of_a_process_is_found_once(netns: PrivateNamespace) -> None:
    netns.start(["sleep", "60"])
    entry = found_by_inode()[netns.inode]
    assert entry.pid is not None
    assert Path(f"/proc/{entry.pid}/ns/net").stat().st_ino == netns.inode
    assert (entry.label, entry.current, entry.path) == ("", False, f"/proc/{entry.pid}/ns/net")


def test_the_own_namespace_comes_first_and_is_current(netns: PrivateNamespace) -> None:
    found, __ = find_namespaces()
    assert (found[0].inode, found[0].current) == (own_inode(), True)
    assert [namespace.current for namespace in found[1:]] == [False] * (len(found) - 1)
    inside = netns.run(lambda: find_namespaces()[0])
    assert (inside[0].inode, inside[0].current, inside[0].label) == (netns.inode, True, "")
    assert [namespace.label for namespace in inside].count("host") == 1


def test_a_mount_alone_keeps_a_namespace_findable_and_readable(netns: PrivateNamespace, tmp_path: Path) -> None:
    name = tmp_path / "blue \\ net"
    netns.keep(netns.run(lambda: socket.create_server(("127.0.0.1", 700))))
    with bind_mount(netns.path, name):
        assert found_by_inode()[netns.inode].label == "blue \\ net"
        netns.end_holder()
        entry = found_by_inode()[netns.inode]
        assert (entry.label, entry.pid, entry.path) == ("blue \\ net", None, str(name))
        assert read_namespace(entry).states["LISTEN"] == 1
        assert len(read_inodes(entry)) == 1


def test_procfs_of_a_namespace_that_only_a_mount_keeps(
    netns: PrivateNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused() -> socket.socket:
        raise sock_diag.SockDiagUnavailable("refused by the test")

    server = netns.keep(netns.run(lambda: socket.create_server(("127.0.0.1", 700))))
    with bind_mount(netns.path, tmp_path / "mounted"):
        netns.end_holder()
        entry = found_by_inode()[netns.inode]
        monkeypatch.setattr(sock_diag, "open_netlink", refused)
        answer = read_namespace(entry)
        assert (answer.source, answer.states["LISTEN"]) == ("proc_net", 1)
        assert read_inodes(entry) == {os.fstat(server.fileno()).st_ino}


def test_names_below_run_netns_count_only_while_mounted(netns: PrivateNamespace, tmp_path: Path) -> None:
    (tmp_path / "stale").touch()
    with bind_mount(netns.path, tmp_path / "named"):
        found = found_by_inode(run_netns=str(tmp_path))
        assert found[netns.inode].label == "named"
        assert (tmp_path / "stale").stat().st_ino not in found


def test_a_call_inside_sees_the_namespace_and_returns_to_the_own(netns: PrivateNamespace) -> None:
    before = own_inode()
    entry = found_by_inode()[netns.inode]
    assert call_inside(entry, own_inode) == netns.inode
    assert own_inode() == before


def test_an_exception_inside_comes_through_and_the_thread_is_back(netns: PrivateNamespace) -> None:
    before = own_inode()
    with pytest.raises(ZeroDivisionError):
        call_inside(found_by_inode()[netns.inode], lambda: 1 // 0)
    assert own_inode() == before


def test_other_threads_stay_where_they_are(netns: PrivateNamespace) -> None:
    entry = found_by_inode()[netns.inode]
    inside, release, seen = threading.Event(), threading.Event(), []

    def linger() -> None:
        inside.set()
        release.wait(10)

    thread = threading.Thread(target=lambda: call_inside(entry, linger))
    thread.start()
    assert inside.wait(10)
    seen.append(own_inode())
    release.set()
    thread.join()
    assert seen == [own_inode()]
    assert seen != [netns.inode]


def test_no_descriptor_is_left_open(netns: PrivateNamespace) -> None:
    entry = found_by_inode()[netns.inode]
    before = open_descriptors()
    call_inside(entry, own_inode)
    read_namespace(entry)
    read_inodes(entry)
    with pytest.raises(NamespaceUnreadable):
        call_inside(entry._replace(inode=1), own_inode)
    assert open_descriptors() == before


def test_a_namespace_whose_process_ended_has_vanished(netns: PrivateNamespace) -> None:
    entry = found_by_inode()[netns.inode]
    netns.end_holder()
    with pytest.raises(NamespaceVanished, match="vanished"):
        call_inside(entry, own_inode)
    with pytest.raises(NamespaceVanished, match="vanished"):
        read_namespace(entry)
    with pytest.raises(NamespaceVanished, match="vanished"):
        read_inodes(entry)


def test_a_namespace_that_dies_while_it_is_read(netns: PrivateNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = found_by_inode()[netns.inode]
    netns.keep(netns.run(lambda: socket.create_server(("127.0.0.1", 700))))
    real = sock_diag.open_netlink

    def open_and_die() -> socket.socket:
        netlink = real()
        netns.end_holder()
        return netlink

    monkeypatch.setattr(sock_diag, "open_netlink", open_and_die)
    assert read_namespace(entry).states["LISTEN"] == 1
    assert not Path(entry.path).exists()


def test_a_pid_that_was_used_again_is_noticed(netns: PrivateNamespace) -> None:
    with PrivateNamespace() as other:
        stale = NetworkNamespace(netns.inode, "", other.path, other.pid, current=False)
        with pytest.raises(NamespaceUnreadable, match="another network namespace"):
            call_inside(stale, own_inode)
        with pytest.raises(NamespaceVanished, match="another network namespace"):
            read_namespace(stale)
        with pytest.raises(NamespaceVanished, match="another network namespace"):
            read_inodes(stale)


@pytest.mark.parametrize("path", ["/proc/self/ns/uts", "/proc/self/status", "/dev/null"])
def test_what_is_no_network_namespace_is_not_entered(path: str) -> None:
    entry = NetworkNamespace(Path(path).stat().st_ino, "", path, None, current=False)
    with pytest.raises(NamespaceUnreadable, match="namespace"):
        call_inside(entry, own_inode)


def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    entry = NetworkNamespace(1, "", str(tmp_path / "fifo"), None, current=False)
    with pytest.raises(NamespaceUnreadable):
        call_inside(entry, own_inode)


def test_no_way_back_is_fatal(netns: PrivateNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = found_by_inode()[netns.inode]
    calls: list[int] = []

    def only_in(descriptor: int, kind: int) -> None:
        calls.append(descriptor)
        if len(calls) > 1:
            raise PermissionError(1, "Operation not permitted")
        assert kind == 0x40000000

    monkeypatch.setattr(namespaces, "setns", only_in)
    with pytest.raises(StrandedInNamespace):
        call_inside(entry, own_inode)


AS_NOBODY = """
import os, sys
from ansible_collections.lastack.linux.plugins.module_utils.observe.namespaces import *
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import NetworkNamespace
from ansible_collections.lastack.linux.plugins.module_utils.observe.sockets import read_namespace
# All imports come before: the interpreter may be in root's home.
os.setgroups([]); os.setgid(65534); os.setuid(65534)
inode, pid = int(sys.argv[1]), int(sys.argv[2])
found, unseen = find_namespaces()
assert found[0].current, found
assert inode not in [namespace.inode for namespace in found], found
assert [warning.occurrences >= 1 for warning in unseen if warning.code == "namespace_unknown"] == [True], unseen
assert read_namespace(found[0]).source == "sock_diag"
other = NetworkNamespace(inode, "", f"/proc/{pid}/ns/net", pid, current=False)
try:
    call_inside(other, os.getpid)
except NamespaceUnreadable as error:
    assert "CAP_SYS_ADMIN" in str(error), error
else:
    raise AssertionError("entered without a right")
answer = read_namespace(other)
assert (answer.source, answer.states["LISTEN"]) == ("proc_net", 1), answer
assert answer.warnings[0].code == "sock_diag_unavailable", answer
"""


def test_without_privileges_what_cannot_be_told_is_counted(netns: PrivateNamespace) -> None:
    netns.keep(netns.run(lambda: socket.create_server(("127.0.0.1", 700))))
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(netns.inode), str(netns.pid)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
