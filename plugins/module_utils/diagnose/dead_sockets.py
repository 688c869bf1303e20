# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dead sockets: descriptors of connections that were reset or timed out after the leak and are in no table any more.

Suspected by arithmetic alone (``alloc`` of ``/proc/net/sockstat`` less the full sockets of all dumps); descriptors are
read only if the gap is worth it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.descriptor_pressure import worst_descriptors
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.identity import UNKNOWN_APP, Identity, identify

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import DeadDescriptors, Process

__all__ = ["dead_sockets_section", "suspected", "worth_a_look"]

GAP = 32
"""A socket just created and not yet connected is in no table either: a few mean nothing, dozens do."""
GAP_SHARE = 200
"""...and one in 200 of all sockets: a busy server's sockets come and go between the two readings."""
OFFENCE = 12
"""Dead descriptors of one application from which on it is named: dozens, not a handful of fresh sockets."""
PIDS = 20


def suspected(allocated: int | None, full_sockets: int | None) -> int | None:
    """Return how many TCP sockets exist that no dump shows; ``None`` if either figure is not known.

    ``full_sockets`` must come from all namespaces of the machine and leave out TIME_WAIT and SYN_RECV, which are not
    allocated as sockets; where a namespace could not be read it is unknown.
    """
    if allocated is None or full_sockets is None:
        return None
    return max(0, allocated - full_sockets)


def worth_a_look(gap: int | None, full_sockets: int | None) -> bool:
    """Return whether a gap is larger than noise, so that reading descriptors pays."""
    return gap is not None and gap >= max(GAP, (full_sockets or 0) // GAP_SHARE)


def dead_sockets_section(
    gap: int | None, found: DeadDescriptors | None, processes: Mapping[int, Process], *, top: int = 20
) -> dict[str, Any]:
    """Return ``dead_sockets`` of the host report; ``found`` is ``None`` when nobody had to look.

    ``total`` is what was found in all processes, also in those with too few to be named; ``None`` when there can be no
    verdict, as where a namespace could not be read or the host is a container.
    """
    by_app: dict[str, dict[int, int]] = defaultdict(dict)
    identities: dict[str, Identity] = {}
    for pid, count in (found.by_pid if found else {}).items():
        process = processes.get(pid)
        if count > 0:
            identity = identify(process) if process else Identity(UNKNOWN_APP, "unknown", None, None, None)
            by_app[identity.app][pid] = count
            identities.setdefault(identity.app, identity)
    ranked = sorted(
        ((app, pids) for app, pids in by_app.items() if sum(pids.values()) >= OFFENCE),
        key=lambda item: (-sum(item[1].values()), item[0]),
    )
    return {
        "suspected": gap,
        "total": None if gap is None and found is None else sum(sum(pids.values()) for pids in by_app.values()),
        "offenders": [_offender(identities[app], pids, processes) for app, pids in ranked[:top]],
        "processes_examined": found.processes_examined if found else 0,
        "truncated": max(0, len(ranked) - top),
    }


def _offender(identity: Identity, by_pid: Mapping[int, int], processes: Mapping[int, Process]) -> dict[str, Any]:
    pids = sorted(by_pid, key=lambda pid: (-by_pid[pid], pid))
    return {
        "app": identity.app,
        "pids": pids[:PIDS],
        "count": sum(by_pid.values()),
        "descriptors": worst_descriptors(processes[pid] for pid in pids if pid in processes),
        "runtime": identity.runtime,
        "unit": identity.unit,
        "container": identity.container,
        "advice": ["fd.dead_sockets", *([f"runtime.{identity.runtime}"] if identity.runtime else [])],
    }
