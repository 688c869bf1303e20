# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings: what appears from which figures on, with which severity and remedy, and what a sentence never says."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.causes import CAUSES
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.findings import REMEDIES, derive_findings
from diagnose_samples import HOST, check_section
from hypothesis import given
from hypothesis import strategies as st

_REPORTS = Path(__file__).parents[1] / "fixtures/reports"


def _report(name: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((_REPORTS / f"{name}.json").read_text(encoding="utf-8"))
    return report


def _findings(report: dict[str, Any]) -> list[dict[str, Any]]:
    findings, truncated = derive_findings(report, top=1_000)
    assert truncated == 0
    check_section("findings", findings)
    return findings


def _by_id(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {finding["id"]: finding for finding in reversed(_findings(report))}


def _offender(**values: object) -> dict[str, Any]:
    offender = copy.deepcopy(_report("sick")["close_wait"]["offenders"][0])
    offender.update(descriptors=None, causes={"eof_read": 5}, count=5)
    offender.update(values)
    return offender


def _leaks(*offenders: dict[str, Any], **sections: object) -> dict[str, Any]:
    return {"close_wait": {"offenders": list(offenders)}, **sections}


def test_a_healthy_host_has_no_findings() -> None:
    assert _findings(_report("healthy")) == []
    assert _findings({}) == []


def test_a_sick_host() -> None:
    found = _findings(_report("sick"))
    assert [(one["id"], one["severity"], one["remedy"]) for one in found] == [
        ("close_wait.stuck_accept", "critical", "app"),
        ("fd.process_near_limit", "critical", "limits"),
        ("close_wait.unread_body", "warning", "app"),
        ("close_wait.idle_pool", "warning", "app"),
        ("close_wait.leak", "warning", "app"),
        ("fd.dead_sockets", "warning", "app"),
        ("ports.near_exhaustion", "warning", "app"),
        ("time_wait.normal", "info", "none"),
        ("time_wait.closed_here", "info", "app"),
    ]
    body = found[2]
    assert body["subject"] == "checkout-api"
    assert "2,198 connections" in body["summary"]
    assert "at least 3 h" in body["summary"]
    assert "checkout-api (pid 4121)" in body["next_step"]
    assert "10.2.0.9:8443" in body["next_step"]
    assert "40 min" in found[3]["summary"]


@pytest.mark.parametrize(
    ("cause", "finding_id"),
    [
        ("unaccepted", "close_wait.stuck_accept"),
        ("eof_unnoticed", "close_wait.idle_pool"),
        ("eof_unnoticed_tls", "close_wait.idle_pool"),
        ("eof_unnoticed_farewell", "close_wait.idle_pool"),
        ("unread_data", "close_wait.unread_body"),
        ("eof_read", "close_wait.leak"),
        ("eof_consumed", "close_wait.leak"),
        ("unknown", "close_wait.leak"),
        ("half_close", None),
    ],
)
def test_one_finding_a_cause(cause: str, finding_id: str | None) -> None:
    found = _findings(_leaks(_offender(causes={cause: 5})))
    assert [(one["id"], one["severity"]) for one in found] == ([(finding_id, "warning")] if finding_id else [])


def test_a_server_is_not_told_to_evict_from_a_pool() -> None:
    (found,) = _findings(_leaks(_offender(causes={"eof_unnoticed": 5}, role="server")))
    assert "pool" not in found["summary"] + found["next_step"]
    assert "workers" in found["next_step"]
    assert "time-out" in found["next_step"]
    (client,) = _findings(_leaks(_offender(causes={"eof_unnoticed": 5}, role="client")))
    assert "pool" in client["next_step"]


def test_one_finding_an_id_and_application_over_causes_and_namespaces() -> None:
    found = _findings(
        _leaks(
            _offender(causes={"eof_read": 4, "eof_consumed": 1, "unread_data": 2}),
            _offender(causes={"eof_read": 3}, count=3, namespace="blue"),
            _offender(causes={"eof_read": 1}, count=1, app="other"),
        )
    )
    assert [(one["id"], one["subject"], one["evidence"]["count"]) for one in found] == [
        ("close_wait.leak", "checkout-api", 8),
        ("close_wait.unread_body", "checkout-api", 2),
        ("close_wait.leak", "other", 1),
    ]
    assert found[0]["evidence"]["namespaces"] == ["blue", "host"]


def test_a_sentence_claims_only_the_figures_of_its_own_causes() -> None:
    def part(age: float, unread: int, port: int) -> dict[str, Any]:
        peers = [{"address": "10.0.0.9", "port": port, "count": 5}]
        return {"age_s": {"at_least": age, "at_most": None}, "unread_bytes": unread, "peers": peers, "local_ports": []}

    found = _by_id(
        _leaks(
            _offender(
                causes={"eof_read": 5, "unread_data": 5},
                by_cause={"eof_read": part(7_200, 0, 1), "unread_data": part(300, 1_234, 2)},
            )
        )
    )
    leak, body = found["close_wait.leak"], found["close_wait.unread_body"]
    assert "at least 2 h" in leak["summary"]
    assert "10.0.0.9:1" in leak["next_step"]
    assert "at least 5 min" in body["summary"]
    assert "1,234 bytes" in body["summary"]
    assert "10.0.0.9:2" in body["next_step"]


@pytest.mark.parametrize(("percent", "severity"), [(89.9, "warning"), (90.0, "critical"), (None, "warning")])
def test_a_leak_is_critical_when_its_descriptors_run_out(percent: float | None, severity: str) -> None:
    use = {"open": 9, "soft_limit": 10, "hard_limit": 10, "used_percent": percent, "worst_pid": 7}
    (found,) = _findings(_leaks(_offender(descriptors=use)))
    assert found["severity"] == severity


@pytest.mark.parametrize(("queue", "severity"), [(127, "warning"), (128, "critical")])
def test_a_stuck_accept_is_critical_when_its_queue_is_full(queue: int, severity: str) -> None:
    ports = [{"port": 8443, "count": 5}]
    stuck = _offender(causes={"unaccepted": 5}, namespace_id=HOST, local_ports=ports)
    full = {"namespace": "host", "namespace_id": HOST, "address": "::", "port": 8443, "app": "x", "queue": queue}
    full.update(backlog=128, used_percent=queue / 1.28)
    found = _findings(_leaks(stuck, listeners=[full]))
    assert [(one["id"], one["severity"]) for one in found] == [("close_wait.stuck_accept", severity)]


def test_inherited_sockets_name_the_other_program() -> None:
    found = _by_id(_leaks(_offender(shared_with=[{"app": "sleep", "pid": 20}], flags={"shared": 3})))
    assert "sleep (pid 20)" in found["close_wait.inherited"]["summary"]
    assert found["close_wait.inherited"]["evidence"]["count"] == 3


def test_kernel_and_unknown_owners_get_their_own_words() -> None:
    kernel = _findings(_leaks(_offender(kind="kernel", app="kernel", pids=[])))[0]
    assert "NFS" in kernel["next_step"]
    unknown = _findings(_leaks(_offender(kind="unknown", app="unknown program (uid 5)", pids=[])))[0]
    assert "as root" in unknown["next_step"]


_DEADLINE = {"code": "deadline", "count": 1_234, "detail": "sockets have no owner yet: the time was over"}


@pytest.mark.parametrize("cause", [cause for cause in CAUSES if cause != "half_close"])
@pytest.mark.parametrize(
    ("completeness", "words"),
    [
        ({"privileged": True, "warnings": [_DEADLINE]}, "Look again with a longer time: lastack probe --timeout-s 120"),
        ({"privileged": True, "warnings": [{"code": "owners_denied"}]}, "Look again as root of the machine"),
        ({"privileged": True}, "Look again to learn"),
        ({"privileged": False}, "Look again as root (with Ansible: become)"),
        ({"privileged": False, "warnings": [_DEADLINE]}, "Look again as root (with Ansible: become)"),
    ],
)
@pytest.mark.parametrize("pids", [[], [7]], ids=["no pid", "a pid that was not read"])
def test_nothing_is_proposed_for_a_program_that_is_not_known(
    cause: str, completeness: dict[str, Any], words: str, pids: list[int]
) -> None:
    kind = "listener" if cause == "unaccepted" else "unknown"
    use = {"open": 99, "soft_limit": 100, "hard_limit": 100, "used_percent": 99.0, "worst_pid": 7}
    dead = {"app": "unknown program", "count": 40, "pids": [7], "descriptors": use, "runtime": None}
    offender = _offender(kind=kind, app="unknown program (uid 0)", pids=pids, causes={cause: 5})
    report = _leaks(offender, dead_sockets={"offenders": [dead]}, completeness={"complete": True, **completeness})
    found = _findings(report)
    assert len(found) == 2
    for one in found:
        assert one["next_step"].startswith(words)
        assert not re.search(r"Evict|Restart|Close|Consume", one["next_step"])
        assert re.search(r"[Aa]n unknown program", one["summary"])


def test_a_program_without_a_name_is_told_by_its_pid() -> None:
    (found,) = _findings(_leaks(_offender(kind="unknown", app="unknown program", pids=[7])))
    assert "unknown program (pid 7)" in found["next_step"]


@pytest.mark.parametrize(("percent", "first"), [(89.9, False), (90.0, True)])
def test_a_restart_wins_time_where_descriptors_run_out(percent: float, first: bool) -> None:  # noqa: FBT001 - a parameter
    use = {"open": 90, "soft_limit": 100, "hard_limit": 100, "used_percent": percent, "worst_pid": 7}
    steps = {
        cause: _findings(_leaks(_offender(causes={cause: 60}, count=60, descriptors=use, pids=[7])))[0]["next_step"]
        for cause in ("eof_read", "unread_data", "eof_unnoticed", "unaccepted")
    }
    start = r"Restart it to free 60 descriptors for now \(pid 7\), then (close|consume|evict) "
    for cause in ("eof_read", "unread_data", "eof_unnoticed"):
        assert bool(re.match(start, steps[cause])) is first
    # What was never accepted holds no descriptor: all those of the program are what a restart gives back.
    assert steps["unaccepted"].startswith("Restart it to free 90 descriptors for now (pid 7), then look") is first
    several = _offender(causes={"eof_read": 500}, count=500, descriptors=use, pids=[7, 8])
    assert ("to free up to 90 descriptors" in _findings(_leaks(several))[0]["next_step"]) is first


@pytest.mark.parametrize(("shared", "first"), [(17, False), (18, True), (20, True)])
def test_the_steps_of_inherited_sockets_agree(shared: int, first: bool) -> None:  # noqa: FBT001 - a parameter
    other = [{"app": "sleep", "pid": 20}]
    found = _by_id(_leaks(_offender(causes={"eof_read": 20}, count=20, shared_with=other, flags={"shared": shared})))
    assert "SOCK_CLOEXEC" in found["close_wait.inherited"]["next_step"]
    start = "Open its sockets with SOCK_CLOEXEC (close-on-exec) first, so that sleep (pid 20) does not inherit them, "
    assert found["close_wait.leak"]["next_step"].startswith(f"{start}then close the socket") is first


def _process_use(percent: float, **values: object) -> dict[str, Any]:
    use = {"app": "nginx", "pid": 7, "open": 900, "soft_limit": 1024, "hard_limit": 4096, "used_percent": percent}
    return {"descriptors": {"system": {"allocated": 1, "max": 10}, "processes": [{**use, **values}]}}


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (_process_use(49.9), []),
        (_process_use(50.0), [("fd.soft_limit_low", "info", "limits")]),
        (_process_use(50.0, soft_limit=2048), []),
        (_process_use(50.0, hard_limit=1024), []),
        (_process_use(69.9, hard_limit=-1), [("fd.soft_limit_low", "info", "limits")]),
        (_process_use(70.0), [("fd.process_near_limit", "warning", "limits")]),
        (_process_use(90.0), [("fd.process_near_limit", "critical", "limits")]),
    ],
)
def test_descriptors(report: dict[str, Any], expected: list[tuple[str, str, str]]) -> None:
    assert [(one["id"], one["severity"], one["remedy"]) for one in _findings(report)] == expected


def test_no_higher_limit_is_asked_for_where_a_leak_explains_the_use() -> None:
    use = {"open": 900, "soft_limit": 1024, "hard_limit": 4096, "used_percent": 87.9, "worst_pid": 7}
    leak = _offender(pids=[7], descriptors=use, causes={"eof_read": 600}, count=600)
    assert [one["id"] for one in _findings(_leaks(leak, **_process_use(87.9)))] == ["close_wait.leak"]
    small = _offender(pids=[7], descriptors=use)
    assert "fd.process_near_limit" in _by_id(_leaks(small, **_process_use(87.9)))


@pytest.mark.parametrize(
    ("allocated", "maximum", "severity"),
    [(69, 100, None), (70, 100, "warning"), (90, 100, "critical"), (2**63 - 2, 2**63 - 1, None), (None, 100, None)],
)
def test_files_of_the_host(allocated: int | None, maximum: int, severity: str | None) -> None:
    found = _findings({"descriptors": {"system": {"allocated": allocated, "max": maximum}, "processes": []}})
    assert [(one["id"], one["severity"]) for one in found] == ([("fd.system_near_limit", severity)] if severity else [])


@pytest.mark.parametrize(("used", "severity"), [(49.9, None), (50.0, "warning"), (79.9, "warning"), (80.0, "critical")])
def test_ports(used: float, severity: str | None) -> None:
    to = {"source": "10.0.0.4", "address": "fd00::7", "port": 5432, "used": 50, "time_wait": 9, "used_percent": used}
    found = _findings({"ephemeral_ports": [{"namespace": "host", "usable": 100, "destinations": [to]}]})
    assert [(one["id"], one["severity"]) for one in found] == (
        [("ports.near_exhaustion", severity)] if severity else []
    )
    assert not found or "[fd00::7]:5432" in found[0]["next_step"]


def _time_wait(total: int, percent: float, overflows: int | None = 0, here: int = 0) -> dict[str, Any]:
    entry = {"namespace": "host", "total": total, "max_buckets": 262_144, "used_percent": percent}
    closed = [{"port": 8080, "count": here, "app": None}]
    return {"time_wait": [{**entry, "overflows": overflows, "closed_here": closed}]}


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (_time_wait(9_999, 3.8), []),
        (_time_wait(10_000, 3.8), [("time_wait.normal", "info", "none")]),
        (_time_wait(262_000, 99.9), [("time_wait.normal", "info", "none")]),
        (_time_wait(262_000, 99.9, None), [("time_wait.normal", "info", "none")]),
        (_time_wait(2_000, 0.7, here=1_000), [("time_wait.closed_here", "info", "app")]),
        (_time_wait(2_000, 0.7, here=999), []),
        (_time_wait(2_000, 0.7, overflows=5), [("time_wait.bucket_overflow", "info", "kernel")]),
        (_time_wait(262_000, 99.9, overflows=5), [("time_wait.bucket_overflow", "warning", "kernel")]),
    ],
)
def test_time_wait(report: dict[str, Any], expected: list[tuple[str, str, str]]) -> None:
    assert [(one["id"], one["severity"], one["remedy"]) for one in _findings(report)] == expected


def _listening(percent: float, lost: int = 0, somaxconn: int | None = 4096, cookies: int = 0) -> dict[str, Any]:
    one = {"namespace": "host", "namespace_id": HOST, "address": "::", "port": 80, "app": "nginx", "queue": 64}
    one.update(backlog=128, used_percent=percent, somaxconn=somaxconn)
    counters = {"ListenOverflows": lost, "SyncookiesSent": cookies}
    return {"listeners": [one], "namespaces": [{"id": HOST, "label": "host", "counters": counters}]}


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (_listening(49.9), []),
        (_listening(50.0), [("listen.overflow", "warning")]),
        (_listening(1.0, lost=99), []),
        (_listening(1.0, lost=100), [("listen.overflow", "info")]),
        (_listening(50.0, lost=100), [("listen.overflow", "warning")]),
        (_listening(1.0, somaxconn=128), []),
        (_listening(1.0, lost=1, somaxconn=128), [("listen.backlog_capped", "info")]),
        (_listening(50.0, somaxconn=128), [("listen.backlog_capped", "warning"), ("listen.overflow", "warning")]),
        (_listening(1.0, somaxconn=None, lost=1), []),
        (_listening(1.0, cookies=99), []),
        (_listening(1.0, cookies=100), [("syn.cookies_sent", "info")]),
    ],
)
def test_listeners(report: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    found = _findings(report)
    assert [(one["id"], one["severity"]) for one in found] == expected
    for one in found:
        assert one["severity"] != "info" or one["id"] == "listen.backlog_capped" or "since boot" in one["summary"]


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ({"memory": {"orphans": 19, "max_orphans": 100}}, []),
        ({"memory": {"orphans": 20, "max_orphans": 100}}, [("orphans.near_limit", "warning")]),
        ({"memory": {"orphans": None, "max_orphans": 100}}, []),
        ({"memory": {"pages": 79, "pressure_pages": 100}}, []),
        ({"memory": {"pages": 80, "pressure_pages": 100}}, [("memory.pressure", "warning")]),
        ({"memory": {"pages": 100, "pressure_pages": 100}}, [("memory.pressure", "critical")]),
        ({"conntrack": [{"namespace": "host", "count": 74, "max": 100, "used_percent": 74.0}]}, []),
        (
            {"conntrack": [{"namespace": "host", "count": 75, "max": 100, "used_percent": 75.0}]},
            [("conntrack.near_limit", "warning")],
        ),
        ({"conntrack": [{"namespace": "host", "count": 75, "max": 0, "used_percent": None}]}, []),
    ],
)
def test_tables(report: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert [(one["id"], one["severity"]) for one in _findings(report)] == expected


@pytest.mark.parametrize(
    ("changes", "severity", "words"),
    [
        ({"complete": True}, None, ""),
        ({}, "warning", "as root"),
        ({"privileged": True}, "warning", "enter 2 network namespaces"),
        ({"privileged": True, "source": "none"}, "warning", "sock_diag"),
    ],
)
def test_incomplete(changes: dict[str, Any], severity: str | None, words: str) -> None:
    completeness = {**_report("partial")["completeness"], **changes}
    found = _findings({"completeness": completeness})
    assert [(one["id"], one["severity"], one["remedy"]) for one in found] == (
        [("view.incomplete", severity, "none")] if severity else []
    )
    assert not found or words in found[0]["next_step"]


_OWNERS = {"code": "owners_denied", "count": 31, "detail": "processes whose descriptors may not be read: owners"}
_LOOKED = {"code": "deadline", "count": 1, "detail": "processes were not looked at: the time was over"}
_DEAD = {"code": "dead_sockets_incomplete", "count": 4, "detail": "the look for dead sockets was denied or cut short"}
_OTHER = {"code": "unknown_state", "count": 3, "detail": "sockets in a state that this version does not know"}


@pytest.mark.parametrize(
    ("warnings", "step", "summary"),
    [
        ([_DEADLINE, _OWNERS], "root of the machine", "the descriptors of 31 processes may not be read; the time was"),
        ([_DEADLINE], "--timeout-s 120", "before an owner was found for 1,234 sockets."),
        ([_DEAD, _LOOKED], "--timeout-s 120", "1 process was not looked at before the time was over; the look"),
        ([_DEAD], "--gather dead_sockets", "the look for dead sockets was denied or cut short (4)."),
        ([{**_OTHER, "code": "namespace_unknown"}], "to enter every network namespace", "not know (3)."),
        ([{**_OTHER, "code": "processes_hidden"}], "hidepid", "not know (3)."),
        ([{**_OTHER, "code": "sock_diag_unavailable"}], "tcp_diag", "not know (3)."),
        ([_OTHER], "settled", "sockets in a state that this version does not know (3)."),
        ([_OTHER] * 5, "settled", "(3); and 2 lesser gaps."),
    ],
)
def test_an_incomplete_view_says_how_much_and_what_would_help(
    warnings: list[dict[str, Any]], step: str, summary: str
) -> None:
    (found,) = _findings({"completeness": {"complete": False, "privileged": True, "warnings": warnings}})
    assert step in found["next_step"]
    assert summary in found["summary"]
    assert found["remedy"] == "none"
    (denied,) = _findings({"completeness": {"complete": False, "privileged": False, "warnings": [_OWNERS]}})
    assert denied["next_step"].startswith("Look again as root")


def test_an_incomplete_view_counts_namespaces_and_owners() -> None:
    assert _findings({"completeness": _report("partial")["completeness"]})[0]["summary"] == (
        "Not everything was seen: 2 of 3 network namespaces were not read; of 2,441 CLOSE_WAIT sockets the owners are"
        " not known for 190; not root: owners are known only for your own processes (31)."
    )


def test_an_incomplete_view_says_nothing_twice_and_no_zero() -> None:
    over = {"code": "deadline", "count": 1, "detail": "the time for the whole look was over before every network"}
    completeness = {"complete": False, "privileged": True, "namespaces": {"seen": 2, "failed": 1}}
    completeness["close_wait"] = {"seen": 9, "unattributed": 1}
    completeness["warnings"] = [over, _DEADLINE, {**_LOOKED, "count": 0}]
    assert _findings({"completeness": completeness})[0]["summary"] == (
        "Not everything was seen: 1 of 2 network namespaces was not read; of 9 CLOSE_WAIT sockets the owner is not"
        " known for 1."
    )


def test_a_lesser_gap_is_information() -> None:
    completeness = {"complete": False, "privileged": True, "warnings": [{"code": "x", "detail": "one dump was cut"}]}
    (found,) = _findings({"completeness": completeness})
    assert found["severity"] == "info"
    assert "one dump was cut" in found["summary"]


def test_extra_findings_are_ranked_with_the_rest_and_the_list_is_cut() -> None:
    extra = [one for one in _report("sick")["findings"] if one["id"].startswith("sysctl.")]
    found, truncated = derive_findings(_report("sick"), [*extra, *extra], top=1_000)
    assert [one["id"] for one in found].count("sysctl.harmful") == 1
    assert found.index(extra[0]) < [one["id"] for one in found].index("time_wait.normal")
    assert (derive_findings(_report("sick"), extra, top=3), truncated) == ((found, 0), 0)
    many = [{**extra[0], "subject": f"net.ipv4.key{number}", "severity": "info"} for number in range(30)]
    kept, cut = derive_findings(_report("sick"), many, top=1)
    assert (len(kept), cut) == (20, len(found) - 1 + 30 - 20)
    assert [one for one in kept if one["severity"] != "info"] == [
        one for one in found if one["severity"] != "info" and one not in extra
    ]


def test_no_sentence_about_a_leak_names_a_kernel_setting() -> None:
    offenders = [_offender(app=cause, causes={cause: 5}) for cause in CAUSES]
    for finding in _findings(_leaks(*offenders, *[_offender(app="k", kind="kernel")])):
        text = finding["summary"] + finding["next_step"]
        assert not re.search(r"sysctl|net\.(ipv4|core)|keepalive|tcp_", text)
        assert finding["remedy"] == "app"


def test_every_sentence_is_one_and_every_step_is_an_order() -> None:
    for finding in [*_findings(_report("sick")), *_findings(_report("partial"))]:
        for text in (finding["summary"], finding["next_step"]):
            assert re.fullmatch(r"[A-Za-z0-9].*[A-Za-z0-9)%]\.", text), text
        assert re.match(
            r"(Look|Raise|Consume|Close|Evict|Restart|Reuse|Leave|Switch|Run|Set|Find|Open|Watch|Take)\b",
            finding["next_step"],
        )


@given(st.text(max_size=80), st.text(max_size=80))
def test_hostile_names_come_out_clean(app: str, address: str) -> None:
    offender = _offender(app=app, peers=[{"address": address, "port": None, "count": 5}])
    for finding in _findings(_leaks(offender)):
        for text in (finding["subject"], finding["summary"], finding["next_step"]):
            assert text.isprintable()


def test_remedies_know_every_id() -> None:
    assert len(REMEDIES) == 25
    assert {remedy for name, remedy in REMEDIES.items() if name.startswith("close_wait.")} == {"app"}
    assert set(REMEDIES.values()) == {"app", "kernel", "limits", "none"}
