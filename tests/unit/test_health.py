# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The look at the health counters, on captured, missing and broken files."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe.counters import SELECTED
from ansible_collections.lastack.linux.plugins.module_utils.observe.health import SOFTNET, read_health
from ansible_collections.lastack.linux.plugins.plugin_utils.health_thresholds import THRESHOLDS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

BOOT_ID = "d4fab4eb-e4c2-4631-8720-146d91129686"
FILES = {
    "thread-self/net/snmp": "Tcp: ActiveOpens PassiveOpens OutSegs RetransSegs\nTcp: 49 7 4756 3\n",
    "thread-self/net/netstat": "TcpExt: ListenOverflows TW\nTcpExt: 5 7\nIpExt: InOctets\nIpExt: 12\n",
    "thread-self/net/softnet_stat": "00000010 0000000a 00000000\n00000020 00000001 00000000\n",
    "sys/kernel/random/boot_id": BOOT_ID + "\n",
    # Stands in for the link into nsfs: what counts is its inode.
    "thread-self/ns/net": "",
}


def tree(root: Path, **changed: str | bytes | None) -> str:
    for name, content in {**FILES, **changed}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(root)


def test_what_is_there_is_read_and_what_is_not_is_unknown(tmp_path: Path) -> None:
    look = read_health(proc=tree(tmp_path))
    assert (look.boot_id, look.opens, look.segments) == (BOOT_ID, 56, 4756)
    assert look.namespace == (tmp_path / "thread-self/ns/net").stat().st_ino
    assert set(look.counters) == {*SELECTED, SOFTNET}
    known = {name: count for name, count in look.counters.items() if count is not None}
    assert known == {
        "ActiveOpens": 49,
        "PassiveOpens": 7,
        "OutSegs": 4756,
        "RetransSegs": 3,
        "ListenOverflows": 5,
        "TW": 7,
        SOFTNET: 11,
    }


def test_what_the_machine_shares_is_unknown_in_a_container(tmp_path: Path) -> None:
    assert read_health(machine=False, proc=tree(tmp_path)).counters[SOFTNET] is None


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("content", [None, "", "Tcp: ActiveOpens\nTcp: x\n", b"\xff\xfe\0" * 50, "zz " * 40])
def test_a_broken_file_costs_only_what_it_holds(tmp_path: Path, name: str, content: str | bytes | None) -> None:
    whole, look = read_health(proc=tree(tmp_path)), read_health(proc=tree(tmp_path, **{name: content}))
    lost = {key for key, count in whole.counters.items() if count != look.counters[key]}
    assert all(look.counters[key] is None for key in lost)
    expected = {
        "thread-self/net/snmp": {"ActiveOpens", "PassiveOpens", "OutSegs", "RetransSegs"},
        "thread-self/net/netstat": {"ListenOverflows", "TW"},
        "thread-self/net/softnet_stat": {SOFTNET},
        "sys/kernel/random/boot_id": set(),
        "thread-self/ns/net": set(),
    }
    assert lost == expected[name]
    assert (look.boot_id is None) == name.endswith("boot_id")
    assert (look.opens is None) == (look.segments is None) == name.endswith("snmp")


@given(st.dictionaries(st.sampled_from(sorted(FILES)), st.binary(max_size=300)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_any_content_is_read_without_an_error(tmp_path: Path, files: dict[str, bytes]) -> None:
    look = read_health(proc=tree(tmp_path, **dict(files)))
    assert all(count is None or isinstance(count, int) for count in look.counters.values())


def test_the_real_kernel_answers() -> None:
    before, look = time.clock_gettime(time.CLOCK_BOOTTIME), read_health()
    assert before - 0.001 <= look.boottime_s <= time.clock_gettime(time.CLOCK_BOOTTIME) + 0.001
    assert look.boot_id
    assert look.counters["ListenOverflows"] is not None
    assert isinstance(look.opens, int)


def test_the_gate_judges_only_what_is_read() -> None:
    judged = {name for threshold in THRESHOLDS.values() for name in (*threshold.counters, threshold.less) if name}
    assert judged <= {*SELECTED, SOFTNET}
    # What is read for the rates' own sake needs no threshold.
    assert {*SELECTED, SOFTNET} - judged == {"ActiveOpens", "PassiveOpens", "OutSegs"}
