# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of a run folder one after the other: what merge, diff, the renderers and the history read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.manifest import Outcome
from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.plugins.plugin_utils.validate import InvalidReport, load_host_report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import RunFolder

__all__ = ["StoredHost", "stored_host", "stored_hosts"]

_SILENT = "nothing came back from this host: its task did not run or was killed"

# lastack.host/1 allows the name this many characters; the file's own name is safe whatever its length.
_NAME_LENGTH = 256


class StoredHost(NamedTuple):
    """One host of a run folder."""

    host: str
    """The key of the manifest: the inventory name, as it was written."""
    name: str
    """The same for showing: one line, without control characters, at most 256 characters."""
    outcome: Outcome
    """``ok`` only with a report that may be used; else the reason why there is none."""
    report: dict[str, Any] | None
    """The checked ``lastack.host/1``, its ``host.inventory_name`` set to ``name``; ``None`` unless ``ok``."""


def stored_hosts(run: RunFolder) -> Iterator[StoredHost]:
    """Yield every host of a run folder with its report, one in memory at a time, in the manifest's order.

    Hosts without an outcome count as ``missing``, host files that cannot be used as ``invalid`` with the reason.
    """
    for host, known in run.each_outcome():
        yield stored_host(run, host, known)


def stored_host(run: RunFolder, host: str, known: Outcome | None) -> StoredHost:
    """Return one host of a run folder with its report; ``known`` is its entry in ``run.outcomes()``.

    For who reads two runs side by side; the outcomes mean what they mean in ``stored_hosts``.
    """
    outcome = known or Outcome("missing", _SILENT, None)
    name = one_line(host, _NAME_LENGTH)
    report = None
    if outcome.outcome == "ok":
        outcome, report = _load(run, name, outcome)
    return StoredHost(host, name, outcome, report)


def _load(run: RunFolder, name: str, outcome: Outcome) -> tuple[Outcome, dict[str, Any] | None]:
    if outcome.file is None:
        return Outcome("invalid", "the run folder names no report of this host", None), None
    try:
        report = load_host_report(run.report_path(outcome.file), full=False)
    except InvalidReport as error:
        return Outcome("invalid", f"{outcome.file} {error}", None), None
    report["host"]["inventory_name"] = name
    return outcome, report
