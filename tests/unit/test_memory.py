# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TCP memory from trees that stand for /proc."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe.memory import read_memory
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import HostMemory

if TYPE_CHECKING:
    from pathlib import Path

SOCKSTAT = "sockets: used 16\nTCP: inuse 1 orphan 12 tw 5 alloc 33 mem 457\nUDP: inuse 0 mem 9\n"


def build(root: Path, tree: dict[str, str]) -> str:
    for name, content in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return str(root)


def test_all_is_there(tmp_path: Path) -> None:
    proc = build(
        tmp_path,
        {
            "net/sockstat": SOCKSTAT,
            "sys/net/ipv4/tcp_mem": "287898\t383867\t575796\n",
            "sys/net/ipv4/tcp_max_orphans": "131072\n",
        },
    )
    assert read_memory(proc=proc) == HostMemory(
        orphans=12, max_orphans=131072, pages=457, pressure_pages=383867, max_pages=575796, allocated_sockets=33
    )


def test_a_child_namespace_has_no_caps(tmp_path: Path) -> None:
    memory = read_memory(proc=build(tmp_path, {"net/sockstat": SOCKSTAT}))
    assert (memory.max_orphans, memory.pressure_pages, memory.max_pages) == (None, None, None)
    assert memory.orphans == 12


@pytest.mark.parametrize(
    "text", ["", "TCP:", "TCP: orphan", "TCP: orphan x", "TCP: orphan -1", "UDP: orphan 3", "\xff"]
)
def test_unknown_is_none(text: str, tmp_path: Path) -> None:
    assert read_memory(proc=build(tmp_path, {"net/sockstat": text})) == HostMemory(None, None, None, None, None, None)


@pytest.mark.parametrize("text", ["", "1 2", "1 2 3 4"])
def test_a_short_tcp_mem_is_unknown(text: str, tmp_path: Path) -> None:
    memory = read_memory(proc=build(tmp_path, {"sys/net/ipv4/tcp_mem": text}))
    assert (memory.pressure_pages, memory.max_pages) == (None, None)
