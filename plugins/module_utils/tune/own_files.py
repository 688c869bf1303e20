# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that carry our header and are not as the ledger knows them: edited by hand, left behind, or not known."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.module_utils.tune.dropin import is_ours
from ansible_collections.lastack.linux.plugins.module_utils.tune.guarded_files import RefusedPath, read_state
from ansible_collections.lastack.linux.plugins.module_utils.tune.ledger import PATH, digest

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.plugins.module_utils.tune.guarded_files import FileState
    from ansible_collections.lastack.linux.plugins.module_utils.tune.ledger import Ledger

__all__ = ["edited_by_hand", "forget_our_own", "left_behind", "unknown_to_the_ledger"]

_DIRECTORY = "/etc/sysctl.d"
_LINES_TOLD = 5
_LONGEST_LINE = 100


def edited_by_hand(path: str, state: FileState | None, content: bytes | None, ledger: Ledger) -> str:
    """Return one sentence where ``content`` replaces what somebody wrote into our file; empty where nobody did."""
    entry = ledger.files.get(path)
    if state is None or entry is None or state.content == content or not is_ours(state.content):
        return ""
    before = None if entry.before is None else entry.before.content
    if digest(state.content) in (entry.set_sha256, entry.pending_sha256, digest(before)):
        return ""
    kept = set((content or b"").split(b"\n"))
    gone = [_shown(line) for line in state.content.split(b"\n") if line.strip() and line not in kept]
    told = "; ".join(gone[:_LINES_TOLD]) + (f"; and {len(gone) - _LINES_TOLD} more" if len(gone) > _LINES_TOLD else "")
    return f"{path} was changed by hand and is written anew; " + (
        f"these lines go: {told}." if gone else "no line goes."
    )


def forget_our_own(path: str, ledger: Ledger) -> None:
    """Drop a removed file from the ledger if what it holds as the former content is our own; else do nothing."""
    entry = ledger.files.get(path)
    if entry is not None and entry.before is not None and is_ours(entry.before.content):
        ledger.forget(files=(path,))


def left_behind(path: str, *, root: str) -> str:
    """Return one sentence where a call that persists nothing finds our file of an earlier one; never raises."""
    if not _is_ours(path, root):
        return ""
    return (
        f"{path} of an earlier call stays, and the next boot sets what it says: persist=false writes no file and takes "
        "none away; state=absent does."
    )


def unknown_to_the_ledger(ledger: Ledger, *, root: str) -> str:
    """Return one sentence where files carry our header and the ledger cannot tell what was before; never raises.

    The ledger was lost then. Files of a later run are recorded with what our own earlier one had left.
    """
    try:
        names = sorted(os.listdir(f"{root.rstrip('/')}{_DIRECTORY}"))  # noqa: PTH208 - no Path needed
    except OSError:
        return ""
    lost = []
    for path in (f"{_DIRECTORY}/{name}" for name in names if name.endswith(".conf")):
        entry = ledger.files.get(path)
        known = entry is not None and (entry.before is None or not is_ours(entry.before.content))
        if not known and _is_ours(path, root):
            lost.append(path)
    if not lost:
        return ""
    return (
        f"This module wrote {' and '.join(lost)}, but the ledger {PATH} does not know what was there before, so that "
        "it cannot be restored: take the lines out with state=absent, and restart the host or set the former values "
        "by hand."
    )


def _is_ours(path: str, root: str) -> bool:
    try:
        state = read_state(path, root=root)
    except (RefusedPath, OSError):
        return False
    return state is not None and is_ours(state.content)


def _shown(line: bytes) -> str:
    text = line.decode("utf-8", "backslashreplace").strip()
    return "".join(one if one.isprintable() else "?" for one in text)[:_LONGEST_LINE]
