# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation site has every page, loads nothing from outside, and no link in it leads nowhere."""

from __future__ import annotations

import re
import urllib.parse
from html.parser import HTMLParser
from pathlib import Path

import build_site
import pytest
import site_pages
from ansible_collections.lastack.linux.plugins.plugin_utils.catalogue import load_catalogue
from ansible_collections.lastack.linux.plugins.plugin_utils.explain import KINDS, load_page, page_ids

ROOT = Path(__file__).resolve().parents[2]
#: What makes a browser load something without a click.
LOADS = {
    *(("img", "src"), ("script", "src"), ("iframe", "src"), ("source", "src"), ("video", "src"), ("audio", "src")),
    *(("link", "href"), ("object", "data"), ("embed", "src"), ("form", "action")),
}


class Document(HTMLParser):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.words: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if (tag, name) in LOADS:
                self.loads.append(value or "")
            if (tag, name) == ("a", "href"):
                self.links.append(value or "")
            if name.startswith("on") or (value or "").strip().lower().startswith("javascript:"):
                self.handlers.append(f"{tag} {name}")

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "site"
    build_site.build(folder)
    return folder


@pytest.fixture(scope="module")
def documents(built: Path) -> dict[str, Document]:
    return {str(path.relative_to(built)): Document(path) for path in sorted(built.rglob("*.html"))}


def test_every_page_is_there(documents: dict[str, Document]) -> None:
    for name in [*page_ids(), *load_catalogue().keys, "snippet", "index"]:
        assert f"explain/{name}.html" in documents
    for name in ("index", "using", "reference", "project/index", "guides/agent", "measured/bench"):
        assert f"{name}.html" in documents
    assert ("gallery.html" in documents) == (ROOT / "docs" / "gallery.md").is_file()
    assert set(site_pages.KIND_TITLES) == set(KINDS)


def test_every_document_is_on_the_site() -> None:
    placed = {path for path, __, __ in site_pages._FILES}
    written = [*(ROOT / "docs").glob("*.md"), *(ROOT / "roles").glob("*/README.md"), *ROOT.glob("*.md")]
    assert {str(path.relative_to(ROOT)) for path in written} - placed == {"README.md"}


def test_a_page_says_what_explain_prints(documents: dict[str, Document]) -> None:
    for name in page_ids():
        told = " ".join("".join(documents[f"explain/{name}.html"].words).split())
        for section in re.split(r"^## ", load_page(name).body, flags=re.MULTILINE)[1:]:
            words = re.findall(r"[A-Za-z]{4,}", re.sub(r"^```\w*$", "", section, flags=re.MULTILINE))
            assert " ".join(words) in " ".join(re.findall(r"[A-Za-z]{4,}", told)), f"{name}: {section[:40]}"


def test_nothing_is_loaded_from_outside(built: Path, documents: dict[str, Document]) -> None:
    for name, document in documents.items():
        for address in document.loads:
            assert not urllib.parse.urlsplit(address).netloc, f"{name} loads {address}"
            assert not address.startswith(("/", "http", "data:text")), f"{name} loads {address}"
            assert (built / name).parent.joinpath(urllib.parse.urlsplit(address).path).resolve().is_file()
        assert document.handlers == [], name
    for style in built.rglob("*.css"):
        text = style.read_text(encoding="utf-8", errors="replace")
        for address in re.findall(r"(?:url\(|@import)\s*['\"]?([^'\")\s;]+)", text):
            assert not address.startswith(("http", "//")), f"{style.name} loads {address}"


def test_pages_lead_to_one_another(documents: dict[str, Document]) -> None:
    assert "close_wait.leak.html" in documents["explain/eof_read.html"].links
    assert "../explain/verdict.leak.html" in documents["guides/agent.html"].links
    assert "index.html#findings" in documents["explain/close_wait.leak.html"].links
    assert "net.ipv4.ip_local_port_range.html" in documents["explain/BOUND_INACTIVE.html"].links
    listed = documents["explain/index.html"].links
    for name in page_ids():
        assert f"{name}.html" in listed


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A site of two pages; the real one is checked where it is built (scripts/build_site.py)."""
    (tmp_path / "index.html").write_text('<a href="a.html#here">x</a> <a href="https://192.0.2.1/">far</a>')
    (tmp_path / "a.html").write_text('<h1 id="here">A</h1><a href="index.html">back</a>')
    return tmp_path


def test_links_that_hold_are_no_error(two: Path) -> None:
    build_site.check_links(two)


@pytest.mark.parametrize("broken", ["nowhere.html", "index.html#no-such-heading"])
def test_a_link_that_leads_nowhere_is_found(two: Path, broken: str) -> None:
    (two / "a.html").write_text(f'<h1 id="here">A</h1><a href="{broken}">back</a>')
    with pytest.raises(build_site.SiteError, match=re.escape(broken.partition("#")[2] or broken)):
        build_site.check_links(two)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text(
        "# It\n\nOf [RFC 9293](#two-commands), RFC 1122 and https://example.org/a_b.\n\n## Two commands\n\n"
        "See [the agent](docs/agent.md#x) and `close_wait.leak`, `lastack explain\njava`, `tcp_tw_reuse`, `unknown`:\n"
        "- one\n- two\n\n```console\n$ lastack explain `TIME_WAIT`\n## no heading\n```\n\n"
        "## Using this collection\n\n### Deep\n\n[up](#two-commands)\n\n## Other\n\n[data](docs/data.json)\n",
        encoding="utf-8",
    )
    (tmp_path / "docs" / "agent.md").write_text("# Agent\n\n## X\n\n[back](../README.md#deep)\n", encoding="utf-8")
    (tmp_path / "docs" / "data.json").write_text("{}", encoding="utf-8")
    return tmp_path


def test_links_follow_their_targets(project: Path) -> None:
    made = site_pages.site(project)
    home = made.pages["index.md"]
    assert "[RFC 9293](index.md#two-commands), [RFC 1122](https://www.rfc-editor.org/rfc/rfc1122)" in home
    assert "<https://example.org/a_b>." in home
    assert "[the agent](guides/agent.md#x)" in home
    assert "[`close_wait.leak`](explain/close_wait.leak.md)" in home
    assert "[`lastack explain\njava`](explain/runtime.java.md)" in home
    # A bare word is a word, unless it has a point or is a state.
    assert "`tcp_tw_reuse`, `unknown`:\n\n- one\n- two\n" in home
    assert "$ lastack explain `TIME_WAIT`\n## no heading\n" in home
    assert made.pages["using.md"] == "# Using it\n\n## Deep\n\n[up](index.md#two-commands)\n\n"
    assert made.pages["guides/agent.md"].endswith("[back](../using.md#deep)\n")
    assert "[data](../files/docs/data.json)" in made.pages["project/index.md"]
    assert made.assets == {"files/docs/data.json": project / "docs" / "data.json"}


def test_a_link_to_a_file_that_is_not_there_is_told(project: Path) -> None:
    (project / "docs" / "data.json").unlink()
    with pytest.raises(ValueError, match=r"README\.md links to docs/data\.json, which is not there"):
        site_pages.site(project)
