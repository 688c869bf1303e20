# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleets of ssh hosts for the tests of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fleet_lab import FleetError, FleetLab, why_not

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fleet_files import HostSpec


@pytest.fixture(scope="module")
def make_fleet() -> Iterator[Callable[[Sequence[HostSpec]], FleetLab]]:
    """Fleets that last until the end of the test's file; skips where they cannot be made."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    fleets: list[FleetLab] = []

    def made(hosts: Sequence[HostSpec]) -> FleetLab:
        fleet = FleetLab(hosts)
        try:
            fleet.__enter__()
        except FleetError as error:
            if "image" in str(error):
                pytest.skip(str(error))
            raise
        fleets.append(fleet)
        return fleet

    yield made
    for fleet in fleets:
        fleet.__exit__()
