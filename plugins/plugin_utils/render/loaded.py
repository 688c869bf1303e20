# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the processes of an application have loaded, in words: evidence of a library, so the word is "loaded"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import data, joined, rows
from ansible_collections.lastack.linux.plugins.plugin_utils.render.table import Span

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["library_page", "library_words", "loaded_line"]

_NAMED = 3


def library_words(library: Mapping[str, Any]) -> str:
    """A library with its version where its files tell one: "Apache HttpClient 4 (4.5.14)"."""
    return f"{library.get('name')} ({library['version']})" if library.get("version") else str(library.get("name"))


def library_page(app: Mapping[str, Any]) -> str | None:
    """The page of the library that an offender's advice names first, if there is one and this lastack has it."""
    wanted = [str(name) for name in app.get("advice") or [] if str(name).startswith("library.")]
    if not wanted:
        return None
    from ansible_collections.lastack.linux.plugins.plugin_utils.explain import (  # noqa: PLC0415 - a healthy host's probe starts without it
        page_ids,
    )

    # A report of a newer lastack may name pages that this one does not have.
    known = page_ids("library")
    return next((name for name in wanted if name in known), None)


def loaded_line(app: Mapping[str, Any]) -> list[Span]:
    """What an offender has loaded and the page of it; nothing if nothing was seen."""
    libraries = rows(data(app, "hints"), "libraries")
    if not libraries:
        return []
    words = [library_words(library) for library in libraries[:_NAMED]]
    page = library_page(app)
    arrow = [Span(f"→ lastack explain {page}", "command", whole=True)] if page else []
    return [Span(f"loaded: {joined(words, _NAMED, len(libraries))}"), *arrow]
