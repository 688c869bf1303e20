# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Offenders: CLOSE_WAIT by application; every socket counts once, and only who is to blame is blamed."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.accept_queues import ListenerIndex
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.offenders import CloseWaitResult, group_close_wait
from diagnose_samples import HOST, check_section, info, listener, process, scan, socket
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Process, TcpSocket

LABELS = {HOST: "host", 7: "blue"}
YOUNG = info(last_ack_recv_ms=10, last_data_recv_ms=20)
UNCERTAIN = info(last_ack_recv_ms=10, last_data_recv_ms=100_000, last_data_sent_ms=100_000)


def _group(  # noqa: PLR0913 - the arguments of what is tested
    sockets: Sequence[TcpSocket],
    holders: dict[int, list[int]] | None = None,
    processes: Sequence[Process] = (),
    *,
    exhaustive: bool = True,
    listeners: Sequence[TcpSocket] = (),
    listener_pids: dict[int, list[int]] | None = None,
    **options: Any,  # noqa: ANN401 - handed through
) -> CloseWaitResult:
    by_pid = {one.pid: one for one in processes}
    found = scan(holders, exhaustive=exhaustive) if holders is not None else None
    result = group_close_wait(sockets, found, by_pid, listeners, listener_pids or {}, LABELS, **options)
    check_section("close_wait", result.section)
    counts = dict(result.completeness)
    assert counts.pop("seen") == sum(counts.values()) == len(sockets)
    return result


def _only(result: CloseWaitResult) -> dict[str, Any]:
    (offender,) = result.section["offenders"]
    return offender


def test_one_client_leaks() -> None:
    sockets = [socket(inode=at, cookie=at, receive_queue=300, local_port=40_000 + at) for at in range(1, 4)]
    sockets[2] = sockets[2]._replace(info=info(last_ack_recv_ms=95_000, last_data_recv_ms=300_000))
    leaky = process(9, open_descriptors=700, executable="/usr/bin/java", arguments=("java", "com.acme.Main"))
    offender = _only(_group(sockets, {1: [9], 2: [9], 3: [9]}, [leaky]))
    assert offender["app"] == "com.acme.Main"
    assert (offender["kind"], offender["runtime"], offender["user"]) == ("interpreter", "java", "app")
    assert (offender["count"], offender["pids"], offender["role"]) == (3, [9], "client")
    assert offender["causes"] == {"unread_data": 3}
    assert offender["unread_bytes"] == 3 * 299
    assert offender["age_s"] == {"at_least": 95.0, "at_most": 300.0}
    assert offender["peers"] == [{"address": "10.0.0.9", "port": 8081, "count": 3}]
    assert offender["local_ports"] == []
    assert offender["descriptors"] == {
        "open": 700,
        "soft_limit": 1024,
        "hard_limit": 4096,
        "used_percent": 68.4,
        "worst_pid": 9,
    }
    assert offender["advice"] == ["close_wait.unread_body", "runtime.java"]


def test_a_server_is_known_by_its_listener_and_its_peers_have_no_port() -> None:
    served = [socket(inode=at, local_port=8080, remote_port=50_000 + at, receive_queue=0) for at in (1, 2)]
    result = _group([*served, socket(inode=3)], {1: [9], 2: [9], 3: [9]}, [process(9)], listeners=[listener()])
    offender = _only(result)
    assert offender["role"] == "mixed"
    assert offender["peers"][0] == {"address": "10.0.0.9", "port": None, "count": 2}
    assert offender["local_ports"] == [{"port": 8080, "count": 2}]
    assert _only(_group(served, {1: [9], 2: [9]}, [process(9)], listeners=[listener()]))["role"] == "server"


def test_young_and_uncertain_sockets_make_no_offender() -> None:
    result = _group([socket(info=YOUNG), socket(info=UNCERTAIN, inode=501)], {500: [9], 501: [9]}, [process(9)])
    assert result.section["offenders"] == []
    assert result.completeness["in_transit"] == result.completeness["undecided"] == 1


def test_uncertain_sockets_are_counted_beside_an_offender() -> None:
    result = _group([socket(), socket(info=UNCERTAIN, inode=501)], {500: [9], 501: [9]}, [process(9)])
    offender = _only(result)
    assert (offender["count"], offender["undecided"]) == (1, 1)


def test_an_uncertain_half_closed_connection_is_not_held_against_its_program() -> None:
    half = socket(info=UNCERTAIN, inode=501, receive_queue=0, send_queue=10)
    assert _only(_group([socket(), half], {500: [9], 501: [9]}, [process(9)]))["undecided"] == 0


def test_a_half_closed_connection_is_attributed_and_no_offence() -> None:
    result = _group([socket(receive_queue=0, send_queue=10)], {500: [9]}, [process(9)])
    assert result.section["offenders"] == []
    assert result.completeness["attributed"] == 1


@pytest.mark.parametrize(
    ("holders", "exhaustive", "bucket", "kind"),
    [
        ({}, True, "kernel_owned", "kernel"),
        ({}, False, "unattributed", "unknown"),
        (None, True, "unattributed", "unknown"),
        ({500: [9]}, True, "attributed", "executable"),
        ({500: [8]}, True, "attributed", "unknown"),  # its process vanished before it was read
    ],
)
def test_where_a_socket_counts(
    *, holders: dict[int, list[int]] | None, exhaustive: bool, bucket: str, kind: str
) -> None:
    result = _group([socket()], holders, [process(9, uid=1000)], exhaustive=exhaustive)
    assert result.completeness[bucket] == 1
    offender = _only(result)
    assert offender["kind"] == kind
    assert offender["flags"]["kernel_owned"] == (bucket == "kernel_owned")
    if kind == "unknown":
        assert offender["app"] == "unknown program (user app)"


def test_unknown_owners_of_different_users_are_not_mixed() -> None:
    result = _group([socket(uid=1), socket(uid=2, inode=501)], {}, exhaustive=False)
    assert {one["app"] for one in result.section["offenders"]} == {
        "unknown program (uid 1)",
        "unknown program (uid 2)",
    }


def test_prefork_workers_share_by_design_but_another_program_inherits() -> None:
    master, worker = process(8, age_s=500_000.0), process(9)
    offender = _only(_group([socket()], {500: [9, 8]}, [master, worker]))
    assert offender["shared_with"] == []
    assert offender["flags"]["shared"] == 1
    assert sorted(offender["pids"]) == [8, 9]
    child = process(20, executable="/usr/bin/sleep", age_s=5.0)
    offender = _only(_group([socket()], {500: [20, 9]}, [worker, child]))
    assert offender["app"] == "program"
    assert offender["shared_with"] == [{"app": "sleep", "pid": 20}]
    assert offender["advice"][-2:] == ["close_wait.inherited", "runtime.native"]
    assert offender["pids"] == [9]


def test_init_is_not_blamed_for_a_socket_it_handed_over() -> None:
    init = process(1, executable="/usr/lib/systemd/systemd", age_s=1e6)
    assert _only(_group([socket()], {500: [1, 9]}, [init, process(9)]))["app"] == "program"


def test_a_holder_that_inherited_a_socket_does_not_make_it_young() -> None:
    offender = _only(_group([socket()], {500: [9]}, [process(9, age_s=92.0)]))
    assert offender["age_s"] == {"at_least": 90.0, "at_most": 100.0}


def test_programs_of_one_interpreter_are_told_apart() -> None:
    service = process(9, executable="/usr/bin/python3.11", arguments=("python3", "/opt/service.py"), age_s=900.0)
    helper = process(10, executable="/usr/bin/python3.11", arguments=("python3", "/opt/helper.py"), age_s=90.0)
    worker = process(11, executable="/usr/bin/python3.11", arguments=("python3", "/opt/service.py", "-w"), age_s=90.0)
    (shared,) = _only(_group([socket()], {500: [9, 10]}, [service, helper]))["shared_with"]
    assert (shared["app"], shared["pid"]) == ("helper.py", 10)
    assert _only(_group([socket()], {500: [9, 11]}, [service, worker]))["shared_with"] == []


def test_connections_to_a_listener_that_is_gone_were_still_accepted_here() -> None:
    sockets = [socket(inode=500 + at, local_port=8080, remote_port=40_000 + at) for at in range(4)]
    assert _only(_group(sockets, {500 + at: [9] for at in range(4)}, [process(9)]))["role"] == "server"


def test_tls_is_believed_by_several_alike_and_not_where_lengths_are_mixed() -> None:
    alike = [socket(inode=at, receive_queue=25) for at in (1, 2, 3)]
    holders = {at: [9] for at in range(1, 9)}
    assert _only(_group(alike, holders, [process(9)]))["causes"] == {"eof_unnoticed_tls": 3}
    mixed = alike + [socket(inode=at, receive_queue=100 * at) for at in (4, 5, 6, 7)]
    assert _only(_group(mixed, holders, [process(9)]))["causes"] == {"unread_data": 7}
    ftp = [one._replace(remote_port=21, info=info(last_data_sent_ms=400_000)) for one in alike]
    assert _only(_group(ftp, holders, [process(9, tls_library=True)]))["causes"] == {"eof_unnoticed_farewell": 3}


class TestNeverAccepted:
    """Inode 0: the listener is to blame."""

    waiting = socket(inode=0, local_address="10.0.0.4", local_port=8080, remote_port=50_000)

    def test_the_listener_is_named(self) -> None:
        result = _group(
            [self.waiting], None, [process(9)], listeners=[listener(receive_queue=1)], listener_pids={900: [9]}
        )
        offender = _only(result)
        assert (offender["app"], offender["kind"], offender["role"]) == ("program", "listener", "server")
        assert (offender["pids"], offender["causes"]) == ([9], {"unaccepted": 1})
        assert result.completeness["unaccepted"] == 1

    def test_a_program_that_also_leaks_is_one_offender(self) -> None:
        leaked = self.waiting._replace(inode=500)
        offender = _only(
            _group([self.waiting, leaked], {500: [9]}, [process(9)], listeners=[listener()], listener_pids={900: [9]})
        )
        assert (offender["count"], offender["kind"]) == (2, "executable")

    def test_each_cause_has_its_own_age_bytes_peers_and_ports(self) -> None:
        leaked = socket(receive_queue=300, info=info(last_ack_recv_ms=99_000))
        fresh = self.waiting._replace(info=info(last_ack_recv_ms=61_000, last_data_recv_ms=61_000))
        offender = _only(
            _group([fresh, leaked], {500: [9]}, [process(9)], listeners=[listener()], listener_pids={900: [9]})
        )
        assert offender["by_cause"] == {
            "unaccepted": {
                "age_s": {"at_least": 61.0, "at_most": 61.0},
                "unread_bytes": 0,
                "peers": [{"address": "10.0.0.9", "port": None, "count": 1}],
                "local_ports": [{"port": 8080, "count": 1}],
            },
            "unread_data": {
                "age_s": {"at_least": 99.0, "at_most": 100.0},
                "unread_bytes": 299,
                "peers": [{"address": "10.0.0.9", "port": 8081, "count": 1}],
                "local_ports": [],
            },
        }

    def test_without_a_known_listener_it_is_still_counted(self) -> None:
        result = _group([self.waiting], {}, [])
        assert result.completeness["unaccepted"] == 1
        assert _only(result)["kind"] == "listener"

    @pytest.mark.parametrize(
        ("addresses", "chosen"),
        [
            (["0.0.0.0", "10.0.0.4"], "10.0.0.4"),
            (["::", "0.0.0.0"], "0.0.0.0"),
            (["::"], "::"),
            (["10.0.0.5", "::1"], None),
        ],
    )
    def test_the_most_specific_address_wins(self, addresses: list[str], chosen: str | None) -> None:
        index = ListenerIndex(
            [listener(local_address=one, inode=at, receive_queue=1) for at, one in enumerate(addresses)]
        )
        (blamed,) = index.blame([self.waiting])
        assert (blamed.local_address if blamed else None) == chosen

    def test_another_namespace_or_port_is_not_to_blame(self) -> None:
        index = ListenerIndex([listener(namespace=7), listener(local_port=8081)])
        assert index.blame([self.waiting]) == [None]

    def test_of_reuseport_listeners_only_filled_queues_are_blamed_in_proportion(self) -> None:
        index = ListenerIndex([listener(inode=at, receive_queue=queue) for at, queue in ((1, 0), (2, 30), (3, 10))])
        blamed = Counter(one.inode for one in index.blame([self.waiting] * 40) if one)
        assert blamed == {2: 30, 3: 10}

    def test_emptied_queues_share_the_blame(self) -> None:
        index = ListenerIndex([listener(inode=1), listener(inode=2)])
        assert len({one.inode for one in index.blame([self.waiting] * 2) if one}) == 2


def test_names_and_paths_are_cleaned_and_redacted() -> None:
    leaky = process(9, executable="/opt/run?token=abcdef/\x1b[31mx", comm="x", user="a\nb")
    text = json.dumps(_group([socket()], {500: [9]}, [leaky]).section, ensure_ascii=False)
    assert "abcdef" not in text
    assert "\x1b" not in text
    open_text = json.dumps(_group([socket()], {500: [9]}, [leaky], redact=False).section)
    assert "abcdef" in open_text


def test_five_thousand_offending_processes_are_cut_and_counted() -> None:
    sockets = [socket(inode=at, cookie=at) for at in range(1, 5_001)]
    programs = [process(at, executable=f"/opt/p{chr(97 + at % 26)}x{at}a") for at in range(1, 5_001)]
    result = _group(sockets, {at: [at] for at in range(1, 5_001)}, programs, top=20)
    assert len(result.section["offenders"]) == 20
    assert result.section["truncated"] == 4_980
    assert len(json.dumps(result.section)) < 32_768
    one_program = [process(at) for at in range(1, 5_001)]
    offender = _only(_group(sockets, {at: [at] for at in range(1, 5_001)}, one_program))
    assert (len(offender["pids"]), offender["pids_truncated"]) == (20, 4_980)


def test_sockets_are_listed_on_request_worst_first_and_cut() -> None:
    sockets = [socket(info=YOUNG, inode=1), socket(inode=2), socket(info=UNCERTAIN, inode=3)]
    section = _group(sockets, {2: [9]}, [process(9)], list_sockets=2).section
    assert [one["verdict"] for one in section["sockets"]] == ["offender", "undecided"]
    assert section["sockets"][0]["pids"] == [9]
    assert section["sockets_truncated"] == 1
    assert "sockets" not in _group(sockets, {2: [9]}, [process(9)]).section


_SOCKETS = st.lists(
    st.builds(
        socket,
        namespace=st.sampled_from((HOST, 7)),
        inode=st.integers(0, 12),
        receive_queue=st.sampled_from((0, 1, 2, 25, 300)),
        send_queue=st.sampled_from((0, 0, 9)),
        local_port=st.sampled_from((8080, 40_000)),
        uid=st.integers(0, 3),
        info=st.sampled_from((None, YOUNG, UNCERTAIN, info())),
    ),
    max_size=30,
)


@given(
    sockets=_SOCKETS,
    holders=st.none() | st.dictionaries(st.integers(1, 12), st.lists(st.integers(1, 6), max_size=3)),
    pids=st.sets(st.integers(1, 6)),
    exhaustive=st.booleans(),
    options=st.fixed_dictionaries({"top": st.integers(1, 4), "min_age_s": st.sampled_from((0, 60))}),
)
def test_nothing_is_lost_and_nothing_counts_twice(
    *,
    sockets: list[TcpSocket],
    holders: dict[int, list[int]] | None,
    pids: set[int],
    exhaustive: bool,
    options: dict[str, Any],
) -> None:
    programs = [process(pid, executable=f"/opt/p{'abc'[pid % 3]}", age_s=float(pid)) for pid in pids]
    result = _group(
        sockets,
        holders,
        programs,
        exhaustive=exhaustive,
        listeners=[listener(receive_queue=2)],
        listener_pids={900: [2]},
        list_sockets=100,
        **options,
    )
    section, counts = result.section, result.completeness
    listed = section["sockets"]
    assert len(listed) == section["total"] == len(sockets)
    offences = sum(one["verdict"] == "offender" and one["cause"] != "half_close" for one in listed)
    assert offences >= sum(one["count"] for one in section["offenders"])
    if not section["truncated"]:
        assert offences == sum(one["count"] for one in section["offenders"])
    assert counts["in_transit"] == sum(one["verdict"] == "in_transit" for one in listed)
    for offender in section["offenders"]:
        assert sum(offender["causes"].values()) == offender["count"] > 0
        assert "half_close" not in offender["causes"]
    assert section["offenders"] == sorted(section["offenders"], key=lambda one: -one["count"])
