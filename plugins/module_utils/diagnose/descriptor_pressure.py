# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open descriptors against their limits: of one application, of the worst processes, of the host.

The soft limit is the one that is enforced (getrlimit(2), RLIMIT_NOFILE); -1 means unlimited and has no share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.identity import UNKNOWN_APP, identify
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.redaction import redact_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import DescriptorUse, Process

__all__ = ["descriptors_section", "share", "worst_descriptors"]


def share(used: int | None, limit: int | None) -> float | None:
    """Return ``used`` as a percentage of ``limit`` with one decimal; ``None`` without a limit."""
    if used is None or limit is None or limit <= 0:
        return None
    return round(100 * used / limit, 1)


_SEALED = 8
"""No program runs below this. Sandboxes forbid themselves to open anything more: sshd's sets RLIMIT_NOFILE to 1."""


def _used(descriptors: int | None, limit: int | None) -> float | None:
    return None if limit is not None and limit < _SEALED else share(descriptors, limit)


def worst_descriptors(processes: Iterable[Process]) -> dict[str, Any] | None:
    """Return the ``descriptors`` entry of an offender: its process nearest to the soft limit, ``None`` if unknown."""
    known = [process for process in processes if process.open_descriptors is not None]
    if not known:
        return None
    worst = max(
        known,
        key=lambda one: (_used(one.open_descriptors, one.soft_limit) or 0.0, one.open_descriptors or 0, -one.pid),
    )
    return {
        "open": worst.open_descriptors,
        "soft_limit": worst.soft_limit,
        "hard_limit": worst.hard_limit,
        "used_percent": _used(worst.open_descriptors, worst.soft_limit),
        "worst_pid": worst.pid,
    }


def descriptors_section(
    uses: Sequence[DescriptorUse],
    processes: Mapping[int, Process],
    *,
    allocated: int | None,
    maximum: int | None,
    top: int = 20,
) -> dict[str, Any]:
    """Return ``descriptors`` of the host report, processes nearest to their soft limit first.

    ``allocated`` and ``maximum`` are the first and third number of ``/proc/sys/fs/file-nr``. A process that is not in
    ``processes`` goes by its own short name.
    """
    ranked = sorted(uses, key=lambda use: (-(_used(use.open, use.soft_limit) or 0.0), -use.open, use.pid))
    return {
        "system": {"allocated": allocated, "max": maximum},
        "processes": [
            {
                "app": _app(use, processes),
                "pid": use.pid,
                "open": use.open,
                "soft_limit": use.soft_limit,
                "hard_limit": use.hard_limit,
                "used_percent": _used(use.open, use.soft_limit),
            }
            for use in ranked[:top]
        ],
        "truncated": max(0, len(ranked) - top),
    }


def _app(use: DescriptorUse, processes: Mapping[int, Process]) -> str:
    process = processes.get(use.pid)
    if process is not None:
        return identify(process).app
    return clean_text(redact_text(use.comm), 64) if use.comm else UNKNOWN_APP
