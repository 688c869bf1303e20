# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lastack history``: runs go in, each once, and come out as a screen, as JSON and as a page."""

from __future__ import annotations

import io
import json
import os
import sys
from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.main import main
from ansible_collections.lastack.linux.plugins.plugin_utils.json_schema import load_schema, schema_problems
from history_samples import fill, run_on
from test_cli_report import run_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default history file, somewhere harmless."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "lastack" / "history.sqlite"


def test_runs_are_added_once_and_shown(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [run_of(tmp_path / name, web1="sick", web2="healthy") for name in ("first", "second")]
    assert main(["history", "add", *folders]) == 0
    assert main(["history", "add", folders[0]]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{folders[0]}: added to {file}",
        f"{folders[1]}: added to {file}",
        f"{folders[0]}: is already in {file}",
    ]
    assert main(["history"]) == 0
    shown = capsys.readouterr()
    assert "checkout-api" in shown.out
    assert shown.err == ""
    assert main(["history", "checkout-api"]) == 0
    assert "2,204 leaked sockets on 1 host, growth not known" in capsys.readouterr().out


def test_json_and_html(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(file, {run_on(day): {"a": day} for day in range(1, 41)})
    page = tmp_path / "page.html"
    assert main(["history", "--json", "--days", "7", "--html", str(page)]) == 0
    history = json.loads(capsys.readouterr().out)
    assert schema_problems(history, load_schema("lastack.history/1")) == []
    assert len(history["days"]) == 7
    assert page.read_text(encoding="utf-8").count("<tr><td>") == 7
    assert main(["history", "--html", "-"]) == 0
    assert capsys.readouterr().out.startswith("<!doctype html>")


def test_another_file_and_an_application_of_an_odd_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.sqlite"
    fill(path, {run_on(1): {"add": 7, "b": 1}})
    assert main(["history", "--file", str(path), "--app", "add"]) == 0
    assert "add · 7 leaked sockets" in capsys.readouterr().out


def test_days_are_forgotten(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(file, {run_on(day): {"a": day} for day in (1, 2, 3)})
    assert main(["history", "forget", "--before", "2026-11-03"]) == 0
    assert capsys.readouterr().out == f"2 runs before 2026-11-03 forgotten in {file}\n"
    assert main(["history", "--json"]) == 0
    assert [day["day"] for day in json.loads(capsys.readouterr().out)["days"]] == ["2026-11-03"]


def test_a_terminal_without_utf_8_gets_ascii(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(file, {run_on(day): {"a": day} for day in (1, 2, 4)})
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="latin-1"))
    assert main(["history"]) == 0
    shown = written.getvalue().decode("ascii")
    assert "_" not in shown.split("days")[1].splitlines()[1]
    assert "\n  a " in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["add"], "history add needs a run folder."),
        (["add", "{}/absent"], "/absent is no run folder."),
        (["add", "{}"], "manifest.json"),
        (["one", "two"], "'two' is one too many"),
        (["one", "--app", "two"], "--app goes with nothing but options"),
        (["forget"], "history forget and --before DATE go together"),
        (["--before", "2026-11-01"], "history forget and --before DATE go together"),
        (["forget", "--before", "yesterday"], "--before yesterday: this is no day such as 2026-11-23"),
        (["forget", "--before", "2026-11-01"], "does not exist: there is nothing to forget"),
        (["--days", "0"], "--days must be from 1 to 3,660"),
        (["--json", "--html", "-"], "both want standard output"),
        (["add", "x", "--json"], "do not go with add"),
        (["--file", ""], "--file needs a name"),
        ([], "there is no history until 'lastack history add RUN_FOLDER'"),
        (["--file", "/dev/null"], "/dev/null is no regular file"),
        (["--file", "{}"], "is a folder: name the history file"),
    ],
)
def test_what_cannot_be_is_said(
    words: list[str], said: str, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    assert main(["history", *(word.format(tmp_path / "run") for word in words)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert said in shown.err
    assert len(shown.err.splitlines()) == 1
    assert not list((tmp_path / "run").iterdir())
    assert said != "manifest.json" or file.exists()


def test_a_folder_that_cannot_be_written_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    folder = run_of(tmp_path / "run", web="healthy")
    assert main(["history", "add", folder, "--file", str(tmp_path / "file" / "history.sqlite")]) == 2
    assert f"{tmp_path / 'file'} is not a directory" in capsys.readouterr().err


def test_a_history_file_whose_name_is_no_utf_8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = os.fsdecode(bytes(tmp_path) + b"/\xff ?%41#\n\x1b[31m")
    folder = run_of(tmp_path / "run", web1="sick")
    assert main(["history", "add", folder, "--file", path]) == 0
    assert os.path.isfile(path)  # noqa: PTH113 - a string
    assert main(["history", "--file", path]) == 0
    assert "checkout-api" in capsys.readouterr().out


def test_a_run_that_does_not_say_when_it_began_is_named(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run_of(tmp_path / "run", web1="sick")
    manifest = tmp_path / "run" / "manifest.json"
    started = json.loads(manifest.read_bytes()) | {"started_at": "2026-99-99T00:00:00Z"}
    manifest.write_text(json.dumps(started), encoding="utf-8")
    assert main(["history", "add", folder, "--file", str(file)]) == 2
    shown = capsys.readouterr()
    assert shown.err == f"lastack: {folder}: the run does not say when it began: 2026-99-99T00:00:00Z\n"
    assert shown.out == ""
