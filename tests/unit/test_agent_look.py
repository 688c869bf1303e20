# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's look, pass after pass: processes and holders from a tree like /proc, sockets as the kernel would give."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.agent import known_holders, known_processes, namespace_reads
from ansible_collections.lastack.linux.agent.look import Look, LookOptions
from ansible_collections.lastack.linux.agent.records import AppKey
from ansible_collections.lastack.linux.plugins.module_utils.observe.close_wait_sockets import CloseWaitSockets
from ansible_collections.lastack.linux.plugins.module_utils.observe.namespaces import (
    NamespaceUnreadable,
    NamespaceVanished,
    StrandedInNamespace,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import NetworkNamespace, TcpSocket, Unseen
from diagnose_samples import HOST, info, listener, socket
from process_trees import add_process, add_self

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from ansible_collections.lastack.linux.agent.records import AppLook, Pass

SERVER = AppKey("server", "executable", "host")
POD = 4026532000


class Machine:
    """What the kernel shows: namespaces, their sockets, and how often each was asked."""

    def __init__(self, proc: Path) -> None:
        self.proc = proc
        self.sockets: dict[int, list[TcpSocket] | Exception] = {HOST: []}
        self.listeners: dict[int, list[TcpSocket]] = {}
        self.activity: dict[int, bytes | None] = {}
        self.warnings: list[Unseen] = []
        self.hidden: list[Unseen] = []
        self.reads: list[int] = []
        self.searches: list[set[int]] = []
        self.everywhere: list[bool] = []

    def find(self, **__: object) -> tuple[list[NetworkNamespace], list[Unseen]]:
        found = [
            NetworkNamespace(inode, "host" if inode == HOST else f"pod{inode}", "", 1, current=inode == HOST)
            for inode in self.sockets
        ]
        return found, self.hidden

    def read(self, namespace: NetworkNamespace, *, known: Collection[int], room: int, **__: object) -> CloseWaitSockets:
        self.reads.append(namespace.inode)
        answer = self.sockets[namespace.inode]
        if isinstance(answer, Exception):
            raise answer
        mine = [one for one in answer if one.cookie in known]
        new = [one for one in answer if one.cookie not in known]
        left_out = max(0, len(new) - room)
        kept = [*mine, *new[:room]]
        whole = not self.warnings
        listeners = self.listeners.get(namespace.inode, [])
        return CloseWaitSockets(namespace.inode, kept, listeners, left_out, "sock_diag", whole, list(self.warnings))

    def hold(self, pid: int, *inodes: int) -> None:
        folder = self.proc / str(pid) / "fd"
        taken = len(list(folder.iterdir()))
        for number, inode in enumerate(inodes):
            (folder / str(taken + number)).symlink_to(f"socket:[{inode}]")

    def end(self, pid: int) -> None:
        shutil.rmtree(self.proc / str(pid))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    add_self(tmp_path)
    add_process(tmp_path, 100)
    monkeypatch.setattr(namespace_reads, "find_namespaces", made.find)
    monkeypatch.setattr(namespace_reads, "read_close_wait", made.read)
    monkeypatch.setattr(
        namespace_reads, "read_activity", lambda namespace, **__: made.activity.get(namespace.inode, b"same")
    )
    search = known_holders.find_owners

    def counted(sockets: list[TcpSocket], **options: Any) -> object:  # noqa: ANN401 - handed through
        made.searches.append({one.inode for one in sockets})
        made.everywhere.append(options["everywhere"])
        return search(sockets, **options)

    monkeypatch.setattr(known_holders, "find_owners", counted)
    return made


def look(machine: Machine, **options: Any) -> Look:  # noqa: ANN401 - any of the options
    return Look(LookOptions(**options), proc=str(machine.proc), root=str(machine.proc / "nowhere"))


def sockets(first: int, count: int, **values: Any) -> list[TcpSocket]:  # noqa: ANN401 - any field of the record
    return [socket(inode=first + at, cookie=first + at, local_port=first + at, **values) for at in range(count)]


def only(seen: Pass) -> AppLook:
    assert len(seen.applications) == 1, seen.applications.keys()
    return next(iter(seen.applications.values()))


def test_a_look_tells_members_offenders_and_descriptors(machine: Machine) -> None:
    machine.sockets[HOST] = sockets(500, 3)
    machine.hold(100, 500, 501, 502)
    seen = look(machine).look()
    assert list(seen.applications) == [SERVER]
    application = seen.applications[SERVER]
    assert set(application.members) == {(HOST, 500), (HOST, 501), (HOST, 502)}
    member = application.members[HOST, 500]
    assert (member.cause, member.age_at_least_s, member.age_at_most_s, member.inode) == ("eof_unnoticed", 90, 100, 500)
    assert application.offender["count"] == 3
    assert application.offender["pids"] == [100]
    assert application.descriptors is not None
    assert application.descriptors[:4] == (100, 1000, 3, 1024)
    assert seen.total == 3
    assert seen.namespaces_read == {HOST}
    assert seen.unseen == ()


def test_what_is_in_transit_counts_and_is_no_member(machine: Machine) -> None:
    young = info(last_ack_recv_ms=10, last_data_recv_ms=500)
    machine.sockets[HOST] = [*sockets(500, 2), *sockets(600, 5, info=young)]
    machine.hold(100, 500, 501)
    seen = look(machine).look()
    assert seen.total == 7
    assert len(only(seen).members) == 2
    assert not machine.searches[0] & set(range(600, 605))


def test_half_closed_sockets_are_members_and_no_offence(machine: Machine) -> None:
    machine.sockets[HOST] = [*sockets(500, 1), *sockets(600, 1, send_queue=9)]
    machine.hold(100, 500, 600)
    application = only(look(machine).look())
    assert sorted(member.cause for member in application.members.values()) == ["eof_unnoticed", "half_close"]
    assert application.offender["count"] == 1


def test_undecided_sockets_are_members_before_they_are_offences(machine: Machine) -> None:
    machine.sockets[HOST] = sockets(500, 1, info=info(last_ack_recv_ms=2_000, last_data_recv_ms=90_000))
    machine.hold(100, 500)
    application = only(look(machine).look())
    assert application.members[HOST, 500].age_at_least_s == 2
    assert (application.offender["count"], application.offender["undecided"]) == (0, 1)


def test_excluded_applications_are_left_out_and_still_counted(machine: Machine) -> None:
    machine.sockets[HOST] = sockets(500, 3)
    machine.hold(100, 500, 501, 502)
    seen = look(machine, exclude=("nothing", "ser*")).look()
    assert seen.applications == {}
    assert seen.total == 3


def test_known_sockets_are_not_searched_again(machine: Machine) -> None:
    machine.sockets[HOST] = sockets(500, 3)
    machine.hold(100, 500, 501, 502)
    eyes = look(machine)
    first = eyes.look()
    assert [eyes.look().applications.keys() for __ in range(3)] == [first.applications.keys()] * 3
    assert machine.searches == [{500, 501, 502}]


def test_a_new_socket_like_known_ones_waits_for_an_affordable_search(machine: Machine) -> None:
    machine.sockets[HOST] = sockets(500, 3)
    machine.hold(100, 500, 501, 502)
    eyes = look(machine, search_cpu_share=0.0)
    eyes.look()
    machine.sockets[HOST] = sockets(500, 5)
    machine.hold(100, 503, 504)
    seen = eyes.look()
    assert len(only(seen).members) == 5
    assert len(machine.searches) == 1
    eyes.set_options(eyes.options._replace(search_cpu_share=1e9))
    eyes.look()
    assert machine.searches[1] == {503, 504}
    eyes.look()
    assert len(machine.searches) == 2


def test_a_strange_socket_is_said_until_a_search_is_affordable(machine: Machine) -> None:
    machine.sockets[HOST] = sockets(500, 1)
    machine.hold(100, 500)
    eyes = look(machine, search_cpu_share=0.0)
    eyes.look()
    add_process(machine.proc, 200, executable="/usr/bin/other")
    machine.sockets[HOST] = [*sockets(500, 1), *sockets(600, 2, remote_port=25)]
    machine.hold(200, 600, 601)
    seen = eyes.look()
    assert list(seen.applications) == [SERVER]
    assert [one[:2] for one in seen.unseen] == [("owners_postponed", 2)]
    eyes.set_options(eyes.options._replace(search_cpu_share=1e9))
    seen = eyes.look()
    assert {key.app for key in seen.applications} == {"server", "other"}
    assert seen.unseen == ()


def test_a_pool_that_was_empty_for_a_while_is_still_its_program(machine: Machine) -> None:
    machine.sockets[HOST] = sockets(500, 2)
    machine.hold(100, 500, 501)
    eyes = look(machine, search_cpu_share=0.0)
    eyes.look()
    machine.sockets[HOST] = []
    assert eyes.look().applications == {}
    machine.sockets[HOST] = sockets(600, 2)
    assert list(eyes.look().applications) == [SERVER]


def test_what_two_programs_share_tells_nothing(machine: Machine) -> None:
    """The same peer, user and cgroup: a new socket may be of either, so only a search decides."""
    add_process(machine.proc, 200, executable="/usr/bin/other")
    machine.sockets[HOST] = sockets(500, 2)
    machine.hold(100, 500)
    machine.hold(200, 501)
    eyes = look(machine, search_cpu_share=0.0)
    assert {key.app for key in eyes.look().applications} == {"server", "other"}
    machine.sockets[HOST] = sockets(500, 3)
    machine.hold(200, 502)
    seen = eyes.look()
    assert sum(len(one.members) for one in seen.applications.values()) == 2
    eyes.set_options(eyes.options._replace(search_cpu_share=1e9))
    seen = eyes.look()
    assert {key.app: len(one.members) for key, one in seen.applications.items()} == {"server": 1, "other": 2}


def test_a_holder_that_could_not_be_read_is_not_the_kernel(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """More processes hold sockets than are kept: nobody can be named, and yet it is somebody."""
    exhaustive = known_holders.find_owners
    monkeypatch.setattr(
        known_holders, "find_owners", lambda *given, **more: exhaustive(*given, **more)._replace(exhaustive=True)
    )
    monkeypatch.setattr(known_processes, "_MOST", 0)
    machine.sockets[HOST] = sockets(500, 1)
    machine.hold(100, 500)
    eyes = look(machine, search_cpu_share=1e9)
    kinds = {key.kind for __ in range(5) for key in eyes.look().applications}
    assert kinds == {"unknown"}


def test_a_socket_without_a_holder_is_unknown_only_after_a_second_search(machine: Machine) -> None:
    """The first may have met a socket that its program was just closing."""
    machine.sockets[HOST] = sockets(500, 1)
    eyes = look(machine, search_cpu_share=1e9)
    assert eyes.look().applications == {}
    (key,) = eyes.look().applications
    assert key.kind in {"unknown", "kernel"}
    for __ in range(20):
        assert list(eyes.look().applications) == [key]
    assert len(machine.searches) < 8


def test_a_socket_is_searched_everywhere_only_if_it_is_still_there_a_pass_later(machine: Machine) -> None:
    """On a busy host every pass meets sockets whose program is just closing them."""
    eyes = look(machine, search_cpu_share=1e9)
    machine.sockets[HOST] = sockets(500, 1, cgroup_id=4242)
    assert eyes.look().applications == {}
    machine.sockets[HOST] = sockets(600, 1, cgroup_id=4242)
    assert eyes.look().applications == {}
    assert machine.everywhere == [False, False]
    machine.hold(100, 600)
    assert list(eyes.look().applications) == [SERVER]
    assert machine.everywhere == [False, False, True]


def test_what_an_earlier_process_knew_is_searched_everywhere_at_once(machine: Machine) -> None:
    """It did not come a moment ago; only new ones wait for the second pass."""
    machine.sockets[HOST] = [*sockets(500, 2, cgroup_id=4242), *sockets(600, 1, cgroup_id=4242)]
    machine.hold(100, 500, 501)
    eyes = look(machine, search_cpu_share=1e9)
    eyes.remember({(HOST, 500): 1.0, (HOST, 501): 1.0})
    seen = eyes.look()
    assert set(only(seen).members) == {(HOST, 500), (HOST, 501)}
    assert seen.unplaced == {(HOST, 600)}
    assert machine.searches == [{500, 501, 600}, {500, 501}]
    assert machine.everywhere == [False, True]


def test_what_an_earlier_process_knew_is_as_old_as_it_said(machine: Machine) -> None:
    """Keepalive answers refresh what the kernel tells."""
    machine.sockets[HOST] = sockets(500, 1, info=info(last_ack_recv_ms=10, last_data_recv_ms=500))
    machine.hold(100, 500)
    assert look(machine).look().applications == {}
    eyes = look(machine)
    eyes.remember({(HOST, 500): time.clock_gettime(time.CLOCK_BOOTTIME) - 70.0})
    assert only(eyes.look()).members[HOST, 500].age_at_least_s == pytest.approx(70.0, abs=30)


def test_what_is_there_and_not_placed_yet_is_told(machine: Machine) -> None:
    """In transit, or with a holder that is still looked for; not what is excluded."""
    young = info(last_ack_recv_ms=10, last_data_recv_ms=500)
    machine.sockets[HOST] = [*sockets(500, 2), *sockets(600, 1, info=young), *sockets(700, 1)]
    machine.hold(100, 500, 501)
    seen = look(machine, exclude=("serv*",)).look()
    assert seen.applications == {}
    assert seen.unplaced == {(HOST, 600), (HOST, 700)}


def test_a_queue_is_nobodys_until_its_listener_has_been_looked_for(machine: Machine) -> None:
    """A listener that systemd made is not in the cgroup of the service that has it."""
    machine.sockets[HOST] = [socket(inode=0, cookie=700 + at, local_port=8080, remote_port=5000 + at) for at in (0, 1)]
    machine.listeners[HOST] = [listener(receive_queue=2, cgroup_id=4242)]
    machine.hold(100, 900)
    eyes = look(machine, search_cpu_share=1e9)
    seen = eyes.look()
    assert seen.applications == {}
    assert seen.unplaced == {(HOST, 700), (HOST, 701)}
    assert list(eyes.look().applications) == [AppKey("server", "listener", "host")]
    remembering = look(machine, search_cpu_share=1e9)
    remembering.remember({(HOST, 700): 1.0})
    assert list(remembering.look().applications) == [AppKey("server", "listener", "host")]


def test_before_the_first_look_nothing_is_known_to_be_elsewhere(machine: Machine) -> None:
    machine.sockets[HOST] = sockets(500, 1)
    eyes = look(machine, namespaces="host", exclude=("ssh*",))
    assert eyes.is_wanted(SERVER)
    assert not eyes.is_wanted(SERVER._replace(app="sshd"))
    eyes.look()
    assert eyes.is_wanted(SERVER)
    assert not eyes.is_wanted(SERVER._replace(namespace="pod"))


def test_a_known_holder_is_searched_first_and_nowhere_else(machine: Machine) -> None:
    machine.sockets[HOST] = sockets(500, 1)
    machine.hold(100, 500)
    eyes = look(machine, search_cpu_share=1e9)
    eyes.look()
    machine.sockets[HOST] = [*sockets(500, 1), *sockets(600, 1, cgroup_id=4242, remote_port=25)]
    machine.hold(100, 600)
    assert len(only(eyes.look()).members) == 2
    assert machine.everywhere == [True, False]


def test_sockets_of_an_ended_process_go_to_who_holds_them_now(machine: Machine) -> None:
    machine.sockets[HOST] = sockets(500, 2)
    machine.hold(100, 500, 501)
    eyes = look(machine, search_cpu_share=0.0)
    eyes.look()
    machine.end(100)
    add_process(machine.proc, 200, executable="/usr/bin/heir")
    machine.hold(200, 500, 501)
    # Until a search can be afforded they stay with their program: nothing has left.
    application = only(eyes.look())
    assert len(application.members) == 2
    assert application.descriptors is None
    eyes.set_options(eyes.options._replace(search_cpu_share=1e9))
    assert [key.app for key in eyes.look().applications] == ["heir"]


def test_a_pid_that_is_used_again_is_another_process(machine: Machine) -> None:
    machine.sockets[HOST] = sockets(500, 1)
    machine.hold(100, 500)
    eyes = look(machine, search_cpu_share=1e9)
    eyes.look()
    machine.end(100)
    add_process(machine.proc, 100, start_ticks=2000, executable="/usr/bin/heir")
    machine.hold(100, 500)
    (key,) = eyes.look().applications
    assert key.app == "heir"


def test_a_process_that_runs_another_program_is_read_again(machine: Machine) -> None:
    machine.sockets[HOST] = sockets(500, 1)
    machine.hold(100, 500)
    eyes = look(machine)
    eyes.look()
    executable = machine.proc / "100/exe"
    executable.unlink()
    executable.symlink_to("/usr/bin/successor")
    (key,) = eyes.look().applications
    assert key.app == "successor"


def test_descriptors_and_limits_are_those_of_now(machine: Machine) -> None:
    machine.sockets[HOST] = sockets(500, 1)
    machine.hold(100, 500)
    eyes = look(machine)
    eyes.look()
    machine.hold(100, 900, 901)
    limits = machine.proc / "100/limits"
    limits.write_text(limits.read_text(encoding="ascii").replace("1024", "2048"), encoding="ascii")
    descriptors = only(eyes.look()).descriptors
    assert descriptors is not None
    assert (descriptors.open, descriptors.soft_limit) == (3, 2048)


def test_never_accepted_sockets_are_an_application_of_their_own(machine: Machine) -> None:
    """Whatever else the program leaks, neither key changes when the other begins."""
    waiting = [socket(inode=0, cookie=700 + at, local_port=8080, remote_port=5000 + at) for at in range(2)]
    machine.listeners[HOST] = [listener(receive_queue=2)]
    machine.sockets[HOST] = waiting
    machine.hold(100, 900)
    eyes = look(machine)
    seen = eyes.look()
    assert list(seen.applications) == [AppKey("server", "listener", "host")]
    assert {member.inode for member in only(seen).members.values()} == {0}
    machine.sockets[HOST] = [*waiting, *sockets(500, 1)]
    machine.hold(100, 500)
    assert set(eyes.look().applications) == {AppKey("server", "listener", "host"), SERVER}


def test_a_namespace_that_is_no_more_has_lost_its_sockets(machine: Machine) -> None:
    machine.sockets[POD] = sockets(500, 1, namespace=POD)
    machine.hold(100, 500)
    eyes = look(machine)
    assert list(eyes.look().applications) == [AppKey("server", "executable", f"pod{POD}")]
    del machine.sockets[POD]
    seen = eyes.look()
    assert seen.namespaces_read == {HOST, POD}
    assert eyes.look().namespaces_read == {HOST}


def test_a_namespace_that_may_only_hide_keeps_its_sockets_for_a_while(machine: Machine) -> None:
    machine.sockets[POD] = sockets(500, 1, namespace=POD)
    machine.hold(100, 500)
    eyes = look(machine)
    eyes.look()
    del machine.sockets[POD]
    machine.hidden = [Unseen("namespace_unknown", 4, "processes whose network namespace may not be read")]
    assert [POD in eyes.look().namespaces_read for __ in range(3)] == [False, False, True]


@pytest.mark.parametrize("error", [NamespaceUnreadable("it is a secret"), OSError(5, "Input/output error")])
def test_a_namespace_that_cannot_be_read_is_said_and_the_others_are_read(machine: Machine, error: Exception) -> None:
    machine.sockets = {POD: error, HOST: sockets(500, 1)}
    machine.hold(100, 500)
    seen = look(machine).look()
    assert list(seen.applications) == [SERVER]
    assert seen.namespaces_read == {HOST}
    assert [one[0] for one in seen.unseen] == ["namespace_unreadable"]


def test_a_namespace_that_vanishes_meanwhile_is_no_trouble(machine: Machine) -> None:
    machine.sockets[POD] = NamespaceVanished("it vanished")
    seen = look(machine).look()
    assert seen.namespaces_read == {HOST}
    assert seen.unseen == ()


def test_a_part_of_a_dump_proves_no_departure(machine: Machine) -> None:
    machine.warnings = [Unseen("dump_interrupted", 1, "the tables changed")]
    seen = look(machine).look()
    assert seen.namespaces_read == frozenset()
    assert [one[0] for one in seen.unseen] == ["dump_interrupted"]


def test_being_stranded_ends_the_watch(machine: Machine) -> None:
    machine.sockets[POD] = StrandedInNamespace("no way back")
    with pytest.raises(StrandedInNamespace):
        look(machine).look()


def test_the_host_alone(machine: Machine) -> None:
    machine.sockets[POD] = sockets(500, 1, namespace=POD)
    machine.hidden = [Unseen("namespace_unknown", 4, "of no interest")]
    seen = look(machine, namespaces="host").look()
    assert (seen.total, seen.unseen, machine.reads) == (0, (), [HOST])


def test_a_quiet_namespace_is_read_when_something_happened_there(machine: Machine) -> None:
    machine.sockets[POD] = []
    eyes = look(machine)
    for __ in range(5):
        # Where no segment came or went there still is nothing: that is as good as read.
        assert eyes.look().namespaces_read == {HOST, POD}
    assert machine.reads.count(POD) == 1
    machine.activity[POD] = b"a segment"
    eyes.look()
    assert machine.reads.count(POD) == 2
    for __ in range(20):
        eyes.look()
    assert machine.reads.count(POD) == 3
    assert machine.reads.count(HOST) == 26


def test_a_namespace_whose_activity_is_unknown_is_always_read(machine: Machine) -> None:
    machine.sockets[POD] = []
    machine.activity[POD] = None
    eyes = look(machine)
    for __ in range(5):
        eyes.look()
    assert machine.reads.count(POD) == 5


def test_busy_namespaces_take_turns_when_time_is_short(machine: Machine) -> None:
    pods = range(POD, POD + 10)
    machine.sockets.update({pod: [] for pod in pods})
    machine.activity = dict.fromkeys(pods)
    eyes = look(machine, pass_cpu_s=0.0)
    read = [len(eyes.look().namespaces_read) for __ in range(17)]
    assert {machine.reads.count(pod) for pod in pods} == {3}
    assert read == [11, *[1] * 7, 11, *[1] * 7, 11]


def test_close_wait_sockets_of_a_still_namespace_are_there_still(machine: Machine) -> None:
    """As old as they would be by now, and read again after a few passes: a program may read data without a segment."""
    machine.sockets[POD] = sockets(
        500, 2, namespace=POD, info=info(last_ack_recv_ms=90_000, last_data_recv_ms=2**32 - 1)
    )
    machine.hold(100, 500, 501)
    eyes = look(machine, pass_cpu_s=60)
    first = only(eyes.look())
    time.sleep(0.1)
    seen = eyes.look()
    assert machine.reads.count(POD) == 1
    assert seen.total == 2
    assert POD in seen.namespaces_read
    assert only(seen).members.keys() == first.members.keys()
    member = only(seen).members[POD, 500]
    assert 90.1 <= member.age_at_least_s < 95
    assert member.age_at_most_s == (2**32 - 1) / 1000
    for __ in range(7):
        eyes.look()
    assert machine.reads.count(POD) == 3


def test_a_namespace_with_close_wait_sockets_is_read_when_something_happened(machine: Machine) -> None:
    machine.sockets[POD] = sockets(500, 2, namespace=POD)
    machine.hold(100, 500, 501)
    eyes = look(machine, pass_cpu_s=60)
    eyes.look()
    machine.sockets[POD] = sockets(500, 1, namespace=POD)
    machine.activity[POD] = b"a close"
    assert len(only(eyes.look()).members) == 1
    machine.sockets[POD] = []
    machine.activity[POD] = b"another"
    seen = eyes.look()
    assert seen.applications == {}
    assert POD in seen.namespaces_read


def test_busy_namespaces_with_close_wait_sockets_take_turns_when_time_is_short(machine: Machine) -> None:
    """Until its turn comes, one keeps its sockets, and nothing of it counts as gone."""
    machine.sockets[POD] = sockets(500, 2, namespace=POD)
    machine.activity[POD] = None
    machine.hold(100, 500, 501)
    eyes = look(machine, pass_cpu_s=0.0)
    eyes.look()
    machine.sockets[POD] = sockets(500, 1, namespace=POD)
    seen = [eyes.look() for __ in range(4)]
    assert [len(only(one).members) for one in seen] == [2, 2, 2, 1]
    assert [POD in one.namespaces_read for one in seen] == [False, False, False, True]


def test_more_sockets_than_there_is_room_for_are_counted(machine: Machine) -> None:
    machine.sockets[HOST] = sockets(500, 5)
    machine.hold(100, *range(500, 505))
    eyes = look(machine, most_sockets=3)
    seen = eyes.look()
    assert (seen.total, len(only(seen).members)) == (5, 3)
    assert [one[:2] for one in seen.unseen] == [("sockets_dropped", 2)]
    # The same ones again, wherever they come in the dump: else each pass would see arrivals and departures.
    machine.sockets[HOST] = sockets(500, 5)[::-1]
    assert only(eyes.look()).members.keys() == only(seen).members.keys()
    # Who leaves makes room.
    machine.sockets[HOST] = sockets(501, 4)
    eyes.look()
    assert len(only(eyes.look()).members) == 3


def test_sockets_without_a_cookie_are_recognised(machine: Machine) -> None:
    machine.sockets[HOST] = [
        socket(cookie=0, inode=500, info=None),
        socket(cookie=0, inode=0, info=None, remote_port=1),
        socket(cookie=0, inode=0, info=None, remote_port=2),
    ]
    machine.listeners[HOST] = [listener(local_port=40_000, receive_queue=2)]
    machine.hold(100, 500, 900)
    eyes = look(machine)
    first = {key for one in eyes.look().applications.values() for key in one.members}
    assert len(first) == 3
    again = eyes.look()
    assert {key for one in again.applications.values() for key in one.members} == first
    assert all(member.age_at_least_s > 0 for one in again.applications.values() for member in one.members.values())


def test_names_are_clean(machine: Machine) -> None:
    machine.end(100)
    add_process(machine.proc, 100, executable="/opt/a\x1b[31mb", comm=b"x")
    machine.sockets[HOST] = sockets(500, 1)
    machine.hold(100, 500)
    application = only(look(machine).look())
    assert "\x1b" not in repr((application.offender["exe"], application.offender["app"]))
    assert "\\x1b" in application.offender["exe"]
