# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""File names made from inventory names."""

from __future__ import annotations

import re

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.safe_names import safe_file_name
from hypothesis import example, given
from hypothesis import strategies as st

SAFE = re.compile(r"[a-z0-9][a-z0-9._~-]{0,99}")
NAMES = st.text(min_size=0, max_size=200)


@pytest.mark.parametrize("name", ["web-17.example.org", "localhost", "10.0.0.1", "a", "x" * 100, "db_2"])
def test_plain_names_stay(name: str) -> None:
    assert safe_file_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["../../x", "/etc/passwd", ".hidden", "..", "", "rack 7/host b", "Web", "con", "NUL.txt", "x" * 101, "a.", "\x00"],
)
def test_other_names_change(name: str) -> None:
    changed = safe_file_name(name)
    assert changed != name
    assert re.search(r"~[0-9a-f]{24}$", changed)


def test_readable_part_stays_readable() -> None:
    assert safe_file_name("rack 7/Host b").startswith("rack-7-host-b~")
    assert safe_file_name("Zürich").startswith("zurich~")


@given(NAMES)
@example("\ud800")
@example("com1")
@example("~" + "a" * 24)
def test_always_a_safe_file_name(name: str) -> None:
    made = safe_file_name(name)
    assert SAFE.fullmatch(made)
    assert not made.endswith(".")
    assert made.partition(".")[0] not in {"con", "nul", "aux", "prn", "com1", "lpt1"}


@given(NAMES, NAMES)
@example("Web", "web")
@example("a/b", "a b")
@example("é", "e\u0301")
def test_two_names_never_meet_whatever_the_case(one: str, other: str) -> None:
    if one != other:
        assert safe_file_name(one).casefold() != safe_file_name(other).casefold()


@given(NAMES)
def test_a_made_name_belongs_to_one_host_only(name: str) -> None:
    made = safe_file_name(name)
    if made != name:
        assert safe_file_name(made) != made
