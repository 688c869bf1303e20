# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What takes part in the one pass over a run's hosts: the fleet merge, and whoever else wants to see each host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lastack.linux.plugins.plugin_utils.stored_reports import StoredHost

__all__ = ["Sink"]


class Sink(Protocol):
    """Sees every host of a run once, then the fleet report.

    A sink keeps aggregates and bounded lists, never all hosts. One that writes a file holds it by
    ``atomic_files.open_atomically`` in a ``with`` of its caller, so that a pass that ends early leaves no part of it.
    """

    def add(self, stored: StoredHost) -> None:
        """Take the next host, in the manifest's order; the report is shared with others and must not be changed."""

    def finish(self, fleet: Mapping[str, Any]) -> None:
        """Take the ``lastack.fleet/1`` report of the hosts that came; called once, after the last of them."""
