# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The findings of a host report: a pure function of its other sections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.close_wait_findings import (
    close_wait_findings,
    dead_socket_findings,
)
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.finding import REMEDIES, Finding, rank
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.growing_findings import growing_findings
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.listen_findings import listen_findings
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.pressure_findings import (
    descriptor_findings,
    port_findings,
    table_findings,
    time_wait_findings,
)
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.view_findings import view_findings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["REMEDIES", "derive_findings"]

LEAST_KEPT = 20
"""Findings are what people came for: a small ``top`` shortens other lists, not this one."""


def derive_findings(
    report: Mapping[str, Any], extra: Sequence[dict[str, Any]] = (), *, top: int = 20
) -> tuple[list[dict[str, Any]], int]:
    """Return the findings of a report, worst first, and how many were cut.

    ``report`` is a ``lastack.host/1`` object with or without its findings; a missing section gives none. ``extra``
    are findings made elsewhere in the same shape (sysctls). At most one finding an id and subject;
    ``top`` of them, but never less than 20.
    """
    made: list[Finding] = [
        *close_wait_findings(report),
        *growing_findings((report.get("close_wait") or {}).get("offenders") or []),
        *dead_socket_findings(report),
        *port_findings(report),
        *descriptor_findings(report),
        *listen_findings(report),
        *time_wait_findings(report),
        *table_findings(report),
        *view_findings(report),
    ]
    ranked = [(finding.as_dict(), finding.weight) for finding in made]
    ranked += [(dict(finding), 0.0) for finding in extra]
    ranked.sort(key=lambda item: rank(*item))
    unique = {(finding["id"], finding["subject"]): finding for finding, __ in reversed(ranked)}
    ordered = [finding for finding, __ in ranked if unique[finding["id"], finding["subject"]] is finding]
    kept = max(LEAST_KEPT, top)
    return ordered[:kept], max(0, len(ordered) - kept)
