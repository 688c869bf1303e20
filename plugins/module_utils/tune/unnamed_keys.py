# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of an earlier call that this call does not name any more: their line goes, and so does the value it set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.module_utils.tune.restore import restore_runtimes
from ansible_collections.lastack.linux.plugins.module_utils.tune.results import KeyResult
from ansible_collections.lastack.linux.plugins.module_utils.tune.runtime import read_runtime

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_files import Resolution
    from ansible_collections.lastack.linux.plugins.module_utils.tune.ledger import Ledger
    from ansible_collections.lastack.linux.plugins.module_utils.tune.restore import Restored

__all__ = ["take_back"]

_WHY = "no longer named"


def take_back(  # noqa: PLR0913 - keyword arguments of every part of the host
    keys: Iterable[str], ledger: Ledger, others: Resolution | None, *, path: str, proc: str, check: bool
) -> list[KeyResult]:
    """Bring each key back to what it was before the first call that set it, and say what became of it.

    ``restored``: it is again what the ledger holds, which forgets it. ``conflict``: somebody else has changed it since;
    it was left. ``failed``: the kernel did not let it. ``absent``: there is no such key now. ``ok``: the ledger
    holds no value, or another file of ours sets the key. The lines that decide are not filled in.

    Raises ``LedgerError`` when the ledger cannot be written.
    """
    found = []
    answered = []
    for key in keys:
        line = others.boot.get(key) if others is not None else None
        if line is not None and line.file != path and line.file in ledger.files:
            found.append(_left(key, proc, f"{_WHY} for {path}, and {line.place} sets it"))
        elif key not in ledger.runtime:
            found.append(_left(key, proc, f"{_WHY}; the ledger holds no former value, so what runs stays"))
        else:
            answered.append(key)
    return found + [_told(one) for one in restore_runtimes(ledger, answered, proc=proc, check=check)]


def _told(answer: Restored) -> KeyResult:
    status, reason, error = answer.status, _WHY, ""
    if status == "conflict":
        reason = f"{_WHY}; {answer.error or ''}".rstrip(".")
    elif status == "failed":
        error = answer.error or ""
    else:
        status = "restored" if answer.after is not None else "absent"
    return KeyResult(answer.subject, status, before=answer.before, after=answer.after, reason=reason, error=error)


def _left(key: str, proc: str, reason: str) -> KeyResult:
    try:
        now = read_runtime(key, proc=proc)
    except OSError:
        return KeyResult(key, "absent", reason=_WHY)
    return KeyResult(key, "ok", before=now, after=now, reason=reason)
