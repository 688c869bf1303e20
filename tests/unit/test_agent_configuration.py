# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's configuration: what is taken, what is refused in which words, and that the JSON Schema says the same."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from ansible_collections.lastack.linux.agent.configuration import (
    Configuration,
    ConfigurationError,
    check_configuration,
    read_configuration,
)
from ansible_collections.lastack.linux.agent.records import THRESHOLD_RANGES, Thresholds
from ansible_collections.lastack.linux.plugins.plugin_utils.json_schema import load_schema
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = load_schema("lastack.agent/1")
VALIDATOR = jsonschema.Draft202012Validator(dict(SCHEMA))
FULL: dict[str, Any] = {
    "interval_s": 30,
    "cpu_budget_percent": 1.5,
    "namespaces": "host",
    "min_age_s": 120,
    "publish_s": 90.5,
    "thresholds": {"leak_passes": 10, "forecast_misfit": 0.2},
    "outputs": {"fact": True, "metrics": False, "journal": True},
    "exclude": ["ssh.service", "test-*"],
    "redact": False,
}
REFUSED: list[tuple[Any, str]] = [
    ([], "the configuration must be an object, not a list."),
    ({"intervall_s": 3}, "intervall_s: there is no such key;"),
    ({"thresholds": {"min_age_s": 3}}, "thresholds.min_age_s: there is no such key;"),
    ({"outputs": {"fakt": True}}, "outputs.fakt: there is no such key; there are fact, metrics, journal."),
    ({"interval_s": "15"}, "interval_s: '15' is not a number from 0.05 to 3,600."),
    ({"interval_s": True}, "interval_s: true is not a number"),
    ({"interval_s": 0}, "interval_s: 0 is not a number"),
    ({"interval_s": None}, "interval_s: null is not a number"),
    ({"publish_s": 3601}, "publish_s: 3601 is not a number"),
    ({"cpu_budget_percent": 101}, "cpu_budget_percent: 101 is not a number from 0.01 to 100."),
    ({"min_age_s": -1}, "min_age_s: -1 is not a number from"),
    ({"namespaces": "some"}, "namespaces: 'some' is neither 'all' nor 'host'."),
    ({"namespaces": ["all"]}, "namespaces: a list is neither"),
    ({"thresholds": []}, "thresholds must be an object, not a list."),
    ({"thresholds": {"leak_passes": 8.5}}, "thresholds.leak_passes: 8.5 is no whole number."),
    ({"thresholds": {"leak_passes": 1}}, "thresholds.leak_passes: 1 is not a number from "),
    ({"outputs": {"fact": 1}}, "outputs.fact: 1 is neither true nor false."),
    ({"redact": "yes"}, "redact: 'yes' is neither true nor false."),
    ({"exclude": "ssh"}, "exclude must be a list of at most 100 applications."),
    ({"exclude": [""]}, "exclude: '' is no name of at most 256 characters."),
    ({"exclude": [{}]}, "exclude: an object is no name"),
    ({"exclude": ["x"] * 101}, "exclude must be a list"),
]


def test_nothing_said_is_the_default() -> None:
    assert check_configuration({}) == Configuration()


def test_everything_said_is_taken() -> None:
    assert check_configuration(FULL) == Configuration(
        interval_s=30.0,
        cpu_budget_percent=1.5,
        namespaces="host",
        publish_s=90.5,
        thresholds=Thresholds(min_age_s=120.0, leak_passes=10, forecast_misfit=0.2),
        fact=True,
        metrics=False,
        journal=True,
        exclude=("ssh.service", "test-*"),
        redact=False,
    )
    assert VALIDATOR.is_valid(FULL)


@pytest.mark.parametrize(("value", "sentence"), REFUSED, ids=[sentence[:40] for __, sentence in REFUSED])
def test_nonsense_is_one_sentence_that_names_the_key(value: object, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_configuration(value)
    assert str(refused.value).startswith(sentence)
    assert str(refused.value).endswith(".")
    assert not VALIDATOR.is_valid(value)


def test_whole_numbers_stay_whole() -> None:
    found = check_configuration({"thresholds": {"leak_passes": 9.0}}).thresholds.leak_passes
    assert (found, type(found)) == (9, int)


NUMBERS = st.one_of(
    st.integers(-2, 10**6), st.floats(-1, 10**6, allow_nan=False), st.booleans(), st.none(), st.text(max_size=3)
)
DOCUMENTS = st.dictionaries(
    st.sampled_from([*SCHEMA["properties"], "other"]),
    st.one_of(
        NUMBERS,
        st.sampled_from(["all", "host"]),
        st.lists(st.one_of(st.text(max_size=4), st.integers()), max_size=3),
        st.dictionaries(st.sampled_from([*THRESHOLD_RANGES, "fact", "metrics", "journal"]), NUMBERS, max_size=2),
    ),
    max_size=3,
)


@given(DOCUMENTS)
def test_schema_and_reader_agree(document: dict[str, Any]) -> None:
    try:
        check_configuration(document)
    except ConfigurationError:
        taken = False
    else:
        taken = True
    assert VALIDATOR.is_valid(document) == taken


def test_the_schema_knows_every_threshold_in_its_range() -> None:
    stated = SCHEMA["properties"]["thresholds"]["properties"]
    assert {name: (one["minimum"], one["maximum"]) for name, one in stated.items()} == {
        name: limits for name, limits in THRESHOLD_RANGES.items() if name != "min_age_s"
    }
    assert all(
        (one["type"] == "integer") == isinstance(Thresholds._field_defaults[name], int) for name, one in stated.items()
    )


def write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b'{"interval_s": 1, "interval_s": 2}', "has the same key twice"),
        (b'{"interval_s": NaN}', "holds NaN"),
        (b'{"interval_s": 1e999}', ""),
        (b"\xff\xfe", "is not UTF-8"),
        (b"[" * 5000, "nested"),
        (b" " * 70_000, "is larger than 64 KiB"),
        (b'{"interval_s": 0}', ": interval_s: 0 is not a number"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence_with_its_name(tmp_path: Path, data: bytes, words: str) -> None:
    path = write(tmp_path / "agent.json", data)
    with pytest.raises(ConfigurationError) as refused:
        read_configuration(path, may_be_missing=True)
    assert str(refused.value).startswith(path)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "agent.json", json.dumps(FULL).encode())
    assert read_configuration(path) == check_configuration(FULL)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    assert read_configuration(str(link)) == check_configuration(FULL)


def test_a_missing_file_is_the_default_or_an_error(tmp_path: Path) -> None:
    path = str(tmp_path / "agent.json")
    assert read_configuration(path, may_be_missing=True) == Configuration()
    with pytest.raises(ConfigurationError, match=r"agent\.json does not exist\.$"):
        read_configuration(path)


def test_what_is_no_file_does_not_hold_up_the_agent(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "agent.json")
    with pytest.raises(ConfigurationError, match=r"is no regular file\.$"):
        read_configuration(str(tmp_path / "agent.json"))
    with pytest.raises(ConfigurationError, match=r"is no regular file\.$"):
        read_configuration(str(tmp_path))
