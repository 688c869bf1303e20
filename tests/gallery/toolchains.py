# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the gallery's runtimes, servers and libraries come from: the machine, Debian's archive, PyPI or npm.

What is not installed is fetched into the cache and unpacked there; nothing is installed on the machine. Each function
of ``TOOLCHAINS`` returns the words that an ``entry.toml`` may use in its commands, and raises ``NoProgram`` with one
sentence where the toolchain cannot be had.
"""

from __future__ import annotations

import functools
import shutil
import sys
from typing import TYPE_CHECKING

from debian_programs import NoProgram, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["TOOLCHAINS", "NoProgram", "words"]


def _installed(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise NoProgram(f"{name} is not installed")
    return found


def _python() -> dict[str, str]:
    """The interpreter of .venv, which has the client libraries (pyproject.toml pins them)."""
    return {"python": sys.executable}


def _java() -> dict[str, str]:
    """A JDK: its launcher compiles a single source file."""
    return {"java": _installed("java")}


def _node() -> dict[str, str]:
    return {"node": _installed("node")}


def _nginx() -> dict[str, str]:
    return {"nginx": str(unpacked("nginx", "nginx-light", "nginx", "nginx-common"))}


TOOLCHAINS: dict[str, Callable[[], dict[str, str]]] = {
    "python": _python,
    "java": _java,
    "node": _node,
    "nginx": _nginx,
}

_asked = {name: functools.cache(function) for name, function in TOOLCHAINS.items()}


def words(needs: Sequence[str]) -> dict[str, str]:
    """Return the words of all these toolchains.

    Raises:
        NoProgram: one of them cannot be had here; the message is one sentence.
    """
    found: dict[str, str] = {}
    for name in needs:
        found |= _asked[name]()
    return found
