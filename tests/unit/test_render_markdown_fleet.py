# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Markdown summary of a fleet: what a reader needs, short, and nothing in it acts but our own words."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.render.markdown_fleet import render_markdown
from hypothesis import given
from hypothesis import strategies as st
from sample_reports import HOSTILE, healthy_fleet, hostile, sample, with_strings
from stored_samples import fleet_of, not_audited, varied
from ticket_samples import inline, parsed

ACTING = {"link_open", "image", "html_inline", "html_block", "heading_open", "fence", "code_block", "hr"}


def _inert(markdown: str) -> None:
    tokens = parsed(markdown)
    found = {token.type for token in [*tokens, *inline(tokens)]}
    assert not found & ACTING


def _shape(markdown: str) -> list[str]:
    return [token.type for token in parsed(markdown) if not token.type.startswith("inline")]


def test_what_the_reader_needs() -> None:
    text = render_markdown(fleet_of(varied()))
    assert text.startswith(
        "**lastack: 4 hosts audited** · 1 unreachable · 1 with an invalid report · 1 without a result"
    )
    assert "the application must close them, no sysctl will" in text
    assert "| `checkout-api` | 3 |" in text
    assert "`lastack explain ports.near_exhaustion`" in text
    assert "- `db-2`: unreachable, `timed out`" in text
    assert "close_wait.unread_body" not in text, "the leaks' table has told it"
    _inert(text)


def test_a_calm_fleet_is_three_lines() -> None:
    text = render_markdown(healthy_fleet())
    assert text.splitlines()[2] == "Nothing needs a decision."
    assert len(text.splitlines()) <= 5


def test_calm_is_said_only_of_what_was_seen() -> None:
    fleet = healthy_fleet()
    fleet["hosts"]["audited"] -= 1
    assert "Nothing needs a decision in what was seen." in render_markdown(fleet)
    assert "No host was audited, so nothing is known." in render_markdown(fleet_of([not_audited("web")]))


def test_a_run_that_was_cut_short_says_so() -> None:
    fleet = sample("fleet")
    fleet["run"]["finished_at"] = None
    assert "not finished" in render_markdown(fleet).splitlines()[0]


@pytest.mark.parametrize("name", ["fleet", "growing_fleet"])
def test_a_hostile_fleet_looks_like_any_other(name: str) -> None:
    text = render_markdown(hostile(name))
    _inert(text)
    assert _shape(text) == _shape(render_markdown(sample(name)))


def _full(text: str) -> dict[str, Any]:
    """A fleet report with all lists as long as the schema allows and this text everywhere."""
    fleet: dict[str, Any] = with_strings(sample("fleet"), lambda __: text)
    for key, most in (("apps", 50), ("findings", 100), ("drift", 1_000)):
        fleet[key] = [dict(fleet[key][0]) for __ in range(most)]
    for index, finding in enumerate(fleet["findings"]):
        finding["id"] = f"close_wait.{'x' * (index % 50)}" if index % 2 else f"fd.{'y' * index}"
    for item in fleet["drift"]:
        item["values"] = [dict(item["values"][0]) for __ in range(20)]
    for index, key in enumerate(("not_audited", "incomplete_hosts")):
        row = {"host": text, "outcome": "failed", "reason": text, "reasons": [text] * 20}
        fleet["hosts"][key] = [{**row, "reason": f"{number}{text}"} for number in range(20 + index)]
    return fleet


@pytest.mark.parametrize("text", ["x", "`", "\u202e", HOSTILE, "名"], ids=["x", "grave", "hidden", "hostile", "wide"])
def test_it_stays_short(text: str) -> None:
    markdown = render_markdown(_full(text * (4096 // len(text))))
    # Room in a message of Mattermost is for 16,383 characters, in a comment on GitHub for 65,536.
    assert len(markdown) < (32_000 if text == "`" else 16_000)
    _inert(markdown)


@given(st.text())
def test_no_text_acts(text: str) -> None:
    fleet = with_strings(sample("fleet"), lambda __: text)
    _inert(render_markdown(fleet))
