# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dead sockets: the arithmetic that suspects, and who is named."""

from __future__ import annotations

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.dead_sockets import (
    dead_sockets_section,
    suspected,
    worth_a_look,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import DeadDescriptors
from diagnose_samples import check_section, process


@pytest.mark.parametrize(
    ("allocated", "full", "gap", "look"),
    [
        (613, 112, 501, True),
        (112, 112, 0, False),
        (100, 112, 0, False),  # sockets closed between the two readings
        (143, 112, 31, False),
        (144, 112, 32, True),
        (200_900, 200_000, 900, False),
        (201_000, 200_000, 1_000, True),
        (None, 112, None, False),
        (613, None, None, False),
    ],
)
def test_suspicion(allocated: int | None, full: int | None, gap: int | None, look: object) -> None:
    assert suspected(allocated, full) == gap
    assert worth_a_look(gap, full) is look


def test_applications_are_named_from_a_dozen_on_and_all_are_counted() -> None:
    found = DeadDescriptors({1: 200, 2: 112, 3: 11, 4: 30, 5: 0}, 44, 0, complete=True)
    processes = {
        1: process(1, open_descriptors=402),
        2: process(2),
        3: process(3, executable="/usr/bin/fresh"),
    }
    section = dead_sockets_section(353, found, processes)
    check_section("dead_sockets", section)
    assert section["total"] == 353
    assert [(one["app"], one["count"]) for one in section["offenders"]] == [("program", 312), ("unknown program", 30)]
    assert section["offenders"][0]["pids"] == [1, 2]
    assert section["offenders"][0]["descriptors"]["worst_pid"] == 1
    assert section["processes_examined"] == 44


def test_cut_and_counted() -> None:
    found = DeadDescriptors(dict.fromkeys(range(1, 31), 20), 30, 0, complete=True)
    processes = {pid: process(pid, executable=f"/opt/p{chr(96 + pid)}") for pid in range(1, 27)}
    section = dead_sockets_section(600, found, processes, top=5)
    assert (len(section["offenders"]), section["truncated"]) == (5, 22)


def test_nothing_was_looked_for() -> None:
    section = dead_sockets_section(None, None, {})
    check_section("dead_sockets", section)
    assert (section["suspected"], section["total"], section["offenders"]) == (None, None, [])
