# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab of leaking hosts, the controllers that audit it, and their runs, each made once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from lab import SUITES, why_no_suite
from seats import seat_of

if TYPE_CHECKING:
    from controllers import Controller
    from lab import Lab
    from seats import Audit, Seat

__all__ = ["LEAKS", "ROOT", "Matrix", "start_leak", "target"]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

LEAKS = dict(zip(SUITES, (3, 5, 7), strict=True))
"""How many connections the service leaks on the host of each suite: told apart, should two reports be mixed up."""


def target(suite: str) -> str:
    """Return the name of the host of ``suite``; a group has the suite's own."""
    return f"on-{suite}"


def start_leak(lab: Lab, host: str, count: int) -> None:
    """Start the leaking service as a systemd unit; returns when systemd was told that it leaks."""
    program = (HERE / "leaking_service.py").read_text(encoding="utf-8")
    lab.execute(host, "sh", "-c", "cat >/opt/leaking_service.py", text=program)
    unit = ("--unit=leaking", "--service-type=notify")
    lab.execute(host, "systemd-run", "--quiet", *unit, "/usr/bin/python3", "/opt/leaking_service.py", str(count))


class Matrix:
    """The lab and its controllers; each run of the playbook serves every test that looks at it."""

    def __init__(self, lab: Lab, scratch: Path, tarball: Path, suites: list[str]) -> None:
        self.lab = lab
        self.suites = suites
        self._scratch = scratch
        self._tarball = tarball
        self._seats: dict[Controller, Seat] = {}
        self._audits: dict[tuple[Controller, bool], Audit] = {}

    def seat(self, controller: Controller) -> Seat:
        """Return the controller's seat; skips the test where it cannot run."""
        reason = controller.why_not() or (controller.in_host and why_no_suite("trixie"))
        if reason:
            pytest.skip(reason)
        if controller not in self._seats:
            where = self._scratch / controller.name
            hosts = [target(suite) for suite in self.suites]
            self._seats[controller] = seat_of(controller, self.lab, where, self._tarball, hosts)
        return self._seats[controller]

    def audit(self, controller: Controller, suite: str, *, check: bool) -> Audit:
        """Return the controller's run over the hosts: with pipelining, or in check mode without it."""
        if suite not in self.suites:
            pytest.skip(why_no_suite(suite))
        seat = self.seat(controller)
        key = (controller, check)
        if key not in self._audits:
            hosts = [target(one) for one in self.suites]
            if check:
                self._audits[key] = seat.audit("checked", hosts, "--check", ANSIBLE_PIPELINING="0")
            else:
                self._audits[key] = seat.audit("audited", hosts, ANSIBLE_PIPELINING="1")
        return self._audits[key]
