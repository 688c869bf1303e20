# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the agent's tests: a stage, or a skip that says why there is none."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pytest
from stage import Stage, why_no_stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_reason = functools.cache(why_no_stage)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("needs_root"):
        reason = _reason()
        if reason:
            pytest.skip(reason)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path / "stage") as made:
        yield made
