# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gallery's table of contents: one folder an entry, with its ``entry.toml`` and its two programs.

``entry.toml`` says all that is particular to an entry; adding one needs no code. Its keys:

==================== ==============================================================================================
``library``          what leaks, as its users call it
``version``          a command that prints its version on the first line (toolchain words are replaced)
``runtime``          as the host report says it: ``python``, ``java``, ``node``, ``go``, ``ruby``, ``php``, ``native``
``page``             the page of ``lastack explain`` that has the fix, and the lines of the fixed program
``suffix``           of the two programs, ``NAME_leaking.SUFFIX`` and ``NAME_fixed.SUFFIX``
``run``              the command, with ``{program}``, ``{port}``, ``{count}``, ``{folder}``, a toolchain's ``{word}``
``needs``            toolchains (toolchains.py)
``server``           true: the program listens and prints its port; the peers connect, ask, and close first
``peer``             a client's other end: a command as ``run``; the default is ``closing_server.py``
``peer_arguments``   of ``closing_server.py``, or of ``calling_peer.py`` (a server has that one)
``count``            calls; so many sockets leak
``settle_s``         seconds from "ready" to the look
``[leak]``           what the report must say: ``causes``, ``finding``, ``role``, ``hints``, and ``app`` if it is not
                     the file's name; ``candidates``: pages between which the kernel's evidence cannot decide
``[fixed]``          ``remaining``: CLOSE_WAIT sockets that the page admits, ``within_s`` seconds after "ready"
==================== ==============================================================================================
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["ENTRIES", "Entry", "entries"]

FOLDER = Path(__file__).resolve().parent / "entries"
_KEYS = {
    *("library", "version", "runtime", "page", "suffix", "run", "needs", "server", "peer", "peer_arguments", "count"),
    *("settle_s", "leak", "fixed"),
}
_LEAK_KEYS = {"causes", "finding", "role", "hints", "app", "candidates"}
_FIXED_KEYS = {"remaining", "within_s"}


class Entry(NamedTuple):
    """One way to leak and its remedy; the fields are those of ``entry.toml``."""

    name: str
    library: str
    version: list[str]
    runtime: str
    page: str
    suffix: str
    run: list[str]
    needs: list[str]
    leak: dict[str, Any]
    fixed: dict[str, Any]
    server: bool = False
    peer: list[str] | None = None
    peer_arguments: list[str] | None = None
    count: int = 20  # type: ignore[assignment]  # tuple.count is a method, of no use to this record
    settle_s: float = 1.0

    @property
    def folder(self) -> Path:
        return FOLDER / self.name

    @property
    def leaking(self) -> Path:
        return self.folder / f"{self.name}_leaking.{self.suffix}"

    @property
    def repaired(self) -> Path:
        """The fixed variant."""
        return self.folder / f"{self.name}_fixed.{self.suffix}"

    def app(self, program: Path) -> str:
        """The application's name in the report."""
        return str(self.leak.get("app", program.name))


def _read(path: Path) -> Entry:
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    wrong = {*set(table) - _KEYS, *set(table["leak"]) - _LEAK_KEYS, *set(table["fixed"]) - _FIXED_KEYS}
    if wrong:
        raise ValueError(f"{path}: unknown keys {sorted(wrong)}")
    return Entry(name=path.parent.name, **table)


def entries() -> list[Entry]:
    """Return all entries, by runtime and name."""
    return sorted((_read(path) for path in FOLDER.glob("*/entry.toml")), key=lambda one: (one.runtime, one.name))


ENTRIES = entries()
