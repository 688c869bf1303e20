# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages made from the catalogue: every key has one, and they say what it cannot do."""

from __future__ import annotations

import re

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.catalogue import load_catalogue
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.main import main
from ansible_collections.lastack.linux.plugins.plugin_utils.explain import load_page
from ansible_collections.lastack.linux.plugins.plugin_utils.setting_pages import setting_page
from hypothesis import given
from hypothesis import strategies as st

CATALOGUE = load_catalogue()


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("name", list(CATALOGUE.keys))
def test_every_key_has_a_page_that_is_honest(name: str) -> None:
    key, page = CATALOGUE.keys[name], setting_page(name)
    assert page is not None
    assert page.id == name
    body = flat(page.body)
    for told in (key.summary, key.improves, key.cannot, key.risk, key.reason, key.source, CATALOGUE.close_wait):
        assert told in body
    assert all(value["value"] in body for value in key.profiles.values())
    assert (key.never is None) == ("never writes it" not in body)
    assert all(len(line) <= 100 for line in page.body.splitlines())
    assert page == setting_page(name.replace(".", "/")) == setting_page(name.rpartition(".")[2].upper())


def test_the_snippet_has_every_verdict() -> None:
    page = setting_page("Snippet")
    assert page is not None
    for verdict in CATALOGUE.snippet:
        assert f"- `{verdict.setting}`: **{verdict.verdict}** {verdict.today}" in flat(page.body)
    assert CATALOGUE.close_wait in page.body


@given(st.text(max_size=40))
def test_another_name_has_none(name: str) -> None:
    page = setting_page(name)
    assert page is None or page.id in {*CATALOGUE.keys, "snippet"}


def test_the_command_prints_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "tcp_tw_recycle"]) == 0
    assert "Linux 4.12 removed it" in flat(capsys.readouterr().out)
    assert main(["explain", "snippet"]) == 0
    assert "net.ipv4.tcp_fin_timeout = 30" in capsys.readouterr().out
    assert main(["explain"]) == 0
    assert "snippet" in capsys.readouterr().out
    assert main(["explain", "tcp_no_such_key"]) == 2


def test_a_topic_that_says_more_is_a_page() -> None:
    pages = [setting_page(name) for name in CATALOGUE.keys]
    named = {name for page in pages if page for name in re.findall(r"lastack explain (topic\.\w+)", page.body)}
    assert len(named) == 5
    assert all(load_page(name).id == name for name in named)
