# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lastack explain``: a page in the terminal, or the index of all pages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.plugin_utils.cli.outcome import SUCCESS, CommandError
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.terminal import add_colour_option, wants_colour, write

if TYPE_CHECKING:
    import argparse

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "explain a finding, a TCP state, a cause, a runtime or a library"

_KIND_TITLES = {
    "state": "TCP states",
    "finding": "Findings",
    "cause": "Causes of a CLOSE_WAIT socket",
    "flag": "Flags beside a cause",
    "verdict": "What the resident agent says of an application",
    "runtime": "What to change in the program, per runtime",
    "library": "What to change in the program, per library; each fix is tested",
    "topic": "What is often asked, and often answered wrongly",
}
_REMEDIES = {
    "app": "the application",
    "kernel": "a kernel setting",
    "limits": "a limit",
    "none": "nothing to do",
}
_SETTINGS = {
    "snippet": "the settings that are copied from page to page, today",
    "KEY": "a sysctl, such as net.ipv4.tcp_tw_reuse or tcp_tw_reuse",
}
_BOLD, _CODE, _END = "\x1b[1m", "\x1b[36m", "\x1b[0m"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``lastack explain``."""
    parser.add_argument(
        "page",
        nargs="?",
        metavar="ID|STATE|CAUSE|KEY",
        help="such as close_wait.leak, TIME_WAIT, requests or tcp_tw_reuse; without it, the index of all pages",
    )
    add_colour_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print one page or the index."""
    from ansible_collections.lastack.linux.plugins.plugin_utils.explain import (  # noqa: PLC0415 - not for probe
        UnknownPage,
        load_page,
    )

    colour = wants_colour(arguments.colour)
    if arguments.page is None:
        write(_index(colour=colour))
        return SUCCESS
    try:
        page = load_page(_whole_id(arguments.page))
    except UnknownPage as error:
        from ansible_collections.lastack.linux.plugins.plugin_utils.setting_pages import (  # noqa: PLC0415 - needs YAML
            setting_page,
        )

        setting = setting_page(arguments.page)
        if setting is None:
            raise CommandError(str(error)) from None
        page = setting
    remedy = f"Remedy: {page.remedy} ({_REMEDIES[page.remedy]})\n\n" if page.remedy is not None else ""
    text = f"# {page.id}: {page.title}\n\n{remedy}{page.body}"
    write(_coloured(text) if colour else _plain(text))
    return SUCCESS


def _whole_id(name: str) -> str:
    """The id that ends with this name after its point, such as close_wait.unread_body, if there is one such id."""
    from ansible_collections.lastack.linux.plugins.plugin_utils.explain import (  # noqa: PLC0415 - not for probe
        page_ids,
    )

    wanted = name.strip().lower().replace("-", "_")
    if wanted in (page.lower() for page in page_ids()):
        return name
    ends = [page for page in page_ids() if page.rpartition(".")[2] == wanted and not page.startswith("topic.")]
    return ends[0] if len(ends) == 1 else name


def _index(*, colour: bool) -> str:
    from ansible_collections.lastack.linux.plugins.plugin_utils.explain import (  # noqa: PLC0415 - not for probe
        KINDS,
        load_page,
        page_ids,
    )

    lines = []
    for kind in KINDS:
        title = _KIND_TITLES[kind]
        lines.append(f"{_BOLD}{title}{_END}" if colour else title)
        lines += [f"  {name:<26} {load_page(name).title}" for name in page_ids(kind)]
        lines.append("")
    title = "Settings"
    lines.append(f"{_BOLD}{title}{_END}" if colour else title)
    lines += [f"  {name:<26} {told}" for name, told in _SETTINGS.items()]
    lines.append("")
    lines.append("lastack explain ID prints a page.")
    return "\n".join(lines)


def _plain(markdown: str) -> str:
    """Code indented by four spaces instead of fenced: still Markdown, and nothing but the page to read."""
    lines, fenced = [], False
    for line in markdown.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        else:
            lines.append(f"    {line}" if fenced and line else line)
    return "\n".join(lines)


def _coloured(markdown: str) -> str:
    """Headings bold, commands and code in one colour; the words and their places stay the same."""
    lines, fenced = [], False
    for line in markdown.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced:
            lines.append(f"    {_CODE}{line}{_END}" if line else "")
        elif line.startswith("#"):
            lines.append(f"{_BOLD}{line.lstrip('# ')}{_END}")
        else:
            shown = re.sub(r"`([^`]+)`", rf"{_CODE}\1{_END}", line)
            lines.append(re.sub(r"\*\*([^*]+)\*\*", rf"{_BOLD}\1{_END}", shown))
    return "\n".join(lines)
