# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sysctl should become: stronger values stay, tuples element by element, lists and ranges only grow."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_values import ports
from ansible_collections.lastack.linux.plugins.module_utils.tune.match import (
    port_list,
    predict,
    satisfies,
    target_of,
    unfit,
    unvetted,
)
from ansible_collections.lastack.linux.plugins.module_utils.tune.settings import Setting
from hypothesis import given
from hypothesis import strategies as st

RMEM, RANGE, RESERVED = "net.ipv4.tcp_rmem", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports"
PORTS = ((1024, 65535),)


def setting(value: str, match: str = "exact", key: str = "net.core.x", **fields: Any) -> Setting:  # noqa: ANN401
    return Setting(key=key, value=value, match=match, **fields)


@pytest.mark.parametrize(
    ("asked", "current", "target"),
    [
        # exact
        (setting("1"), "2", "1"),
        (setting("1"), "1", "1"),
        (setting("0x10"), "16", "16"),
        (setting("1", accepts=("2",)), "2", "2"),
        (setting("1", accepts=("2",)), "0", "1"),
        (setting("bbr"), "cubic", "bbr"),
        (setting("4096"), "4096 131072 6291456", "4096 131072 6291456"),
        # at least, each element for itself
        (setting("4096", "at_least"), "128", "4096"),
        (setting("4096", "at_least"), "65535", "65535"),
        (setting("4096 200000 6000", "at_least", RMEM), "4096\t131072\t33554432", "4096 200000 33554432"),
        (setting("8192", "at_least", RMEM), "4096 131072 6291456", "8192 131072 6291456"),
        (setting("1 1 1", "at_least", RMEM), "4096 131072 6291456", "4096 131072 6291456"),
        # at most
        (setting("300", "at_most"), "7200", "300"),
        (setting("300", "at_most"), "200", "200"),
        (setting("300", "at_most"), "0", "0"),
        (setting("300", "at_most", allowed=((30, None),)), "0", "300"),
        (setting("300", "at_most", allowed=((30, None),)), "-5", "300"),
        (setting("300", "at_most", allowed=((30, None),)), "20", "20"),
        (setting("9", "at_most", allowed=((0, 0), (8, 255))), "0", "0"),
        # wider, and ends of different parity
        (setting("16384 65535", "wider", RANGE), "32768\t60999", "16384 65535"),
        (setting("16384 65535", "wider", RANGE), "10000 65535", "10000 65535"),
        (setting("16384 60000", "wider", RANGE), "32768 60999", "16384 60999"),
        (setting("16384 65535", "wider", RANGE), "10001 65535", "10001 65535"),
        (setting("20000 30000", "wider", RANGE), "25000 25001", "20000 30001"),
        (setting("16384 65535", "wider", RANGE, allowed=PORTS), "10001 60999", "10000 65535"),
        (setting("1025 65535", "wider", RANGE, allowed=((1025, 65535),)), "32768 60999", "1025 65535"),
        (setting("16384 65535", "wider", RANGE), "odd", "16384 65535"),
        # union
        (setting("9000,8080-8081", "union", RESERVED), "", "8080-8081,9000"),
        (setting("8082", "union", RESERVED), "8080-8081", "8080-8082"),
        (setting("8080", "union", RESERVED), "8000-9000", "8000-9000"),
        (setting("", "union", RESERVED), "8000-9000", "8000-9000"),
        (setting("", "union", RESERVED), "", ""),
    ],
)
def test_target(asked: Setting, current: str, target: str) -> None:
    assert target_of(asked, current) == target
    assert satisfies(asked, current) == (" ".join(current.split()) == target or target == current)


@pytest.mark.parametrize(
    ("asked", "current", "why"),
    [
        (setting("30 # seconds"), "60", "'30 # seconds' is not made of whole numbers"),
        (setting(""), "60", "the value is empty"),
        (setting("9" * 21), "60", f"the number {'9' * 21} has 21 digits, and the kernel's have 20 at most"),
        (setting("abc"), "60", "'abc' is not made of whole numbers"),
        (setting("1 2"), "60", "'1 2' has 2 numbers, and the kernel has 1 there"),
        (setting("1 2"), "4096 131072 6291456", ""),
        (setting("web-1", key="kernel.hostname"), "7", ""),
        (setting("bbr"), "cubic", ""),
        (setting("1"), "", ""),
        (setting("1-x", key=RESERVED), "8080", "'1-x' is no list of ports and ranges"),
        (setting("1-5", key=RESERVED), "8080", ""),
    ],
)
def test_form(asked: Setting, current: str, why: str) -> None:
    assert unfit(asked, current) == why


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (setting("30", allowed=((1, 60), (90, None))), ""),
        (setting("90", allowed=((1, 60), (90, None))), ""),
        (setting("61", allowed=((1, 60), (90, None))), "61 is outside of what is safe to set (1 to 60, 90 and more)"),
        (setting("0", allowed=((1, 60), (90, None))), "0 is outside of what is safe to set (1 to 60, 90 and more)"),
        (setting("-1", allowed=((1, None),)), "-1 is outside of what is safe to set (1 and more)"),
        (setting("2", allowed=((1, 1),)), "2 is outside of what is safe to set (1)"),
        (
            setting("80 70000", "wider", RANGE, allowed=PORTS),
            "80 70000 is outside of what is safe to set (1024 to 65535)",
        ),
        (setting("bbr", allowed=((1, 1),)), ""),
    ],
)
def test_jiffies_and_other_holes_are_refused(asked: Setting, why: str) -> None:
    assert unvetted(asked) == why


@pytest.mark.parametrize(
    ("key", "current", "value", "shown"),
    [
        ("net.x", "1", "0x10", "16"),
        (RMEM, "4096 131072 6291456", "8192", "8192 131072 6291456"),
        (RESERVED, "", "3,1,2", "1-3"),
        ("net.x", "cubic", "bbr", "bbr"),
    ],
)
def test_the_kernels_spelling_is_predicted(key: str, current: str, value: str, shown: str) -> None:
    assert predict(key, current, value) == shown


NUMBERS = st.lists(st.integers(min_value=-5, max_value=70000), min_size=1, max_size=3)
TEXTS = NUMBERS.map(lambda found: " ".join(map(str, found)))


@given(asked=TEXTS, current=NUMBERS, match=st.sampled_from(["at_least", "at_most", "exact"]), allowed=st.booleans())
def test_a_target_is_satisfied_and_stays(asked: str, current: list[int], match: str, *, allowed: bool) -> None:
    wanted = setting(
        asked,
        match,
        RMEM,
        allowed=((1, 60), (90, None))
        if allowed and not unvetted(setting(asked, match, RMEM, allowed=((1, 60), (90, None))))
        else (),
    )
    now = " ".join(map(str, current))
    if unfit(wanted, now):
        return
    shown = predict(RMEM, now, target_of(wanted, now))
    assert target_of(wanted, shown) == shown
    assert satisfies(wanted, shown)


PAIRS = st.tuples(st.integers(1024, 65535), st.integers(1024, 65535)).map(sorted)


@given(asked=PAIRS, current=PAIRS)
def test_a_range_never_narrows(asked: list[int], current: list[int]) -> None:
    wanted = setting(f"{asked[0]} {asked[1]}", "wider", RANGE, allowed=PORTS)
    low, high = map(int, target_of(wanted, f"{current[0]} {current[1]}").split())
    assert low <= min(asked[0], current[0])
    assert high >= max(asked[1], current[1])
    assert 1024 <= low <= high <= 65535
    changed = [low, high] != current
    assert not changed or low % 2 != high % 2
    assert target_of(wanted, f"{low} {high}") == f"{low} {high}"


PORT_SETS = st.sets(st.integers(1, 40), max_size=20)


@given(asked=PORT_SETS, current=PORT_SETS)
def test_a_union_is_the_union(asked: set[int], current: set[int]) -> None:
    wanted = setting(port_list(asked), "union", RESERVED)
    target = target_of(wanted, port_list(current))
    assert ports(target) == asked | current
    assert target == port_list(asked | current)
