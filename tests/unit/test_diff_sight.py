# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a look may have missed what another look saw: each way in which it can see less, and what hides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.diff_sight import (
    missed_dead_sockets,
    missed_finding,
    missed_offender,
    saw_less,
)
from diff_samples import host_report, incomplete

if TYPE_CHECKING:
    from collections.abc import Callable

Report = dict[str, Any]


def unprivileged(report: Report) -> Report:
    report["completeness"]["privileged"] = False
    return incomplete(report, "not_privileged", 31)


def failed_namespaces(report: Report, number: int = 1) -> Report:
    report["completeness"]["namespaces"] = {"seen": 3, "read": 3 - number, "failed": number}
    return report


def seen(report: Report, **counts: int) -> Report:
    report["completeness"]["close_wait"].update(counts)
    return report


def options(report: Report, **values: object) -> Report:
    report["options"] = {**report.get("options", {}), **values}
    return report


def without(report: Report, section: str) -> Report:
    del report[section]
    return report


def truncated(report: Report) -> Report:
    report["close_wait"]["truncated"] = 3
    return report


def no_source(report: Report) -> Report:
    report["completeness"]["source"] = "none"
    return report


OTHER = {"other": 5}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (unprivileged, "not root"),
        (failed_namespaces, "namespaces not readable"),
        (no_source, "no socket table could be read"),
        (truncated, "its list of applications was cut"),
        (lambda report: without(report, "close_wait"), "CLOSE_WAIT was left out of the look"),
        (lambda report: options(report, namespaces="host"), "told to read one namespace only"),
        (lambda report: incomplete(report, "deadline", detail="the time was over"), "the time was over"),
        (lambda report: incomplete(report, "of_a_newer_version", detail="what is new"), "what is new"),
        (lambda report: seen(report, unattributed=20), "sockets without a known owner"),
        (lambda report: seen(report, undecided=20), "sockets still too young to judge"),
        (lambda report: seen(options(report, min_age_s=600), undecided=1), "told to judge older sockets only"),
    ],
)
def test_a_look_that_saw_less_may_have_missed_it(change: Callable[[Report], Report], reason: str) -> None:
    old, new = host_report({"api": 100, **OTHER}), change(host_report(OTHER))
    assert missed_offender(new, old, 100) == reason
    # The other way round it saw more, and so did two looks that were equally short-sighted.
    assert missed_offender(old, new, 100) == ""


@pytest.mark.parametrize("change", [unprivileged, failed_namespaces, lambda report: incomplete(report, "deadline", 3)])
def test_two_looks_that_saw_equally_little_can_be_compared(change: Callable[[Report], Report]) -> None:
    assert missed_offender(change(host_report(OTHER)), change(host_report({"api": 100, **OTHER})), 100) == ""


@pytest.mark.parametrize(
    "change",
    [
        lambda report: report,
        lambda report: incomplete(report, "dead_sockets_incomplete"),
        lambda report: incomplete(report, "agent_unusable"),
        lambda report: seen(report, undecided=9, unattributed=9),
        lambda report: options(report, min_age_s=600),
        lambda report: options(report, gather=["close_wait"]),
    ],
)
def test_what_hides_no_leak_is_no_excuse(change: Callable[[Report], Report]) -> None:
    assert missed_offender(change(host_report(OTHER)), host_report({"api": 100, **OTHER}), 100) == ""


def test_no_socket_at_all_needs_no_owner() -> None:
    old = host_report({"api": 100})
    assert missed_offender(unprivileged(host_report()), old, 100) == ""
    assert missed_offender(failed_namespaces(unprivileged(host_report())), old, 100) == "not root"
    hidden = incomplete(host_report(), "processes_hidden", detail="processes are hidden")
    assert missed_offender(hidden, old, 100) == "processes are hidden"
    assert missed_offender(options(unprivileged(host_report()), namespaces="host"), old, 100) != ""


def test_dead_sockets_need_their_own_look() -> None:
    whole = host_report()
    assert missed_dead_sockets(whole, whole) == ""
    assert (
        missed_dead_sockets(without(host_report(), "dead_sockets"), whole) == "dead sockets were left out of the look"
    )
    unknown = host_report()
    unknown["dead_sockets"]["total"] = None
    assert missed_dead_sockets(unknown, whole) == "dead sockets could not be counted"
    partly = incomplete(host_report(), "dead_sockets_incomplete", 4)
    assert missed_dead_sockets(partly, whole) == "dead sockets could not all be counted"
    assert missed_dead_sockets(whole, partly) == ""
    assert missed_finding(unknown, whole, "fd.dead_sockets") == "dead sockets could not be counted"


def test_a_finding_needs_its_subset_and_a_whole_list() -> None:
    whole = host_report()
    short = options(host_report(), gather=["close_wait", "sysctls"])
    assert missed_finding(short, whole, "conntrack.near_limit") == "conntrack left out of the look"
    assert missed_finding(short, whole, "sysctl.drift") == ""
    assert missed_finding(unprivileged(host_report()), whole, "sysctl.drift") == ""
    assert missed_finding(unprivileged(host_report(OTHER)), whole, "fd.process_near_limit") == "not root"
    assert missed_finding({**whole, "findings_truncated": 2}, whole, "ports.near_exhaustion") != ""
    assert missed_finding(truncated(host_report()), whole, "close_wait.leak") == "its list of applications was cut"
    for finding in ("close_wait.leak", "fd.dead_sockets"):
        assert missed_finding({**whole, "findings_truncated": 7}, whole, finding) == "its list of findings was cut"


@pytest.mark.parametrize(
    ("before", "denied", "reason"),
    [(3, 400, "descriptors not readable"), (0, 1, "descriptors not readable"), (400, 410, ""), (400, 3, "")],
)
def test_descriptors_that_others_hold_hide_who_is_short_of_them(before: int, denied: int, reason: str) -> None:
    def with_denied(number: int) -> Report:
        report = unprivileged(host_report())
        return incomplete(report, "descriptors_denied", number) if number else report

    look, other = with_denied(denied), with_denied(before)
    assert missed_finding(look, other, "fd.process_near_limit") == reason
    assert missed_finding(look, other, "listen.overflow") == ""


def test_what_was_left_out_on_purpose_is_said_of_the_host() -> None:
    short = options(host_report(), gather=["close_wait", "sysctls"])
    assert saw_less(short, host_report()).endswith("left out of the look")
    assert saw_less(short, short) == ""
    assert saw_less(host_report(), short) == ""
