# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Twenty roll-outs over healthy hosts whose traffic fluctuates: not one may stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lab import Lab
from rollout_fleet import HOSTS, SHORT, play, serve, specs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.needs_root, pytest.mark.soak]

ROUNDS = 20
TIMES = ("300", "240")
VARIABLES = {
    **SHORT,
    "tcp_rollout_batches": ["100%"],
    "tcp_baseline_profile": "server",
    "tcp_baseline_persist": False,
}


@pytest.fixture(scope="module")
def lively(bookworm: str) -> Iterator[Lab]:
    """Five hosts whose traffic changes sixteenfold from one second to the next, one with bursts in its queue."""
    del bookworm
    with Lab(specs()) as lab:
        serve(lab, *HOSTS, spread=4)
        serve(lab, HOSTS[1], spread=4, pause_s=0.3)
        yield lab


def test_no_roll_out_over_healthy_hosts_stops(lively: Lab, tmp_path: Path) -> None:
    stopped = []
    for number in range(ROUNDS):
        value = TIMES[number % 2]
        settings = [{"key": "net.ipv4.tcp_keepalive_time", "value": value, "match": "exact"}]
        done = play(lively, tmp_path, "tcp_rollout", tcp_baseline_settings=settings, **VARIABLES)
        if done.status:
            stopped.append(done.screen or done.output)
            continue
        assert set(done.statuses.values()) == {"passed"}, done.screen
    assert stopped == []
