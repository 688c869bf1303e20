# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent's look relies on: the counters that let it skip a namespace, and the one dump that it makes."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.agent.look import Look, LookOptions
from ansible_collections.lastack.linux.plugins.module_utils.observe.close_wait_sockets import (
    CloseWaitSockets,
    read_activity,
    read_close_wait,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import NetworkNamespace
from test_close_wait import Pair, wait_for_close_wait

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.agent.records import Member, Pass, SocketKey
    from netns import PrivateNamespace

pytestmark = pytest.mark.needs_root


def record(netns: PrivateNamespace) -> NetworkNamespace:
    return NetworkNamespace(netns.inode, "", netns.path, netns.pid, current=False)


def read(netns: PrivateNamespace) -> CloseWaitSockets:
    return read_close_wait(record(netns))


def members(netns: PrivateNamespace, seen: Pass) -> dict[SocketKey, Member]:
    found = [item for one in seen.applications.values() for item in one.members.items()]
    return {key: member for key, member in found if key[0] == netns.inode}


def test_an_empty_namespace_is_skipped_and_a_used_one_is_not(netns: PrivateNamespace) -> None:
    assert read(netns).source == "sockstat"
    pair = Pair(netns)
    assert (read(netns).source, read(netns).sockets) == ("sock_diag", [])
    pair.peer.close()
    wait_for_close_wait(netns)
    found = read(netns)
    assert [one.inode for one in found.sockets] == [os.fstat(pair.leaker.fileno()).st_ino]
    assert [one.local_port for one in found.listeners] == [7000]
    assert found.whole


def test_nothing_comes_into_close_wait_without_a_segment(netns: PrivateNamespace) -> None:
    """The promise on which quiet namespaces are skipped, and its other half: silence changes nothing."""
    pair = Pair(netns)
    before = read_activity(record(netns))
    assert before is not None
    time.sleep(0.3)
    assert read_activity(record(netns)) == before
    pair.peer.close()
    wait_for_close_wait(netns)
    assert read_activity(record(netns)) != before


def test_sockets_are_recognised_over_passes_and_their_departure_is_sure(netns: PrivateNamespace) -> None:
    pairs = [Pair(netns, 7000 + number) for number in range(3)]
    for pair in pairs:
        pair.peer.close()
    wait_for_close_wait(netns, 3)
    look = Look(LookOptions(min_age_s=0.1))
    time.sleep(0.2)
    first = look.look()
    assert len(members(netns, first)) == 3
    assert {member.inode for member in members(netns, first).values()} == {
        os.fstat(pair.leaker.fileno()).st_ino for pair in pairs
    }
    pairs[0].leaker.close()
    second = look.look()
    assert netns.inode in second.namespaces_read
    assert set(members(netns, second)) < set(members(netns, first))
    assert len(members(netns, second)) == 2
    pids = {pid for one in second.applications.values() for pid in one.offender["pids"] if one.offender["count"]}
    assert os.getpid() in pids


def test_a_namespace_that_was_quiet_is_read_as_soon_as_it_leaks(netns: PrivateNamespace) -> None:
    pair = Pair(netns)
    look = Look(LookOptions(min_age_s=0.1, pass_cpu_s=60))
    for __ in range(3):
        assert members(netns, look.look()) == {}
    pair.peer.close()
    wait_for_close_wait(netns)
    time.sleep(0.2)
    assert len(members(netns, look.look())) == 1
