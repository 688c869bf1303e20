# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gallery's tests need of the machine, or a skip that says what is missing."""

from __future__ import annotations

import functools

import pytest
from stage import why_no_stage

_reason = functools.cache(why_no_stage)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("needs_root"):
        reason = _reason()
        if reason:
            pytest.skip(reason)
