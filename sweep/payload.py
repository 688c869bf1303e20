# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sweep sends to a host: one command line without a secret, and one body for its standard input."""

from __future__ import annotations

import ast
import io
import json
import secrets
import tokenize
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.options import check_options
from ansible_collections.lastack.linux.plugins.module_utils.sweep_entry import sweep_options
from ansible_collections.lastack.linux.plugins.plugin_utils.bundle import read_sources
from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.sweep.loader import (
    BECOME_SCRIPT,
    PYTHON_LINE,
    PYTHONS,
    SEARCH_SCRIPT,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Become",
    "PayloadError",
    "Request",
    "build_body",
    "new_marker",
    "password_prompt",
    "remote_command",
    "slim_source",
]

_ENTRY = "ansible_collections.lastack.linux.plugins.module_utils.sweep_entry"


class PayloadError(ValueError):
    """A request cannot be put into a command line or a body; the text says why in one sentence."""


class Become(NamedTuple):
    """Another user by sudo(8)."""

    user: str = "root"
    program: str = "sudo"
    """A path or a name; ``ansible_become_exe``."""
    with_password: bool = False
    """Whether a password is at hand. Without one, a sudo that would ask gives up at once (``-n``)."""


class Request(NamedTuple):
    """What is asked of one host."""

    marker: str
    """``new_marker()``, one for a whole sweep: no secret, only a word that nothing else writes."""
    interpreters: tuple[str, ...] = ()
    """Pythons to try before those that are found everywhere, such as ``ansible_python_interpreter``; may have words
    after the program (``/usr/bin/env python3``); ``auto…`` is left out."""
    become: Become | None = None
    life_s: int = 120
    """After so many seconds the program on the host ends itself, whatever it waits for."""


def new_marker() -> str:
    """Return a random word of 32 hexadecimal digits."""
    return secrets.token_hex(16)


def password_prompt(marker: str) -> str:
    """Return the prompt that sudo is told to ask with, so that its question is known from all else it says."""
    return f"lastack-{marker}:"


def remote_command(request: Request) -> str:
    """Return the command line for the exec request of ssh (RFC 4254, 6.5), for sh, bash, zsh, fish, csh and tcsh.

    Raises ``PayloadError``: an interpreter or user has a character that not all of these shells quote alike.
    """
    given = (" ".join(one.split()) for one in request.interpreters if not one.startswith("auto"))
    pythons = dict.fromkeys([*filter(None, given), *PYTHONS])
    words = ["/bin/sh", "-c", SEARCH_SCRIPT, "lastack", PYTHON_LINE, request.marker, str(request.life_s), *pythons]
    if request.become is not None:
        user = request.become.user
        # The prompt goes to standard error and the answer comes from standard input with -S; -n never asks.
        asking = ["-S", "-p", password_prompt(request.marker)] if request.become.with_password else ["-n"]
        sudo = [request.become.program, "-H", *asking, "-u", user]
        words = ["/bin/sh", "-c", BECOME_SCRIPT, "lastack", str(len(sudo)), user, *sudo, *words]
    return "exec " + " ".join(map(_quoted, words))


def build_body(marker: str, options: Mapping[str, Any]) -> bytes:
    """Return what goes to standard input, the same bytes for all hosts of a sweep: build it once.

    ``options`` are keyword arguments of ``module_utils.options.Options``; the collector is ``sweep``. A line with the
    marker, a line with the length of what follows, and a zlib stream (RFC 1950, whose checksum is the check) of JSON:
    ``entry`` is the source that runs first, ``modules`` those that it imports, ``options`` the look.

    Raises ``BundleError``, ``OptionsError`` as a host would, and ``TypeError`` for an unknown option.
    """
    check_options(sweep_options(options))
    modules = {name: slim_source(source) for name, source in read_sources(_ENTRY).items()}
    entry = modules.pop(_ENTRY)
    payload = {"entry": entry, "modules": modules, "options": dict(options)}
    data = zlib.compress(json.dumps(payload, separators=(",", ":")).encode("ascii"), 9)
    return b"%s\n%d\n%s" % (marker.encode("ascii"), len(data), data)


def slim_source(source: bytes) -> str:
    """Return a Python source without comments and the text of its docstrings; every line keeps its number."""
    lines = source.splitlines(keepends=True)
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            text = lines[row - 1].decode("utf-8")
            lines[row - 1] = text[:column].rstrip().encode("utf-8") + b"\n"
    texts = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    # From the end, so that a cut moves nothing that is still to be cut.
    for node in sorted(texts, key=lambda one: one.lineno, reverse=True):
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        # An empty text, not nothing: it may be all that a body has.
        rest = lines[last][node.end_col_offset :]
        lines[first] = lines[first][: node.col_offset] + b'""' + (rest if last == first else b"\n")
        for row in range(first + 1, last + 1):
            lines[row] = b"\n"
        if last > first and rest.strip():
            lines[first] = lines[first].rstrip() + rest
    return b"".join(lines).decode("utf-8")


def _quoted(word: str) -> str:
    """Return a word in single quotes, between which all these shells read the rest as it stands.

    fish has escapes there, csh the history and line ends, so words that have one of these cannot be sent.
    """
    if not word or not word.isprintable() or not word.isascii() or any(one in word for one in "'\\!"):
        raise PayloadError(f"{one_line(repr(word), 80)} cannot be part of a command line on a host.")
    return f"'{word}'"
