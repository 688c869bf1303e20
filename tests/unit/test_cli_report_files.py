# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``lastack report`` writes beside the screen: whole files, one thing on standard output, and clear refusals."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.main import main
from ansible_collections.lastack.linux.plugins.plugin_utils.render.csv_tables import TABLES
from test_cli_report import run_of

FILES = ("html", "markdown", "junit", "openmetrics")
STARTS = {"html": "<!doctype html", "markdown": "**lastack", "junit": "<?xml", "openmetrics": "# HELP"}


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return run_of(tmp_path_factory.mktemp("run") / "run", web1="sick", web2="healthy", db=None)


def test_one_pass_writes_all_of_them(run_folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [part for name in FILES for part in (f"--{name}", str(tmp_path / name))]
    assert main(["report", run_folder, *options, "--csv", str(tmp_path / "tables")]) == 0
    for name in FILES:
        assert (tmp_path / name).read_text(encoding="utf-8").lower().startswith(STARTS[name].lower())
    assert sorted(path.name for path in (tmp_path / "tables").iterdir()) == sorted(TABLES)
    assert ET.parse(tmp_path / "junit").getroot().attrib["errors"] == "1"
    assert "2 hosts audited" in capsys.readouterr().out


@pytest.mark.parametrize("name", FILES)
def test_a_hyphen_is_standard_output_instead_of_the_screen(
    name: str, run_folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", run_folder, f"--{name}", "-"]) == 0
    shown = capsys.readouterr()
    assert shown.out.lower().startswith(STARTS[name].lower())
    assert shown.err == ""
    assert "Report:" not in shown.out.replace("</", "")


def test_fail_on_holds_for_a_file_too(run_folder: str, tmp_path: Path) -> None:
    assert main(["report", run_folder, "--junit", str(tmp_path / "junit.xml"), "--fail-on", "critical"]) == 1
    assert (tmp_path / "junit.xml").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--junit", "-", "--markdown", "-"], "--markdown and --junit cannot both go to standard output"),
        (["--json", "--openmetrics", "-"], "--openmetrics and --json cannot both go to standard output"),
        (["--junit", "{}/a", "--markdown", "{}/./a"], "--markdown and --junit name the same file"),
        (["--junit", ""], "--junit needs the name of a file"),
        (["--csv", ""], "--csv needs the name of a folder"),
        (["--tickets", ""], "--tickets needs the name of a folder"),
        (["--junit", "{}"], "is a folder: name a file"),
        (["--junit", "{}/absent/junit.xml"], "/absent/junit.xml: No such file or directory"),
        (["--csv", "{}/file"], "/file: File exists"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_written(
    options: list[str], said: str, run_folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("old", encoding="utf-8")
    assert main(["report", run_folder, *(part.format(tmp_path) for part in options)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert said in shown.err
    assert len(shown.err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_run_folder_that_is_none_leaves_the_old_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = tmp_path / "junit.xml"
    wanted.write_text("old", encoding="utf-8")
    assert main(["report", str(tmp_path / "absent"), "--junit", str(wanted), "--csv", str(tmp_path / "tables")]) == 2
    assert wanted.read_text(encoding="utf-8") == "old"
    assert "junit" not in capsys.readouterr().err
    assert not list((tmp_path / "tables").iterdir())


def test_a_link_stays_and_what_it_leads_to_is_replaced(run_folder: str, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "junit.xml").symlink_to("real/junit.xml")
    assert main(["report", run_folder, "--junit", str(tmp_path / "junit.xml")]) == 0
    assert (tmp_path / "junit.xml").is_symlink()
    assert (tmp_path / "real" / "junit.xml").read_bytes().startswith(b"<?xml")


def test_a_pipe_is_written_to_and_never_replaced(run_folder: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()), daemon=True)
    reader.start()
    assert main(["report", run_folder, "--junit", str(pipe)]) == 0
    reader.join(30)
    assert pipe.is_fifo()
    assert received[0].startswith(b"<?xml")
    assert received[0].endswith(b"</testsuites>\n")


def test_a_device_is_no_file_to_replace(run_folder: str) -> None:
    assert main(["report", run_folder, "--openmetrics", os.devnull]) == 0
    assert not os.path.isfile(os.devnull)  # noqa: PTH113 - a string


def test_the_html_shows_the_history(run_folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history, page = tmp_path / "history.sqlite", tmp_path / "page.html"
    assert main(["history", "add", run_folder, "--file", str(history)]) == 0
    assert main(["report", run_folder, "--html", str(page), "--history", str(history)]) == 0
    shown = page.read_text(encoding="utf-8")
    assert '<section id="history"' in shown
    assert 'aria-label="checkout-api: ≥ 2,204 leaked sockets on ≥ 1 host' in shown
    assert main(["report", run_folder, "--html", str(page)]) == 0
    assert 'id="history"' not in page.read_text(encoding="utf-8")
    capsys.readouterr()


def test_a_history_that_is_none_is_said(
    run_folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert main(["report", run_folder, "--history"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"{tmp_path}/lastack/history.sqlite does not exist" in shown.err


INPUTS = ("manifest.json", "outcomes.jsonl", ".lock", "hosts/web1.json", "hosts/new")


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("option", [*FILES, "csv"])
def test_what_is_read_is_never_overwritten(
    option: str, name: str, run_folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = kept(run_folder)
    (tmp_path / "link").symlink_to(run_folder)
    assert main(["report", run_folder, f"--{option}", f"{tmp_path}/link/{name}"]) == 2
    shown = capsys.readouterr()
    assert shown.err == (
        f"lastack: --{option} {tmp_path}/link/{name} would overwrite what is read: name another place.\n"
    )
    assert shown.out == ""
    assert kept(run_folder) == before


def test_a_comparison_never_overwrites_what_it_reads(
    run_folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = run_of(tmp_path / "new", web1="sick")
    for folder in (run_folder, new):
        before = kept(folder)
        assert main(["diff", run_folder, new, "--markdown", f"{folder}/manifest.json"]) == 2
        assert "would overwrite what is read" in capsys.readouterr().err
        assert kept(folder) == before


def test_a_history_is_never_overwritten_by_a_page(
    run_folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    history = tmp_path / "lastack" / "history.sqlite"
    assert main(["history", "add", run_folder]) == 0
    before = history.read_bytes()
    for words in (["history"], ["report", run_folder, "--history"], ["report", run_folder, "--history", str(history)]):
        capsys.readouterr()
        assert main([*words, "--html", str(history)]) == 2
        shown = capsys.readouterr()
        assert shown.err == f"lastack: --html {history} would overwrite what is read: name another place.\n"
        assert shown.out == ""
        assert history.read_bytes() == before


@pytest.mark.parametrize("name", ["fleet.json", "report.html", "report.txt", ".lock"])
def test_a_run_folder_that_cannot_be_written_to_still_gives_the_page(name: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    folder, page = run_of(run, web1="sick", web2="healthy", db=None), tmp_path / "page.html"
    before = (run / "report.html").read_bytes()
    # Root may write anywhere, but not a file over a folder.
    (run / name).unlink(missing_ok=True)
    (run / name).mkdir()
    assert main(["report", folder, "--html", str(page)]) == 0
    assert page.read_bytes() == before


def kept(folder: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}
