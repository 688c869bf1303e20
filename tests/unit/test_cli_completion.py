# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lastack completion``: the scripts are sound for their shells and offer what the parser takes."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.completion import SHELLS
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.main import build_parser, main
from ansible_collections.lastack.linux.plugins.plugin_utils.explain import page_ids

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = ["probe", "sweep", "report", "merge", "diff", "drift", "history", "explain", "bundle", "completion"]


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


def run(command: list[str], **environment: str) -> str:
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=30, check=False, env={**os.environ, **environment}
    )
    assert ended.stderr == ""
    return ended.stdout


def needs(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")


@pytest.mark.parametrize("shell", SHELLS)
def test_every_option_of_every_command_is_offered(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = script(shell, capsys)
    (commands,) = (action for action in build_parser()._actions if isinstance(action.choices, dict))
    assert isinstance(commands.choices, dict)
    assert list(commands.choices) == COMMANDS
    for name, command in commands.choices.items():
        assert name in text
        for action in command._actions:
            for option in action.option_strings:
                fish = f"-l {option[2:]} " if option.startswith("--") else f"-s {option[1:]} "
                assert (fish if shell == "fish" else option) in text
    assert all(page_id in text for page_id in page_ids())


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_reads_its_script(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needs(shell)
    file = tmp_path / "lastack"
    file.write_text(script(shell, capsys), encoding="utf-8")
    assert run([shell, "-n", str(file)]) == ""


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["lastack", ""], {*COMMANDS, "-h", "--help", "--version"}),
        (["lastack", "ex"], {"explain"}),
        (["lastack", "probe", "--w"], {"--watch"}),
        (["lastack", "probe", "--fail-on", ""], {"warning", "critical"}),
        (["lastack", "probe", "--json", "--namespaces", "h"], {"host"}),
        (["lastack", "probe", "--top", ""], set()),
        (["lastack", "explain", "close_wait.i"], {"close_wait.idle_pool", "close_wait.inherited"}),
        (["lastack", "explain", "CLOSE_"], {"CLOSE_WAIT"}),
        (["lastack", "completion", "z"], {"zsh"}),
        (["lastack", "report", "some"], {"some folder"}),
        (["lastack", "report", "--html", "some"], {"some folder"}),
    ],
)
def test_bash_completes(
    words: list[str], offered: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needs("bash")
    (tmp_path / "some folder").mkdir()
    file = tmp_path / "completion"
    file.write_text(script("bash", capsys), encoding="utf-8")
    program = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        'cd "$FOLDER"; _lastack; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    shown = run(["bash", "-c", program, "bash", str(file), *words], FOLDER=str(tmp_path))
    assert {line for line in shown.splitlines() if line} == offered


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("lastack ex", {"explain"}),
        ("lastack explain close_wait.i", {"close_wait.idle_pool", "close_wait.inherited"}),
        ("lastack probe --fail-on ", {"warning", "critical"}),
        ("lastack probe --wat", {"--watch"}),
    ],
)
def test_fish_completes(typed: str, offered: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needs("fish")
    file = tmp_path / "lastack.fish"
    file.write_text(script("fish", capsys), encoding="utf-8")
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    shown = run(["fish", "--private", "-c", f"source {file}; complete -C '{typed}'"], **home)
    assert {line.split("\t")[0] for line in shown.splitlines()} == offered


def test_zsh_knows_the_function(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needs("zsh")
    file = tmp_path / "_lastack"
    file.write_text(script("zsh", capsys), encoding="utf-8")
    sourced = f"autoload -U compinit; compinit -D -u; source {file}; print -r -- $_comps[lastack]"
    assert run(["zsh", "-fc", sourced]).split() == ["_lastack"]
    found = f"fpath=({tmp_path} $fpath); autoload -U compinit; compinit -D -u; print -r -- $_comps[lastack]"
    assert run(["zsh", "-fc", found]).split() == ["_lastack"]
