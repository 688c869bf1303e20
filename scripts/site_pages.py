# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation site shows, made of the one source: README, docs/, the roles, and ``lastack explain``.

Nothing is written twice: a page of the site is a file of the project, a part of the README, a page that
``lastack explain`` prints, or a page of the catalogue. Code that names a page becomes a link to it.
"""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.catalogue import load_catalogue
from ansible_collections.lastack.linux.plugins.plugin_utils.explain import KINDS, UnknownPage, load_page, page_ids
from ansible_collections.lastack.linux.plugins.plugin_utils.setting_pages import SNIPPET, setting_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from ansible_collections.lastack.linux.plugins.plugin_utils.explain import Page

__all__ = ["KIND_TITLES", "Site", "navigation", "site"]

KIND_TITLES = {
    "state": "TCP states",
    "finding": "Findings",
    "cause": "Causes of a CLOSE_WAIT socket",
    "flag": "Flags beside a cause",
    "verdict": "What the agent says of an application",
    "runtime": "What to change, per runtime",
    "library": "What to change, per library",
    "topic": "What is often asked, and often answered wrongly",
}
_SETTINGS = "Settings: sysctl by sysctl"
_REMEDIES = {
    "app": "the application",
    "kernel": "a kernel setting",
    "limits": "a limit",
    "none": "nothing to do",
}

#: Files of the project that are a page each: path, place on the site, words in the navigation.
_FILES = (
    ("docs/gallery.md", "gallery.md", "Gallery"),
    ("docs/tickets.md", "guides/tickets.md", "Tickets"),
    ("docs/fleet.md", "guides/fleet.md", "The fleet"),
    ("docs/agent.md", "guides/agent.md", "The agent"),
    ("roles/tcp_baseline/README.md", "guides/tcp_baseline.md", "Role tcp_baseline"),
    ("roles/tcp_agent/README.md", "guides/tcp_agent.md", "Role tcp_agent"),
    ("docs/execution-environment.md", "guides/execution-environment.md", "Execution environment"),
    ("docs/bench.md", "measured/bench.md", "What a look costs"),
    ("docs/bench-agent.md", "measured/bench-agent.md", "What the agent costs"),
    ("docs/bench-fleet.md", "measured/bench-fleet.md", "What 300 hosts cost"),
    ("docs/bench-fleet-reports.md", "measured/bench-fleet-reports.md", "What 10,000 and 100,000 reports cost"),
    ("docs/bench-fleet-page.md", "measured/bench-fleet-page.md", "The page of 10,000 hosts in a browser"),
    ("docs/soak.md", "measured/soak.md", "What takes too long for every change"),
    ("CHANGELOG.rst", "project/changelog.md", "Release notes"),
    ("CONTRIBUTING.md", "project/contributing.md", "Contributing"),
    ("SECURITY.md", "project/security.md", "Security"),
    ("CODE_OF_CONDUCT.md", "project/code-of-conduct.md", "Code of conduct"),
)
#: Sections of the README by the page that has them; the rest is about the project.
_SECTIONS = {
    "": "index.md",
    "Two commands": "index.md",
    "Using this collection": "using.md",
    "Included content": "reference.md",
}
_REST = "project/index.md"
_TITLES = {"using.md": "Using it", "reference.md": "Reference", _REST: "About the project"}

_FENCE = re.compile(r"^(`{3,}).*?^\1`*[ ]*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(?<![`\[])`([^`]+)`(?![`\]])")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_RFC = re.compile(r"\bRFC (\d{3,4})\b")
_ADDRESS = re.compile(r"(?<![(<\[\"`])https?://[^\s)>\]`]+[^\s)>\]`.,;:]")
_ITEM = re.compile(r"(?:[-*]|\d+[.)]) ")


class Site(NamedTuple):
    """All that the site consists of, before mkdocs."""

    pages: dict[str, str]
    """Markdown by path on the site."""
    assets: dict[str, Path]
    """Files that pages link to, by path on the site."""


def site(root: Path) -> Site:
    """Return the pages and files of the site.

    Raises:
        ValueError: if a page links to a file that is not there; the text says which.
    """
    raw, places = _own_files(root)
    links = _Links(root, raw, places)
    pages = {page: _crossed(_spaced(links.moved(text, page)), page) for page, text in raw.items()}
    for name in page_ids():
        pages[f"explain/{name}.md"] = _explained(load_page(name))
    for made in _settings():
        pages[f"explain/{made.id}.md"] = _explained(made)
    pages["explain/index.md"] = _index()
    pages["index.md"] += _doors(pages)
    return Site(pages, links.assets)


def navigation(pages: Mapping[str, str]) -> list[Mapping[str, object]]:
    """The menu, as mkdocs.yml has it."""
    titles = {place: words for __, place, words in _FILES if place in pages}

    def menu(folder: str, *first: dict[str, str]) -> object:
        return [*first, *({words: place} for place, words in titles.items() if place.startswith(f"{folder}/"))]

    return [
        {"Home": "index.md"},
        {"Using it": "using.md"},
        {"Explanations": "explain/index.md"},
        *({"Gallery": page} for page in ("gallery.md",) if page in pages),
        {"Guides": menu("guides")},
        {"Measured": menu("measured")},
        {"Project": menu("project", {"About the project": _REST}, {"Reference": "reference.md"})},
    ]


def _own_files(root: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The text of every page that is a file or a part of the README, and the file of every page that is one."""
    raw: dict[str, str] = {}
    for title, text in _sections((root / "README.md").read_text(encoding="utf-8")):
        page = _SECTIONS.get(title, _REST)
        if page == "index.md":
            raw[page] = raw.get(page, "") + text
        elif page == _REST:
            raw[page] = raw.get(page, f"# {_TITLES[page]}\n\n") + text
        else:
            # The section is the page: its headings rise by one.
            raw[page] = f"# {_TITLES[page]}\n" + _outside_code(
                text.partition("\n")[2], lambda part: re.sub(r"^##(#+ )", r"#\1", part, flags=re.MULTILINE)
            )
    places = {}
    for path, page, __ in _FILES:
        file = root / path
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            raw[page] = _of_rst(text) if file.suffix == ".rst" else text
            places[page] = path
    return raw, places


def _sections(text: str) -> list[tuple[str, str]]:
    """The parts of a file by its second headings, the first part without one; code is not looked into."""
    bare = _FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    starts = [0, *(match.start() for match in re.finditer(r"^## ", bare, re.MULTILINE)), len(text)]
    parts = [text[start:end] for start, end in pairwise(starts)]
    return [(part.splitlines()[0].removeprefix("## ") if part.startswith("## ") else "", part) for part in parts]


def _slug(title: str) -> str:
    """The fragment identifier that Python-Markdown gives a heading (its extension toc, slugify())."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


def _headings(text: str) -> list[str]:
    return re.findall(r"^#{2,6} (.+?)\s*$", _FENCE.sub("", text), re.MULTILINE)


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    """Change what is not inside a fence."""
    parts, at = [], 0
    for match in _FENCE.finditer(text):
        parts += [change(text[at : match.start()]), match[0]]
        at = match.end()
    return "".join([*parts, change(text[at:])])


class _Links:
    """Links between files of the project, as links of the site."""

    def __init__(self, root: Path, raw: Mapping[str, str], places: Mapping[str, str]) -> None:
        self.assets: dict[str, Path] = {}
        """What is linked to and is no page: taken along as a file."""
        self._root = root
        self._places = places
        self._pages = {path: page for page, path in places.items()}
        #: The README is several pages: where each of its headings is.
        own = {page: text for page, text in raw.items() if page not in places}
        self._headings = {_slug(title): page for page, text in own.items() for title in _headings(text)}

    def moved(self, text: str, page: str) -> str:
        """The text of a page with its links as they have to be there."""
        return _outside_code(text, lambda part: _LINK.sub(lambda match: self._link(match[1], page), part))

    def _link(self, link: str, page: str) -> str:
        target, mark, fragment = link.partition("#")
        if re.match(r"[a-z]+:", target):
            return f"]({link})"
        source = self._places.get(page, "README.md")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target)) if target else source
        if path == "README.md":
            to = self._headings.get(fragment, "index.md")
        elif path in self._pages:
            to = self._pages[path]
        else:
            to = f"files/{path}"
            self.assets[to] = self._root / path
            if not self.assets[to].is_file():
                raise ValueError(f"{source} links to {link}, which is not there")
        return f"]({posixpath.relpath(to, posixpath.dirname(page) or '.')}{mark}{fragment})"


def _crossed(text: str, page: str) -> str:
    """Code that names a page of ``lastack explain``, RFCs and bare addresses, as links."""

    def code(match: re.Match[str]) -> str:
        name = _named(" ".join(match[1].split()))
        here = posixpath.dirname(page) or "."
        return f"[{match[0]}]({posixpath.relpath(f'explain/{name}.md', here)})" if name else match[0]

    def plain(part: str) -> str:
        part = _CODE.sub(code, part)
        outside = re.split(r"(\[[^\]]*\]\([^)]*\)|`[^`]*`|^#.*$)", part, flags=re.MULTILINE)
        for at in range(0, len(outside), 2):
            linked = _ADDRESS.sub(lambda match: f"<{match[0]}>", outside[at])
            outside[at] = _RFC.sub(r"[RFC \1](https://www.rfc-editor.org/rfc/rfc\1)", linked)
        return "".join(outside)

    return _outside_code(text, plain)


def _named(code: str) -> str | None:
    """The id of the page that this code names: with the command any spelling, else an id with a point or a state."""
    asked = code.startswith("lastack explain ")
    name = code.removeprefix("lastack explain ")
    try:
        found = load_page(name).id
    except UnknownPage:
        made = setting_page(name) if asked or "." in name else None
        return made.id if made and (asked or made.id == name) else None
    return found if asked or (found == name and ("." in name or name.isupper())) else None


def _settings() -> Iterator[Page]:
    made = (setting_page(key) for key in [*load_catalogue().keys, SNIPPET])
    return (page for page in made if page is not None)


def _explained(page: Page) -> str:
    title = KIND_TITLES.get(page.kind, _SETTINGS)
    where = f"[Explanations](index.md) · [{title}](index.md#{_slug(title)})"
    remedy = f" · remedy: **{_REMEDIES[page.remedy]}**" if page.remedy is not None else ""
    body = _crossed(_spaced(page.body), f"explain/{page.id}.md")
    return f"# {page.id}\n\n{page.title[:1].upper()}{page.title[1:]}.\n\n{where}{remedy}\n\n{body}"


def _index() -> str:
    """Every page, by kind."""
    parts = ["# Explanations\n", "The pages that `lastack explain ID` prints, on a host without a network too.\n"]
    for kind in KINDS:
        parts += [f"## {KIND_TITLES[kind]}\n", "| page | what it is |", "| --- | --- |"]
        parts += [f"| [`{name}`]({name}.md) | {load_page(name).title} |" for name in page_ids(kind)]
        parts.append("")
    parts += [f"## {_SETTINGS}\n", "| key | what it is |", "| --- | --- |"]
    parts += [f"| [`{made.id}`]({made.id}.md) | {made.title} |" for made in _settings()]
    return "\n".join(parts) + "\n"


def _doors(pages: Mapping[str, str]) -> str:
    """Where to go from the first page."""
    doors = [
        ("explain/index.md", "Explanations", "every state, finding, cause, runtime, library, topic and setting"),
        ("using.md", "Using it", "one host, a fleet, a roll-out, the agent"),
        ("gallery.md", "Gallery", "programs that leak, their fixed variants, and what a run of both said"),
        ("reference.md", "Reference", "modules, roles, states and findings in tables"),
    ]
    lines = [f"- [{title}]({page}): {words}" for page, title, words in doors if page in pages]
    return "\n## Where to go\n\n" + "\n".join(lines) + "\n"


def _spaced(text: str) -> str:
    """An empty line before a list that follows a paragraph at once: GitHub needs none, Python-Markdown does."""

    def spaced(part: str) -> str:
        lines: list[str] = []
        for line in part.split("\n"):
            before = lines[-1] if lines else ""
            if _ITEM.match(line) and before.strip() and not _ITEM.match(before) and not before.startswith("  "):
                lines.append("")
            lines.append(line)
        return "\n".join(lines)

    return _outside_code(text, spaced)


def _of_rst(text: str) -> str:
    """The release notes, which antsibull-changelog writes: headings, lists, literals."""
    lines = text.replace("``", "`").split("\n")
    shown: list[str] = []
    for at, line in enumerate(lines):
        below = lines[at + 1] if at + 1 < len(lines) else ""
        level = "=-~^".find(below[:1]) + 2 if below and not below.strip("=-~^") else 0
        if line.startswith(".. ") or (line and not line.strip("=-~^")):
            continue
        first = at > 0 and lines[at - 1].startswith("===") and level == 2  # a line above and below: the title
        shown.append(f"{'#' * (1 if first else level)} {line}" if level and line.strip() else line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(shown)).strip(os.linesep) + "\n"
