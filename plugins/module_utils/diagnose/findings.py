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
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.finding import (
    INFO,
    REMEDIES,
    WARNING,
    Finding,
    number,
    rank,
)
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.listen_findings import listen_findings
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.pressure_findings import (
    descriptor_findings,
    port_findings,
    table_findings,
    time_wait_findings,
)
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.wording import plural

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["REMEDIES", "derive_findings"]

_REASONS = 3


def derive_findings(
    report: Mapping[str, Any], extra: Sequence[dict[str, Any]] = (), *, top: int = 20
) -> tuple[list[dict[str, Any]], int]:
    """Return the findings of a report, worst first, and how many were cut.

    ``report`` is a ``lastack.host/1`` object with or without its findings; a missing section gives none. ``extra``
    are findings made elsewhere in the same shape (sysctls, the agent's trend). At most one finding an id and subject.
    """
    made: list[Finding] = [
        *close_wait_findings(report),
        *dead_socket_findings(report),
        *port_findings(report),
        *descriptor_findings(report),
        *listen_findings(report),
        *time_wait_findings(report),
        *table_findings(report),
        *_incomplete(report),
    ]
    ranked = [(finding.as_dict(), finding.weight) for finding in made]
    ranked += [(dict(finding), 0.0) for finding in extra]
    ranked.sort(key=lambda item: rank(*item))
    unique = {(finding["id"], finding["subject"]): finding for finding, _ in reversed(ranked)}
    ordered = [finding for finding, _ in ranked if unique[finding["id"], finding["subject"]] is finding]
    return ordered[:top], max(0, len(ordered) - top)


def _incomplete(report: Mapping[str, Any]) -> list[Finding]:
    completeness = report.get("completeness") or {}
    if completeness.get("complete", True):
        return []
    namespaces, sockets = completeness.get("namespaces") or {}, completeness.get("close_wait") or {}
    failed, nobody = int(number(namespaces.get("failed"))), int(number(sockets.get("unattributed")))
    privileged = bool(completeness.get("privileged"))
    missing = []
    if failed:
        missing.append(f"{failed} of {plural(namespaces.get('seen') or failed, 'network namespace')} not read")
    if nobody:
        missing.append(f"the owners of {plural(nobody, 'CLOSE_WAIT socket')} not found")
    warnings = completeness.get("warnings") or []
    if not missing:
        missing = [str(warning.get("detail")) for warning in warnings[:_REASONS]] or ["something could not be read"]
    if not privileged:
        step = "Run lastack as root (with Ansible: become) to see every namespace and owner."
    elif completeness.get("source") == "none":
        step = "Find out why neither sock_diag nor /proc/net/tcp can be read here (seccomp, a container's limits)."
    elif warnings:
        step = f"Look again when this is settled: {warnings[0].get('detail')}."
    else:
        step = "Look again; processes and namespaces that come and go are seen the next time."
    severe = failed or nobody or completeness.get("source") == "none"
    return [
        Finding(
            "view.incomplete",
            WARNING if severe else INFO,
            "this view",
            f"Not everything was seen: {'; '.join(missing)}.",
            step,
            {
                "namespaces_failed": failed,
                "unattributed": nobody,
                "privileged": privileged,
                "warnings": [str(warning.get("code")) for warning in warnings[:10]],
            },
        )
    ]
