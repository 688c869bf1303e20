# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lastack diff``: its screen, its Markdown, its JSON and its exit status."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.main import main
from ansible_collections.lastack.linux.plugins.plugin_utils.diff_runs import diff_runs
from ansible_collections.lastack.linux.plugins.plugin_utils.render.markdown_diff import markdown_diff
from ansible_collections.lastack.linux.plugins.plugin_utils.render.table import display_width
from ansible_collections.lastack.linux.plugins.plugin_utils.render.text_diff import render_diff
from diff_samples import OLD, host_report, incomplete, run_folder
from sample_reports import HOSTILE, with_strings

if TYPE_CHECKING:
    from pathlib import Path


def two_runs(tmp_path: Path) -> tuple[str, str]:
    """Thirty-one hosts that leaked; nineteen are healed and twelve were not reached; one leak grew, one is new."""
    old: dict[str, Any] = {f"web-{n}": host_report({"checkout-api": 400 + n}, at=OLD) for n in range(31)}
    new: dict[str, Any] = {f"web-{n}": host_report() for n in range(19)}
    new |= {f"web-{n}": "connection timed out" for n in range(19, 31)}
    old |= {"db-1": host_report({"ledger": 100}, at=OLD), "db-2": host_report({"once": 7}, at=OLD)}
    new |= {"db-1": host_report({"ledger": 300, "mailer": 12}), "db-2": host_report()}
    new |= {"db-3": host_report({"ledger": 50})}
    for report, value in ((old["db-1"], "4096"), (new["db-1"], "128")):
        report["sysctls"] = {"net.core.somaxconn": {"current": value, "configured": None, "winner": None}}
    return run_folder(tmp_path / "old", old, started_at=OLD), run_folder(tmp_path / "new", new)


def test_the_screen_tells_a_fixed_leak_from_hosts_that_nobody_reached(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", *two_runs(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    text = " ".join(shown.out.split())
    assert "2026-11-16 04:30 UTC → 2026-11-23 04:30 UTC (7 d) · 21 hosts seen both times · 12 not reached now" in text
    assert "checkout-api gone where seen 19 → 0 7,771 → 0 19 12" in text
    assert "12 of its 31 hosts were not reached, so nothing is known of them: web-30, web-29, web-28 and 9 more" in text
    assert "ledger grown 1 → 1 100 → 300" in text
    assert "no growth: 50 sockets on 1 host that is not part of the old run: db-3" in text
    assert "mailer new 0 → 1 0 → 12" in text
    assert "once gone 1 → 0 7 → 0 1" in text
    assert "the one host that had it was looked at again" in text
    assert "net.core.somaxconn 4096 → 128 on db-1" in text
    assert "until then none of them counts as fixed" in text
    # Worst first.
    order = [text.index(f" {app} ") for app in ("mailer new", "ledger grown", "checkout-api gone", "once gone")]
    assert order == sorted(order)
    assert "\x1b" not in shown.out
    assert max(map(display_width, shown.out.splitlines())) <= 100


def test_a_finding_that_changed_says_where_and_what_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def finding(subject: str) -> dict[str, Any]:
        told = {
            "id": "listen.overflow",
            "severity": "warning",
            "remedy": "app",
            "summary": "Full.",
            "evidence": {},
            "next_step": "Look.",
        }
        return {**told, "subject": subject}

    old: dict[str, Any] = {name: host_report(at=OLD) for name in ("a", "b", "c")} | {"d": "timed out"}
    new: dict[str, Any] = {name: host_report() for name in ("a", "b", "c", "d")}
    old["a"]["findings"] = [finding("healed"), finding("more")]
    new["a"]["findings"] = [finding("fresh"), finding("more")]
    new["b"]["findings"] = [finding("more")]
    new["d"]["findings"] = [finding("unclear")]
    for report, value in ((old["a"], "4096"), (new["a"], "128")):
        report["sysctls"] = {"net.core.somaxconn": {"current": value, "configured": None, "winner": None}}
    folders = run_folder(tmp_path / "old", old, started_at=OLD), run_folder(tmp_path / "new", new)
    assert main(["diff", *folders]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Findings 1 new, 1 not known before, 1 grown, 1 gone" in text
    assert "new: listen.overflow fresh on 1 host: a → Look. lastack explain listen.overflow" in text
    assert "not known before: listen.overflow unclear on 1 host not reached before: d → Look. grown" in text
    assert "grown: listen.overflow more on 1 → 2 hosts, new on b" in text
    assert "gone: listen.overflow healed on 1 → 0 hosts" in text
    assert f"whose file it is: lastack drift {folders[1]} net.core.somaxconn" in text


def test_nothing_changed_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = run_folder(tmp_path / "old", {"a": host_report(at=OLD)}, started_at=OLD)
    assert main(["diff", old, run_folder(tmp_path / "new", {"a": host_report()}), "--fail-on", "grown"]) == 0
    assert "Nothing changed on the hosts seen both times." in capsys.readouterr().out


def test_no_host_in_common_is_no_calm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = run_folder(tmp_path / "old", {"a": host_report(at=OLD)}, started_at=OLD)
    assert main(["diff", old, run_folder(tmp_path / "new", {"b": host_report(), "a": "timed out"})]) == 0
    shown = capsys.readouterr().out
    assert "No host was seen both times, so no change is known." in shown
    assert "Nothing changed" not in shown


@pytest.mark.parametrize(
    ("then", "now", "fail_on", "status"),
    [
        ({}, {"api": 10}, "new", 1),
        ({}, {"api": 10}, "grown", 1),
        ({"api": 10}, {"api": 100}, "new", 0),
        ({"api": 10}, {"api": 100}, "grown", 1),
        ({"api": 100}, {"api": 10}, "grown", 0),
        ({"api": 100}, {}, "grown", 0),
    ],
)
def test_fail_on(then: dict[str, int], now: dict[str, int], fail_on: str, status: int, tmp_path: Path) -> None:
    old = run_folder(tmp_path / "old", {"a": host_report(then, at=OLD)}, started_at=OLD)
    new = run_folder(tmp_path / "new", {"a": host_report(now)})
    assert main(["diff", old, new]) == 0
    assert main(["diff", old, new, "--fail-on", fail_on]) == status


def test_json_and_markdown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = two_runs(tmp_path)
    file = tmp_path / "diff.md"
    assert main(["diff", old, new, "--json", "--markdown", str(file)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == diff_runs(old, new)
    text = file.read_text(encoding="utf-8")
    assert text == markdown_diff(printed)
    assert main(["diff", old, new, "--markdown", "-"]) == 0
    assert capsys.readouterr().out == text
    assert "| `checkout-api` | gone where seen | 19 → 0 | 7,771 → 0 | 19 | 12 |" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{old}", "{old}"], "are the same run"),
        (["{old}", "/nonexistent"], "is not a run folder"),
        (["{old}", "{new}", "--json", "--markdown", "-"], "both want standard output"),
        (["{old}", "{new}", "--markdown", "/nonexistent/diff.md"], "/nonexistent/diff.md: No such file or directory"),
        (["{old}", "{new}", "--markdown", ""], "--markdown needs the name of a file"),
        (["{old}", "{new}", "--markdown", "{old}"], "is a folder: name a file"),
    ],
)
def test_errors_are_one_sentence(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = two_runs(tmp_path)
    assert main(["diff", *(argument.format(old=old, new=new) for argument in arguments)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert said in shown.err
    assert shown.err.count("\n") == 1


def test_a_device_or_a_link_is_written_to_and_never_replaced(tmp_path: Path) -> None:
    old, new = two_runs(tmp_path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # Open for reading and writing: a writer finds a reader, and nobody waits (fifo(7)).
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        assert main(["diff", old, new, "--markdown", str(pipe)]) == 0
        assert pipe.is_fifo()
        assert os.read(reader, 65536).decode() == markdown_diff(diff_runs(old, new))
    finally:
        os.close(reader)
    link = tmp_path / "link.md"
    link.symlink_to("real.md")
    assert main(["diff", old, new, "--markdown", str(link)]) == 0
    assert link.is_symlink()
    assert (tmp_path / "real.md").read_text(encoding="utf-8") == markdown_diff(diff_runs(old, new))


def test_runs_the_wrong_way_round_are_said_first(tmp_path: Path) -> None:
    old, new = two_runs(tmp_path)
    reversed_runs = diff_runs(new, old)
    assert render_diff(reversed_runs).startswith("OLD is 7 d younger than NEW: the two runs are probably the wrong way")
    assert "**OLD is 7 d younger than NEW" in markdown_diff(reversed_runs)


def test_a_clock_that_was_set_back_is_said_first(tmp_path: Path) -> None:
    old = run_folder(tmp_path / "old", {"a": host_report()}, started_at=OLD)
    shown = diff_runs(old, run_folder(tmp_path / "new", {"a": host_report(at=OLD)}))
    assert render_diff(shown).startswith("On 1 host (a) the report of NEW is not later than that of OLD")
    assert "**On 1 host (`a`) the report" in markdown_diff(shown)


def test_what_hosts_wrote_does_nothing(tmp_path: Path) -> None:
    old, new = two_runs(tmp_path)
    found = with_strings(diff_runs(old, new), lambda text: text + HOSTILE)
    # with_strings keeps what the schema fixes, but not these words of ours.
    kept = diff_runs(old, new)
    for entries, ours in ((found["apps"], kept["apps"]), (found["findings"], kept["findings"])):
        for entry, one in zip(entries, ours, strict=True):
            entry["change"] = one["change"]
    for text in (render_diff(found), markdown_diff(found)):
        assert not [c for c in text if not c.isprintable() and c != "\n"]
        assert not any(line.startswith("FORGED") for line in text.splitlines())
    outside = "".join(markdown_diff(found).split("`")[::2])
    assert "<" not in outside
    assert "onerror" not in outside


def test_why_a_look_saw_less_is_said(tmp_path: Path) -> None:
    blind = incomplete(host_report({"other": 1}), "deadline", detail="the time was over")
    old = run_folder(tmp_path / "old", {"a": host_report({"api": 9}, at=OLD)}, started_at=OLD)
    text = " ".join(render_diff(diff_runs(old, run_folder(tmp_path / "new", {"a": blind}))).split())
    assert "1 of its 1 hosts was not seen as well as before, so nothing is known of it: a (the time was over)" in text
    assert "a: seen only in part now" in text
