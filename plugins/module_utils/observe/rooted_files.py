# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files below a root that may be another host's tree: links are followed inside it and never out of it."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from pathlib import Path

from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import read_head

__all__ = ["RootedFiles"]

_MAX_LINKS = 40


class RootedFiles:
    """Reads files by their path on the host, wherever the host's tree is mounted."""

    def __init__(self, root: str) -> None:
        """Take ``root`` as the host's ``/``."""
        self._root = root.rstrip("/")

    def locate(self, path: str) -> str | None:
        """Return the host path with every link followed inside the root; ``None`` in a loop of links.

        Like ``realpath`` after ``chroot``: ``..`` never leaves the root, and what does not exist stays in the path.
        """
        todo = deque(path.split("/"))
        done: list[str] = []
        links = 0
        while todo:
            part = todo.popleft()
            if part in ("", "."):
                continue
            if part == "..":
                del done[-1:]
                continue
            try:
                target = os.readlink("/".join((self._root, *done, part)))  # noqa: PTH115 - a Path would be built per part
            except (OSError, ValueError):
                done.append(part)
                continue
            links += 1
            if links > _MAX_LINKS:
                return None
            if target.startswith("/"):
                done = []
            todo.extendleft(reversed(target.split("/")))
        return "/" + "/".join(done)

    def is_regular(self, path: str) -> bool:
        """Whether a regular file stands at ``path`` once links are followed."""
        resolved = self.locate(path)
        try:
            return resolved is not None and stat.S_ISREG(os.lstat(self._root + resolved).st_mode)
        except (OSError, ValueError):
            return False

    def names(self, resolved: str) -> list[str]:
        """Return the names in a directory that ``locate`` found; raises ``OSError`` as ``scandir`` does."""
        with os.scandir(Path(self._root + resolved)) as entries:
            return [entry.name for entry in entries]

    def read(self, resolved: str, limit: int) -> bytes:
        """Return the first ``limit`` bytes of a regular file that ``locate`` found.

        Raises ``OSError`` as ``open`` and ``read`` do, and with ``EINVAL`` for anything but a regular file: a FIFO
        must not hold up the look.
        """
        path = self._root + resolved
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", resolved)
        return read_head(path, limit, flags=os.O_NONBLOCK | os.O_NOFOLLOW)
