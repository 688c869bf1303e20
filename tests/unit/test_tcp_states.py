# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The states' names, numbers and bits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe import tcp_states
from ansible_collections.lastack.linux.plugins.module_utils.observe.tcp_states import (
    STATE_BY_NUMBER,
    STATES,
    bound_inactive_observable,
    count_full_sockets,
    mask,
    no_states,
    state_of_hex,
)

SCHEMA = Path(tcp_states.__file__).parents[2] / "plugin_utils" / "schemas" / "lastack.host-1.json"


def test_the_names_are_those_of_the_host_report() -> None:
    assert len(STATES) == len(set(STATES)) == 12
    text = json.dumps(json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert [name for name in STATES if f'"{name}"' not in text] == []


def test_numbers_are_those_of_the_c_library() -> None:
    # <netinet/tcp.h>, as Linux has had them since its first release.
    numbers = {"ESTABLISHED": 1, "TIME_WAIT": 6, "CLOSE_WAIT": 8, "LAST_ACK": 9, "LISTEN": 10, "CLOSING": 11}
    assert {STATE_BY_NUMBER[number]: number for number in numbers.values()} == numbers


def test_close_and_bound_inactive_share_a_number_and_neither_is_guessed() -> None:
    assert 7 not in STATE_BY_NUMBER
    assert 13 not in STATE_BY_NUMBER


def test_a_request_socket_is_a_handshake() -> None:
    assert STATE_BY_NUMBER[12] == STATE_BY_NUMBER[3] == "SYN_RECV"
    assert mask("SYN_RECV") == 1 << 3 | 1 << 12


def test_masks() -> None:
    assert mask("ESTABLISHED", "LISTEN") == 1 << 1 | 1 << 10
    assert tcp_states.OBSERVABLE_MASK == 0b1111101111110
    assert tcp_states.FULL_SOCKET_MASK == 0b0111100110110 | 1 << 8
    assert tcp_states.BOUND_INACTIVE_BIT == 1 << 13


@pytest.mark.parametrize(
    ("text", "state"), [(b"01", "ESTABLISHED"), (b"0A", "LISTEN"), ("0b", "CLOSING"), (b"07", None), (b"zz", None)]
)
def test_state_of_hex(text: str | bytes, state: str | None) -> None:
    assert state_of_hex(text) == state


@pytest.mark.parametrize(
    ("release", "observable"),
    [
        ("6.8.0-31-generic", True),
        ("6.18.44", True),
        ("7.0", True),
        ("6.7.12", False),
        ("5.14.0-503.el9", False),
        ("", False),
    ],
)
def test_bound_inactive_came_with_6_8(release: str, *, observable: bool) -> None:
    assert bound_inactive_observable(release) is observable


def test_no_states_is_zeros_and_unknowns() -> None:
    assert tuple(no_states()) == STATES
    assert {name for name, count in no_states().items() if count is None} == {"CLOSE", "BOUND_INACTIVE"}
    assert sum(count or 0 for count in no_states().values()) == 0


def test_full_sockets_leave_out_mini_sockets_and_unknowns() -> None:
    states = {**no_states(), "ESTABLISHED": 5, "TIME_WAIT": 100, "SYN_RECV": 7, "FIN_WAIT2": 3, "BOUND_INACTIVE": None}
    assert count_full_sockets(states) == 8
    assert count_full_sockets(states, mini_fin_wait2=2) == 6
    assert count_full_sockets(states, mini_fin_wait2=99) == 5
    assert count_full_sockets({**states, "BOUND_INACTIVE": 4}) == 12
