# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Host reports are untrusted: what is refused, with which reason, and that nothing gets slow or falls over."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils import validate
from ansible_collections.lastack.linux.plugins.plugin_utils.json_schema import KEYWORDS, load_schema, schema_problems
from ansible_collections.lastack.linux.plugins.plugin_utils.validate import (
    MAX_FILE_BYTES,
    InvalidReport,
    check_host_report,
    load_host_report,
    parse_json,
    require_host_report,
)
from hypothesis import given
from hypothesis import strategies as st

REPORTS = Path(__file__).parent.parent / "fixtures" / "reports"
SICK: dict[str, Any] = json.loads((REPORTS / "sick.json").read_text(encoding="utf-8"))


def keywords(schema: object, *, names: bool = False) -> set[str]:
    found = set()
    if isinstance(schema, dict):
        for key, value in schema.items():
            if not names:
                found.add(key)
            if key not in {"const", "enum"}:
                found |= keywords(value, names=key in {"properties", "$defs"} and not names)
    elif isinstance(schema, list):
        for item in schema:
            found |= keywords(item)
    return found


@pytest.mark.parametrize(
    "schema_id",
    [
        "lastack.catalogue/1",
        "lastack.diff/1",
        "lastack.drift/1",
        "lastack.fleet/1",
        "lastack.host/1",
        "lastack.run/1",
        "lastack.tickets/1",
    ],
)
def test_checker_knows_every_keyword_of_the_schemas(schema_id: str) -> None:
    assert keywords(load_schema(schema_id)) - KEYWORDS == set()


@pytest.mark.parametrize("name", ["sick", "healthy", "partial"])
def test_samples_are_valid(name: str) -> None:
    report = load_host_report(REPORTS / f"{name}.json")
    assert report == json.loads((REPORTS / f"{name}.json").read_text(encoding="utf-8"))


def test_fleet_sample_is_valid() -> None:
    fleet = json.loads((REPORTS / "fleet.json").read_text(encoding="utf-8"))
    assert schema_problems(fleet, load_schema("lastack.fleet/1")) == []


def changed(path: str, value: object) -> dict[str, Any]:
    report = copy.deepcopy(SICK)
    target: Any = report
    *parents, last = path.split("/")
    for step in parents:
        target = target[int(step) if step.isdigit() else step]
    target[int(last) if last.isdigit() else last] = value
    return report


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("states/CLOSE_WAIT", "many", "states.CLOSE_WAIT is a string, not an integer or null"),
        ("states/CLOSE_WAIT", True, "states.CLOSE_WAIT is true or false"),
        ("states/CLOSE_WAIT", -1, "states.CLOSE_WAIT is below 0"),
        ("states/CLOSE_WAIT", 2**64, "states.CLOSE_WAIT is out of range"),
        ("states/CLOSE_WAIT", 1.0, "states.CLOSE_WAIT is a number, not an integer"),
        ("close_wait/offenders", {}, "close_wait.offenders is an object, not a list"),
        ("close_wait/offenders/1/causes", {"magic": 1}, 'close_wait.offenders[1].causes.magic is "magic"'),
        ("close_wait/offenders/0/app", "x" * 257, "close_wait.offenders[0].app is longer than 256 characters"),
        ("findings/0/severity", "fatal", 'findings[0].severity is "fatal", which is none of the allowed values'),
        ("findings/0/severity", ["critical"], "findings[0].severity is a list"),
        ("findings/0/id", "Close Wait", 'findings[0].id is "Close Wait", which is not of the form'),
        ("collected_at", "yesterday", 'collected_at is "yesterday"'),
        ("completeness/namespaces", None, "completeness.namespaces is null, not an object"),
        ("ephemeral_ports/0/range", [1], "ephemeral_ports[0].range has fewer than 2 entries"),
        ("listeners", [{}] * 1001, "listeners has more than 1000 entries"),
        ("sysctls/bad", 3, "sysctls.bad is an integer, not an object"),
    ],
)
def test_wrong_values_are_named(path: str, value: object, said: str) -> None:
    with pytest.raises(InvalidReport) as refused:
        require_host_report(changed(path, value))
    assert said in str(refused.value)


@pytest.mark.parametrize("key", load_schema("lastack.host/1")["required"])
def test_missing_keys_are_named(key: str) -> None:
    report = {name: value for name, value in SICK.items() if name != key}
    (problem, *__) = check_host_report(report)
    assert key in problem


def test_unknown_keys_are_accepted() -> None:
    assert check_host_report(changed("novelty", {"a": [1]})) == []


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), st.lists))
def test_any_value_anywhere_is_judged_and_never_raises(value: object) -> None:
    for path in ("states", "host/name", "close_wait/offenders/0/causes", "findings/0", "schema"):
        problems = check_host_report(changed(path, value))
        assert all(isinstance(problem, str) for problem in problems)


def test_agrees_with_jsonschema_on_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    full = jsonschema.Draft202012Validator(load_schema("lastack.host/1"))
    monkeypatch.setattr(validate, "_full_check", lambda: None)
    for path, value in (("states/LISTEN", "1"), ("findings/0/remedy", "kill"), ("host/os", 5), ("novelty", 1)):
        report = changed(path, value)
        assert (check_host_report(report) == []) == full.is_valid(report), path


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is not JSON"),
        (b"hello", "is not JSON"),
        (b"[]", "is not a JSON object"),
        (b"{}", "has the schema id missing or not a string"),
        (b'{"schema": "lastack.host/9"}', "has the schema id lastack.host/9, not lastack.host/1"),
        (b'{"a": 1, "a": 2}', "has the same key twice"),
        (b'{"a": NaN}', "holds NaN"),
        (b'{"a": -Infinity}', "holds -Infinity"),
        (b'{"a": 1e999}', "holds a number that is out of range"),
        (b'{"a": "\xff"}', "is not UTF-8 text"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "is nested deeper than 32 levels"),
        (b"[" * 500_000, "is nested deeper than 32 levels"),
        (b'"' + b'\\"' * 400_000, "is not JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "is not JSON"),
    ],
)
def test_bad_files_are_refused_with_the_reason(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(data)
    with pytest.raises(InvalidReport) as refused:
        load_host_report(path)
    assert said in str(refused.value)


def test_brackets_in_strings_are_no_depth() -> None:
    assert parse_json(json.dumps({"a": "[{" * 100 + '\\"['}).encode()) == {"a": "[{" * 100 + '\\"['}


def test_size_is_capped_before_reading(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with path.open("wb") as file:
        file.truncate(50_000_000)
    with pytest.raises(InvalidReport, match="has 50,000,000 bytes"):
        load_host_report(path)
    assert MAX_FILE_BYTES < 50_000_000


def test_report_over_the_contract_size_is_refused() -> None:
    with pytest.raises(InvalidReport, match=r"has 3\d\d,\d\d\d bytes, more than the 262,144 allowed"):
        require_host_report(changed("novelty", "x" * 300_000))


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(REPORTS / "sick.json")
    for name in ("pipe", "link", "absent"):
        with pytest.raises(InvalidReport):
            load_host_report(tmp_path / name)
    with pytest.raises(InvalidReport, match="is not a regular file"):
        load_host_report(tmp_path)


def test_text_is_harmless_afterwards() -> None:
    hostile = "\x1b]0;title\x07evil\u202e\ud800\n\x9b31m"
    report = changed("close_wait/offenders/0/app", hostile)
    report["sysctls"][hostile] = report["sysctls"]["net.core.somaxconn"]
    text = json.dumps(require_host_report(report), ensure_ascii=False)
    assert text.encode("utf-8").decode("utf-8").isprintable()


@pytest.mark.parametrize("written", ["\x7f", "\\u001b", "\u202e", "\\u202e"])
def test_text_is_harmless_however_the_file_spells_it(tmp_path: Path, written: str) -> None:
    path = tmp_path / "report.json"
    healthy = (REPORTS / "healthy.json").read_text(encoding="utf-8")
    name = json.loads(healthy)["host"]["name"]
    path.write_text(healthy.replace(f'"{name}"', f'"{name}{written}"', 1), encoding="utf-8")
    read = load_host_report(path)["host"]["name"]
    assert read.startswith(name)
    assert read != name
    assert read.isprintable()


def test_ansible_subclasses_become_plain_types() -> None:
    class Tagged(str):
        __slots__ = ()

    report = require_host_report(changed("host/name", Tagged("web")))
    assert not isinstance(report["host"]["name"], Tagged)


@pytest.mark.parametrize("data", [{"a": {1, 2}}, {"a": float("nan")}, None, "text", [1]])
def test_what_is_no_json_object_is_refused(data: object) -> None:
    with pytest.raises(InvalidReport):
        require_host_report(data)


def test_a_nest_that_python_cannot_dump_is_refused() -> None:
    nest: list[Any] = []
    for __ in range(100_000):
        nest = [nest]
    with pytest.raises(InvalidReport, match="nested too deeply"):
        require_host_report({"a": nest})
    # Freed link by link: the garbage of a deep nest must not recurse either.
    while nest:
        nest = nest.pop()
