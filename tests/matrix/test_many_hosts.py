# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab as large as one machine holds well: every host is audited, no report is mixed up with another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from controllers import CONTROLLERS
from lab import SUITES, HostSpec, Lab, why_no_suite, why_not
from matrix import start_leak
from seats import MachineSeat

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.needs_root, pytest.mark.soak]

HOSTS = 20


def test_twenty_hosts_each_with_its_own_leak(tmp_path: Path, tarball: Path) -> None:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    suites = [suite for suite in SUITES if not why_no_suite(suite)]
    if not suites:
        pytest.skip("; ".join(why_no_suite(suite) for suite in SUITES))
    controller = next(one for one in reversed(CONTROLLERS) if not one.in_host)
    specs = [HostSpec(f"many-{number}", suites[number % len(suites)]) for number in range(HOSTS)]
    with Lab(specs) as lab:
        leaks = {spec.name: number + 1 for number, spec in enumerate(specs)}
        for host, count in leaks.items():
            start_leak(lab, host, count)
        seat = MachineSeat(controller, lab, tmp_path / "seat", tarball)
        audit = seat.audit("many", list(leaks), ANSIBLE_FORKS="20")
    assert audit.status == 0, audit.output[-3000:]
    found = {host: audit.report(host)["close_wait"]["offenders"] for host in leaks}
    assert {host: [one["count"] for one in offenders] for host, offenders in found.items()} == {
        host: [count] for host, count in leaks.items()
    }
    fleet = audit.load("fleet.json")
    assert (fleet["hosts"]["meant"], fleet["hosts"]["audited"]) == (HOSTS, HOSTS)
    assert [(one["app"], one["sockets"]) for one in fleet["apps"]] == [("leaking.service", sum(leaks.values()))]
