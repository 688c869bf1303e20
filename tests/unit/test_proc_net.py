# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of procfs: captured, generated and garbled lines, and the fall-back built on them."""

from __future__ import annotations

import ipaddress
import struct
from collections import Counter
from pathlib import Path

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe import sockets
from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline
from ansible_collections.lastack.linux.plugins.module_utils.observe.inet_diag import SockDiagUnavailable
from ansible_collections.lastack.linux.plugins.module_utils.observe.namespaces import (
    NamespaceUnreadable,
    NamespaceVanished,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.proc_net import (
    ProcNet,
    decode_address,
    parse_line,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.proc_net_sockets import merge_destinations
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Destination, NetworkNamespace
from ansible_collections.lastack.linux.plugins.module_utils.observe.sockets import read_inodes, read_namespace
from ansible_collections.lastack.linux.plugins.module_utils.observe.tcp_states import STATE_BY_NUMBER
from hypothesis import given
from hypothesis import strategies as st

TCP6 = (Path(__file__).parent / "fixtures" / "proc_net" / "tcp6").read_bytes()
HEADING = TCP6.splitlines(keepends=True)[0]


def printed(address: str) -> str:
    """As the kernel prints it: words of the machine's byte order."""
    packed = ipaddress.ip_address(address).packed
    count = len(packed) // 4
    return "".join(f"{word:08X}" for word in struct.unpack(f"={count}I", packed))


def line(  # noqa: PLR0913 - the columns
    state: int = 1,
    local: str = "192.0.2.1",
    local_port: int = 443,
    remote: str = "198.51.100.2",
    remote_port: int = 50000,
    queues: tuple[int, int] = (0, 0),
    timer: int = 0,
    uid: int = 0,
    inode: int = 641,
) -> bytes:
    text = f"   0: {printed(local)}:{local_port:04X} {printed(remote)}:{remote_port:04X} {state:02X}"
    text += (
        f" {queues[0]:08X}:{queues[1]:08X} {timer:02X}:00000000 00000000 {uid:5d}        0 {inode} 1 0000000000000000"
    )
    return f"{text:<149}\n".encode()


def tree(root: Path, tcp: bytes | None, tcp6: bytes | None = None) -> NetworkNamespace:
    """A procfs with one process."""
    (root / "40" / "net").mkdir(parents=True)
    (root / "40" / "ns").mkdir()
    (root / "40" / "ns" / "net").touch()
    for name, content in (("tcp", tcp), ("tcp6", tcp6)):
        if content is not None:
            (root / "40" / "net" / name).write_bytes(content)
    inode = (root / "40" / "ns" / "net").stat().st_ino
    return NetworkNamespace(inode, "", f"{root}/40/ns/net", 40, current=False)


@pytest.fixture(autouse=True)
def no_sock_diag(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*__: object) -> None:
        raise SockDiagUnavailable("refused by the test")

    # The trees of these tests have no namespaces to enter.
    monkeypatch.setattr(sockets, "call_inside", refused)


ports = st.integers(0, 65535)
words = st.integers(0, 2**32 - 1)


@given(
    state=st.sampled_from(sorted(STATE_BY_NUMBER)),
    addresses=st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4))
    | st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6)),
    local_port=ports,
    remote_port=ports,
    queues=st.tuples(words, words),
    uid=words,
    inode=words,
)
def test_what_the_kernel_printed_is_read_back(  # noqa: PLR0913 - the columns
    state: int,
    addresses: tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...],
    local_port: int,
    remote_port: int,
    queues: tuple[int, int],
    uid: int,
    inode: int,
) -> None:
    local, remote = map(str, addresses)
    entry = parse_line(line(state, local, local_port, remote, remote_port, queues, 0, uid, inode))
    assert entry is not None
    record = entry.record(5)
    assert (record.state, record.namespace, record.uid, record.inode) == (STATE_BY_NUMBER[state], 5, uid, inode)
    assert (record.local_port, record.remote_port) == (local_port, remote_port)
    assert (record.send_queue, record.receive_queue) == queues
    assert (record.cookie, record.cgroup_id, record.info) == (0, None, None)
    if getattr(addresses[0], "ipv4_mapped", None) is None:
        assert record.family == addresses[0].version
        assert ipaddress.ip_address(record.local_address) == addresses[0]


def test_addresses_are_words_of_the_machine() -> None:
    assert decode_address(printed("127.0.0.1").encode()) == (4, "127.0.0.1")
    assert decode_address(printed("2001:db8::1:2:3").encode()) == (6, "2001:db8::1:2:3")
    assert decode_address(printed("::ffff:10.0.0.1").encode()) == (4, "10.0.0.1")
    assert decode_address(printed("::").encode()) == (6, "::")
    for garbled in (b"", b"zz", b"0000", b"0" * 31, b"g" * 8):
        with pytest.raises(ValueError, match=r"."):
            decode_address(garbled)


def test_captured_table() -> None:
    entries = [parse_line(text) for text in TCP6.splitlines(keepends=True)[1:]]
    assert Counter(entry.state for entry in entries if entry) == {
        "ESTABLISHED": 4,
        "SYN_SENT": 1,
        "SYN_RECV": 1,
        "FIN_WAIT1": 1,
        "FIN_WAIT2": 5,
        "TIME_WAIT": 3,
        "CLOSE_WAIT": 3,
        "LAST_ACK": 1,
        "LISTEN": 2,
        "CLOSING": 1,
    }
    assert sum(entry.mini for entry in entries if entry) == 4


@given(st.binary(max_size=300))
def test_garbage_is_no_entry_or_a_whole_one(garbage: bytes) -> None:
    entry = parse_line(garbage)
    assert entry is None or entry.state in STATE_BY_NUMBER.values()


@given(st.integers(0, len(TCP6) - 1), st.binary(max_size=12))
def test_damaged_tables_never_raise(tmp_path_factory: pytest.TempPathFactory, place: int, patch: bytes) -> None:
    root = tmp_path_factory.mktemp("proc")
    namespace = tree(root, HEADING, TCP6[:place] + patch + TCP6[place + len(patch) :])
    answer = read_namespace(namespace, proc=str(root), port_range=(1, 65535))
    assert answer.source == "proc_net"
    counted = sum(count or 0 for count in answer.states.values())
    assert counted <= len(TCP6.splitlines()) + len(patch)


def test_a_truncated_table_is_counted_and_said(tmp_path: Path) -> None:
    whole = HEADING + line(8) + line(1)
    namespace = tree(tmp_path, whole[:-3], HEADING + b"nonsense\n" + line(10, "::1", 80, "::", 0))
    answer = read_namespace(namespace, proc=str(tmp_path))
    assert {name: count for name, count in answer.states.items() if count} == {"CLOSE_WAIT": 1, "LISTEN": 1}
    assert [warning[:2] for warning in answer.warnings] == [
        ("sock_diag_unavailable", 1),
        ("proc_net_garbled", 2),
        ("listen_backlog_unknown", 1),
    ]


def test_an_entry_that_counts_but_cannot_be_decoded_is_said(tmp_path: Path) -> None:
    broken = line(8).replace(printed("192.0.2.1").encode(), b"XXXXXXXX")
    answer = read_namespace(tree(tmp_path, HEADING + broken), proc=str(tmp_path))
    assert (answer.states["CLOSE_WAIT"], answer.close_wait) == (1, [])
    assert ("proc_net_garbled", 1) in [warning[:2] for warning in answer.warnings]


def test_without_tcp6_nothing_is_missing(tmp_path: Path) -> None:
    answer = read_namespace(tree(tmp_path, HEADING + line(1)), proc=str(tmp_path))
    assert answer.states["ESTABLISHED"] == 1
    assert [warning.code for warning in answer.warnings] == ["sock_diag_unavailable"]
    assert answer.states["BOUND_INACTIVE"] is None


def test_without_tcp_the_namespace_is_unreadable(tmp_path: Path) -> None:
    namespace = tree(tmp_path, None)
    with pytest.raises(NamespaceUnreadable, match="does not show"):
        read_namespace(namespace, proc=str(tmp_path))
    with pytest.raises(NamespaceUnreadable, match="does not show"):
        read_inodes(namespace, proc=str(tmp_path))


def test_an_unreadable_tcp6_is_said(tmp_path: Path) -> None:
    namespace = tree(tmp_path, HEADING + line(1))
    (tmp_path / "40" / "net" / "tcp6").mkdir()
    answer = read_namespace(namespace, proc=str(tmp_path))
    assert [warning.code for warning in answer.warnings] == ["sock_diag_unavailable", "proc_net_unreadable"]


def test_another_process_with_the_same_number_is_not_read(tmp_path: Path) -> None:
    namespace = tree(tmp_path, HEADING)
    with pytest.raises(NamespaceVanished, match="another has its number"):
        read_namespace(namespace._replace(inode=1), proc=str(tmp_path))
    with pytest.raises(NamespaceVanished, match="it vanished"):
        read_namespace(namespace._replace(pid=41), proc=str(tmp_path))


def test_a_listener_shows_its_queue_and_no_limit(tmp_path: Path) -> None:
    answer = read_namespace(tree(tmp_path, HEADING + line(10, queues=(0, 5))), proc=str(tmp_path))
    assert [(record.receive_queue, record.send_queue) for record in answer.listeners] == [(5, 0)]


def test_time_wait_and_destinations(tmp_path: Path) -> None:
    table = [
        line(10, "0.0.0.0", 443, "0.0.0.0", 0),
        line(10, "0.0.0.0", 50001, "0.0.0.0", 0),
        line(6, local_port=443, timer=3, inode=0),
        line(6, local_port=444, timer=3, inode=0),
        line(6, local_port=40000, remote_port=5432, timer=3, inode=0),
        line(1, local_port=40001, remote_port=5432),
        line(1, local_port=50001, remote_port=5432),
        line(5, local_port=40002, remote_port=80, timer=3, inode=0),
    ]
    mapped = line(1, "::ffff:192.0.2.1", 40003, "::ffff:198.51.100.2", 5432)
    namespace = tree(tmp_path, HEADING + b"".join(table), HEADING + mapped)
    answer = read_namespace(namespace, proc=str(tmp_path), port_range=(40000, 60000))
    assert answer.time_wait_by_local_port == {443: 1}
    assert answer.destinations == [
        Destination("192.0.2.1", "198.51.100.2", 5432, 3, 1),
        Destination("192.0.2.1", "198.51.100.2", 80, 1, 0),
    ]
    assert answer.full_sockets == 5


def test_inodes_are_those_of_full_sockets(tmp_path: Path) -> None:
    table = HEADING + line(1, inode=10) + line(8, inode=0) + line(6, timer=3, inode=0) + line(10, inode=11)
    assert read_inodes(tree(tmp_path, table), proc=str(tmp_path)) == {10, 11}


def test_a_part_of_the_inodes_is_no_answer(tmp_path: Path) -> None:
    namespace = tree(tmp_path, HEADING + line(1, inode=10) + b"garbled\n")
    with pytest.raises(NamespaceUnreadable, match="only a part"):
        read_inodes(namespace, proc=str(tmp_path))


def test_the_deadline_ends_the_table_and_is_said(tmp_path: Path) -> None:
    (tmp_path / "tcp").write_bytes(HEADING + line(1) * 10)
    tables = ProcNet(str(tmp_path), deadline=Deadline(0))
    assert list(tables.entries()) == []
    assert [warning.code for warning in tables.warnings] == ["deadline"]


def test_merged_destinations_add_up_and_are_cut() -> None:
    entries = [Destination("a", "b", 1, 5, 1), Destination("a", "c", 1, 7, 0), Destination("a", "b", 1, 3, 2)]
    assert merge_destinations(entries, 1) == [Destination("a", "b", 1, 8, 3)]
    assert len(merge_destinations(entries, 9)) == 2
