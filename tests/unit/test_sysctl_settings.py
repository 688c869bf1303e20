# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of a baseline: what is taken, and the exact sentence for what is not."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_files import sysctl_path
from ansible_collections.lastack.linux.plugins.module_utils.tune.settings import (
    Setting,
    SettingsError,
    parse_settings,
)
from hypothesis import given
from hypothesis import strategies as st

COOKIES = "net.ipv4.tcp_syncookies"


def one(**entry: Any) -> Setting:  # noqa: ANN401 - fields of the entry
    (setting,) = parse_settings([{"key": COOKIES, "value": "1", **entry}])
    return setting


@pytest.mark.parametrize(
    ("spelling", "key"),
    [
        ("net.ipv4.tcp_syncookies", "net.ipv4.tcp_syncookies"),
        ("net/ipv4/tcp_syncookies", "net.ipv4.tcp_syncookies"),
        ("/net/ipv4/tcp_syncookies", "net.ipv4.tcp_syncookies"),
        ("net.ipv4.conf.eth0/100.rp_filter", "net.ipv4.conf.eth0/100.rp_filter"),
        ("net/ipv4/conf/eth0.100/rp_filter", "net.ipv4.conf.eth0/100.rp_filter"),
    ],
)
def test_keys_in_either_notation(spelling: str, key: str) -> None:
    assert one(key=spelling).key == key


@pytest.mark.parametrize(
    ("value", "text"),
    [("1", "1"), (1, "1"), (0, "0"), (-1, "-1"), ("4096\t131072  6291456\n", "4096 131072 6291456"), (" ", "")],
)
def test_values_become_text(value: object, text: str) -> None:
    assert one(value=value).value == text


def test_every_field_is_taken() -> None:
    fields: dict[str, Any] = {
        "key": COOKIES,
        "value": "1",
        "match": "exact",
        "reason": "why",
        "persist": False,
        "never": "no",
        "gated": "not here",
        "needs": "port_pressure",
        "scope": "ns",
        "accepts": ["2"],
        "allowed": [[1, 60], [90, None]],
        "range": [0, 2],
    }
    expected = {**fields, "accepts": ("2",), "allowed": ((1, 60), (90, None)), "range": (0, 2)}
    (setting,) = parse_settings([fields])
    assert setting == Setting(**expected)
    assert parse_settings([setting._asdict()]) == [setting]


def test_what_an_argument_spec_leaves_out_is_none() -> None:
    nothing: dict[str, Any] = dict.fromkeys(set(Setting._fields) - {"key", "value"})
    assert one(**nothing) == Setting(COOKIES, "1")


BOOLEAN = 'settings[0] (net.ipv4.tcp_syncookies): the value is the YAML boolean {}; write value: "{}".'


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ("net.x=1", "settings is no list."),
        (["net.x"], "settings[0] is no mapping with key and value."),
        (
            [{"key": COOKIES, "value": "", "match": "at_most"}],
            f"settings[0] ({COOKIES}): match at_most needs whole numbers, and the value is empty.",
        ),
        (
            [{"key": COOKIES, "value": "9" * 60, "match": "at_most"}],
            f"settings[0] ({COOKIES}): the number {'9' * 40} has 60 digits, and the kernel's have 20 at most.",
        ),
        ([{"value": "1"}], "settings[0] has no key."),
        ([{"key": 5, "value": "1"}], "settings[0]: the key 5 is no text."),
        ([{"key": COOKIES}], f"settings[0] ({COOKIES}) has no value."),
        ([{"key": COOKIES, "value": True}], BOOLEAN.format("true", "1")),
        ([{"key": COOKIES, "value": False}], BOOLEAN.format("false", "0")),
        (
            [{"key": COOKIES, "value": "True"}],
            f"settings[0] ({COOKIES}): the value 'True' is a boolean; write value: \"1\".",
        ),
        (
            [{"key": COOKIES, "value": "off"}],
            f"settings[0] ({COOKIES}): the value 'off' is a boolean; write value: \"0\".",
        ),
        ([{"key": COOKIES, "value": 1.5}], f"settings[0] ({COOKIES}): the value 1.5 is no whole number."),
        (
            [{"key": COOKIES, "value": [1, 2]}],
            f"settings[0] ({COOKIES}): the value is a list; write its numbers as one text, "
            'like value: "4096 131072 6291456".',
        ),
        (
            [{"key": COOKIES, "value": "1\n-net.x = 2"}],
            f"settings[0] ({COOKIES}): the value holds a line break or another control character.",
        ),
        (
            [{"key": COOKIES, "value": "1" * 65537}],
            f"settings[0] ({COOKIES}): the value is longer than 65536 characters.",
        ),
        (
            [
                {"key": "net.core.somaxconn", "value": "1"},
                {"key": COOKIES, "value": "1"},
                {"key": "net/core/somaxconn"},
            ],
            "settings[2] (net.core.somaxconn) has no value.",
        ),
        (
            [
                {"key": "net.core.somaxconn", "value": "1"},
                {"key": COOKIES, "value": "1"},
                {"key": "net/core/somaxconn", "value": "2"},
            ],
            "settings[0] and settings[2] both set net.core.somaxconn; name each key once.",
        ),
        (
            [{"key": COOKIES, "value": "1", "match": "about"}],
            f"settings[0] ({COOKIES}): match 'about' is none of exact, at_least, at_most, wider, union.",
        ),
        (
            [{"key": COOKIES, "value": "bbr", "match": "at_least"}],
            f"settings[0] ({COOKIES}): match at_least needs whole numbers, and the value is 'bbr'.",
        ),
        (
            [{"key": COOKIES, "value": "30 # seconds", "match": "at_most"}],
            f"settings[0] ({COOKIES}): match at_most needs whole numbers, and the value is '30 # seconds'.",
        ),
        (
            [{"key": COOKIES, "value": "65535 1024", "match": "wider"}],
            f"settings[0] ({COOKIES}): match wider needs two ports, the lower one first, "
            "like value: \"16384 65535\"; the value is '65535 1024'.",
        ),
        (
            [{"key": COOKIES, "value": "8080;9000", "match": "union"}],
            f"settings[0] ({COOKIES}): match union needs a list of ports and ranges, "
            "like value: \"8080,9000-9010\"; the value is '8080;9000'.",
        ),
        (
            [{"key": COOKIES, "value": "1", "valeu": 1}],
            f"settings[0] ({COOKIES}) has 'valeu', which is none of {', '.join(Setting._fields)}.",
        ),
        (
            [{"key": COOKIES, "value": "1", "persist": "no"}],
            f"settings[0] ({COOKIES}): persist is neither true nor false.",
        ),
        (
            [{"key": COOKIES, "value": "1", "reason": "a\nnet.x = 1"}],
            f"settings[0] ({COOKIES}): reason is no line of text.",
        ),
        (
            [{"key": COOKIES, "value": "1", "needs": "luck"}],
            f"settings[0] ({COOKIES}): needs 'luck' is none of port_pressure.",
        ),
        (
            [{"key": COOKIES, "value": "1", "allowed": [[1]]}],
            f"settings[0] ({COOKIES}): allowed is no pair of the lowest and the highest number.",
        ),
    ],
)
def test_bad_input(entries: object, sentence: str) -> None:
    with pytest.raises(SettingsError) as error:
        parse_settings(entries)
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    "key",
    [
        "",
        "net",
        "net.",
        "net/../../etc/passwd",
        "net.ipv4.*",
        "net.ipv4.tcp_[ab]",
        "net.ipv4.x=1",
        "-net.ipv4.x",
        "net.ipv4.a b",
        "net.ipv4.x\n",
        "net.ipv4.x\0",
        "#net.x",
        "net." + "x" * 255,
        "net.ipv4.x\\y",
    ],
)
def test_what_is_no_key(key: str) -> None:
    with pytest.raises(SettingsError) as error:
        one(key=key)
    assert str(error.value) == f"settings[0]: {key[:80]!r} is no sysctl key; write one like net.ipv4.tcp_syncookies."


def test_keys_alone_where_no_value_is_needed() -> None:
    assert [setting.key for setting in parse_settings([{"key": "net/core/x"}], values=False)] == ["net.core.x"]


@given(st.text(alphabet="net.ipv4/-*[]\\ \n\0_é", max_size=40))
def test_no_key_leads_out_of_proc_sys(key: str) -> None:
    try:
        setting = one(key=key)
    except SettingsError:
        return
    path = sysctl_path(setting.key)
    assert not path.startswith("/")
    assert ".." not in path.split("/")
    assert one(key=setting.key).key == setting.key
