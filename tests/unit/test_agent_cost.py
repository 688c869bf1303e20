# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's cost: the interval that keeps it within its budget, and its memory."""

from __future__ import annotations

import pytest
from ansible_collections.lastack.linux.agent.cost import LONGEST_INTERVAL_S, CpuBudget, read_resident_bytes
from hypothesis import given
from hypothesis import strategies as st


def intervals(budget: CpuBudget, costs: list[float]) -> list[float]:
    found = []
    for cost in costs:
        budget.charge(cost)
        found.append(budget.next_interval_s())
    return found


def test_cheap_passes_keep_the_interval() -> None:
    assert intervals(CpuBudget(15, 0.5), [0.05] * 50) == [15] * 50


def test_a_steady_cost_stretches_the_interval_to_the_budget() -> None:
    found = intervals(CpuBudget(15, 0.5), [0.3] * 60)
    assert found[-1] == pytest.approx(60, rel=0.01)
    assert found == sorted(found)


def test_one_costly_pass_does_not_stop_the_watch() -> None:
    found = intervals(CpuBudget(15, 0.5), [1.5, *[0.02] * 30])
    assert found[0] <= 75
    assert found[-1] == 15


def test_the_interval_has_an_end() -> None:
    assert intervals(CpuBudget(15, 0.01), [1000.0]) == [LONGEST_INTERVAL_S]


@given(
    costs=st.lists(st.floats(0, 2), min_size=1, max_size=200),
    interval_s=st.floats(0.1, 60),
    percent=st.floats(0.1, 50),
)
def test_no_series_of_costs_exceeds_the_budget(costs: list[float], interval_s: float, percent: float) -> None:
    """But for what is not paid back yet: the smoothing's memory, at most four of the costliest passes."""
    found = intervals(CpuBudget(interval_s, percent), costs)
    assert min(found) >= interval_s
    if max(found) < LONGEST_INTERVAL_S:
        assert sum(costs) * (1 - 1e-9) <= sum(found) * percent / 100 + 4 * max(costs) + 1e-9


def test_what_a_pass_uses_is_charged_but_for_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([1.0, 5.0, 9.0, 20.0, 20.25, 21.25])
    monkeypatch.setattr("time.process_time", lambda: next(clock))
    budget = CpuBudget(1, 1)
    budget.begin()
    budget.end()
    assert (budget.last_cost_s, budget.next_interval_s()) == (4.0, 1)
    budget.begin()
    assert budget.so_far_s() == 0.25
    budget.end()
    assert budget.last_cost_s == 1.25
    assert budget.next_interval_s() == pytest.approx(1.25 * 0.25 * 100)


def test_memory_is_known_or_not() -> None:
    resident = read_resident_bytes()
    assert resident is not None
    assert 1 << 20 < resident < 8 << 30
    assert read_resident_bytes("/nowhere") is None
