# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a roll-back came to on one host, from the answers of its tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.rollout_answers import restore_trouble
from ansible_collections.lastack.linux.plugins.plugin_utils.task_results import is_unreachable, trouble

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["rollback_outcome"]


def rollback_outcome(answers: Mapping[str, Any], *, check: bool) -> tuple[str, str]:
    """Return status and problem of a host.

    The status is ``restored``, ``nothing`` (there was nothing to restore), ``conflict``, ``failed`` or
    ``unreachable``. In check mode nothing was read back.
    """
    results = [answers.get(name) for name in ("sysctls", "limits")]
    for result in [*results, answers.get("sysctls_left"), answers.get("limits_left")]:
        if is_unreachable(result):
            return "unreachable", trouble(result)
    problem = restore_trouble({**answers, **_as_read_back()} if check else answers)
    if problem:
        return ("conflict" if _only_conflicts(results) else "failed"), problem
    changed = any(isinstance(result, dict) and result.get("changed") for result in results)
    return ("restored" if changed else "nothing"), ""


def _only_conflicts(results: list[Any]) -> bool:
    if any(trouble(result) for result in results):
        return False
    found = [one for result in results for one in result.get("restored") or () if isinstance(one, dict)]
    statuses = {str(one.get("status")) for one in found}
    return "conflict" in statuses and "failed" not in statuses


def _as_read_back() -> dict[str, Any]:
    return {"sysctls_left": {"changed": False}, "limits_left": {"changed": False}}
