# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counters and caps of a private network namespace, against what the test did there."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe.conntrack import read_conntrack
from ansible_collections.lastack.linux.plugins.module_utils.observe.counters import (
    SELECTED,
    parse_port_range,
    read_namespace_counters,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.memory import read_memory
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import NetworkNamespace

if TYPE_CHECKING:
    from netns import PrivateNamespace

pytestmark = pytest.mark.needs_root


def named(netns: PrivateNamespace) -> NetworkNamespace:
    return NetworkNamespace(inode=netns.inode, label="test", path=netns.path, pid=netns.pid, current=False)


def connections(netns: PrivateNamespace, count: int) -> list[tuple[socket.socket, socket.socket]]:
    """Connect to a listener inside, close the listener, return the pairs."""

    def connect() -> list[tuple[socket.socket, socket.socket]]:
        with socket.create_server(("127.0.0.1", 0), backlog=count) as server:
            pairs = []
            for __ in range(count):
                client = netns.keep(socket.create_connection(server.getsockname(), timeout=5))
                pairs.append((client, netns.keep(server.accept()[0])))
            return pairs

    return netns.run(connect)


def test_opens_are_those_of_the_namespace(netns: PrivateNamespace) -> None:
    before = read_namespace_counters(named(netns)).counters
    connections(netns, 7)
    after = read_namespace_counters(named(netns)).counters
    assert after["ActiveOpens"] - before["ActiveOpens"] == 7
    assert after["PassiveOpens"] - before["PassiveOpens"] == 7
    assert before["ActiveOpens"] == 0


def test_time_wait_overflow_counts_when_the_buckets_are_full(netns: PrivateNamespace) -> None:
    netns.run(["sysctl", "-q", "-w", "net.ipv4.tcp_max_tw_buckets=0"])
    for client, accepted in connections(netns, 5):
        client.close()
        accepted.close()
    counters = read_namespace_counters(named(netns))
    assert counters.sysctls["net.ipv4.tcp_max_tw_buckets"] == "0"
    assert counters.counters["TCPTimeWaitOverflow"] == 5


def test_listen_overflow_counts_when_the_accept_queue_is_full(netns: PrivateNamespace) -> None:
    def overflow() -> None:
        server = netns.keep(socket.create_server(("127.0.0.1", 0), backlog=0))
        netns.keep(socket.create_connection(server.getsockname(), timeout=5))
        for __ in range(3):
            extra = netns.keep(socket.socket())
            extra.settimeout(0)
            extra.connect_ex(server.getsockname())

    netns.run(overflow)
    assert read_namespace_counters(named(netns)).counters["ListenOverflows"] > 0


def test_caps_are_those_of_the_namespace(netns: PrivateNamespace) -> None:
    netns.run(["sysctl", "-q", "-w", "net.ipv4.ip_local_port_range=20000 20101", "net.core.somaxconn=77"])
    sysctls = read_namespace_counters(named(netns)).sysctls
    assert parse_port_range(sysctls["net.ipv4.ip_local_port_range"]) == (20000, 20101)
    assert sysctls["net.core.somaxconn"] == "77"
    own = NetworkNamespace(Path("/proc/self/ns/net").stat().st_ino, "host", "/proc/self/ns/net", None, current=True)
    assert read_namespace_counters(own).sysctls["net.ipv4.ip_local_port_range"] != "20000\t20101"


def test_a_thread_that_looks_into_a_namespace_leaves_the_others_alone(netns: PrivateNamespace) -> None:
    connections(netns, 3)
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.append(read_namespace_counters(named(netns)).counters["ActiveOpens"]))
    thread.start()
    thread.join()
    assert seen == [3]
    assert Path("/proc/thread-self/ns/net").stat().st_ino != netns.inode


def test_most_selected_counters_exist_here(netns: PrivateNamespace) -> None:
    missing = set(SELECTED) - set(read_namespace_counters(named(netns)).counters)
    # The only ones that kernels of recent years brought.
    assert missing <= {"PAWSOldAck", "PAWSTimewait", "TSEcrRejected"}


def test_conntrack_is_the_namespaces_own(netns: PrivateNamespace) -> None:
    shown = Path("/proc/sys/net/netfilter/nf_conntrack_count").exists()
    flows = read_conntrack(named(netns))
    if shown:
        assert flows is not None
        assert flows.flows == 0
        assert flows.maximum > 0
    else:
        assert flows is None


def test_memory_counts_the_sockets_of_all_namespaces(netns: PrivateNamespace) -> None:
    pairs = connections(netns, 400)
    memory = read_memory()
    # No difference of two looks: other programs of the machine open and close sockets meanwhile.
    assert memory.allocated_sockets is not None
    assert memory.allocated_sockets >= 2 * len(pairs)
    assert memory.max_pages is not None
