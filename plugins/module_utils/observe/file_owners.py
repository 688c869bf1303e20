# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which manager a configuration file says it belongs to: the mark that Ansible, Puppet and their like leave in it."""

from __future__ import annotations

import re

from ansible_collections.lastack.linux.plugins.module_utils.observe.rooted_files import RootedFiles

__all__ = ["FileOwners"]

_MAX_BYTES = 4096
_MAX_FILES = 100

# What stands in a comment of theirs; the stricter first. An Ansible block may be anywhere in a file of others.
_MARKS = (
    ("lastack", re.compile(rb"written by lastack\.", re.IGNORECASE)),
    ("ansible", re.compile(rb"ansible[ _-]managed|managed (by|with) ansible", re.IGNORECASE)),
    ("puppet", re.compile(rb"(managed|generated|written|controlled) (by|with|from) puppet", re.IGNORECASE)),
    ("chef", re.compile(rb"(managed|generated|written|created) (by|with|from) chef|\bchef infra\b", re.IGNORECASE)),
    ("salt", re.compile(rb"(managed|generated|written) (by|with) salt|\bsalt[ -]?(stack|managed)", re.IGNORECASE)),
    ("cfengine", re.compile(rb"(managed|generated|written|controlled) (by|with) cfengine", re.IGNORECASE)),
    ("cloud-init", re.compile(rb"(created|generated|written|managed) by cloud-init", re.IGNORECASE)),
    ("tuned", re.compile(rb"(generated|written|managed) by tuned", re.IGNORECASE)),
)
_PACKAGED = ("/usr/lib/", "/lib/")


class FileOwners:
    """Looks into each file once and reads no more than its first 4 KiB, of at most 100 files."""

    def __init__(self, root: str = "/") -> None:
        """Take ``root`` as the host's ``/``."""
        self._files = RootedFiles(root)
        self._known: dict[str, str | None] = {}

    def of(self, place: str | None) -> str | None:
        """Return whose the file of a ``file:line`` is, or ``None`` where nothing says so, as of what people write.

        ``package``: it came with a package, by where it stands (hier(7), file-hierarchy(7)). Never raises.
        """
        if not place or not place.startswith("/"):
            return None
        file, __, line = place.rpartition(":")
        path = file if file and line.isdigit() else place
        if path not in self._known:
            if len(self._known) >= _MAX_FILES:
                return None
            self._known[path] = self._look(path)
        return self._known[path]

    def _look(self, path: str) -> str | None:
        resolved = self._files.locate(path)
        try:
            head = self._files.read(resolved, _MAX_BYTES) if resolved is not None else b""
        except (OSError, ValueError):
            head = b""
        comments = b"\n".join(line for line in head.splitlines() if line.lstrip().startswith((b"#", b";")))
        marked = next((name for name, mark in _MARKS if mark.search(comments)), None)
        return marked or ("package" if path.startswith(_PACKAGED) else None)
