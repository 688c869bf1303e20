# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drift view of a run, ``lastack.drift/1``: every sysctl and limit, who has which value, and whose file wins."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.fleet_drift import DriftMerge, LimitsMerge
from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import RunFolder
from ansible_collections.lastack.linux.plugins.plugin_utils.stored_reports import stored_hosts

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DRIFT_SCHEMA", "UnknownKeyError", "drift_of_run"]

DRIFT_SCHEMA = "lastack.drift/1"

_EXAMPLES = 5
_EXAMPLES_OF_ONE = 200
_NAMED = 8


class UnknownKeyError(ValueError):
    """No host of the run tells of such a key; the text is one sentence that names close ones."""


def drift_of_run(path: str, *, only: str | None = None, everything: bool = False) -> dict[str, Any]:
    """Read a run folder once and return ``lastack.drift/1``; writes nothing.

    ``only`` is a sysctl, with dots or slashes, or the name of an application or login whose limits are meant: then
    each value has up to 200 hosts. ``everything`` also lists what is the same on all hosts. Raises ``RunFolderError``,
    and ``UnknownKeyError`` where no host tells of ``only``.
    """
    run = RunFolder.read(path)
    whole = everything or only is not None
    examples = _EXAMPLES if only is None else _EXAMPLES_OF_ONE
    settings = DriftMerge(examples=examples, everything=whole)
    limits = LimitsMerge(examples=examples, everything=whole)
    key = only.replace("/", ".") if only else None
    audited = meant = 0
    names: set[str] = set()
    for stored in stored_hosts(run):
        meant += 1
        if stored.report is None:
            continue
        audited += 1
        report = stored.report if only is None else _narrowed(stored.report, only, key, names)
        settings.add(report, stored.name)
        limits.add(report, stored.name)
    found = settings.result()
    limited, limits_truncated = limits.result()
    if only is not None:
        limited = [entry for entry in limited if entry["name"] == only]
        if not found and not limited:
            raise UnknownKeyError(_unknown(only, names))
    return {
        "schema": DRIFT_SCHEMA,
        "run": {name: run.manifest[name] for name in ("id", "made_by", "started_at", "finished_at")},
        "hosts": {"meant": meant, "audited": audited},
        "settings": found,
        "limits": limited,
        "limits_truncated": limits_truncated,
    }


def _narrowed(report: Mapping[str, Any], only: str, key: str | None, names: set[str]) -> dict[str, Any]:
    """Return what a report says of one key alone; the names of the others are kept to suggest one."""
    sysctls, limits = report.get("sysctls", {}), report.get("limits")
    processes = report.get("descriptors", {}).get("processes", ())
    applications = limits["applications"] if limits else processes
    if len(names) < 10_000:  # noqa: PLR2004 - forged reports can name any number
        names.update(sysctls, (entry["app"] for entry in applications))
    narrowed: dict[str, Any] = {"sysctls": {key: sysctls[key]} if key in sysctls else {}}
    if limits is None:
        narrowed["descriptors"] = {"processes": [entry for entry in processes if entry["app"] == only]}
    else:
        narrowed["limits"] = {
            **limits,
            "applications": [entry for entry in applications if entry["app"] == only],
            "logins": [entry for entry in limits["logins"] if entry["domain"] == only],
        }
    return narrowed


def _unknown(only: str, names: set[str]) -> str:
    part = only.rpartition(".")[2].lower()
    close = (
        sorted(name for name in names if part and part in name.lower())
        or get_close_matches(only, sorted(names), n=_NAMED)
        or sorted(names)
    )
    more = ", …" if len(close) > _NAMED else ""
    told = f": there is {', '.join(close[:_NAMED])}{more}" if close else ""
    return f"No host of this run tells of a sysctl, an application or a login {only!r}{told}."
