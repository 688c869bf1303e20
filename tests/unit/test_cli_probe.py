# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lastack probe``: the flags reach the collector, the report is printed as it is, and the start is light."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.module_utils import report as collector
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.main import main
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.outcome import exit_status

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.plugins.module_utils.options import Options

LASTACK = str(Path(sys.executable).parent / "lastack")
REPORTS = Path(__file__).parent.parent / "fixtures" / "reports"
HEAVY = {"rich", "jinja2", "ansible", "jsonschema", "asyncio", "shutil", "difflib", "subprocess"}


def sample(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((REPORTS / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """The options of every look; each returns the sick sample."""
    asked: list[Options] = []

    def collect_report(options: Options, **__: object) -> dict[str, Any]:
        asked.append(options)
        return sample("sick")

    monkeypatch.setattr(collector, "collect_report", collect_report)
    return asked


def test_defaults_are_those_of_the_module(looks: list[Options], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe"]) == 0
    assert "CLOSE_WAIT" in capsys.readouterr().out
    (options,) = looks
    assert options.collector == "probe"
    assert options[1:8] == (60.0, 20, "all", False, ("all",), True, 30.0)
    assert "net.ipv4.tcp_tw_recycle" in options.catalogue


def test_every_flag_reaches_the_collector(looks: list[Options]) -> None:
    flags = ["--min-age-s", "5", "--top", "3", "--namespaces", "host", "--sockets", "--no-redact", "--timeout-s", "2.5"]
    assert main(["probe", *flags, "--gather", "close_wait, ports", "--gather", "!ports", "--json"]) == 0
    (options,) = looks
    assert options[1:8] == (5.0, 3, "host", True, ("close_wait", "ports", "!ports"), False, 2.5)
    assert options.catalogue == {}


def test_json_is_exactly_the_report_and_ascii(looks: list[Options], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "--json"]) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed) == sample("sick")
    assert printed.isascii()
    assert len(looks) == 1


@pytest.mark.parametrize(
    ("severities", "fail_on", "status"),
    [
        ((), "warning", 0),
        (("info",), "warning", 0),
        (("warning",), "warning", 1),
        (("warning",), "critical", 0),
        (("info", "critical"), "critical", 1),
        (("critical",), "warning", 1),
        (("critical",), None, 0),
    ],
)
def test_fail_on_looks_at_the_severity(severities: tuple[str, ...], fail_on: str | None, status: int) -> None:
    assert exit_status({"findings": [{"severity": severity} for severity in severities]}, fail_on) == status


def test_status_1_only_when_asked_for(looks: list[Options], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "--json"]) == 0
    assert main(["probe", "--json", "--fail-on", "critical"]) == 1
    assert capsys.readouterr().err == ""
    assert len(looks) == 2


def test_colour_is_only_a_second_signal(looks: list[Options], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "--colour", "never"]) == 0
    plain = capsys.readouterr().out
    assert "\x1b" not in plain
    assert main(["probe", "--colour", "always"]) == 0
    assert "\x1b[" in capsys.readouterr().out
    assert len(looks) == 2


def test_an_option_that_the_collector_refuses_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_options: Options, **__: object) -> dict[str, Any]:
        raise collector.OptionsError("top: too many.")

    monkeypatch.setattr(collector, "collect_report", refuse)
    assert main(["probe", "--json"]) == 2
    assert capsys.readouterr().err == "lastack: top: too many.\n"


def test_the_real_command_looks_at_this_host() -> None:
    ended = subprocess.run(
        [LASTACK, "probe", "--json", "--namespaces", "host", "--gather", "time_wait,memory"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    report = json.loads(ended.stdout)
    assert report["schema"] == "lastack.host/1"
    assert report["collector"]["name"] == "probe"
    assert report["options"]["namespaces"] == "host"


@pytest.mark.parametrize("flags", [["--json", "--gather", "!sysctls"], ["--json"], []])
def test_a_probe_starts_without_heavy_modules(flags: list[str]) -> None:
    program = (
        "import sys\n"
        "from ansible_collections.lastack.linux.plugins.plugin_utils.cli.main import main\n"
        f"status = main(['probe', '--namespaces', 'host', *{flags!r}])\n"
        "sys.stderr.write('\\n'.join(sys.modules))\n"
        "sys.exit(status)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0
    loaded = set(ended.stderr.splitlines())
    assert "ansible_collections.lastack.linux.plugins.module_utils.report" in loaded
    assert not loaded & HEAVY
    assert ("yaml" in loaded) == ("!sysctls" not in flags)
