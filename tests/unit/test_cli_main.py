# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ``lastack`` command as a whole: help, errors, exit statuses, pipes, colour and explain."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.version import VERSION
from ansible_collections.lastack.linux.plugins.plugin_utils.cli import explain as command
from ansible_collections.lastack.linux.plugins.plugin_utils.cli import main as entry
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.terminal import wants_colour
from ansible_collections.lastack.linux.plugins.plugin_utils.explain import page_ids

LASTACK = str(Path(sys.executable).parent / "lastack")
ESCAPE = "\x1b["


def lastack(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LASTACK, *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def test_version_and_help() -> None:
    assert lastack("--version").stdout == f"lastack {VERSION}\n"
    shown = lastack("--help")
    assert shown.returncode == 0
    assert shown.stderr == ""
    for word in (
        "probe",
        "sweep",
        "report",
        "merge",
        "diff",
        "history",
        "explain",
        "bundle",
        "completion",
        "Exit status",
        "--fail-on",
    ):
        assert word in shown.stdout
    for command_name in (
        "probe",
        "sweep",
        "report",
        "merge",
        "diff",
        "drift",
        "history",
        "explain",
        "bundle",
        "completion",
    ):
        assert lastack(command_name, "--help").stdout.startswith(f"usage: lastack {command_name} ")


@pytest.mark.parametrize(
    "wrong",
    [
        (),
        ("prob",),
        ("probe", "--js"),
        ("probe", "--top", "0"),
        ("probe", "--top", "many"),
        ("probe", "--min-age-s", "-1"),
        ("probe", "--min-age-s", "nan"),
        ("probe", "--timeout-s", "inf"),
        ("probe", "--watch", "0"),
        ("probe", "--gather", "sockets"),
        ("probe", "--fail-on", "info"),
        ("probe", "somewhere"),
        ("explain", "no.such.page"),
        ("explain", "a", "b"),
        ("completion", "tcsh"),
        ("report",),
        ("report", "/nonexistent"),
        ("merge",),
        ("merge", "/nonexistent"),
        ("merge", "/nonexistent", "/absent"),
    ],
)
def test_errors_are_one_clear_sentence_and_status_2(wrong: tuple[str, ...]) -> None:
    ended = lastack(*wrong)
    assert ended.returncode == 2
    assert ended.stdout == ""
    first, *rest = ended.stderr.splitlines()
    assert re.fullmatch(r"lastack: .{10,}", first)
    assert "Traceback" not in ended.stderr
    assert all(line.startswith("Try 'lastack ") for line in rest)
    assert len(rest) <= 1


def test_the_hint_names_the_command_whose_help_lists_the_flags() -> None:
    assert lastack("probe", "--bogus").stderr.splitlines()[-1] == "Try 'lastack probe --help'."
    assert lastack("--bogus").stderr.splitlines()[-1] == "Try 'lastack --help'."


def test_a_file_is_no_run_folder_and_the_error_says_which_is(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.write_text("{}", encoding="utf-8")
    said = lastack("report", str(manifest)).stderr
    assert said == f"lastack: {manifest} is a file: name the run folder, {tmp_path}\n"


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("unread_body", "close_wait.unread_body"),
        ("inherited", "close_wait.inherited"),
        ("idle-pool", "close_wait.idle_pool"),
        ("unread_data", "unread_data"),
        ("close_wait", "CLOSE_WAIT"),
    ],
)
def test_the_end_of_an_id_is_enough_where_it_is_the_only_one(name: str, page: str) -> None:
    assert lastack("explain", name).stdout.startswith(f"# {page}: ")


def test_an_end_of_several_ids_is_not_guessed() -> None:
    assert lastack("explain", "near_limit").returncode == 2


def test_a_reader_that_went_away_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        for arguments in (("explain",), ("explain", "CLOSE_WAIT"), ("--help",), ("completion", "bash")):
            ended = subprocess.run(
                [LASTACK, *arguments], stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False
            )
            assert (ended.returncode, ended.stderr) == (141, b"")
    finally:
        os.close(writer)


def test_a_full_disk_is_an_error() -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run([LASTACK, "explain"], stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
    assert ended.returncode == 2
    assert ended.stderr == b"lastack: standard output: No space left on device\n"


def test_an_interrupt_is_quiet(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    def interrupted(_arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run", interrupted)
    monkeypatch.setattr(entry, "_abandon_output", lambda: None)
    assert entry.main(["explain"]) == 130
    assert capfd.readouterr() == ("", "")


def test_a_defect_is_never_status_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(_arguments: object) -> int:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(command, "run", broken)
    assert entry.main(["explain"]) == 2
    said = capsys.readouterr().err
    assert "RuntimeError: on purpose" in said
    assert said.splitlines()[-1].startswith("lastack: this is a defect of lastack")


def test_the_index_lists_every_page_once_under_its_kind() -> None:
    lines = lastack("explain").stdout.splitlines()
    for page_id in page_ids():
        assert len([line for line in lines if line.startswith(f"  {page_id} ")]) == 1
    assert lines.index("TCP states") < lines.index("Findings") < lines.index("Causes of a CLOSE_WAIT socket")
    assert max(len(line) for line in lines) <= 100


def test_a_page_is_plain_when_piped_and_formatted_on_demand() -> None:
    plain = lastack("explain", "close-wait").stdout
    assert plain.startswith("# CLOSE_WAIT: ")
    assert "\n\nRemedy: app (the application)\n\n## What you see\n" in plain
    assert ESCAPE not in plain
    assert "```" not in plain
    assert "\n    ss -tanp state close-wait" in plain
    coloured = lastack("explain", "close_wait", "--colour", "always").stdout
    assert ESCAPE in coloured
    bare = re.sub(r"\x1b\[\d+m", "", coloured)
    assert "ss -tanp state close-wait" in bare
    assert "```" not in bare
    assert lastack("explain", "close_wait", "--color", "always").stdout == coloured
    assert ESCAPE not in lastack("explain", "close_wait", "--colour", "never").stdout


def test_no_colour_and_dumb_terminals_are_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert wants_colour("auto")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colour("auto")
    assert wants_colour("always")
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not wants_colour("auto")


def test_a_screen_without_utf8_shows_what_it_can() -> None:
    shown = lastack("explain", "TIME_WAIT", PYTHONIOENCODING="ascii")
    assert shown.returncode == 0
    assert shown.stdout.startswith("# TIME_WAIT: ")


def test_closed_streams_are_no_defect() -> None:
    silent = subprocess.run(["sh", "-c", f"{LASTACK} explain TIME_WAIT >&-"], capture_output=True, check=False)
    assert (silent.returncode, silent.stderr) == (0, b"")
    refused = subprocess.run(["sh", "-c", f"{LASTACK} probe --nope 2>&-"], capture_output=True, check=False)
    assert refused.returncode == 2


def test_an_error_cannot_steer_the_terminal() -> None:
    done = subprocess.run([LASTACK, "report", "a\nb\x1b[31m"], capture_output=True, check=False, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stderr
