# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pressure: the sections on TIME_WAIT, ports, listeners, descriptors, memory and conntrack."""

from __future__ import annotations

from typing import Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.descriptor_pressure import (
    descriptors_section,
    share,
)
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.listeners import (
    apps_by_port,
    listener_apps,
    listeners_section,
)
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.memory import conntrack_section, memory_section
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.ports import (
    ephemeral_ports_section,
    usable_ports,
)
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.time_wait import integer_of, time_wait_section
from ansible_collections.lastack.linux.plugins.module_utils.observe.counters import parse_reserved_ports
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import (
    Conntrack,
    DescriptorUse,
    Destination,
    HostMemory,
    NamespaceCounters,
    NamespaceSockets,
)
from diagnose_samples import HOST, check_section, listener, process
from hypothesis import given
from hypothesis import strategies as st

LABELS = {HOST: "host", 7: "bl\x1bue"}


def _sockets(namespace: int = HOST, **values: object) -> NamespaceSockets:
    empty: dict[str, Any] = dict.fromkeys(NamespaceSockets._fields, None)
    empty.update(namespace=namespace, source="sock_diag", states={"TIME_WAIT": 0}, close_wait=[], listeners=[])
    empty.update(time_wait_by_local_port={}, destinations=[], warnings=[])
    empty.update(values)
    return NamespaceSockets(**empty)


def _counters(namespace: int = HOST, counters: dict[str, int] | None = None, **sysctls: str) -> NamespaceCounters:
    names = {
        "range": "net.ipv4.ip_local_port_range",
        "reserved": "net.ipv4.ip_local_reserved_ports",
        "buckets": "net.ipv4.tcp_max_tw_buckets",
        "somaxconn": "net.core.somaxconn",
    }
    return NamespaceCounters(namespace, counters or {}, {names[key]: value for key, value in sysctls.items()})


def test_time_wait() -> None:
    section = time_wait_section(
        [
            _sockets(7, states={"TIME_WAIT": 3}),
            _sockets(states={"TIME_WAIT": 11_204}, time_wait_by_local_port={80: 5, 8080: 9_870}),
            _sockets(8),
        ],
        {HOST: _counters(counters={"TCPTimeWaitOverflow": 2}, buckets="262144")},
        LABELS,
        {(HOST, 8080): "nginx"},
    )
    check_section("time_wait", section)
    host, blue = section
    assert (host["total"], host["max_buckets"], host["used_percent"], host["overflows"]) == (11_204, 262_144, 4.3, 2)
    assert host["closed_here"] == [
        {"port": 8080, "count": 9_870, "app": "nginx"},
        {"port": 80, "count": 5, "app": None},
    ]
    assert (blue["namespace"], blue["max_buckets"], blue["used_percent"]) == ("bl\\x1bue", None, None)


def test_a_namespace_that_has_overflowed_is_shown_though_empty_now() -> None:
    counters = {HOST: _counters(counters={"TCPTimeWaitOverflow": 2})}
    assert len(time_wait_section([_sockets()], counters, LABELS, {})) == 1


def test_ports() -> None:
    to = [Destination("10.0.0.4", "10.0.0.7", 5432, 40, 9), Destination("10.0.0.4", "::2", 443, 50, 0)]
    section = ephemeral_ports_section(
        [_sockets(7, destinations=to[:1]), _sockets(destinations=to, listeners=[listener(local_port=40_001)])],
        {HOST: _counters(range="40000\t40099", reserved="39999-40000,50000")},
        LABELS,
        top=1,
    )
    check_section("ephemeral_ports", section)
    host, blue = section
    assert (host["range"], host["reserved"], host["usable"]) == ([40_000, 40_099], 1, 98)
    assert host["destinations"] == [
        {"source": "10.0.0.4", "address": "::2", "port": 443, "used": 50, "time_wait": 0, "used_percent": 51.0}
    ]
    assert host["truncated"] == 1
    assert (blue["range"], blue["reserved"], blue["usable"]) == (None, None, None)
    assert (blue["destinations"], blue["truncated"]) == ([], 1)


def test_ports_of_many_namespaces_share_one_list() -> None:
    counters = {number: _counters(number, range="40000 49999") for number in range(100, 212)}
    busy = [Destination("10.0.0.4", f"10.0.1.{number}", 443, number, 0) for number in range(90, 110)]
    sockets = [_sockets(number, destinations=busy) for number in counters]
    sockets[50] = _sockets(150, destinations=[Destination("10.0.0.4", "10.0.0.7", 5432, 6_000, 9)])
    section = ephemeral_ports_section(sockets, counters, {}, top=20)
    check_section("ephemeral_ports", section)
    assert len(section) == 50
    assert section[0]["namespace_id"] == 150
    rows = [row for entry in section for row in entry["destinations"]]
    assert [row["used"] for row in rows] == [6_000, *[109] * 19]
    assert (section[1]["truncated"], section[-1]["truncated"]) == (19, 20)
    # What uses less than one per cent is no row even where there is room for it.
    (one,) = ephemeral_ports_section(sockets[:1], counters, {}, top=100)
    assert ([row["used"] for row in one["destinations"]], one["truncated"]) == (list(range(109, 99, -1)), 10)


def test_only_the_worst_namespaces_are_listed() -> None:
    many = range(100, 212)
    waiting = time_wait_section([_sockets(number, states={"TIME_WAIT": number}) for number in many], {}, {}, {}, top=3)
    assert [entry["total"] for entry in waiting] == list(range(211, 191, -1))
    tracked = {number: Conntrack(number, 1_000) for number in many}
    assert [entry["count"] for entry in conntrack_section(tracked, {})] == list(range(211, 191, -1))
    assert len(conntrack_section(tracked, {}, top=30)) == 30


def test_usable_ports() -> None:
    assert usable_ports((10, 19), [], {10, 30}) == 9
    assert usable_ports((10, 19), [(1, 12), (18, 40)], {11, 15}) == 4
    assert (integer_of(" 128\n"), integer_of("-1"), integer_of("9" * 400), integer_of(None)) == (128, None, None, None)


PORT = st.integers(0, 65535)
RANGES = st.lists(st.tuples(PORT, PORT).map(lambda pair: (min(pair), max(pair))), max_size=6)


@given(RANGES, st.tuples(st.integers(1, 65535), st.integers(1, 65535)).map(lambda p: (min(p), max(p))), st.sets(PORT))
def test_usable_ports_equal_a_count_one_by_one(
    ranges: list[tuple[int, int]], port_range: tuple[int, int], bound: set[int]
) -> None:
    text = ",".join(f"{low}-{high}" for low, high in ranges)
    taken = {port for low, high in ranges for port in range(low, high + 1)} | bound
    expected = sum(port not in taken for port in range(port_range[0], port_range[1] + 1))
    assert usable_ports(port_range, parse_reserved_ports(text), bound) == expected


def test_listeners() -> None:
    listeners = [
        listener(inode=1, receive_queue=1),
        listener(inode=2, receive_queue=129, local_port=8443),
        listener(inode=3),
        listener(inode=4, receive_queue=3, send_queue=0),
    ]
    apps = listener_apps({1: [5], 2: [8, 5], 3: [8]}, {5: process(5)})
    assert apps == {1: "program", 2: "program"}
    assert apps_by_port(listeners, apps) == {(HOST, 8080): "program", (HOST, 8443): "program"}
    section, truncated = listeners_section(listeners, {HOST: _counters(somaxconn="128")}, LABELS, apps, top=2)
    check_section("listeners", section)
    assert [(one["port"], one["queue"], one["used_percent"], one["app"]) for one in section] == [
        (8443, 129, 100.8, "program"),
        (8080, 1, 0.8, "program"),
    ]
    assert section[0]["somaxconn"] == 128
    assert truncated == 2


def test_descriptors() -> None:
    uses = [
        DescriptorUse(1, "idle", 10, 1024, 4096),
        DescriptorUse(2, "un\x1blimited", 90_000, -1, -1),
        DescriptorUse(3, "busy", 993, 1024, 4096),
    ]
    section = descriptors_section(uses, {3: process(3)}, allocated=5, maximum=None, top=2)
    check_section("descriptors", section)
    assert [(one["app"], one["used_percent"]) for one in section["processes"]] == [("program", 97.0), ("idle", 1.0)]
    assert section["truncated"] == 1
    unlimited = descriptors_section(uses[1:2], {}, allocated=None, maximum=None)["processes"][0]
    assert (unlimited["app"], unlimited["used_percent"]) == ("un\\x1blimited", None)
    assert share(1, 0) is share(None, 5) is share(5, None) is None


def test_a_sandbox_that_forbids_itself_to_open_more_is_nowhere_near_its_limit() -> None:
    """sshd's child before the login sets RLIMIT_NOFILE to 1, with seven descriptors open."""
    uses = [DescriptorUse(1, "idle", 10, 1024, 4096), DescriptorUse(2, "sshd", 7, 1, 1)]
    section = descriptors_section(uses, {}, allocated=5, maximum=None)
    assert [(one["app"], one["used_percent"]) for one in section["processes"]] == [("idle", 1.0), ("sshd", None)]


def test_memory_and_conntrack() -> None:
    memory = memory_section(HostMemory(12, 65_536, 20, None, 40, 99))
    check_section("memory", memory)
    assert memory == {
        "orphans": 12,
        "max_orphans": 65_536,
        "pages": 20,
        "pressure_pages": None,
        "max_pages": 40,
    }
    section = conntrack_section({7: Conntrack(5, 0), HOST: Conntrack(80, 100), 9: Conntrack(0, 0)}, LABELS)
    check_section("conntrack", section)
    assert [(one["namespace_id"], one["used_percent"]) for one in section] == [(HOST, 80.0), (7, None)]
