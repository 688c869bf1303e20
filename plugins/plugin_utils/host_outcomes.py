# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of each host of a run: a mapping that needs little more memory than the hosts' names."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.safe_names import safe_file_name

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["HOSTS", "HostOutcomes", "Outcome", "report_file"]

HOSTS = "hosts"
"""The folder of the reports in a run folder."""

_OWN = "\0"
"""Stands for the file that the host's name gives; no path holds this character."""


class Outcome(NamedTuple):
    """What came of one host."""

    outcome: str
    """``ok``, ``unreachable``, ``failed``, ``invalid`` or ``missing``; in the journal also ``delegated``."""
    reason: str | None
    file: str | None
    """The host's report, relative to the run folder; ``None`` unless ``ok``."""


def report_file(host: str) -> str:
    """Return where the report of a host lies, relative to the run folder."""
    return f"{HOSTS}/{safe_file_name(host)}.json"


class HostOutcomes(MutableMapping[str, "Outcome | None"]):
    """Hosts in the order in which they came, each with its outcome, or ``None`` if nothing was heard of it yet.

    Equal outcomes are kept once: ten thousand hosts that are ``ok`` are one entry.
    """

    def __init__(self) -> None:
        """Start with no host."""
        self._numbers: dict[str, int] = {}
        self._outcomes: list[Outcome | None] = []
        self._known: dict[Outcome | None, int] = {}

    def __getitem__(self, host: str) -> Outcome | None:
        """Return the outcome of a host."""
        return self._told(host, self._numbers[host])

    def __setitem__(self, host: str, outcome: Outcome | None) -> None:
        """Set the outcome of a host, which keeps its place."""
        if outcome is not None and outcome.file is not None and outcome.file == report_file(host):
            outcome = Outcome(outcome.outcome, outcome.reason, _OWN)
        number = self._known.setdefault(outcome, len(self._outcomes))
        if number == len(self._outcomes):
            self._outcomes.append(outcome)
        self._numbers[host] = number

    def __delitem__(self, host: str) -> None:
        """Forget a host."""
        del self._numbers[host]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the hosts."""
        return iter(self._numbers)

    def __len__(self) -> int:
        """Count the hosts."""
        return len(self._numbers)

    def __contains__(self, host: object) -> bool:
        """Tell whether the host is known."""
        return host in self._numbers

    def __repr__(self) -> str:
        """Show all of it, as a dict is shown."""
        return f"HostOutcomes({dict(self)!r})"

    def _told(self, host: str, number: int) -> Outcome | None:
        outcome = self._outcomes[number]
        if outcome is not None and outcome.file == _OWN:
            return Outcome(outcome.outcome, outcome.reason, report_file(host))
        return outcome
