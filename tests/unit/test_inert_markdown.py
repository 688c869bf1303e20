# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names from hosts in Markdown: a real parser finds nothing but code in what a host has written."""

from __future__ import annotations

import re
import shlex

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.render.inert_markdown import (
    code,
    codes,
    plain_name,
    shell_endpoint,
    shell_word,
    table,
)
from hypothesis import example, given
from hypothesis import strategies as st
from ticket_samples import inline, parsed

NASTY = [
    "@team",
    "#1",
    "GH-7",
    "[text](http://evil.example/)",
    "![image](http://evil.example/x.png)",
    "http://evil.example",
    "www.evil.example",
    "me@evil.example",
    "<http://evil.example>",
    "<script>alert(1)</script>",
    "<!--",
    "-->",
    "`",
    "``",
    "```",
    "~~~",
    "\\",
    "\\`",
    "|",
    "\\|",
    "||",
    "\n\n# heading\n\n",
    "\r\n---\r\n",
    "\n/close\n",
    "\n| a | b |\n| - | - |\n",
    "\n    code\n",
    "\x1b[31m",
    "\u202e",
    "\u2028",
    "\u200b",
    "\ud800",
    "\x00",
    " ",
    "\t",
    "*",
    "_",
    "$`x`$",
    "[^1]",
    "[x]: http://evil.example",
    "&lt;b&gt;",
    "{{ x }}",
]

nasty = st.lists(st.one_of(st.sampled_from(NASTY), st.text(max_size=6)), max_size=6).map("".join)


@given(nasty)
@example("\\")
@example("`")
@example("")
@example("a\\|b")
def test_a_name_is_one_code_span(text: str) -> None:
    tokens = parsed(f"before {code(text)} after")
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    kinds = [token.type for token in inline(tokens)]
    if code(text) == "(no name)":
        assert kinds == ["text"]
    else:
        assert kinds == ["text", "code_inline", "text"]


@given(nasty, nasty)
def test_a_cell_of_a_table_stays_one_cell(first: str, second: str) -> None:
    lines = table(["what", "seen"], [[code(first), code(second)], ["last", "row"]])
    tokens = parsed("\n".join(lines))
    assert [token.type for token in tokens].count("td_open") == 4
    assert {token.type for token in inline(tokens)} <= {"text", "code_inline"}
    assert all("\n" not in line for line in lines)


def test_a_readable_name_reads_as_it_is() -> None:
    assert code("checkout-api.service") == "`checkout-api.service`"
    assert code("worker@.service") == "`worker@.service`"
    assert code("a`b|c") == "`a\\x60b\\x7cc`"
    assert code("x" * 300) == "`" + "x" * 255 + "…`"
    assert codes(["a", "b", "c"], 2) == "`a`, `b` and 1 more"
    assert codes(["a"], 2, more=True) == "`a` and more"


@given(nasty)
@example("www.evil.example")
@example("1. a list")
@example("- a list")
def test_a_title_is_plain_everywhere(text: str) -> None:
    title = f"{plain_name(text)}: 3 sockets"
    tokens = parsed(title)
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    assert not {token.type for token in inline(tokens)} & {"link_open", "image", "html_inline", "code_inline"}
    assert not re.search(r"[@#<>`|\[\]()!&/\\\s]", plain_name(text))
    assert 0 < len(plain_name(text)) <= 80


def test_a_title_keeps_what_is_readable() -> None:
    assert plain_name("worker@.service") == "worker-service"
    assert plain_name("オーダー") == "オーダー"
    assert plain_name("../../etc/passwd") == "etc-passwd"
    assert plain_name("@@@") == "unnamed"


@given(nasty)
def test_what_stands_in_a_command_is_one_harmless_word(text: str) -> None:
    word = shell_word(text)
    assert word in {"", text}
    if word:
        assert shlex.quote(word) == word or set(word) <= set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:@%+-"
        )
        assert not word.startswith("-")


@pytest.mark.parametrize(
    ("address", "port", "shown"),
    [
        ("10.2.0.9", 8443, "10.2.0.9:8443"),
        ("2001:db8::7", 443, "[2001:db8::7]:443"),
        ("10.2.0.9", None, "10.2.0.9"),
        ("fe80::1%eth0; reboot", 1, ""),
        ("$(reboot)", 1, ""),
        (None, 1, ""),
        ("10.2.0.9", "80; reboot", ""),
    ],
)
def test_an_address_in_a_filter_is_an_address(address: object, port: object, shown: str) -> None:
    assert shell_endpoint(address, port) == shown
