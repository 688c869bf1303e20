# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Causes: every row of the table in ``causes``, with the trap that it is there for."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.causes import (
    CAUSES,
    FINDING_OF_CAUSE,
    TLS_LENGTHS,
    cause_of,
    tls_plausible,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import TcpInfo
from diagnose_samples import info, socket
from hypothesis import given
from hypothesis import strategies as st

_COUNTER = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(
    ("why", "of_socket", "of_info", "tls", "expected"),
    [
        ("no inode", {"inode": 0}, {}, None, "unaccepted"),
        ("no inode beats all else", {"inode": 0, "receive_queue": 25, "send_queue": 9}, {}, True, "unaccepted"),
        ("only the FIN", {"receive_queue": 1}, {}, None, "eof_unnoticed"),
        ("close_notify where TLS is plausible", {"receive_queue": 25}, {}, True, "eof_unnoticed_tls"),
        ("a length alone proves nothing", {"receive_queue": 25}, {}, None, "unread_data"),
        ("a length near one of TLS", {"receive_queue": 26}, {}, True, "unread_data"),
        (
            "a farewell, measured",
            {"receive_queue": 19},
            {"last_data_sent_ms": 2_052, "last_data_recv_ms": 52, "last_ack_recv_ms": 52},
            None,
            "eof_unnoticed_farewell",
        ),
        (
            "FTP's 421 after a silence",
            {"receive_queue": 25, "remote_port": 21},
            {"last_data_sent_ms": 300_000, "last_data_recv_ms": 90_000},
            False,
            "eof_unnoticed_farewell",
        ),
        (
            "a 408 on a connection that never asked",
            {"receive_queue": 213},
            {"last_data_sent_ms": 150_000, "last_data_recv_ms": 90_000, "bytes_received": 213, "bytes_acked": 1},
            None,
            "eof_unnoticed_farewell",
        ),
        (
            "a slow first answer is no farewell",
            {"receive_queue": 213},
            {"last_data_sent_ms": 150_000, "last_data_recv_ms": 90_000, "bytes_received": 213, "bytes_acked": 80},
            None,
            "unread_data",
        ),
        (
            "a large body after a silence is no farewell",
            {"receive_queue": 5_000},
            {"last_data_sent_ms": 150_000, "last_data_recv_ms": 90_000, "bytes_received": 9_000},
            None,
            "unread_data",
        ),
        ("a prompt body", {"receive_queue": 300}, {"last_data_sent_ms": 100_090}, None, "unread_data"),
        ("a body of one byte", {"receive_queue": 2}, {}, None, "unread_data"),
        ("the FIN came 10 s after the data", {"receive_queue": 0}, {}, None, "eof_read"),
        (
            "the FIN came with the data",
            {"receive_queue": 0},
            {"last_data_recv_ms": 90_003, "last_ack_recv_ms": 90_000},
            None,
            "eof_consumed",
        ),
        (
            "the acknowledgement of our own answer proves no FIN",
            {"receive_queue": 0},
            {"last_data_recv_ms": 100_000, "last_data_sent_ms": 90_020, "last_ack_recv_ms": 90_000},
            None,
            "eof_consumed",
        ),
        (
            "nothing but a FIN ever came",
            {"receive_queue": 0},
            {
                "last_data_recv_ms": 90_000,
                "last_data_sent_ms": 90_000,
                "last_ack_recv_ms": 90_000,
                "bytes_received": 1,
                "bytes_acked": 0,
            },
            None,
            "eof_read",
        ),
        ("something is still to be sent", {"receive_queue": 0, "send_queue": 4096}, {}, None, "half_close"),
        ("answering with the FIN unread", {"receive_queue": 1, "send_queue": 4096}, {}, None, "half_close"),
        (
            "a stream goes on; its acknowledgements refresh the lower end of the age",
            {"receive_queue": 0},
            {"last_data_sent_ms": 20, "last_ack_recv_ms": 10, "last_data_recv_ms": 100_000},
            None,
            "half_close",
        ),
        (
            "one answer just before the peer closed",
            {"receive_queue": 1},
            {"last_data_sent_ms": 1_190, "last_ack_recv_ms": 1_150, "last_data_recv_ms": 1_200},
            None,
            "eof_unnoticed",
        ),
        (
            "unread data while sending is unread data",
            {"receive_queue": 400, "send_queue": 4096},
            {},
            None,
            "unread_data",
        ),
        (
            "never sent, never received",
            {"receive_queue": 1},
            {"last_data_sent_ms": 100, "last_data_recv_ms": 100, "last_ack_recv_ms": 90, "bytes_received": 1},
            None,
            "eof_unnoticed",
        ),
    ],
)
def test_cause(
    *, why: str, of_socket: dict[str, Any], of_info: dict[str, Any], tls: bool | None, expected: str
) -> None:
    assert cause_of(socket(**of_socket, info=info(**of_info)), tls_plausible=tls) == expected, why


@pytest.mark.parametrize(
    ("queue", "send_queue", "tls", "expected"),
    [
        (0, 0, None, "unknown"),
        (0, 5, None, "half_close"),
        (1, 0, None, "eof_unnoticed"),
        (25, 0, True, "eof_unnoticed_tls"),
        (25, 0, None, "unread_data"),
        (9_000, 0, None, "unread_data"),
    ],
)
def test_without_tcp_info_only_the_queues_speak(
    *, queue: int, send_queue: int, tls: bool | None, expected: str
) -> None:
    assert cause_of(socket(receive_queue=queue, send_queue=send_queue, info=None), tls_plausible=tls) == expected


@pytest.mark.parametrize("length", sorted(TLS_LENGTHS))
def test_every_measured_close_notify_counts(length: int) -> None:
    assert cause_of(socket(receive_queue=length), tls_plausible=True) == "eof_unnoticed_tls"


@pytest.mark.parametrize(
    ("why", "of_socket", "library", "lengths", "expected"),
    [
        ("a TLS service", {"remote_port": 443}, None, {25: 1}, True),
        ("a TLS service of our own", {"local_port": 8443}, None, {25: 1}, True),
        ("a TLS port even among bodies", {"remote_port": 443}, None, {25: 1, 900: 1, 17: 4}, True),
        ("FTP, whatever is mapped and however often", {"remote_port": 21}, True, {25: 40}, False),
        ("a TLS library", {}, True, {25: 1}, True),
        ("a TLS library, but bodies of many lengths", {}, True, {25: 1, 900: 1, 17: 4}, False),
        ("several alike", {}, None, {25: 3, 1: 5}, True),
        ("several alike, but no library", {}, False, {25: 3}, False),
        ("one alone", {}, None, {25: 1}, None),
        ("bodies of many lengths", {}, None, {25: 3, 900: 1, 17: 4}, False),
    ],
)
def test_tls_plausible(
    *, why: str, of_socket: dict[str, Any], library: bool | None, lengths: dict[int, int], expected: bool | None
) -> None:
    one = socket(receive_queue=25, **of_socket)
    assert tls_plausible(one, tls_library=library, lengths=lengths) is expected, why


@given(
    queue=st.integers(0, 2**32 - 1),
    send_queue=st.integers(0, 2**20),
    inode=st.integers(0, 3),
    times=st.none() | st.tuples(_COUNTER, _COUNTER, _COUNTER, st.none() | _COUNTER, st.none() | _COUNTER),
    tls=st.sampled_from((None, True, False)),
)
def test_every_socket_has_exactly_one_known_cause(
    *, queue: int, send_queue: int, inode: int, times: tuple[Any, ...] | None, tls: bool | None
) -> None:
    one = socket(
        receive_queue=queue,
        send_queue=send_queue,
        inode=inode,
        info=None if times is None else TcpInfo._make(times),
    )
    cause = cause_of(one, tls_plausible=tls)
    assert cause in CAUSES
    assert (cause == "unaccepted") is (inode == 0)
    if cause == "half_close":
        assert queue <= 1
    if queue > 1 and inode:
        assert cause in {"eof_unnoticed_tls", "eof_unnoticed_farewell", "unread_data"}


def test_every_cause_but_half_close_has_a_finding() -> None:
    assert {cause for cause, finding in FINDING_OF_CAUSE.items() if finding is None} == {"half_close"}
    assert len(CAUSES) == 9
