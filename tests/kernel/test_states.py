# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real sockets in every observable state: the counts equal what was made and what ss says at the same moment."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe import sock_diag
from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline
from ansible_collections.lastack.linux.plugins.module_utils.observe.namespaces import NamespaceUnreadable
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import NetworkNamespace
from ansible_collections.lastack.linux.plugins.module_utils.observe.sockets import read_inodes, read_namespace
from ansible_collections.lastack.linux.plugins.module_utils.observe.tcp_states import (
    STATES,
    bound_inactive_observable,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import NamespaceSockets
    from netns import PrivateNamespace

pytestmark = pytest.mark.needs_root

SS_NAMES = {
    "ESTAB": "ESTABLISHED",
    "SYN-SENT": "SYN_SENT",
    "SYN-RECV": "SYN_RECV",
    "FIN-WAIT-1": "FIN_WAIT1",
    "FIN-WAIT-2": "FIN_WAIT2",
    "TIME-WAIT": "TIME_WAIT",
    "CLOSE-WAIT": "CLOSE_WAIT",
    "LAST-ACK": "LAST_ACK",
    "LISTEN": "LISTEN",
    "CLOSING": "CLOSING",
}
PORT = 700  # not an automatic port
RANGE = (32768, 60999)
BOUND = bound_inactive_observable(os.uname().release)

Pair = tuple[socket.socket, socket.socket]


class Zoo:
    """Sockets of one address family inside a private namespace, all closed with it."""

    def __init__(self, netns: PrivateNamespace, kind: str) -> None:
        self.netns = netns
        self.kind = kind
        self.server_family = socket.AF_INET if kind == "v4" else socket.AF_INET6
        # "mapped": IPv4 by IPv6 sockets on both sides.
        self.client_family = self.server_family
        self.address = {"v4": "127.0.0.1", "v6": "::1", "mapped": "::ffff:127.0.0.1"}[kind]
        self.nowhere = {"v4": "192.0.2.7", "v6": "2001:db8::7", "mapped": "::ffff:192.0.2.7"}[kind]
        self.server = self.listener(PORT)

    def unconnected(self, family: int) -> socket.socket:
        made = self.netns.keep(self.netns.run(lambda: socket.socket(family, socket.SOCK_STREAM)))
        made.settimeout(10)
        return made

    def listener(self, port: int, *, backlog: int = 64, option: int | None = None) -> socket.socket:
        server = self.unconnected(self.server_family)
        if self.server_family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if option is not None:
            server.setsockopt(socket.IPPROTO_TCP, option, 60)
        server.bind(("0.0.0.0" if self.kind == "v4" else "::", port))
        server.listen(backlog)
        return server

    def client(self, port: int = PORT) -> socket.socket:
        client = self.unconnected(self.client_family)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        client.connect((self.address, port))
        return client

    def established(self) -> Pair:
        client = self.client()
        accepted, __ = self.server.accept()
        return client, self.netns.keep(accepted)

    def close_wait(self) -> Pair:
        """The client ended its half (FIN_WAIT2), the server has not (CLOSE_WAIT)."""
        client, accepted = self.established()
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        return client, accepted

    def syn_sent(self) -> None:
        client = self.unconnected(self.client_family)
        client.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            client.connect((self.nowhere, 80))

    def syn_recv(self, port: int) -> None:
        """The server waits for data before it calls the handshake done; the client is ESTABLISHED."""
        self.listener(port, option=socket.TCP_DEFER_ACCEPT)
        self.client(port)

    def fin_wait1(self) -> Pair:
        """The FIN waits behind bytes for which the peer (ESTABLISHED) has no room."""
        client, accepted = self.established()
        fill(client)
        client.shutdown(socket.SHUT_WR)
        return client, accepted

    def closing(self) -> None:
        """As before, and then the peer's FIN (FIN_WAIT2) arrives."""
        self.fin_wait1()[1].shutdown(socket.SHUT_WR)

    def last_ack(self) -> None:
        """The peer (FIN_WAIT2) ended, then this side, whose FIN waits behind bytes."""
        client, accepted = self.established()
        fill(client)
        accepted.shutdown(socket.SHUT_WR)
        wait_until(lambda: client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"")
        client.shutdown(socket.SHUT_WR)

    def time_wait(self) -> None:
        """The server closes first."""
        client, accepted = self.established()
        accepted.close()
        wait_until(lambda: client.recv(1, socket.MSG_DONTWAIT) == b"")
        client.close()

    def orphaned_fin_wait2(self) -> None:
        """The client is closed, not only shut down: a mini socket that says FIN_WAIT2; the server is CLOSE_WAIT."""
        client, __ = self.established()
        client.close()

    def bound(self) -> None:
        self.unconnected(self.server_family).bind((self.address, 0))

    def everything(self) -> dict[str, int]:
        """Make at least one socket of every state; how many of each there are then."""
        self.established()
        self.close_wait()
        self.close_wait()
        self.syn_sent()
        self.syn_recv(PORT + 1)
        self.fin_wait1()
        self.closing()
        self.last_ack()
        self.time_wait()
        self.time_wait()
        self.time_wait()
        self.orphaned_fin_wait2()
        self.bound()
        return {
            "ESTABLISHED": 2 + 1 + 1,  # a pair, the client of SYN_RECV, the peer of FIN_WAIT1
            "SYN_SENT": 1,
            "SYN_RECV": 1,
            "FIN_WAIT1": 1,
            "FIN_WAIT2": 2 + 1 + 1 + 1,  # of CLOSE_WAIT, CLOSING, LAST_ACK, and the orphan
            "TIME_WAIT": 3,
            "CLOSE_WAIT": 2 + 1,
            "LAST_ACK": 1,
            "LISTEN": 2,
            "CLOSING": 1,
            "BOUND_INACTIVE": 1,
        }


def fill(sender: socket.socket) -> None:
    """Send until neither end has room for more."""
    sender.settimeout(0)
    idle = 0
    while idle < 5:
        try:
            sender.send(bytes(65536))
            idle = 0
        except BlockingIOError:
            idle += 1
            time.sleep(0.02)


def wait_until(condition: Callable[[], bool], seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(BlockingIOError):
            if condition():
                return
        time.sleep(0.01)
    pytest.fail("the sockets did not reach the state that the test needs")


def record_of(netns: PrivateNamespace) -> NetworkNamespace:
    return NetworkNamespace(netns.inode, "", netns.path, netns.pid, current=False)


def ss_states(netns: PrivateNamespace) -> Counter[str]:
    return Counter(SS_NAMES[line[0]] for line in netns.ss("-tan"))


@pytest.fixture(params=["v4", "v6", "mapped"])
def zoo(netns: PrivateNamespace, request: pytest.FixtureRequest) -> Zoo:
    # Packets to these networks come back through the loopback device and are dropped: nobody answers a SYN.
    netns.run(["ip", "route", "add", "192.0.2.0/24", "dev", "lo", "src", "127.0.0.1"])
    netns.run(["ip", "-6", "route", "add", "2001:db8::/64", "dev", "lo"])
    return Zoo(netns, request.param)


def refuse() -> socket.socket:
    raise sock_diag.SockDiagUnavailable("refused by the test")


@pytest.fixture
def no_sock_diag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sock_diag, "open_netlink", refuse)


def settled(zoo: Zoo, expected: dict[str, int]) -> NamespaceSockets:
    """Look until the last packets have been delivered."""
    end = time.monotonic() + 5
    while True:
        answer = read_namespace(record_of(zoo.netns), port_range=RANGE)
        seen = {name: count for name, count in answer.states.items() if count}
        if seen == expected or time.monotonic() > end:
            return answer
        time.sleep(0.02)


def test_every_state_is_counted_as_made_and_as_ss_says(zoo: Zoo) -> None:
    expected = zoo.everything()
    if not BOUND:
        del expected["BOUND_INACTIVE"]
    answer = settled(zoo, expected)
    assert {name: count for name, count in answer.states.items() if count} == expected
    assert tuple(answer.states) == STATES
    assert answer.states["CLOSE"] is None
    assert (answer.states["BOUND_INACTIVE"] is not None) == BOUND
    assert answer.source == "sock_diag"
    assert answer.warnings == []
    by_ss = ss_states(zoo.netns)
    again = read_namespace(record_of(zoo.netns)).states
    assert by_ss == Counter({name: again[name] for name in SS_NAMES.values()})


def test_full_sockets_leave_mini_sockets_out(zoo: Zoo) -> None:
    expected = zoo.everything()
    if not BOUND:
        del expected["BOUND_INACTIVE"]
    answer = settled(zoo, expected)
    minis = 3 + 1 + 1  # TIME_WAIT, SYN_RECV, the orphan in FIN_WAIT2
    assert answer.full_sockets == sum(expected.values()) - minis


def test_close_wait_records_tell_queue_owner_and_times(zoo: Zoo) -> None:
    client, accepted = zoo.close_wait()
    wait_until(lambda: read_namespace(record_of(zoo.netns)).states["CLOSE_WAIT"] == 1)
    (record,) = read_namespace(record_of(zoo.netns)).close_wait
    family, address = (6, "::1") if zoo.kind == "v6" else (4, "127.0.0.1")
    assert (record.family, record.local_address, record.local_port) == (family, address, PORT)
    assert (record.remote_address, record.remote_port) == (address, client.getsockname()[1])
    assert record.receive_queue == len(b"question") + 1
    assert record.inode == os.fstat(accepted.fileno()).st_ino
    assert record.namespace == zoo.netns.inode
    assert record.uid == 0
    assert record.cookie
    assert record.info is not None
    assert record.info.bytes_received == len(b"question") + 1
    assert 0 <= record.info.last_ack_recv_ms <= record.info.last_data_recv_ms < 20_000


def test_a_connection_closed_before_it_was_accepted_has_no_inode_and_waits_in_the_listener_queue(zoo: Zoo) -> None:
    zoo.client().close()
    wait_until(lambda: read_namespace(record_of(zoo.netns)).states["CLOSE_WAIT"] == 1)
    answer = read_namespace(record_of(zoo.netns))
    assert answer.close_wait[0].inode == 0
    (listener,) = answer.listeners
    assert (listener.local_port, listener.receive_queue, listener.send_queue) == (PORT, 1, 64)
    assert listener.inode == os.fstat(zoo.server.fileno()).st_ino


def test_cookies_tell_sockets_apart_and_stay(zoo: Zoo) -> None:
    zoo.close_wait()
    zoo.close_wait()
    wait_until(lambda: read_namespace(record_of(zoo.netns)).states["CLOSE_WAIT"] == 2)
    first = {record.cookie for record in read_namespace(record_of(zoo.netns)).close_wait}
    assert len(first) == 2
    assert {record.cookie for record in read_namespace(record_of(zoo.netns)).close_wait} == first


def test_time_wait_is_told_by_listening_port_only(zoo: Zoo) -> None:
    zoo.time_wait()
    zoo.time_wait()
    closed = zoo.listener(PORT + 5)
    client = zoo.client(PORT + 5)
    accepted, __ = closed.accept()
    accepted.close()
    client.close()
    closed.close()
    wait_until(lambda: read_namespace(record_of(zoo.netns)).states["TIME_WAIT"] == 3)
    assert read_namespace(record_of(zoo.netns)).time_wait_by_local_port == {PORT: 2}


def test_destinations_count_automatic_ports_and_not_those_of_listeners(zoo: Zoo) -> None:
    zoo.established()
    zoo.established()
    busy = zoo.listener(0)  # an automatic port too, but a listener's
    port = busy.getsockname()[1]
    assert RANGE[0] <= port <= RANGE[1]
    zoo.client(port)
    other = zoo.client(PORT)
    accepted, __ = zoo.server.accept()
    other.close()
    accepted.close()
    wait_until(lambda: read_namespace(record_of(zoo.netns)).states["TIME_WAIT"] == 1)
    address = "::1" if zoo.kind == "v6" else "127.0.0.1"
    answer = read_namespace(record_of(zoo.netns), port_range=RANGE)
    assert answer.destinations == [(address, address, PORT, 3, 1), (address, address, port, 1, 0)]
    assert read_namespace(record_of(zoo.netns), port_range=RANGE, top=1).destinations == answer.destinations[:1]
    assert read_namespace(record_of(zoo.netns)).destinations == []


def test_parts_that_nobody_asked_for_are_left_out(zoo: Zoo) -> None:
    zoo.everything()
    answer = read_namespace(
        record_of(zoo.netns),
        port_range=RANGE,
        close_wait=False,
        listeners=False,
        time_wait=False,
        destinations=False,
    )
    assert (answer.close_wait, answer.listeners, answer.time_wait_by_local_port, answer.destinations) == (
        [],
        [],
        {},
        [],
    )


def test_inodes_are_those_of_every_descriptor(zoo: Zoo) -> None:
    zoo.everything()
    kept = {os.fstat(each.fileno()).st_ino for each in zoo.netns.kept(socket.socket) if each.fileno() >= 0}
    inodes = read_inodes(record_of(zoo.netns))
    if BOUND:
        assert inodes == kept
    else:
        assert inodes < kept
        assert len(kept - inodes) == 1


def test_a_reset_socket_is_in_no_dump_while_its_descriptor_is_open(zoo: Zoo) -> None:
    __, accepted = zoo.close_wait()
    inode = os.fstat(accepted.fileno()).st_ino
    assert inode in read_inodes(record_of(zoo.netns))
    zoo.netns.run(["ss", "-K", "-t", "state", "close-wait"])
    wait_until(lambda: inode not in read_inodes(record_of(zoo.netns)))
    assert accepted.fileno() >= 0


def test_procfs_says_the_same(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = zoo.everything()
    settled(zoo, expected if BOUND else {name: count for name, count in expected.items() if name != "BOUND_INACTIVE"})
    diag = read_namespace(record_of(zoo.netns), port_range=RANGE)
    monkeypatch.setattr(sock_diag, "open_netlink", refuse)
    fallback = read_namespace(record_of(zoo.netns), port_range=RANGE)
    assert fallback.source == "proc_net"
    assert [warning.code for warning in fallback.warnings] == ["sock_diag_unavailable", "listen_backlog_unknown"]
    assert fallback.states == {**diag.states, "BOUND_INACTIVE": None}
    assert sorted(fallback.close_wait) == sorted(
        record._replace(info=None, cookie=0, cgroup_id=None) for record in diag.close_wait
    )
    assert sorted(fallback.listeners) == sorted(
        record._replace(cookie=0, cgroup_id=None, send_queue=0) for record in diag.listeners
    )
    assert fallback.time_wait_by_local_port == diag.time_wait_by_local_port
    assert fallback.destinations == diag.destinations
    assert fallback.full_sockets == (diag.full_sockets or 0) - (diag.states["BOUND_INACTIVE"] or 0)
    bound = {os.fstat(each.fileno()).st_ino for each in zoo.netns.kept(socket.socket) if each.fileno() >= 0}
    assert len(bound - read_inodes(record_of(zoo.netns))) == 1  # the bound one


@pytest.mark.usefixtures("no_sock_diag")
def test_procfs_without_ipv6_is_no_error(netns: PrivateNamespace, tmp_path: Path) -> None:
    netns.keep(netns.run(lambda: socket.create_server(("127.0.0.1", PORT))))
    folder = tmp_path / str(netns.pid)
    (folder / "net").mkdir(parents=True)
    (folder / "ns").mkdir()
    (folder / "ns" / "net").symlink_to(netns.path)
    (folder / "net" / "tcp").symlink_to(f"/proc/{netns.pid}/net/tcp")
    answer = read_namespace(record_of(netns), proc=str(tmp_path))
    assert answer.states["LISTEN"] == 1
    assert [warning.code for warning in answer.warnings] == ["sock_diag_unavailable", "listen_backlog_unknown"]


def test_nothing_is_read_after_the_deadline(netns: PrivateNamespace) -> None:
    with pytest.raises(NamespaceUnreadable, match="time was over"):
        read_namespace(record_of(netns), deadline=Deadline(0))
