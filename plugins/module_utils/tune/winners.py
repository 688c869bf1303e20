# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which line of which file decides each key in the end, as far as that is certain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.module_utils.tune.match import satisfies
from ansible_collections.lastack.linux.plugins.module_utils.tune.results import KeyResult

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_files import Resolution
    from ansible_collections.lastack.linux.plugins.module_utils.tune.runtime_changes import Outcome

__all__ = ["judged_result", "with_winners"]


def judged_result(outcome: Outcome, files: Resolution, path: str, *, judged: bool) -> KeyResult:
    """Return what became of one setting: ``shadowed`` where the line of the drop-in at ``path`` loses to a weaker one.

    Only with ``judged``: where the drop-in is as planned.
    """
    setting = outcome.plan.setting
    boot, reload = files.boot.get(setting.key), files.reload.get(setting.key)
    status, reason, winner = outcome.status, outcome.plan.reason, ""
    if judged and setting.persist and outcome.gets_line:
        for line, when in ((boot, "at boot"), (reload, "on sysctl --system")):
            if line is None or (line.file != path and not satisfies(setting, line.value)):
                winner = "a line that excludes the key" if line is None else line.place
                status, reason = "shadowed", f"{winner} wins {when}"
                break
    told = KeyResult(
        key=setting.key,
        status=status,
        match=setting.match,
        wanted=outcome.plan.asked,
        before=outcome.plan.before,
        after=outcome.after,
        boot=None,
        reload=None,
        shadowed_by=winner,
        reason=reason,
        error=outcome.error,
    )
    return with_winners(told, files)


def with_winners(result: KeyResult, files: Resolution) -> KeyResult:
    """Add the lines that decide at boot and on reload, or the file that keeps that from being certain."""
    at_boot, on_reload = files.doubts(result.key)
    unread = at_boot or on_reload
    # What is no longer there has no line that anybody waits for.
    if unread and result.status not in ("shadowed", "absent"):
        doubt = f"not certain: {unread} was not read"
        result = result._replace(reason=f"{result.reason.rstrip('.')}; {doubt}" if result.reason else doubt)
    return result._replace(
        boot=None if at_boot else files.boot.get(result.key),
        reload=None if on_reload else files.reload.get(result.key),
    )
