# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cleaning: nothing that a terminal obeys or an eye cannot see survives."""

from __future__ import annotations

import unicodedata

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import ELLIPSIS, clean_text
from hypothesis import given
from hypothesis import strategies as st

_NASTY = st.text(
    st.one_of(
        st.characters(),
        st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Zs", "Co", "Cn"]),
        st.sampled_from("\x1b\x07\x9b\u202e\u2066\u200b\ufeff\u2028\ud800\x7f\u3164\ufe0f"),
    )
)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31mred", "\\x9b31mred"),
        ("two\nlines\r", "two\\x0alines\\x0d"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("line\u2028end", "line\\u2028end"),
        ("lone\ud800", "lone\\ud800"),
        ("\x7f\x00", "\\x7f\\x00"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("filler\u3164", "filler\\u3164"),
        ("Käse 検索 <b>", "Käse 検索 <b>"),
    ],
)
def test_shown_as_an_escape_or_left_alone(raw: str, shown: str) -> None:
    assert clean_text(raw) == shown


def test_a_cut_never_splits_an_escape() -> None:
    assert clean_text("\x1b\x1b\x1b", 10) == "\\x1b\\x1b" + ELLIPSIS
    assert clean_text("a" * 11, 10) == "a" * 9 + ELLIPSIS
    assert clean_text("a" * 10, 10) == "a" * 10
    with pytest.raises(ValueError, match="at least 1"):
        clean_text("a", 0)


@given(_NASTY, st.integers(1, 300))
def test_one_harmless_bounded_line_whatever_comes(raw: str, limit: int) -> None:
    shown = clean_text(raw, limit)
    assert len(shown) <= limit
    assert not [one for one in shown if unicodedata.category(one) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}]
    assert len(shown.splitlines()) <= 1
    shown.encode()
    assert clean_text(shown, limit) == shown
