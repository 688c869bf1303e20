# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the agent finds and puts its files, all below one root so that a test can have its own."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Places", "places_below"]


class Places(NamedTuple):
    """Paths of one agent."""

    configuration: str
    """Read at the start and on SIGHUP; an administrator's."""
    folder: str
    """The agent's own, and the only one it writes to (``StateDirectory`` of systemd.exec(5))."""
    state: str
    """What it remembers over a restart, 0600."""
    fact: str
    """``lastack.local/1``, 0644; root takes it from here."""
    metrics: str
    """Prometheus text, 0644; root takes it from here."""
    status: str
    """What ``status`` shows, 0644."""
    published: str
    """The fact where root's part of the agent puts it."""
    journal: str
    """The socket of journald; below another root there is none, and lines go to standard error."""


def places_below(root: str = "/") -> Places:
    """Return the paths for a host whose ``/`` is ``root``."""
    base = root.rstrip("/")
    folder = f"{base}/var/lib/lastack-agent"
    return Places(
        configuration=f"{base}/etc/lastack/agent.json",
        folder=folder,
        state=f"{folder}/state.json",
        fact=f"{folder}/fact.json",
        metrics=f"{folder}/metrics.prom",
        status=f"{folder}/status.json",
        published=f"{base}/etc/ansible/facts.d/lastack.fact",
        journal=f"{base}/run/systemd/journal/socket",
    )
