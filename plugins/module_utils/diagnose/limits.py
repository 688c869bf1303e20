# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of open files on a host: what applications run with, which file decides it, and what logins get.

A running process keeps the limit that it was started with, whatever the files say by now (systemd.exec(5)).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.identity import identify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ansible_collections.lastack.linux.plugins.module_utils.observe.login_limits import LimitLine
    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import DescriptorUse, Process
    from ansible_collections.lastack.linux.plugins.module_utils.observe.unit_limits import FileLimit

__all__ = ["limits_section", "units_of"]

_LOGINS = 20
_MAX_PLACE = 512


def units_of(processes: Iterable[Process]) -> list[str]:
    """Return the services that these processes belong to, sorted; an instance goes by its template."""
    return sorted({unit for process in processes if (unit := identify(process).unit) and unit.endswith(".service")})


def limits_section(  # noqa: PLR0913 - everything that is read for it
    uses: Sequence[DescriptorUse],
    processes: Mapping[int, Process],
    units: Mapping[str, FileLimit],
    default: FileLimit | None,
    logins: Sequence[LimitLine],
    owner_of: Callable[[str | None], str | None],
) -> dict[str, Any]:
    """Return ``limits`` of the host report: applications in the order of ``uses``, one entry for each pair of limits.

    Only processes of ``processes`` are told. ``configured`` is the line of the unit's own files that decides, ``None``
    where it has none; ``default`` the line for all services without one, ``None``: systemd's built-in value.
    """
    found: dict[tuple[str, str | None, int, int], int] = {}
    for use in uses:
        process = processes.get(use.pid)
        if process is not None:
            identity = identify(process)
            key = identity.app, identity.unit, use.soft_limit, use.hard_limit
            found[key] = found.get(key, 0) + 1
    return {
        "default": _of_file(default, owner_of),
        "applications": [
            {
                "app": app,
                "unit": unit,
                "processes": number,
                "soft": soft,
                "hard": hard,
                "configured": _of_file(units.get(unit or ""), owner_of),
            }
            for (app, unit, soft, hard), number in found.items()
        ],
        "truncated": 0,
        "logins": [
            {
                "domain": clean_text(line.domain),
                "soft": line.soft,
                "hard": line.hard,
                "place": clean_text(line.place, _MAX_PLACE),
                "owner": owner_of(line.place),
            }
            for line in logins[:_LOGINS]
        ],
        "logins_truncated": max(0, len(logins) - _LOGINS),
    }


def _of_file(limit: FileLimit | None, owner_of: Callable[[str | None], str | None]) -> dict[str, Any] | None:
    if limit is None:
        return None
    return {
        "soft": limit.soft,
        "hard": limit.hard,
        "place": clean_text(limit.place, _MAX_PLACE),
        "owner": owner_of(limit.place),
    }
