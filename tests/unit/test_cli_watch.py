# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lastack probe --watch``: what changed between looks, how it stops, and the live view on a real terminal."""

from __future__ import annotations

import copy
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lastack.linux.plugins.module_utils import report as collector
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.main import main
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.watch import Look, fit, summarise

REPORTS = Path(__file__).parent.parent / "fixtures" / "reports"
#: A shell's background job ignores Ctrl-C, and its children inherit that: take the default back.
PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
WATCH = ["probe", "--watch", "0.2", "--namespaces", "host", "--gather", "close_wait"]


def sample(name: str, **states: int) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((REPORTS / f"{name}.json").read_text(encoding="utf-8"))
    loaded["states"].update(states)
    return loaded


def test_the_first_line_tells_the_state_of_things() -> None:
    line = summarise(Look(sample("sick"), 100.0), None)
    assert line.startswith("04:30:12  CLOSE_WAIT 2,441  TIME_WAIT 11,204  ESTABLISHED 201,940  ")
    assert "worst: checkout-api 2,204, ≥ 3 h, body not read, descriptors 68 % of 4,096" in line
    assert "dead sockets 312" in line
    assert "/min" not in line
    assert "PARTIAL" not in line


def test_changes_are_rates_per_minute() -> None:
    before = Look(sample("sick"), 100.0)
    now = Look(sample("sick", CLOSE_WAIT=2447, TIME_WAIT=11194, SYN_RECV=13), 130.0)
    line = summarise(now, before)
    assert "CLOSE_WAIT 2,447 (+12/min)" in line
    assert "TIME_WAIT 11,194 (-20/min)" in line
    assert "ESTABLISHED 201,940  " in line
    assert "SYN_RECV 13 (+20/min)" in line
    assert "FIN_WAIT2" not in line


def test_a_healthy_and_a_partial_host() -> None:
    assert "no leak" in summarise(Look(sample("healthy"), 0.0), None)
    assert summarise(Look(sample("partial"), 0.0), None).endswith("PARTIAL")


def test_no_leak_is_said_only_where_it_was_looked_for() -> None:
    report = sample("healthy")
    report["options"]["gather"] = ["sysctls"]
    assert "leaks not judged" in summarise(Look(report, 0.0), None)
    report = sample("healthy")
    report["close_wait"]["truncated"] = 1
    assert "no leak" not in summarise(Look(report, 0.0), None)
    report = sample("healthy")
    report["completeness"]["complete"] = False
    assert summarise(Look(report, 0.0), None).endswith("no leak seen  PARTIAL")
    report = sample("healthy")
    report["options"]["namespaces"] = "host"
    assert "no leak seen" in summarise(Look(report, 0.0), None)
    report = sample("healthy")
    report["completeness"]["close_wait"]["undecided"] = 3
    report["close_wait"]["offenders"] = [{"app": "young", "count": 0, "causes": {}}]
    assert summarise(Look(report, 0.0), None).endswith("no leak, 3 undecided")


@pytest.mark.parametrize("height", [1, 2, 5, 10, 24, 40])
@pytest.mark.parametrize("looks", [1, 8])
def test_the_live_view_fits_the_terminal(height: int, looks: int) -> None:
    history = [f"look {number} " + "x" * 200 for number in range(looks)]
    lines = fit(history, [f"line {number}" for number in range(30)], width=80, height=height)
    assert len(lines) <= max(1, height - 1)
    assert max(map(len, lines)) <= 80
    assert f"look {looks - 1} " in "".join(lines)
    if height >= 10:
        shown = sum(line.startswith("line ") for line in lines)
        assert (f"… {30 - shown} more lines: lastack probe" in lines) == (shown < 30)


def test_unknown_counts_are_left_out_and_names_are_cleaned() -> None:
    report = copy.deepcopy(sample("sick"))
    report["states"]["TIME_WAIT"] = None
    report["close_wait"]["offenders"][0]["app"] = "evil\x1b[2J\n\u202ename"
    line = summarise(Look(report, 60.0), Look(sample("sick"), 0.0))
    assert "TIME_WAIT" not in line
    assert line.isprintable()


def test_fail_on_ends_the_watch(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    reports = iter([sample("healthy"), sample("healthy"), sample("sick")])
    monkeypatch.setattr(collector, "collect_report", lambda _options, **__: next(reports))
    assert main(["probe", "--watch", "0.01", "--fail-on", "critical"]) == 1
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_json_is_one_report_a_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    reports = iter([sample("healthy"), sample("sick")])
    monkeypatch.setattr(collector, "collect_report", lambda _options, **__: next(reports))
    assert main(["probe", "--watch", "0.01", "--fail-on", "warning", "--json"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines] == [sample("healthy"), sample("sick")]


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_piped_watch_prints_at_once_and_stops_quietly_on_ctrl_c(flags: list[str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *WATCH, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        first, second = process.stdout.readline(), process.stdout.readline()
        process.send_signal(signal.SIGINT)
        __, said = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, said) == (0, b"")
    for line in (first, second):
        assert b"\x1b" not in line
        assert json.loads(line)["schema"] == "lastack.host/1" if flags else b"CLOSE_WAIT " in line


def test_a_terminal_gets_a_live_view() -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *WATCH], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    shown = b""
    try:
        until = time.monotonic() + 30
        while shown.count(b"Ctrl-C ends it") < 2 and time.monotonic() < until:
            if select.select([ours], [], [], 1)[0]:
                shown += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        while True:
            try:
                shown += os.read(ours, 65536)
            except OSError:
                break
        process.wait(timeout=30)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    text = shown.decode()
    assert text.count("Ctrl-C ends it") >= 2
    assert "CLOSE_WAIT" in text
    assert "Traceback" not in text
    # The view has a screen of its own, and both screen and cursor are given back at the end, with the last look.
    assert "\x1b[?1049h" in text
    assert "CLOSE_WAIT" in text[text.rindex("\x1b[?1049l") :]
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert process.returncode == 0
