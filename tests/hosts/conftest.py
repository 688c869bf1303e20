# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The labs of these tests: skipped with a sentence where they cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lab import SUITES, HostSpec, Lab, why_no_suite, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = {"bullseye": "eleven", "bookworm": "twelve", "trixie": "thirteen"}


@pytest.fixture(scope="session")
def _can_run() -> None:
    if reason := why_not():
        pytest.skip(reason)


@pytest.fixture(scope="session")
def bookworm(_can_run: None) -> str:
    """The suite that every lab of one kind of host uses."""
    if reason := why_no_suite("bookworm"):
        pytest.skip(reason)
    return "bookworm"


@pytest.fixture(scope="session")
def lab(_can_run: None) -> Iterator[Lab]:
    """One host of every suite that can be had; shared, so whoever changes a host says what it leaves."""
    suites = [suite for suite in SUITES if not why_no_suite(suite)]
    if not suites:
        pytest.skip("; ".join(why_no_suite(suite) for suite in SUITES))
    with Lab([HostSpec(NAMES[suite], suite) for suite in suites]) as lab:
        yield lab


@pytest.fixture(params=list(SUITES))
def host(request: pytest.FixtureRequest, lab: Lab) -> str:
    """The name of each suite's host in turn."""
    suite = str(request.param)
    if reason := why_no_suite(suite):
        pytest.skip(reason)
    if lab.state()[NAMES[suite]] == "off":
        lab.start(NAMES[suite])
    return NAMES[suite]
