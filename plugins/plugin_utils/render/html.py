# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTML report of a run: one self-contained file that needs no network, no server and no JavaScript to be read."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.render import html_view as view
from ansible_collections.lastack.linux.plugins.plugin_utils.render import phrases
from jinja2 import ChainableUndefined, Environment, FileSystemLoader
from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ansible_collections.lastack.linux.plugins.plugin_utils.render.html_hosts import HostRows

__all__ = ["content_security_policy", "render_html"]

_HERE = Path(__file__).parent


def content_security_policy(style: str, script: str) -> str:
    """The policy of the report: nothing but this one style sheet and this one script (CSP level 3, by hash)."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def render_html(
    fleet: Mapping[str, Any],
    hosts: Iterable[Mapping[str, Any]],
    table: HostRows | None = None,
    *,
    history: Markup | None = None,
) -> str:
    """The report of one ``lastack.fleet/1`` and the host reports behind it.

    ``table`` took every host of the run and gives the rows; ``hosts`` is gone through once, and those with something to
    decide get their details. Without ``table`` the hosts are their own rows. ``history`` is the inside of the section
    of that name, made by ``html_history``.
    """
    style = _asset("report.css")
    script = _asset("report.js")
    pages = view.pages(fleet)
    shown = view.hosts_view(hosts, fleet, table)
    narrowed = bool(shown["left_out"] or shown["own_only"])
    template = _environment().get_template("report.html.j2")
    return template.render(
        policy=Markup(content_security_policy(style, script)),  # noqa: S704 - made of constants and hashes
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        **view.fleet_view(fleet, narrowed=narrowed),
        **shown,
        narrowed=narrowed,
        history=history,
        pages=pages,
        page_ids=frozenset(page["id"] for page in pages),
    )


def _asset(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8").strip()


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _finalize(value: object) -> object:
    """Every printed value but our own markup goes through the cleaner; nothing is printed as nothing."""
    if value is None or isinstance(value, int | float | Markup):
        return "" if value is None else value
    return phrases.clean(value)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        finalize=_finalize,
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": view.known(phrases.count),
        "age": view.known(phrases.age),
        "percent": view.known(phrases.percent),
        "moment": phrases.moment,
        "size": phrases.thousand,
        "use": phrases.limit_words,
        "cause": lambda cause: phrases.CAUSE_WORDS.get(cause, cause),
        "remedy": lambda remedy: phrases.REMEDY_WORDS.get(remedy, remedy),
        "anchor": view.anchor,
        "sought": view.sought,
        "level": view.level,
        "limit": view.limit,
    }
    environment.globals |= {"plural": phrases.plural, "endpoint": phrases.endpoint}
    return environment
