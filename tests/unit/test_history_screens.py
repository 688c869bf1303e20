# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The history's screens and pictures: every day where it belongs, and no name that can act."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.history_days import build_history
from ansible_collections.lastack.linux.plugins.plugin_utils.history_store import opened
from ansible_collections.lastack.linux.plugins.plugin_utils.render.character_plot import Mark, bucketed, plot, spark
from ansible_collections.lastack.linux.plugins.plugin_utils.render.html_history import history_page, history_section
from ansible_collections.lastack.linux.plugins.plugin_utils.render.table import display_width
from ansible_collections.lastack.linux.plugins.plugin_utils.render.text_history import render_history
from history_samples import fill, history_of, run_on
from hypothesis import given
from hypothesis import strategies as st
from sample_reports import HOSTILE

if TYPE_CHECKING:
    from pathlib import Path

NO_RUN = Mark(None, run=False)
MARKS = st.lists(
    st.just(NO_RUN) | st.builds(Mark, st.none() | st.integers(0, 2**63 - 1), st.booleans(), st.just(value=True)),
    max_size=400,
)


def _weeks(path: Path, **options: Any) -> dict[str, Any]:  # noqa: ANN401 - build_history's
    """Three weeks: one application grows, one is healed, two days have no run and the last one saw few hosts."""
    runs = {
        run_on(day, audited=60 if day == 21 else 100): {
            "checkout-api": 100 * day,
            **({"gateway": 37} if day < 9 else {}),
        }
        for day in range(1, 22)
        if day not in (5, 6)
    }
    fill(path, runs, {"conntrack.near_limit": 3, "close_wait.leak": 9})
    with opened(path) as store:
        return build_history(store, **{"days": 30, **options})


def test_a_spark_has_a_character_for_each_day() -> None:
    marks = [Mark(0), Mark(1), Mark(50), Mark(100), NO_RUN, Mark(40, at_least=True), Mark(None)]
    assert spark(marks) == "▁▂▅█ ??"
    assert spark(marks, ascii_only=True) == "_.:# ??".replace(":", "=")
    assert spark([]) == ""


@given(MARKS)
def test_a_spark_never_shows_something_as_nothing(marks: list[Mark]) -> None:
    line = spark(marks)
    assert len(line) == len(marks)
    for mark, character in zip(marks, line, strict=True):
        if not mark.run:
            assert character == " "
        elif mark.value is None or mark.at_least:
            assert character == "?"
        else:
            assert (character == "▁") == (not mark.value)


@given(MARKS, st.integers(1, 60))
def test_days_that_share_a_place_show_the_highest_whole_one(marks: list[Mark], width: int) -> None:
    shown = bucketed(marks, width)
    assert len(shown) == min(width, len(marks))
    whole = [mark.value for mark in marks if mark.value is not None and not mark.at_least]
    if whole:
        assert max(mark.value for mark in shown if mark.value is not None and not mark.at_least) == max(whole)


@given(MARKS, st.integers(30, 160), st.booleans())
def test_a_plot_keeps_its_width(marks: list[Mark], width: int, ascii_only: bool) -> None:  # noqa: FBT001 - hypothesis
    lines = plot(marks, width=width, ascii_only=ascii_only)
    assert len(lines) == 9
    assert max(map(display_width, lines)) <= width
    assert not ascii_only or "".join(lines).isascii()


def test_a_plot_is_as_high_as_its_figures() -> None:
    lines = plot([Mark(8), Mark(4), Mark(0), NO_RUN, Mark(8, at_least=True), Mark(None)], width=30)
    body = [line.split("┤")[1] if "┤" in line else "" for line in lines]
    assert lines[0].startswith("8 ┤")
    assert lines[4].startswith("4 ┤")
    columns = ["".join(line.ljust(24)[4 * index] for line in body[:8]) for index in range(6)]
    assert columns == ["████████", "    ████", " " * 8, " " * 8, "░" * 8, " " * 7 + "?"]


def test_the_screen_of_all_applications(tmp_path: Path) -> None:
    screen = render_history(_weeks(tmp_path / "history.sqlite"))
    assert screen.splitlines()[0].startswith("History · 2026-11-01 to 2026-11-21 · a run on 19 of 21 days")
    assert "2026-11-21 saw fewer hosts (60 of 100 then): what was not seen there is not" in screen
    rows = {line.split()[0]: line for line in screen.splitlines() if line.startswith("  ") and line.strip()}
    assert rows["checkout-api"].endswith("100  ≥ 2,100   +100    ≥ 1")
    assert rows["gateway"].split()[-4:] == ["37", "0", "0", "0"]
    assert re.search(r"[▂-█]{4}  [▂-█]{14}\?", rows["checkout-api"])
    assert "lastack history checkout-api" in screen
    assert "conntrack.near_limit" in screen
    assert "close_wait.leak" not in screen, "the applications have told it"
    assert max(map(display_width, screen.splitlines())) <= 100


def test_the_last_day_is_not_mixed_up_with_the_last_known_one(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    fill(path, {run_on(1): {"api": 50, "gateway": 9}, run_on(2, audited=60): {"api": 70}}, {})
    with opened(path) as store:
        history = build_history(store, days=30)
    screen = render_history(history, file="/tmp/my history")
    said = "1 application with leaked sockets on the last day; not known of 1 more: too few hosts were seen"
    assert said in " ".join(screen.split())
    assert "last known" in screen
    assert "lastack history api --file '/tmp/my history'" in screen
    assert "of 100 hosts audited on the last day" in screen
    assert "Days: ? too few hosts were seen to say" in screen
    with opened(path) as store:
        one = build_history(store, days=30, app="gateway")
    shown = render_history(one, app="gateway")
    assert "9 leaked sockets on 1 host on 2026-11-01, not known since, growth not known" in shown


def test_no_heading_is_cut_on_a_narrow_screen(tmp_path: Path) -> None:
    screen = render_history(_weeks(tmp_path / "history.sqlite"), width=80)
    assert "…" not in screen
    assert max(map(display_width, screen.splitlines())) <= 80


def test_the_screen_of_one_application(tmp_path: Path) -> None:
    history = _weeks(tmp_path / "history.sqlite", app="checkout-api")
    screen = render_history(history, app="checkout-api")
    assert "checkout-api · ≥ 2,100 leaked sockets on ≥ 1 host, +100 a day" in screen
    assert "2,100 ┤" in screen
    assert "blank: no run, ░ at least this" in screen
    assert screen.splitlines()[-1].strip() == "… 5 earlier days: lastack history --json"
    last = next(line for line in screen.splitlines() if line.startswith("  2026-11-21"))
    assert last.split("  ")[1:] != []
    assert "60 of 100" in last
    assert "≥ 2,100" in last


def test_an_application_that_has_not_leaked(tmp_path: Path) -> None:
    history = _weeks(tmp_path / "history.sqlite", app="nobody")
    assert "nobody has not leaked on any of these days." in render_history(history, app="nobody")


def test_without_utf_8_it_is_ascii(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    assert render_history(_weeks(path), ascii_only=True).isascii()
    assert render_history(_weeks(path, app="checkout-api"), app="checkout-api", ascii_only=True).isascii()


def test_an_empty_history_says_what_to_do(tmp_path: Path) -> None:
    history = history_of(tmp_path / "history.sqlite", {})
    assert "lastack history add RUN_FOLDER" in render_history(history)
    assert "no run yet" in history_section(history)


def test_a_history_without_a_leak(tmp_path: Path) -> None:
    history = history_of(tmp_path / "history.sqlite", {run_on(1): {}})
    assert "No application has leaked on these days." in render_history(history)
    assert "No application has leaked on these days." in history_section(history)


class _Tags(HTMLParser):
    """All tags of a page with their attributes, checked to be closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag != "meta":
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


def test_the_page_has_a_picture_and_the_figures(tmp_path: Path) -> None:
    page = history_page(_weeks(tmp_path / "history.sqlite"))
    tags = _Tags(page).found
    pictures = [attributes for tag, attributes in tags if tag == "svg"]
    label = "checkout-api: ≥ 2,100 leaked sockets on ≥ 1 host, +100 a day"
    assert pictures[0]["aria-label"] == label
    assert len(pictures) == 2
    assert [tag for tag, __ in tags].count("polyline") == 2
    dots = [attributes["fill"] for tag, attributes in tags if tag == "circle"]
    assert (dots.count("none"), dots.count("currentColor")) == (1, 18 + 18), "the last day is hollow, or not known"
    assert page.count("<tr><td>2026-11-") == 2 * 19
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in page
    assert not {tag for tag, __ in tags} & {"script", "img", "link", "a", "iframe"}
    assert not [name for __, attributes in tags for name in attributes if name == "style" or name.startswith("on")]


@pytest.mark.parametrize("name", [HOSTILE[:200], "</svg><script>alert(1)</script>", '" onload="x', "]]>", "{most}{0}"])
def test_a_hostile_name_changes_no_tag(name: str, tmp_path: Path) -> None:
    plain = _Tags(history_page(history_of(tmp_path / "plain", {run_on(1): {"a": 1}, run_on(2): {"a": 2}}))).found
    history = history_of(tmp_path / "nasty", {run_on(1): {name: 1}, run_on(2): {name: 2}})
    nasty = _Tags(history_page(history)).found
    assert [(tag, sorted(attributes)) for tag, attributes in nasty] == [(t, sorted(a)) for t, a in plain]
    screen = render_history(history)
    assert screen.replace("\n", "").isprintable()
    assert len(screen.splitlines()) == len(render_history(history_of(tmp_path / "plain", {})).splitlines())


@given(MARKS)
def test_any_figures_are_a_picture(marks: list[Mark]) -> None:
    points = [
        {
            "day": "2026-11-01",
            "hosts": 1,
            "sockets": mark.value,
            "oldest_s": None,
            "descriptors_percent": None,
            "growth_per_min": None,
            "at_least": mark.at_least,
        }
        for mark in marks[:1]
    ]
    day = {"day": "2026-11-01", "run": "r", "made_by": "x", "meant": 1, "audited": 1, "incomplete": 0, "judged": 1}
    days = [{**day, "fewer_hosts": False} for __ in points]
    apps = [{"app": "a", "first": None, "last": None, "growth_per_day": None, "points": points}]
    history = {"schema": "lastack.history/1", "days": days, "apps": apps, "apps_truncated": 0, "findings": []}
    _Tags(history_page(history))
