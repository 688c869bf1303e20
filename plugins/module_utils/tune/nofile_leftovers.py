# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of ours that no ledger knows: after a lost ledger nothing can be restored, and that is no success."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.module_utils.observe.rooted_files import RootedFiles
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_logins import DROPIN as LIMITS_DROPIN
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_units import DROPIN
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_wishes import HEADER
from ansible_collections.lastack.linux.plugins.module_utils.tune.restore import Restored

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["UNITS", "leftovers"]

UNITS = "/etc/systemd/system"
"""Where our drop-ins of units stand."""

_MAX_BYTES = 1 << 20


def leftovers(answers: Sequence[Restored], *, root: str = "/") -> list[Restored]:
    """Return a failure for each file with our header that is, or in check mode would be, there after the restore.

    A file that is told of as a conflict or a failure already is left out. Never raises.
    """
    told = {one.subject: one for one in answers if one.kind == "file"}
    found = []
    for path in [LIMITS_DROPIN, *_unit_dropins(root)]:
        answer = told.get(path)
        if answer is not None and answer.status not in ("restored", "unchanged"):
            continue
        text = _read(path, root) if answer is None else answer.after
        if text is None or not text.startswith(HEADER):
            continue
        why = (
            f"{path} was written by lastack, and the ledger does not know what was there before; it was left as it is, "
            "and state=absent removes it."
        )
        found.append(Restored(path, "file", "failed", text, text, why))
    return found


def _unit_dropins(root: str) -> list[str]:
    files = RootedFiles(root)
    try:
        names = files.names(files.locate(UNITS) or UNITS)
    except OSError:
        return []
    return [f"{UNITS}/{name}/{DROPIN}" for name in sorted(names) if name.endswith(".d")]


def _read(path: str, root: str) -> str | None:
    files = RootedFiles(root)
    try:
        return files.read(files.locate(path) or path, _MAX_BYTES).decode("utf-8", "backslashreplace")
    except (OSError, ValueError):
        return None
