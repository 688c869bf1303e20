# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Java libraries from Debian's archive, unpacked below the cache and not installed, as a class path."""

from __future__ import annotations

from debian_programs import NoProgram, unpacked_root

__all__ = ["class_path"]


def class_path(jars: tuple[str, ...], packages: tuple[str, ...]) -> str:
    """Return the class path with these files of /usr/share/java, which the packages contain; they are unpacked once.

    Raises:
        NoProgram: there is no apt here or the archive does not answer; the message is one sentence.
    """
    root = unpacked_root(jars[0], *packages)
    paths = [root / "usr" / "share" / "java" / jar for jar in jars]
    missing = [path.name for path in paths if not path.exists()]
    if missing:
        raise NoProgram(f"{missing[0]} is in none of the packages {' '.join(packages)}")
    return ":".join(map(str, paths))
