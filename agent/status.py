# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent says of itself at one publication: what it costs, since when it watches, how fresh its word is."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["AgentStatus"]


class AgentStatus(NamedTuple):
    """The agent at one moment; every ``_s`` moment is of CLOCK_BOOTTIME but ``wall_s``."""

    version: str
    boot_id: str | None
    started_s: float
    """When this process started."""
    watching_since_s: float
    """The first look of this boot, also of an earlier process whose state was taken over."""
    now_s: float
    """The moment of the publication."""
    wall_s: float
    """The same moment in seconds since 1970, for what is published."""
    interval_s: float
    """Until the next look: the configured one, or longer to keep to the budget."""
    fresh_for_s: float
    """From ``now_s`` on; after that the word is stale."""
    passes: int
    """Looks of this process."""
    cpu_s: float
    """CPU seconds, user and system, of this process so far."""
    cpu_pass_s: float
    """CPU seconds of the last pass, up to this publication."""
    resident_bytes: int | None
    dropped_sockets: int
    dropped_applications: int
    unseen: tuple[tuple[str, int, str], ...] = ()
    """What the agent itself could not do (code, count, detail), beside what the look did not see."""
