# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CLOSE_WAIT sockets alone: what the kernel is asked for, and what it is not asked for where there is nothing."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe import close_wait_sockets, sock_diag
from ansible_collections.lastack.linux.plugins.module_utils.observe.close_wait_sockets import (
    read_activity,
    read_close_wait,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline
from ansible_collections.lastack.linux.plugins.module_utils.observe.namespaces import (
    NamespaceUnreadable,
    NamespaceVanished,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import NetworkNamespace
from test_sock_diag import DONE_MESSAGE, Entry, Kernel, encode

if TYPE_CHECKING:
    from pathlib import Path

CLOSE_WAIT, LISTEN = 8, 10
V4, V6 = int(socket.AF_INET), int(socket.AF_INET6)
OWN = NetworkNamespace(5, "host", "", 1, current=True)
SNMP = "Ip: Forwarding\nIp: 1\nTcp: InSegs OutSegs\nTcp: {} 7\nUdp: InDatagrams\nUdp: 3\n"
TABLE = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
LINE = "   {}: 0100007F:{:04X} 0100007F:2328 {:02X} 00000000:00000001 00:00000000 00000000  1000        0 {} 1 0\n"


def net(proc: Path, *, v4: int | None = 3, v6: int | None = 0, mptcp: int = 0) -> Path:
    folder = proc / "thread-self/net"
    folder.mkdir(parents=True)
    if v4 is not None:
        (folder / "sockstat").write_text(
            f"sockets: used 9\nTCP: inuse {v4} orphan 0 tw 0 alloc 9 mem 1\nUDP: inuse 5\n"
        )
    if v6 is not None:
        (folder / "sockstat6").write_text(f"TCP6: inuse {v6}\nUDP6: inuse 4\n")
    (folder / "protocols").write_text(f"protocol  size sockets\nMPTCP     1860    {mptcp}\nTCP       2000      9\n")
    (folder / "snmp").write_text(SNMP.format(100))
    return folder


def answer(*entries: Entry) -> list[bytes | OSError]:
    return [b"".join(map(encode, entries)), DONE_MESSAGE] if entries else [DONE_MESSAGE]


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(sock_diag, "open_netlink", made.open)
    return made


def asked(kernel: Kernel) -> list[tuple[int, int]]:
    """Return family and states of each request."""
    return [(query[16], int.from_bytes(query[20:24], "little")) for query in kernel.requests]


def test_only_close_wait_is_asked_for_and_listeners_only_beside_it(tmp_path: Path, kernel: Kernel) -> None:
    net(tmp_path)
    kernel.scripts = [
        answer(Entry(state=CLOSE_WAIT, inode=9, cookie=1 << 40, rqueue=1)),
        answer(Entry(state=LISTEN, inode=8, cookie=3)),
    ]
    found = read_close_wait(OWN, proc=str(tmp_path))
    assert [(one.state, one.inode, one.cookie) for one in found.sockets] == [("CLOSE_WAIT", 9, 1 << 40)]
    assert [one.state for one in found.listeners] == ["LISTEN"]
    assert (found.left_out, found.source, found.whole, found.warnings) == (0, "sock_diag", True, [])
    assert asked(kernel) == [(V4, 1 << CLOSE_WAIT), (V4, 1 << LISTEN)]
    assert kernel.opened == kernel.closed == 1


def test_without_close_wait_nothing_else_is_asked(tmp_path: Path, kernel: Kernel) -> None:
    net(tmp_path, v6=2)
    kernel.scripts = [answer(), answer()]
    found = read_close_wait(OWN, proc=str(tmp_path))
    assert (found.sockets, found.listeners, found.whole) == ([], [], True)
    assert asked(kernel) == [(V4, 1 << CLOSE_WAIT), (V6, 1 << CLOSE_WAIT)]


def test_a_namespace_without_tcp_sockets_is_not_asked_at_all(tmp_path: Path, kernel: Kernel) -> None:
    net(tmp_path, v4=0, v6=0)
    found = read_close_wait(OWN, proc=str(tmp_path))
    assert (found.sockets, found.source, found.whole) == ([], "sockstat", True)
    assert kernel.opened == 0


def test_what_the_kernel_does_not_count_is_asked_for(tmp_path: Path, kernel: Kernel) -> None:
    net(tmp_path, v4=None, v6=None)
    kernel.scripts = [answer(), answer()]
    assert read_close_wait(OWN, proc=str(tmp_path)).source == "sock_diag"
    assert [family for family, __ in asked(kernel)] == [V4, V6]


def test_known_sockets_are_there_whatever_the_room(tmp_path: Path, kernel: Kernel) -> None:
    net(tmp_path, v6=2)
    every = [Entry(state=CLOSE_WAIT, inode=cookie, cookie=cookie) for cookie in range(1, 8)]
    kernel.scripts = [answer(*every[:4]), answer(*every[4:]), answer(), answer()]
    found = read_close_wait(OWN, proc=str(tmp_path), known={4, 7}, room=2)
    assert [one.cookie for one in found.sockets] == [1, 2, 4, 7]
    assert found.left_out == 3
    assert found.whole


def test_a_dump_that_broke_off_is_not_whole(tmp_path: Path, kernel: Kernel) -> None:
    net(tmp_path)
    kernel.scripts = [[OSError(105, "No buffer space available")]] * 3
    found = read_close_wait(OWN, proc=str(tmp_path))
    assert not found.whole
    assert [warning.code for warning in found.warnings] == ["dump_overrun"]


def test_multipath_sockets_are_counted_only_where_there_are_any(tmp_path: Path, kernel: Kernel) -> None:
    net(tmp_path, mptcp=2)
    kernel.scripts = [answer(), answer(Entry(state=CLOSE_WAIT), Entry(state=CLOSE_WAIT))]
    found = read_close_wait(OWN, proc=str(tmp_path))
    assert [(one.code, one.occurrences) for one in found.warnings] == [("mptcp_not_examined", 2)]
    assert found.whole
    assert len(kernel.requests) == 2


def test_procfs_stands_in_for_sock_diag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = net(tmp_path)
    lines = [LINE.format(number, 40_000 + number, CLOSE_WAIT, 700 + number) for number in range(3)]
    (folder / "tcp").write_text(TABLE + "".join(lines) + LINE.format(9, 8080, LISTEN, 900), encoding="ascii")

    def refuse() -> socket.socket:
        raise sock_diag.SockDiagUnavailable("no netlink socket: Protocol not supported")

    monkeypatch.setattr(sock_diag, "open_netlink", refuse)
    found = read_close_wait(OWN, proc=str(tmp_path), known={-700}, room=1)
    assert [one.inode for one in found.sockets] == [700, 701]
    assert [one.local_port for one in found.listeners] == [8080]
    assert (found.left_out, found.source, found.whole) == (1, "proc_net", True)
    assert found.warnings[0].code == "sock_diag_unavailable"


def test_a_passed_deadline_and_a_vanished_namespace_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: Kernel
) -> None:
    net(tmp_path)
    with pytest.raises(NamespaceUnreadable, match="the time was over"):
        read_close_wait(OWN, proc=str(tmp_path), deadline=Deadline(0))
    assert kernel.opened == 0

    def vanish(*__: object) -> socket.socket:
        raise NamespaceVanished("it vanished")

    monkeypatch.setattr(close_wait_sockets, "call_inside", vanish)
    with pytest.raises(NamespaceVanished):
        read_close_wait(OWN, proc=str(tmp_path))


def test_activity_changes_with_a_segment_and_only_then(tmp_path: Path) -> None:
    folder = net(tmp_path)
    before = read_activity(OWN, proc=str(tmp_path))
    assert before is not None
    (folder / "snmp").write_text(SNMP.format(100).replace("Udp: 3", "Udp: 4"))
    assert read_activity(OWN, proc=str(tmp_path)) == before
    (folder / "snmp").write_text(SNMP.format(101))
    assert read_activity(OWN, proc=str(tmp_path)) != before


def test_activity_that_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    assert read_activity(OWN, proc=str(tmp_path)) is None
    assert read_activity(OWN._replace(current=False, pid=None), proc=str(tmp_path)) is None
