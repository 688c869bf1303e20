# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines in the host's sysctl files that set a key for which no value is right, and their removal."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.rooted_files import RootedFiles
from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_files import assignments, parse_file
from ansible_collections.lastack.linux.plugins.module_utils.tune.guarded_files import FileState, RefusedPath, read_state

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Edit", "HarmfulLine", "find_harmful", "plan_removal"]


class HarmfulLine(NamedTuple):
    """One such line."""

    key: str
    place: str
    """``file:line``, as it stood before."""
    file: str
    """The file behind the place, with links followed; empty until that is planned."""
    reason: str
    removed: bool
    error: str
    """Why it was to be removed and was not, one sentence."""


class Edit(NamedTuple):
    """One file without its harmful lines."""

    path: str
    state: FileState
    content: bytes


def find_harmful(never: Mapping[str, str], *, root: str = "/") -> list[HarmfulLine]:
    """Return every line that sets a key of ``never`` (reason by key), in any file that a loader finds."""
    found = assignments(never, root=root) if never else []
    return [HarmfulLine(key, line.place, "", never[key], removed=False, error="") for key, line in found]


def plan_removal(
    lines: list[HarmfulLine], never: Mapping[str, str], *, root: str = "/"
) -> tuple[list[HarmfulLine], list[Edit]]:
    """Return the lines with what becomes of each, and the files to write; only files that are guarded can be changed.

    A link is followed to the file behind it, which is then held to the same list of paths.
    """
    edits: dict[str, Edit] = {}
    told = []
    for line in lines:
        path = RootedFiles(root).locate(line.place.rpartition(":")[0]) or line.place.rpartition(":")[0]
        try:
            if path not in edits:
                edits[path] = _edit(path, never, root)
            told.append(line._replace(file=path, removed=True))
        except (RefusedPath, OSError) as error:
            why = str(error) if isinstance(error, RefusedPath) else f"{path} cannot be read ({error.strerror})."
            told.append(line._replace(error=why))
    return told, list(edits.values())


def _edit(path: str, never: Mapping[str, str], root: str) -> Edit:
    state = read_state(path, root=root)
    if state is None:
        raise RefusedPath(f"{path} is not there any more.")
    harmful = {line.line for key, line in parse_file(state.content) if key in never}
    kept = [text for number, text in enumerate(state.content.split(b"\n"), start=1) if number not in harmful]
    return Edit(path, state, b"\n".join(kept))
