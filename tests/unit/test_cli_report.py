# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lastack report``: a run folder shown again, and clear words for a folder that is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.main import main
from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import RunFolder
from ansible_collections.lastack.linux.plugins.plugin_utils.run_report import finish_run

REPORTS = Path(__file__).parent.parent / "fixtures" / "reports"


def sample(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((REPORTS / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def run_of(folder: Path, **hosts: str | None) -> str:
    """A finished run in which each host returned the named sample, or could not be reached."""
    run = RunFolder.start(folder, made_by="test", hosts=list(hosts))
    for host, name in hosts.items():
        if name is None:
            run.record(host, "unreachable", "timed out")
        else:
            run.record(host, "ok", file=run.store_report(host, sample(name)))
    finish_run(run)
    return str(folder)


def test_a_fleet_is_shown_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run_of(tmp_path / "run", web1="sick", web2="healthy", db=None)
    html = tmp_path / "run" / "report.html"
    html.unlink()
    assert main(["report", folder]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "2 hosts audited" in shown.out
    assert "checkout-api" in shown.out
    assert "\x1b" not in shown.out
    assert html.stat().st_size > 1_000


def test_a_run_of_one_host_is_shown_as_that_host(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", run_of(tmp_path / "run", web1="sick")]) == 0
    assert "10.2.0.7:5432" in capsys.readouterr().out


def test_json_is_the_fleet_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", run_of(tmp_path / "run", web1="sick", db=None), "--json"]) == 0
    fleet = json.loads(capsys.readouterr().out)
    assert fleet["schema"] == "lastack.fleet/1"
    assert (fleet["hosts"]["audited"], fleet["hosts"]["unreachable"]) == (1, 1)


def test_html_goes_where_it_is_wanted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, wanted = run_of(tmp_path / "run", web1="sick", web2="sick"), tmp_path / "page.html"
    assert main(["report", folder, "--html", str(wanted)]) == 0
    assert wanted.read_bytes() == (tmp_path / "run" / "report.html").read_bytes()
    assert str(wanted) in capsys.readouterr().out
    inside = tmp_path / "run" / "report.html"
    assert main(["report", folder, "--html", str(inside)]) == 0
    assert inside.read_bytes() == wanted.read_bytes()


def test_fail_on_sees_the_whole_fleet(tmp_path: Path) -> None:
    assert main(["report", run_of(tmp_path / "sick", web1="sick", web2="healthy"), "--fail-on", "critical"]) == 1
    assert main(["report", run_of(tmp_path / "well", web1="healthy"), "--fail-on", "warning"]) == 0


@pytest.mark.parametrize("kind", ["absent", "empty", "file", "broken"])
def test_a_folder_that_is_no_run_folder_is_refused(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    if kind == "file":
        folder.write_text("no folder", encoding="utf-8")
    elif kind != "absent":
        folder.mkdir()
    if kind == "broken":
        (folder / "manifest.json").write_text("{", encoding="utf-8")
    assert main(["report", str(folder)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("lastack: ")
    assert str(folder) in shown.err
    assert shown.err.count("\n") == 1


def test_a_page_that_cannot_be_written_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = tmp_path / "absent" / "page.html"
    assert main(["report", run_of(tmp_path / "run", web1="sick"), "--html", str(wanted)]) == 2
    assert capsys.readouterr().err == f"lastack: {wanted}: No such file or directory\n"
