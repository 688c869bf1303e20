# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counters and port arithmetic on captured, generated and broken text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe.counters import (
    SELECTED,
    parse_counters,
    parse_port_range,
    parse_reserved_ports,
    read_namespace_counters,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import NetworkNamespace
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

OWN = NetworkNamespace(inode=4026531840, label="host", path="/proc/self/ns/net", pid=1, current=True)
SNMP = (
    "Ip: Forwarding DefaultTTL\nIp: 1 64\n"
    "Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens OutSegs RetransSegs\n"
    "Tcp: 1 200 120000 -1 49 4756 3\n"
    "Udp: InDatagrams\nUdp: 5\n"
)
NETSTAT = "TcpExt: SyncookiesSent ListenOverflows TW\nTcpExt: 0 18446744073709551615 7\nIpExt: InOctets\nIpExt: 12\n"


def build(root: Path, tree: dict[str, str | bytes]) -> str:
    for name, content in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(root)


def test_a_namespace(tmp_path: Path) -> None:
    proc = build(
        tmp_path,
        {
            "thread-self/net/snmp": SNMP,
            "thread-self/net/netstat": NETSTAT,
            "sys/net/core/somaxconn": "4096\n",
            "sys/net/ipv4/ip_local_port_range": "32768\t60999\n",
            "sys/net/ipv4/ip_local_reserved_ports": "\n",
        },
    )
    counters = read_namespace_counters(OWN, proc=proc)
    assert counters.namespace == OWN.inode
    assert counters.counters == {
        "RtoAlgorithm": 1,
        "RtoMin": 200,
        "RtoMax": 120000,
        "MaxConn": -1,
        "ActiveOpens": 49,
        "OutSegs": 4756,
        "RetransSegs": 3,
        "SyncookiesSent": 0,
        "ListenOverflows": 18446744073709551615,
        "TW": 7,
    }
    assert counters.sysctls == {
        "net.core.somaxconn": "4096",
        "net.ipv4.ip_local_port_range": "32768\t60999",
        "net.ipv4.ip_local_reserved_ports": "",
    }


def test_what_is_missing_is_absent(tmp_path: Path) -> None:
    counters = read_namespace_counters(OWN, proc=str(tmp_path))
    assert (counters.counters, counters.sysctls) == ({}, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("Tcp: A B", {}),
        ("Tcp: A B\nTcp: 1", {"A": 1}),
        ("Tcp: A\nTcp: 1 2", {"A": 1}),
        ("Tcp: A B C\nTcp: 1 x 3", {"A": 1, "C": 3}),
        ("Tcp: A B\nTcp: 1 99999999999999999999999", {"A": 1}),
        ("Tcp: A\nTcpExt: A\nTcp: 1\nTcpExt: 2", {"A": 1}),
        ("Tcp A\nTcp 1", {}),
        ("Tcp: A\nTcp: 1\nTcp: B\nTcp: 2", {"A": 1, "B": 2}),
        ("Tcp: A\nTcp: \u0661", {}),
    ],
)
def test_broken_tables(text: str, expected: dict[str, int]) -> None:
    assert parse_counters(text, "Tcp") == expected


@given(st.dictionaries(st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,20}", fullmatch=True), st.integers(0, 2**64 - 1)))
def test_a_generated_table_is_read_back(table: dict[str, int]) -> None:
    text = f"TcpExt: {' '.join(table)}\nTcpExt: {' '.join(map(str, table.values()))}\n"
    assert parse_counters(text, "TcpExt") == table


@given(st.text())
def test_any_text_gives_numbers(text: str) -> None:
    assert all(isinstance(value, int) for value in parse_counters("Tcp: A B\nTcp:" + text, "Tcp").values())


def test_the_selection_is_small_and_unique() -> None:
    assert len(set(SELECTED)) == len(SELECTED) < 40
    assert {"ListenOverflows", "TCPTimeWaitOverflow", "RetransSegs", "OutSegs", "TWRecycled"} <= set(SELECTED)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("32768\t60999\n", (32768, 60999)),
        ("1024 1024", (1024, 1024)),
        ("60999 32768", None),
        ("0 5", None),
        ("1 65536", None),
        ("1-2 3", None),
        ("1 2 3", None),
        ("", None),
        ("a b", None),
    ],
)
def test_port_range(text: str, expected: tuple[int, int] | None) -> None:
    assert parse_port_range(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("8080,9148-9150\n", [(8080, 8080), (9148, 9150)]),
        ("9-10,8,12,11", [(8, 12)]),
        ("5-9,6", [(5, 9)]),
        ("9-8,70000,x,7", [(7, 7)]),
    ],
)
def test_reserved_ports(text: str, expected: list[tuple[int, int]]) -> None:
    assert parse_reserved_ports(text) == expected


@given(st.text())
def test_any_reserved_text_gives_ports(text: str) -> None:
    assert all(0 <= low <= high <= 65535 for low, high in parse_reserved_ports(text))
