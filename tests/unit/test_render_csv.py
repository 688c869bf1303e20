# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CSV tables: RFC 4180 as Python's reader has it, one row for each thing, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.render.csv_tables import (
    TABLES,
    CsvSink,
    defused,
    open_tables,
)
from hypothesis import given
from hypothesis import strategies as st
from sample_reports import HOSTILE, hostile, sample
from stored_samples import hand_to, not_audited, stored, varied

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.lastack.linux.plugins.plugin_utils.stored_reports import StoredHost

STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")  # noqa: RUF001 - the look-alikes are what is meant


def _files(hosts: list[StoredHost]) -> dict[str, bytes]:
    files = {name: io.BytesIO() for name in TABLES}
    hand_to(CsvSink(files), hosts)
    return {name: file.getvalue() for name, file in files.items()}


def _tables(hosts: list[StoredHost]) -> dict[str, list[dict[str, str]]]:
    tables = {}
    for name, data in _files(hosts).items():
        reader = csv.DictReader(io.StringIO(data.decode("utf-8"), newline=""), strict=True, restkey="!", restval="!")
        tables[name] = list(reader)
        assert reader.fieldnames == list(TABLES[name])
        assert not any("!" in row or "!" in row.values() for row in tables[name])
    return tables


def test_one_row_for_each_thing() -> None:
    tables = _tables(varied())
    assert [(row["host"], row["outcome"], row["reason"]) for row in tables["hosts.csv"][3:]] == [
        ("web-3", "ok", ""),
        ("db-2", "unreachable", "timed out"),
        ("db-3", "invalid", "hosts/db-3.json is not JSON"),
        ("db-4", "missing", ""),
    ]
    sick, healthy, partial, *__ = tables["hosts.csv"]
    assert (sick["leaked"], sick["critical"], sick["warnings"], sick["complete"]) == ("2431", "2", "4", "true")
    assert (healthy["leaked"], healthy["critical"], healthy["kernel"]) == ("0", "0", "6.1.0-28-amd64")
    assert partial["complete"] == "false"
    assert sick["close_wait"] == str(sample("sick")["states"]["CLOSE_WAIT"])
    apps = [row for row in tables["applications.csv"] if row["host"] == "web-17"]
    offenders = sample("sick")["close_wait"]["offenders"]
    assert [(row["app"], row["sockets"]) for row in apps] == [(item["app"], str(item["count"])) for item in offenders]
    growing = [row for row in tables["applications.csv"] if row["host"] == "web-3" and row["verdict"] == "leak"]
    assert float(growing[0]["growth_per_min"]) > 0
    findings = [row["id"] for row in tables["findings.csv"] if row["host"] == "web-17"]
    assert findings == [finding["id"] for finding in sample("sick")["findings"]]
    recycle = next(row for row in tables["settings.csv"] if row["key"].endswith("tcp_tw_recycle"))
    assert (recycle["current"], recycle["after_reload"], recycle["reload_file"]) == ("", "1", "/etc/sysctl.conf:41")


def test_what_is_unknown_is_empty_and_never_zero() -> None:
    report = sample("healthy")
    del report["close_wait"]
    report["states"]["CLOSE_WAIT"] = None
    row = _tables([stored("web", report)])["hosts.csv"][0]
    assert (row["leaked"], row["close_wait"], row["undecided"]) == ("", "", "0")


def test_lines_end_as_rfc_4180_has_it() -> None:
    for data in _files(varied()).values():
        assert data.endswith(b"\r\n")
        assert data.count(b"\n") == data.count(b"\r\n") == data.count(b"\r")


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("before", ["", " ", '"', "a;", 'a";', "a; ", '";"'])
def test_no_cell_is_a_formula(before: str, start: str) -> None:
    text = f"{before}{start}cmd|' /C calc'!A0"
    tables = _tables([stored(text, "healthy"), not_audited("web", reason=text)])
    cells = [tables["hosts.csv"][0]["host"], tables["hosts.csv"][1]["reason"]]
    for cell in cells:
        # What another list separator would make of it, too.
        for part in [cell, *cell.split(";")]:
            assert not part.lstrip(" \"'").startswith(STARTS) or "'" in part[: part.find("cmd")]


@pytest.mark.parametrize("figure", ["-2", "-2.5", "4096", "0"])
def test_a_figure_stays_a_figure(figure: str) -> None:
    assert defused(figure) == figure


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("=1+1", "'=1+1"),
        ("-1+1", "'-1+1"),
        ("checkout-api", "checkout-api"),
        ("me@example.org", "me@example.org"),
        ("a;=1", "a;'=1"),
        ("a, -b", "a, -b"),
        ("", ""),
    ],
)
def test_only_what_starts_a_formula_is_changed(text: str, kept: str) -> None:
    assert defused(text) == kept


@given(st.text())
def test_any_text_comes_back_in_one_cell(text: str) -> None:
    tables = _tables([stored(text, "healthy"), not_audited("web", reason=text)])
    assert len(tables["hosts.csv"]) == 2
    for cell in (tables["hosts.csv"][0]["host"], tables["hosts.csv"][1]["reason"]):
        assert not cell.startswith(STARTS) or cell.lstrip("-").replace(".", "").isdigit()
        assert cell.isprintable()


def test_a_hostile_host_adds_no_row() -> None:
    plain, nasty = _tables([stored("web", "sick")]), _tables([stored("web" + HOSTILE, hostile("sick"))])
    assert {name: len(rows) for name, rows in nasty.items()} == {name: len(rows) for name, rows in plain.items()}


def test_tables_appear_together(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "tables"
    with open_tables(folder) as sink:
        hand_to(sink, varied())
        assert not [path for path in folder.iterdir() if not path.name.startswith(".new-")]
    assert sorted(path.name for path in folder.iterdir()) == sorted(TABLES)


def test_a_pass_that_ends_early_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "hosts.csv").write_text("old", encoding="utf-8")

    def broken() -> None:
        with open_tables(tmp_path) as sink:
            sink.add(stored("web", "sick"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert [path.name for path in tmp_path.iterdir()] == ["hosts.csv"]
    assert (tmp_path / "hosts.csv").read_text(encoding="utf-8") == "old"
