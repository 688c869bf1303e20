# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One guarded file becomes what was planned: recorded before, written whole, and read back."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.tune.guarded_files import (
    FileState,
    RefusedPath,
    check_writable,
    read_state,
    remove_file,
    write_file,
)

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.plugins.module_utils.tune.ledger import Ledger

__all__ = ["FilePlan", "change_file"]


class FilePlan(NamedTuple):
    """What a file is and what it should hold; ``None`` for no file."""

    path: str
    state: FileState | None
    content: bytes | None

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return self.content != (None if self.state is None else self.state.content)


def change_file(wanted: FilePlan, ledger: Ledger, *, root: str, check: bool) -> str:
    """Bring one file to its planned content; returns why that failed, in one clause, empty when it did not.

    Owner, mode and SELinux context stay as they are. With ``check`` nothing is written, and a file system that is
    read-only or full is told. Raises ``LedgerError`` when the ledger cannot be written.
    """
    path, state, content = wanted
    try:
        ledger.record_file(path, content)
        if check:
            check_writable(path, root=root, size=None if content is None else len(content))
            return ""
        if content is None:
            remove_file(path, root=root)
        else:
            write_file(path, content, root=root, like=state)
        now = read_state(path, root=root)
    except RefusedPath as error:
        return str(error).rstrip(".")
    except OSError as error:
        return error.strerror or str(error)
    if (None if now is None else now.content) != content:
        return "it was written and reads differently"
    ledger.confirm_file(path)
    return ""
