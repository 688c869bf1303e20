# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Owners of real sockets: forked, handed over, in cgroups, of others, hidden and vanishing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe import socket_owners
from ansible_collections.lastack.linux.plugins.module_utils.observe.cgroups import (
    find_cgroup_mount,
    find_cgroups,
    read_cgroup_pids,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.descriptors import read_descriptor_use
from ansible_collections.lastack.linux.plugins.module_utils.observe.processes import (
    all_processes_visible,
    count_descriptors,
    read_process,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.socket_owners import find_owners
from ansible_collections.lastack.linux.plugins.module_utils.observe.sockets import read_namespace
from holders import as_nobody, namespace_record, start_holder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import OwnerScan, TcpSocket
    from netns import PrivateNamespace

pytestmark = pytest.mark.needs_root

LEAK = "held = leak(int(sys.argv[1]))\nready('ready')\nwait()\n"


def close_wait(netns: PrivateNamespace) -> list[TcpSocket]:
    return read_namespace(namespace_record(netns)).close_wait


def pids_by_inode(scan: OwnerScan) -> dict[int, frozenset[int]]:
    return {inode: frozenset(holder.pid for holder in holders) for inode, holders in scan.holders.items()}


def shown_by(pid: int) -> set[int]:
    """The inodes that ``ls`` would show."""
    links = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    return {int(link[8:-1]) for link in links if link.startswith("socket:[")}


def test_one_process_holds_them_all(netns: PrivateNamespace) -> None:
    program = start_holder(netns, LEAK, "40")
    sockets = close_wait(netns)
    assert len(sockets) == 40
    scan = find_owners(sockets)
    assert pids_by_inode(scan) == {socket.inode: {program.pid} for socket in sockets}
    assert set(scan.holders) <= shown_by(program.pid)
    for inode, (holder,) in scan.holders.items():
        assert str(Path(f"/proc/{holder.pid}/fd/{holder.descriptor}").readlink()) == f"socket:[{inode}]"
    assert scan.complete


def test_a_process_with_many_descriptors_is_sampled(netns: PrivateNamespace) -> None:
    code = "held = leak(700)\nready('ready')\nwait()\n"
    program = start_holder(netns, code)
    scan = find_owners(close_wait(netns))
    assert len(scan.holders) == 700
    assert pids_by_inode(scan) == dict.fromkeys(scan.holders, frozenset({program.pid}))


@pytest.mark.parametrize("count", [3, 700])
def test_forked_holders(netns: PrivateNamespace, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    # With many, no budget is left to read the second holder in full: it is found by the same numbers.
    if count == 700:
        monkeypatch.setattr(socket_owners, "_EXTRA_LINKS", 0)
    code = """
held = leak(int(sys.argv[1]))
child = os.fork()
if child:
    ready('ready', child)
wait()
"""
    program = start_holder(netns, code, str(count))
    (child,) = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
    scan = find_owners(close_wait(netns))
    assert len(scan.holders) == count
    assert pids_by_inode(scan) == dict.fromkeys(scan.holders, frozenset({program.pid, int(child)}))


def test_a_holder_that_was_handed_the_socket(netns: PrivateNamespace, tmp_path: Path) -> None:
    receiver = start_holder(netns, RECEIVE, str(tmp_path / "handed"))
    sender = start_holder(netns, SEND, str(tmp_path / "handed"), "keep")
    sockets = close_wait(netns)
    scan = find_owners(sockets)
    assert pids_by_inode(scan) == {socket.inode: {sender.pid, receiver.pid} for socket in sockets}
    assert len(sockets) == 2


RECEIVE = """
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(sys.argv[1])
    listener.listen()
    ready('ready')
    connection, _ = listener.accept()
    held = socket.recv_fds(connection, 1, 16)[1]
    connection.sendall(b"x")
wait()
"""
SEND = """
held = leak(2)
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(sys.argv[1])
    socket.send_fds(connection, [b"x"], [each.fileno() for each in held])
    connection.recv(1)
if sys.argv[2] != "keep":
    held = None
ready('ready')
wait()
"""


def test_a_socket_that_nobody_has_accepted_has_no_owner(netns: PrivateNamespace) -> None:
    code = """
listener = socket.create_server(("127.0.0.1", 7000))
socket.create_connection(("127.0.0.1", 7000)).close()
ready('ready')
wait()
"""
    start_holder(netns, code)
    (unaccepted,) = close_wait(netns)
    assert unaccepted.inode == 0
    scan = find_owners([unaccepted])
    assert (scan.holders, scan.processes_examined, scan.complete) == ({}, 0, True)


def test_an_inode_that_no_descriptor_shows_is_missing(netns: PrivateNamespace) -> None:
    start_holder(netns, LEAK, "1")
    (socket,) = close_wait(netns)
    scan = find_owners([socket, socket._replace(inode=socket.inode + 100_000_000)])
    assert set(scan.holders) == {socket.inode}
    assert scan.processes_examined > 1
    # Sandboxes may keep even root from their first process.
    assert scan.exhaustive == (scan.processes_denied == 0 and all_processes_visible())
    assert scan.complete == scan.exhaustive


def test_a_process_whose_first_thread_has_ended(netns: PrivateNamespace) -> None:
    code = """
held = leak(3)
def rest():
    while True:
        if open("/proc/self/stat").read().rpartition(")")[2].split()[0] == "Z":
            break
        time.sleep(0.01)
    ready('ready')
    wait()
    os._exit(0)
threading.Thread(target=rest).start()
ctypes.CDLL(None).syscall(60 if os.uname().machine == "x86_64" else 93, 0)
"""
    program = start_holder(netns, code)
    assert count_descriptors(program.pid) == 0
    scan = find_owners(close_wait(netns))
    assert pids_by_inode(scan) == dict.fromkeys(scan.holders, frozenset({program.pid}))
    assert len(scan.holders) == 3


@pytest.fixture
def cgroup() -> Iterator[Path]:
    mount = find_cgroup_mount()
    if mount is None:
        pytest.skip("no cgroup v2 hierarchy is mounted here")
    folder = Path(mount) / f"lastack-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    try:
        yield folder
    finally:
        # Its processes have ended with the namespace; the kernel may still be taking them out.
        for __ in range(200):
            try:
                folder.rmdir()
            except OSError:
                subprocess.run(["sleep", "0.02"], check=True)
            else:
                break


@pytest.fixture
def cgroup_netns(cgroup: Path, netns: PrivateNamespace) -> tuple[Path, PrivateNamespace]:
    """A cgroup that is removed after the namespace's programs have ended."""
    return cgroup, netns


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The processes whose descriptors were read, in order."""
    pids: list[int] = []
    original = socket_owners._Search._read

    def note(self: Any, pid: int) -> int:  # noqa: ANN401 - a private class
        pids.append(pid)
        return original(self, pid)

    monkeypatch.setattr(socket_owners._Search, "_read", note)
    monkeypatch.setattr(socket_owners, "_EXTRA_LINKS", 0)
    return pids


JOIN = "open(sys.argv.pop() + '/cgroup.procs', 'w').write(str(os.getpid()))\n"


def test_the_sockets_cgroup_leads_to_the_process(cgroup_netns: tuple[Path, PrivateNamespace], read: list[int]) -> None:
    cgroup, netns = cgroup_netns
    program = start_holder(netns, JOIN + LEAK, "5", str(cgroup))
    sockets = close_wait(netns)
    identity = cgroup.stat().st_ino
    assert {socket.cgroup_id for socket in sockets} == {identity}
    assert find_cgroups([identity], mount=str(cgroup.parent)) == {identity: str(cgroup)}
    assert read_cgroup_pids(str(cgroup)) == [program.pid]
    process = read_process(program.pid)
    assert process is not None
    assert process.cgroup == f"/{cgroup.name}"
    scan = find_owners(sockets)
    assert pids_by_inode(scan) == {socket.inode: {program.pid} for socket in sockets}
    assert read == [program.pid]


def test_a_handed_over_socket_has_left_its_cgroup(
    cgroup_netns: tuple[Path, PrivateNamespace], read: list[int], tmp_path: Path
) -> None:
    cgroup, netns = cgroup_netns
    receiver = start_holder(netns, RECEIVE, str(tmp_path / "handed"))
    sender = start_holder(netns, JOIN + SEND, str(tmp_path / "handed"), "give", str(cgroup))
    scan = find_owners(close_wait(netns))
    assert pids_by_inode(scan) == dict.fromkeys(scan.holders, frozenset({receiver.pid}))
    assert len(scan.holders) == 2
    assert read[0] == sender.pid
    assert receiver.pid in read


def test_without_rights_only_own_sockets_have_owners(netns: PrivateNamespace) -> None:
    program = start_holder(netns, LEAK, "2")
    sockets = close_wait(netns)
    scan = as_nobody(lambda: find_owners(sockets))
    assert scan.holders == {}
    assert scan.processes_denied > 0
    assert (scan.complete, scan.exhaustive) == (False, False)
    # Counts and limits are open to everyone where the folder has a size.
    uses, unseen = as_nobody(read_descriptor_use)
    if count_descriptors(os.getpid()) == Path("/proc/self/fd").stat().st_size:
        assert [use.open for use in uses if use.pid == program.pid] == [count_descriptors(program.pid)]
        assert unseen == []


def test_without_rights_a_process_is_still_described(netns: PrivateNamespace) -> None:
    program = start_holder(netns, LEAK, "1")
    process = as_nobody(lambda: read_process(program.pid, with_arguments=True))
    assert process is not None
    assert process.comm is not None
    assert process.uid == 0
    assert process.soft_limit is not None
    assert (process.executable, process.namespace, process.tls_library) == (None, None, None)


@pytest.mark.parametrize("hidepid", [1, 2, 4])
def test_hidden_processes_make_the_scan_incomplete(netns: PrivateNamespace, hidepid: int) -> None:
    start_holder(netns, LEAK, "2")
    sockets = close_wait(netns)

    def look() -> tuple[OwnerScan, list[str]]:
        return find_owners(sockets), [each.code for each in read_descriptor_use()[1]]

    scan, codes = as_nobody(look, hidepid=hidepid)
    assert scan.holders == {}
    assert (scan.complete, scan.exhaustive) == (False, False)
    assert "processes_hidden" in codes


def test_processes_that_come_and_go_disturb_nothing(netns: PrivateNamespace) -> None:
    program = start_holder(netns, LEAK, "3")
    sockets = close_wait(netns)
    missing = sockets[0]._replace(inode=sockets[0].inode + 100_000_000)
    churn = "import os\nfor _ in range(3000):\n    if os.fork() == 0:\n        os._exit(0)\n    os.wait()\n"
    busy = subprocess.Popen([sys.executable, "-c", churn])
    looks = 0
    try:
        while looks < 3 or (busy.poll() is None and looks < 40):
            scan = find_owners([*sockets, missing])
            assert pids_by_inode(scan) == {socket.inode: {program.pid} for socket in sockets}
            read_descriptor_use()
            looks += 1
    finally:
        busy.kill()
        busy.communicate()
