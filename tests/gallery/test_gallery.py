# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every program of the gallery leaks as its page says, and its fixed variant does not; both against real peers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from entry import ENTRIES, Entry
from exhibit import Exhibit
from toolchains import NoProgram

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.needs_root


@pytest.fixture(params=ENTRIES, ids=lambda one: one.name)
def entry(request: pytest.FixtureRequest) -> Entry:
    found: Entry = request.param
    return found


def show(entry: Entry, program: Path, folder: Path) -> Exhibit:
    try:
        return Exhibit(entry, program, folder)
    except NoProgram as reason:
        pytest.skip(f"{entry.name}: {reason}")


def test_the_leak_is_found_with_its_cause_and_its_page(entry: Entry, tmp_path: Path) -> None:
    with show(entry, entry.leaking, tmp_path / "stage") as exhibit:
        said = exhibit.settled()
        assert exhibit.works() == ""
    app = entry.app(entry.leaking)
    offender = said.offender(app)
    assert offender is not None, [one["app"] for one in said.report["close_wait"]["offenders"]]
    assert (offender["count"], offender["causes"]) == (entry.count, entry.leak["causes"])
    assert (offender["runtime"], offender["role"]) == (entry.runtime, entry.leak["role"])
    assert said.age_is_true(offender), (offender["age_s"], said.looked_at, sorted(said.closed_at)[:3])
    findings = [one["id"] for one in said.report["findings"] if app in one["subject"] and one["remedy"] == "app"]
    assert entry.leak["finding"] in findings
    # The page of the library itself is named only where the host shows that it is there.
    expected = {entry.leak["finding"], f"runtime.{entry.runtime}"}
    assert expected <= set(offender["advice"]), offender["advice"]
    libraries = {one["name"] for one in offender["hints"]["libraries"]}
    assert set(entry.leak["hints"]) <= libraries, offender["hints"]
    if entry.leak["hints"]:
        assert entry.page in offender["advice"]
    assert said.report["completeness"]["close_wait"]["unattributed"] == 0


def test_the_fix_drains(entry: Entry, tmp_path: Path) -> None:
    with show(entry, entry.repaired, tmp_path / "stage") as exhibit:
        left = exhibit.drains()
        said = exhibit.look()
        assert exhibit.works() == ""
    assert left <= entry.fixed["remaining"]
    # As many connections as before have ended, by a peer that closed or by the program, which was first.
    assert len(said.closed_at) + said.left >= entry.count
    offender = said.offender(entry.app(entry.repaired))
    assert (offender["count"] if offender else 0) <= entry.fixed["remaining"]
