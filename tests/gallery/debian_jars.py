# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Java libraries from Debian's archive, unpacked below the cache and not installed, as a class path."""

from __future__ import annotations

import hashlib

from debian_programs import NoProgram, _unpack
from tool_cache import cache_folder, locked

__all__ = ["class_path"]


def class_path(jars: tuple[str, ...], packages: tuple[str, ...]) -> str:
    """Return the class path with these files of /usr/share/java, which the packages contain; they are unpacked once.

    Raises:
        NoProgram: there is no apt here or the archive does not answer; the message is one sentence.
    """
    folder = cache_folder("debian")
    root = folder / f"{packages[0]}-{hashlib.sha256(' '.join(packages).encode()).hexdigest()[:12]}"
    paths = [root / "usr" / "share" / "java" / jar for jar in jars]
    with locked(folder):
        if not root.exists():
            _unpack(packages, root)
    missing = [path.name for path in paths if not path.exists()]
    if missing:
        raise NoProgram(f"{missing[0]} is in none of the packages {' '.join(packages)}")
    return ":".join(map(str, paths))
