# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sock_diag dumps: captured ones, generated ones, broken ones, and a kernel that misbehaves."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import struct
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe import sock_diag
from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline
from ansible_collections.lastack.linux.plugins.module_utils.observe.inet_diag import (
    MESSAGE_SIZE,
    DumpTrouble,
    SockDiagUnavailable,
    parse_socket,
    port_range_filter,
    request,
    split,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.proc_net import ProcNet
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import TcpInfo, TcpSocket
from ansible_collections.lastack.linux.plugins.module_utils.observe.sock_diag import SockDiag
from ansible_collections.lastack.linux.plugins.module_utils.observe.tcp_states import (
    OBSERVABLE_MASK,
    STATE_BY_NUMBER,
)
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Sequence

FIXTURES = Path(__file__).parent / "fixtures"
CAPTURED = [path.read_bytes() for path in sorted((FIXTURES / "sock_diag").glob("tcp6-*.bin"))]
SOCK_DIAG, ERROR, DONE, OVERRUN = 20, 2, 3, 4
MULTI, INTERRUPTED = 2, 0x10
DONE_MESSAGE = struct.pack("=IHHIIi", 20, DONE, MULTI, 1, 7, 0)


class Entry(NamedTuple):
    """A socket to be written as the kernel does."""

    family: int = socket.AF_INET
    state: int = 1
    timer: int = 0
    local: str = "192.0.2.1"
    local_port: int = 443
    remote: str = "198.51.100.2"
    remote_port: int = 50000
    rqueue: int = 0
    wqueue: int = 0
    uid: int = 0
    inode: int = 0
    cookie: int = 1
    cgroup_id: int | None = None
    info: TcpInfo | None = None
    padding: int = 0


def message(kind: int, body: bytes, flags: int = MULTI) -> bytes:
    whole = struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 7) + body
    return whole + bytes(-len(whole) % 4)


def attribute(kind: int, body: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(body), kind) + body + bytes(-len(body) % 4)


def encode(entry: Entry, flags: int = MULTI) -> bytes:
    def address(text: str) -> bytes:
        return ipaddress.ip_address(text).packed.ljust(16, b"\0")

    body = struct.pack("=BBBB", entry.family, entry.state, entry.timer, 0)
    body += struct.pack(">HH", entry.local_port, entry.remote_port) + address(entry.local) + address(entry.remote)
    body += struct.pack("=III", 0, entry.cookie & 0xFFFFFFFF, entry.cookie >> 32)
    body += struct.pack("=5I", 0, entry.rqueue, entry.wqueue, entry.uid, entry.inode)
    body += attribute(8, b"\0")
    if entry.info is not None:
        info = bytearray(136 if entry.info.bytes_acked is not None else 104)
        times = entry.info.last_data_sent_ms, 0, entry.info.last_data_recv_ms, entry.info.last_ack_recv_ms
        struct.pack_into("=4I", info, 44, *times)
        if entry.info.bytes_acked is not None:
            struct.pack_into("=QQ", info, 120, entry.info.bytes_acked, entry.info.bytes_received)
        body += attribute(2, bytes(info))
    if entry.cgroup_id is not None:
        body += attribute(21, struct.pack("=Q", entry.cgroup_id))
    if entry.padding:
        body += attribute(99, bytes(entry.padding))
    return message(SOCK_DIAG, body, flags)


def records(datagram: bytes) -> list[TcpSocket]:
    buffer = bytearray(datagram)
    found = [parse_socket(buffer, offset, 5) for offset in split(buffer, len(buffer)).offsets]
    return [record for record in found if record is not None]


class Kernel:
    """A netlink socket whose datagrams the test wrote; each request starts the next script."""

    def __init__(self, *scripts: Sequence[bytes | OSError]) -> None:
        self.scripts = list(scripts)
        self.pending: list[bytes | OSError] = []
        self.requests: list[bytes] = []
        self.opened = 0
        self.closed = 0

    def open(self) -> Kernel:
        self.opened += 1
        return self

    def close(self) -> None:
        self.closed += 1

    def sendto(self, query: bytes, _address: object) -> None:
        self.requests.append(query)
        self.pending = list(self.scripts.pop(0))

    def recv_into(self, buffer: bytearray, _size: int, flags: int) -> int:
        assert flags & socket.MSG_TRUNC
        datagram = self.pending.pop(0)
        if isinstance(datagram, OSError):
            raise datagram
        fits = datagram[: len(buffer)]
        buffer[: len(fits)] = fits
        return len(datagram)


def counted(kernel: Kernel) -> tuple[dict[int, int], list[str]]:
    with SockDiag(kernel.open) as diag:  # type: ignore[arg-type]
        states = diag.count_states(socket.AF_INET).by_number
        codes = [warning.code for warning in diag.warnings]
    assert kernel.opened == kernel.closed
    return states, codes


# --- captured


def test_captured_dump_has_every_state() -> None:
    states, warnings = counted(Kernel(CAPTURED))
    assert warnings == []
    assert {STATE_BY_NUMBER[number]: count for number, count in states.items()} == {
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


def test_captured_mini_sockets_are_told_from_full_ones() -> None:
    with SockDiag(Kernel(CAPTURED).open) as diag:  # type: ignore[arg-type]
        assert diag.count_states(socket.AF_INET6).mini_fin_wait2 == 1


def test_captured_dump_and_captured_procfs_say_the_same() -> None:
    by_diag = [record for datagram in CAPTURED for record in records(datagram)]
    tables = ProcNet(str(FIXTURES / "proc_net"))
    rows = tables._table(FIXTURES / "proc_net" / "tcp6")
    by_proc = [tables.record(entry, 5) for entry in rows]
    assert len(by_diag) == 22

    def comparable(record: TcpSocket | None) -> TcpSocket:
        assert record is not None
        send_queue = 0 if record.state == "LISTEN" else record.send_queue
        return record._replace(cookie=0, cgroup_id=None, info=None, send_queue=send_queue)

    assert sorted(map(comparable, by_diag)) == sorted(map(comparable, by_proc))


def test_captured_close_wait_has_its_times() -> None:
    found = [record for datagram in CAPTURED for record in records(datagram) if record.state == "CLOSE_WAIT"]
    assert sorted(record.receive_queue for record in found) == [1, 9, 9]
    for record in found:
        assert record.info is not None
        assert record.info.last_ack_recv_ms <= record.info.last_data_recv_ms < 1000
        assert record.info.bytes_received == record.receive_queue
        assert record.local_address == "127.0.0.1"


# --- generated

ports = st.integers(0, 65535)
words = st.integers(0, 2**32 - 1)
longs = st.integers(0, 2**64 - 1)
infos = st.builds(TcpInfo, words, words, words, longs, longs) | st.builds(
    TcpInfo, words, words, words, st.none(), st.none()
)
v4 = st.ip_addresses(v=4).map(str)
v6 = st.ip_addresses(v=6).filter(lambda address: getattr(address, "ipv4_mapped", None) is None).map(str)


def entries(family: int, addresses: st.SearchStrategy[str]) -> st.SearchStrategy[Entry]:
    return st.builds(
        Entry,
        family=st.just(family),
        state=st.sampled_from(sorted(STATE_BY_NUMBER)),
        timer=st.sampled_from([0, 1, 2, 3]),
        local=addresses,
        local_port=ports,
        remote=addresses,
        remote_port=ports,
        rqueue=words,
        wqueue=words,
        uid=words,
        inode=words,
        cookie=longs,
        cgroup_id=st.none() | longs.filter(lambda number: number > 1),
        info=st.none() | infos,
        padding=st.sampled_from([0, 0, 4, 5]),
    )


any_entry = entries(socket.AF_INET, v4) | entries(socket.AF_INET6, v6)


@given(st.lists(any_entry, max_size=8))
def test_what_the_kernel_wrote_is_read_back(written: list[Entry]) -> None:
    read = records(b"".join(encode(entry) for entry in written) + DONE_MESSAGE)
    assert read == [
        TcpSocket(
            namespace=5,
            family=4 if entry.family == socket.AF_INET else 6,
            state=STATE_BY_NUMBER[entry.state],
            local_address=entry.local if entry.family == socket.AF_INET else ntop(entry.local),
            local_port=entry.local_port,
            remote_address=entry.remote if entry.family == socket.AF_INET else ntop(entry.remote),
            remote_port=entry.remote_port,
            receive_queue=entry.rqueue,
            send_queue=entry.wqueue,
            uid=entry.uid,
            inode=entry.inode,
            cookie=entry.cookie,
            cgroup_id=entry.cgroup_id,
            info=entry.info,
        )
        for entry in written
    ]


def ntop(text: str) -> str:
    return socket.inet_ntop(socket.AF_INET6, ipaddress.ip_address(text).packed)


@given(st.lists(st.lists(any_entry, min_size=1, max_size=30), max_size=4))
def test_counting_equals_counting_one_by_one(datagrams: list[list[Entry]]) -> None:
    script = [b"".join(map(encode, batch)) for batch in datagrams]
    every = [entry for batch in datagrams for entry in batch]
    kernel = Kernel([*script, DONE_MESSAGE])
    with SockDiag(kernel.open) as diag:  # type: ignore[arg-type]
        dumped = diag.count_states(socket.AF_INET)
    assert dumped.by_number == Counter(entry.state for entry in every)
    assert dumped.mini_fin_wait2 == sum(entry.state == 5 and entry.timer == 3 for entry in every)


@given(every=st.lists(any_entry, min_size=1, max_size=30), uniform=st.booleans())
def test_counts_by_port_inode_and_destination(*, every: list[Entry], uniform: bool) -> None:
    if uniform:
        every = [entry._replace(info=None, cgroup_id=None, padding=0) for entry in every]
        batch = split(bytearray(b"".join(map(encode, every))), len(b"".join(map(encode, every))))
        assert isinstance(batch.offsets, range)
    script = [b"".join(map(encode, every)), DONE_MESSAGE]
    kernel = Kernel(script, script, script)
    with SockDiag(kernel.open) as diag:  # type: ignore[arg-type]
        inodes = diag.inodes(socket.AF_INET, bound_inactive=False)
        wanted = {every[0].local_port, 1}
        by_port = diag.time_wait_ports(socket.AF_INET, wanted)
        destinations = diag.destinations(socket.AF_INET6, 0, 65535, {every[-1].local_port}, 1000)
    assert inodes == {entry.inode for entry in every} - {0}
    assert by_port == {port: count for port, count in Counter(e.local_port for e in every).items() if port in wanted}
    kept = [entry for entry in every if entry.local_port != every[-1].local_port]
    assert sum(destination.used for destination in destinations) == len(kept)
    assert sum(destination.time_wait for destination in destinations) == sum(entry.state == 6 for entry in kept)
    assert [entry.used for entry in destinations] == sorted((entry.used for entry in destinations), reverse=True)


@given(st.binary(max_size=600))
def test_garbage_is_read_or_refused(garbage: bytes) -> None:
    with contextlib.suppress(DumpTrouble, SockDiagUnavailable):
        records(garbage)


@given(st.lists(any_entry, min_size=1, max_size=4), st.data())
def test_flipped_bytes_are_read_or_refused(written: list[Entry], data: st.DataObject) -> None:
    datagram = bytearray(b"".join(map(encode, written)) + DONE_MESSAGE)
    for __ in range(data.draw(st.integers(1, 4))):
        datagram[data.draw(st.integers(0, len(datagram) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DumpTrouble, SockDiagUnavailable):
        records(bytes(datagram))


@given(st.lists(any_entry, min_size=1, max_size=3), st.data())
def test_a_cut_datagram_is_never_mistaken_for_a_whole_one(written: list[Entry], data: st.DataObject) -> None:
    whole = b"".join(map(encode, written))
    bounds = [0]
    for entry in written:
        bounds.append(bounds[-1] + len(encode(entry)))
    cut = data.draw(
        st.integers(1, len(whole) - 1).filter(lambda size: size not in bounds and size + 3 & ~3 not in bounds)
    )
    with pytest.raises(DumpTrouble):
        split(bytearray(whole[:cut]), cut)


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_a_kernel_of_garbage_ends_in_the_one_error_or_a_warning(datagrams: list[bytes]) -> None:
    script: list[bytes | OSError] = [*datagrams, OSError(errno.EAGAIN, "nothing more")]
    with contextlib.suppress(SockDiagUnavailable):
        __, warnings = counted(Kernel(script, script, script))
        assert warnings or any(split(bytearray(each), len(each)).done for each in datagrams)


# --- one by one


def test_v4_mapped_addresses_are_ipv4() -> None:
    (record,) = records(encode(Entry(socket.AF_INET6, local="::ffff:192.0.2.1", remote="::ffff:198.51.100.7")))
    assert (record.family, record.local_address, record.remote_address) == (4, "192.0.2.1", "198.51.100.7")
    (listener,) = records(
        encode(Entry(socket.AF_INET6, state=10, local="::ffff:127.0.0.1", remote="::", remote_port=0))
    )
    assert (listener.family, listener.local_address, listener.remote_address) == (4, "127.0.0.1", "0.0.0.0")
    (wild,) = records(encode(Entry(socket.AF_INET6, state=10, local="::", remote="::")))
    assert (wild.family, wild.local_address) == (6, "::")


@pytest.mark.parametrize("number", [0, 1])
def test_the_root_cgroup_tells_nothing(number: int) -> None:
    assert records(encode(Entry(cgroup_id=number)))[0].cgroup_id is None


def test_an_attribute_with_an_impossible_length_ends_the_attributes() -> None:
    broken = encode(Entry())[:MESSAGE_SIZE] + struct.pack("=HH", 3, 2)
    datagram = struct.pack("=I", len(broken)) + broken[4:]
    assert records(datagram)[0].info is None
    long = struct.pack("=I", len(broken)) + broken[4:MESSAGE_SIZE] + struct.pack("=HH", 500, 2)
    assert records(long)[0].info is None


def test_a_short_tcp_info_is_unknown() -> None:
    body = encode(Entry())[16:] + attribute(2, bytes(56))
    assert records(message(SOCK_DIAG, body))[0].info is None


def test_an_unknown_state_or_family_is_no_record_but_is_counted() -> None:
    datagram = encode(Entry(state=77)) + encode(Entry(family=99)) + encode(Entry(state=7))
    assert records(datagram) == []
    assert counted(Kernel([datagram, DONE_MESSAGE]))[0] == {1: 1, 7: 1, 77: 1}


def test_the_request_asks_for_states_and_ports() -> None:
    query = request(socket.AF_INET6, 0x123, extensions=2, bytecode=port_range_filter(32768, 60999))
    length, kind, flags, __, __ = struct.unpack_from("=IHHII", query)
    assert (length, kind, flags) == (len(query), SOCK_DIAG, 0x301)
    assert struct.unpack_from("=BBBBI", query, 16) == (socket.AF_INET6, socket.IPPROTO_TCP, 2, 0, 0x123)
    assert query[24:72] == bytes(48)
    assert struct.unpack_from("=HH", query, 72) == (20, 1)
    assert struct.unpack("=BBHBBHBBHBBH", query[76:]) == (2, 8, 20, 0, 0, 32768, 3, 8, 12, 0, 0, 60999)
    assert len(request(socket.AF_INET, OBSERVABLE_MASK)) == 72


# --- a kernel that misbehaves

ONE, TWO = encode(Entry(state=1)), encode(Entry(state=8))


def test_a_done_message_may_share_the_last_datagram() -> None:
    assert counted(Kernel([ONE + TWO + DONE_MESSAGE])) == ({1: 1, 8: 1}, [])


def test_an_interrupted_dump_is_made_again_and_counts_once() -> None:
    flagged = encode(Entry(state=1), MULTI | INTERRUPTED)
    assert counted(Kernel([flagged, DONE_MESSAGE], [ONE + TWO, DONE_MESSAGE])) == ({1: 1, 8: 1}, [])
    done = struct.pack("=IHHIIi", 20, DONE, MULTI | INTERRUPTED, 1, 7, 0)
    assert counted(Kernel([ONE, done], [TWO, DONE_MESSAGE])) == ({8: 1}, [])


def test_what_only_looks_uniform_is_not_taken_by_columns() -> None:
    flagged = encode(Entry(state=8), MULTI | INTERRUPTED)
    done = message(DONE, bytes(len(ONE) - 16))
    long = encode(Entry(padding=252))
    assert len(long) == len(ONE) + 256
    assert split(bytearray(ONE + flagged), 2 * len(ONE)).interrupted
    assert split(bytearray(ONE + done), 2 * len(ONE)) == ([0], True, False)
    assert split(bytearray(ONE + long), len(ONE + long)).offsets == [0, len(ONE)]
    assert list(split(bytearray(ONE * 3), len(ONE) * 3).offsets) == [0, len(ONE), 2 * len(ONE)]


def test_a_dump_that_is_always_interrupted_is_used_and_said() -> None:
    script = [encode(Entry(), MULTI | INTERRUPTED), DONE_MESSAGE]
    kernel = Kernel(script, script, script)
    assert counted(kernel) == ({1: 1}, ["dump_interrupted"])
    assert len(kernel.requests) == 3


@pytest.mark.parametrize("number", [errno.ENOBUFS, errno.EINTR, errno.EAGAIN, errno.EBUSY, errno.ENOMEM])
def test_a_failed_receive_is_tried_again_on_a_new_socket(number: int) -> None:
    kernel = Kernel([ONE, OSError(number, "")], [ONE + TWO, DONE_MESSAGE])
    assert counted(kernel) == ({1: 1, 8: 1}, [])
    assert kernel.opened == 2
    script: list[bytes | OSError] = [ONE, OSError(number, "")]
    assert counted(Kernel(script, script, script)) == ({1: 1}, ["dump_overrun"])


def test_an_overrun_is_tried_again() -> None:
    script = [ONE + message(OVERRUN, b"")]
    assert counted(Kernel(script, [TWO, DONE_MESSAGE])) == ({8: 1}, [])
    assert counted(Kernel(script, script, script))[1] == ["dump_overrun"]


@pytest.mark.parametrize("kind", [ERROR, DONE])
@pytest.mark.parametrize(
    "number", [errno.EOPNOTSUPP, errno.ENOENT, errno.EPERM, errno.EACCES, errno.EPROTONOSUPPORT, errno.EINVAL]
)
def test_a_refusal_is_one_error(kind: int, number: int) -> None:
    with pytest.raises(SockDiagUnavailable, match=os.strerror(number)):
        counted(Kernel([message(kind, struct.pack("=i", -number))]))


@pytest.mark.parametrize("kind", [ERROR, DONE])
def test_a_passing_failure_is_tried_again(kind: int) -> None:
    failed = message(kind, struct.pack("=i", -errno.ENOBUFS))
    assert counted(Kernel([ONE, failed], [TWO, DONE_MESSAGE])) == ({8: 1}, [])
    script = [ONE, failed]
    assert counted(Kernel(script, script, script)) == ({1: 1}, ["dump_failed"])


def test_a_refused_request_is_the_same_error() -> None:
    with pytest.raises(SockDiagUnavailable, match="Operation not permitted"):
        counted(Kernel([OSError(errno.EPERM, "")]))


def test_a_datagram_larger_than_the_buffer_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sock_diag, "_BUFFER_BYTES", 128)
    large = b"".join([ONE] * 10)
    assert counted(Kernel([large, DONE_MESSAGE], [large, DONE_MESSAGE])) == ({1: 10}, [])


def test_a_datagram_larger_than_any_buffer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sock_diag, "_BUFFER_BYTES", 128)
    monkeypatch.setattr(sock_diag, "_BUFFER_BYTES_MAX", 256)
    script = [b"".join([ONE] * 10), DONE_MESSAGE]
    assert counted(Kernel(script, script, script)) == ({}, ["dump_truncated"])


@pytest.mark.parametrize(
    "malformed", [b"", b"\1", bytes(16), ONE[:60], message(SOCK_DIAG, bytes(20)), message(55, b"")]
)
def test_bytes_that_are_no_dump_are_one_error_after_all_attempts(malformed: bytes) -> None:
    kernel = Kernel([malformed], [malformed], [malformed])
    with pytest.raises(SockDiagUnavailable, match="3 times"):
        counted(kernel)
    assert (kernel.opened, kernel.closed) == (3, 3)


def test_a_passed_deadline_keeps_what_was_read_and_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([False, False, True, True, True])
    deadline = Deadline()
    monkeypatch.setattr(deadline, "passed", lambda: next(answers))
    kernel = Kernel([ONE, TWO, ONE, DONE_MESSAGE])
    with SockDiag(kernel.open, deadline=deadline) as diag:  # type: ignore[arg-type]
        assert diag.count_states(socket.AF_INET).by_number == {1: 1, 8: 1}
        assert diag.count_states(socket.AF_INET6).by_number == {}
        assert [(warning.code, warning.occurrences) for warning in diag.warnings] == [("deadline", 2)]
    assert len(kernel.requests) == 1


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT])
def test_a_refused_netlink_socket_is_the_same_error(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*__: object) -> socket.socket:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(SockDiagUnavailable, match=os.strerror(number)):
        sock_diag.open_netlink()


def test_the_real_kernel_answers_or_says_why_not() -> None:
    with contextlib.suppress(SockDiagUnavailable), socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with SockDiag(sock_diag.open_netlink) as diag:
            listeners = diag.sockets(socket.AF_INET, 1 << 10, 5)
        assert [record.inode for record in listeners if record.local_port == port] == [os.fstat(server.fileno()).st_ino]
