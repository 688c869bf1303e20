# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sweep sends to a host: one command line without a secret, and one body for its standard input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Become", "PayloadError", "Request", "build_body", "new_marker", "remote_command"]


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
    """Return a random word of 32 letters and digits."""
    raise NotImplementedError


def remote_command(request: Request) -> str:
    """Return the command line for the exec request of ssh (RFC 4254, 6.5), for sh, bash, zsh, fish, csh and tcsh.

    Raises ``PayloadError``: an interpreter or user has a character that not all of these shells quote alike.
    """
    raise NotImplementedError


def build_body(marker: str, options: Mapping[str, Any]) -> bytes:
    """Return what goes to standard input, the same bytes for all hosts of a sweep: build it once.

    ``options`` are keyword arguments of ``module_utils.options.Options``; the collector is ``sweep``. Raises
    ``PayloadError``, ``BundleError``, and ``OptionsError`` where a host would.
    """
    raise NotImplementedError
