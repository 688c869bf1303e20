# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merged runs: whose word counts, what is said of it, and that bad input writes nothing."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils import merge_runs as merge_module
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.main import main
from ansible_collections.lastack.linux.plugins.plugin_utils.json_schema import load_schema, schema_problems
from ansible_collections.lastack.linux.plugins.plugin_utils.manifest import Outcome
from ansible_collections.lastack.linux.plugins.plugin_utils.merge_runs import merge_runs
from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import RunFolder, RunFolderError
from ansible_collections.lastack.linux.plugins.plugin_utils.run_report import finish_run, rerender_run
from generated_reports import generate
from sample_reports import sample

EARLY, LATE, LATER = "2026-11-23T04:30:12Z", "2026-11-23T04:30:12.5Z", "2026-11-24T00:00:00Z"


def report(name: str, collected_at: str = EARLY) -> dict[str, Any]:
    return sample(name) | {"collected_at": collected_at}


def make(
    path: Path, hosts: dict[str, dict[str, Any] | str | None], *, finish: bool = True, **options: object
) -> RunFolder:
    """Write a run: a report, the reason of a failure, or nothing for each host."""
    run = RunFolder.start(path, made_by="slice", hosts=hosts, options=options, play=str(path))
    for host, told in hosts.items():
        if isinstance(told, dict):
            run.store_report(host, told)
        elif told is not None:
            run.record(host, "unreachable", told)
    if finish:
        assert finish_run(run) is not None
        # Whatever the day of the test is: the clocks of the hosts are right.
        change(RunFolder.read(path), started_at=EARLY, finished_at=LATER)
    return RunFolder.read(path)


def change(run: RunFolder, **changes: object) -> None:
    path = run.path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_slices_become_one_run_like_any_other(tmp_path: Path) -> None:
    first = make(tmp_path / "a", {"web-1": report("sick"), "../../x": report("healthy"), "gone": "timed out"})
    second = make(tmp_path / "b", {"db-1": report("healthy"), "silent": None})
    change(first, started_at="2026-11-01T00:00:00Z", finished_at="2026-11-01T00:10:00Z")
    change(second, started_at="2026-11-01T00:05:00Z", finished_at="2026-11-01T00:20:00Z")
    before = tree(tmp_path)
    finished = merge_runs([str(tmp_path / "a"), str(tmp_path / "b")], str(tmp_path / "all"))
    assert {name: entry for name, entry in tree(tmp_path).items() if not name.startswith("all/")} == before
    merged = RunFolder.read(tmp_path / "all")
    assert merged.outcomes() == {
        "web-1": Outcome("ok", None, "hosts/web-1.json"),
        "../../x": first.outcomes()["../../x"],
        "gone": Outcome("unreachable", "timed out", None),
        "db-1": Outcome("ok", None, "hosts/db-1.json"),
        "silent": second.outcomes()["silent"],
    }
    for run in (first, second):
        for outcome in run.outcomes().values():
            if outcome is not None and outcome.file is not None:
                assert (merged.path / outcome.file).read_bytes() == (run.path / outcome.file).read_bytes()
    manifest = merged.manifest
    assert (manifest["made_by"], manifest["finished"]) == ("merge", True)
    assert (manifest["started_at"], manifest["finished_at"]) == ("2026-11-01T00:00:00Z", "2026-11-01T00:20:00Z")
    assert manifest["options"]["duplicates"] == {"count": 0, "hosts": []}
    assert [(entry["id"], entry["hosts"]) for entry in manifest["options"]["merged"]] == [
        (first.run_id, 3),
        (second.run_id, 2),
    ]
    fleet = finished.fleet
    assert schema_problems(fleet, load_schema("lastack.fleet/1")) == []
    assert (fleet["hosts"]["meant"], fleet["hosts"]["audited"], fleet["hosts"]["missing"]) == (5, 3, 1)
    assert fleet["run"]["merged"] == manifest["options"]["merged"]
    assert f"Merged from: {first.run_id} (3 hosts), {second.run_id} (2 hosts)." in " ".join(finished.text.split())
    assert json.loads((merged.path / "fleet.json").read_text(encoding="utf-8")) == fleet
    assert not (merged.path / "outcomes.jsonl").exists()
    # It can be shown again like any other, and says the same.
    assert rerender_run(str(merged.path)) == (fleet, finished.html_path)


def test_of_a_host_that_several_runs_have_the_better_word_counts(tmp_path: Path) -> None:
    runs = [
        make(
            tmp_path / "a",
            {
                "ok-then-gone": report("sick"),
                "later": report("sick", LATE),
                "fraction": report("sick"),
                "same": report("sick"),
                "never": "timed out",
                "told": "no route",
                "forged": report("healthy", LATER),
                "only-a": report("healthy"),
            },
        ),
        make(
            tmp_path / "b",
            {
                "ok-then-gone": "timed out",
                "later": report("healthy"),
                "fraction": report("healthy", LATE),
                "same": report("healthy"),
                "never": "refused",
                "told": None,
                "forged": report("sick"),
            },
        ),
    ]
    change(runs[0], started_at="2026-11-01T00:00:00Z")
    change(runs[1], started_at="2026-11-02T00:00:00Z")
    (runs[0].path / "hosts" / "forged.json").write_text("{", encoding="utf-8")
    for order in ("ab", "ba"):
        finished = merge_runs([str(tmp_path / name) for name in order], str(tmp_path / order))
        merged = RunFolder.read(tmp_path / order)

        def is_sick(host: str, folder: Path = merged.path) -> bool:
            name: str = json.loads((folder / "hosts" / f"{host}.json").read_text(encoding="utf-8"))["host"]["name"]
            return name == sample("sick")["host"]["name"]

        assert is_sick("ok-then-gone"), order
        assert is_sick("later"), order
        assert not is_sick("fraction"), order
        # Two looks of the same second: that of the later run.
        assert not is_sick("same"), order
        assert is_sick("forged"), order
        outcomes = merged.outcomes()
        assert outcomes["never"] == Outcome("unreachable", "refused", None)
        assert outcomes["told"] == Outcome("unreachable", "no route", None)
        assert merged.manifest["options"]["duplicates"]["count"] == 7
        assert finished.fleet["run"]["duplicates"]["hosts"] == sorted(set(runs[1].outcomes()))
        assert finished.fleet["hosts"]["meant"] == 8
        said = " ".join(finished.text.split())
        assert (
            "7 hosts were in more than one of the runs; the latest report counts: "
            "forged, fraction, later, never, ok-then-gone and 2 more." in said
        )


def test_a_run_that_was_cut_short_is_taken_as_far_as_it_came(tmp_path: Path) -> None:
    make(tmp_path / "a", {"web-1": report("sick")}, profile="server")
    cut = make(tmp_path / "b", {"db-1": report("healthy"), "db-2": None}, finish=False, profile="server")
    change(cut, owner=cut.manifest["owner"] | {"pid": 2**22 + 1, "process": "0@0"})
    finished = merge_runs([str(tmp_path / "a"), str(tmp_path / "b")], str(tmp_path / "all"))
    assert (finished.fleet["hosts"]["audited"], finished.fleet["hosts"]["missing"]) == (2, 1)
    assert f"Cut short, so its other hosts are missing: {cut.run_id}." in " ".join(finished.text.split())
    assert finished.fleet["baseline"]["profile"] == "server"
    assert (tmp_path / "b" / "outcomes.jsonl").exists()


@pytest.mark.parametrize("wrong", ["1970-01-01T00:00:07Z", "2035-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_clock_that_is_years_off_does_not_decide_which_report_is_newer(wrong: str, tmp_path: Path) -> None:
    folders = [str(tmp_path / name) for name in ("yesterday", "today")]
    for folder, day, clocks in zip(folders, ("22", "23"), ((wrong, None), (None, wrong)), strict=True):
        own = f"2026-11-{day}T04:30:12Z"
        hosts = [report("sick", clock or own) | {"duration_s": float(day)} for clock in clocks]
        change(
            make(tmp_path / Path(folder).name, {"set-right": hosts[0], "set-wrong": hosts[1]}),
            started_at=f"2026-11-{day}T04:30:00Z",
            finished_at=f"2026-11-{day}T05:00:00Z",
        )
    for order in (folders, folders[::-1]):
        store = tmp_path / f"merged-{len(list(tmp_path.iterdir()))}"
        merge_runs(order, str(store))
        kept = [json.loads(path.read_bytes())["duration_s"] for path in (store / "hosts").iterdir()]
        assert kept == [23.0, 23.0]


def test_a_run_is_never_replaced_by_a_merge(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    make(a, {"web-1": report("sick")})
    make(b, {"web-2": report("sick")})
    kept = make(tmp_path / "kept", {"web-3": report("sick")})
    assert f"it holds the run {kept.run_id}, choose a new folder" in refused(tmp_path, a, b, store=kept.path)
    change(kept, finished=False, owner=None)
    assert f"it holds the run {kept.run_id}, choose a new folder" in refused(tmp_path, a, b, store=kept.path)
    change(kept, schema="lastack.run/2")
    assert "a newer lastack wrote it" in refused(tmp_path, a, b, store=kept.path)
    (kept.path / "manifest.json").write_bytes(b"{")
    assert "its manifest.json is not JSON" in refused(tmp_path, a, b, store=kept.path)
    cut_short = make(tmp_path / "cut-short", {"web-1": None}, finish=False)
    change(cut_short, made_by="merge", owner=None)
    assert merge_runs([str(a), str(b)], str(cut_short.path)).fleet["hosts"]["audited"] == 2


def refused(tmp_path: Path, *paths: Path, store: Path | None = None) -> str:
    """Merge, see it refused and nothing written; return what was said."""
    before = tree(tmp_path)
    with pytest.raises(RunFolderError) as error:
        merge_runs([str(path) for path in paths], str(store or tmp_path / "all"))
    assert tree(tmp_path) == before
    assert not (tmp_path / "all").exists()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_slice_whose_controller_died_is_merged_with_what_it_has(tmp_path: Path) -> None:
    make(tmp_path / "a", {"web-1": report("sick")})
    died = make(tmp_path / "died", {"web-2": report("sick"), "web-3": None}, finish=False)
    change(died, controller="elsewhere")
    refused(tmp_path, tmp_path / "a", died.path)
    for path in (died.path, *died.path.iterdir()):
        os.utime(path, (0, 0))
    assert not RunFolder.read(died.path).is_live()
    merged = merge_runs([str(tmp_path / "a"), str(died.path)], str(tmp_path / "whole")).fleet
    assert (merged["hosts"]["audited"], merged["hosts"]["missing"]) == (2, 1)


def test_what_cannot_be_merged_is_one_sentence_and_writes_nothing(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    first, second = make(a, {"web-1": report("sick")}), make(b, {"web-2": report("sick")})
    assert "two run folders or more" in refused(tmp_path, a)
    assert f"The run {first.run_id} is there twice: {a}." in refused(tmp_path, a, b, a)
    shutil.copytree(a, tmp_path / "copy")
    assert f"twice, in {a} and in {tmp_path / 'copy'}." in refused(tmp_path, a, b, tmp_path / "copy")
    assert "there is no such directory" in refused(tmp_path, a, tmp_path / "absent")
    for place in (a, a / "inner", tmp_path, a / "hosts" / ".." / "x"):
        assert f"{a} is read from there" in refused(tmp_path, a, b, store=place)
    live = make(tmp_path / "live", {"web-3": None}, finish=False)
    assert f"still goes on (since {live.manifest['started_at']}" in refused(tmp_path, a, live.path)
    change(live, controller="elsewhere")
    assert "on elsewhere): wait until it has finished, or has written nothing for an hour." in refused(
        tmp_path, a, live.path
    )
    whole = (b / "manifest.json").read_bytes()
    change(second, schema="lastack.run/2")
    assert "a newer lastack wrote it" in refused(tmp_path, a, b)
    (b / "manifest.json").write_bytes(whole[: len(whole) // 2])
    assert "manifest.json is not JSON" in refused(tmp_path, a, b)
    (b / "manifest.json").write_bytes(whole)
    merge_runs([str(a), str(b)], str(tmp_path / "both"))
    assert f"The run {first.run_id} is there twice" in refused(tmp_path, tmp_path / "both", a)
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert "is not a directory" in refused(tmp_path, a, b, store=tmp_path / "file")


def test_a_full_disk_leaves_no_half_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "a", {"web-1": report("sick")})
    make(tmp_path / "b", {"web-2": report("sick")})
    before = tree(tmp_path)

    def full(*__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(merge_module._Copied, "flush", full)
    with pytest.raises(RunFolderError, match="all: No space left on device"):
        merge_runs([str(tmp_path / "a"), str(tmp_path / "b")], str(tmp_path / "all"))
    assert tree(tmp_path) == before
    assert not (tmp_path / "all").exists()


def test_sources_that_cannot_be_written_are_merged(tmp_path: Path) -> None:
    for name in "ab":
        make(tmp_path / name, {f"web-{name}": report("sick")})
        (tmp_path / name / ".lock").unlink(missing_ok=True)
        for path in (tmp_path / name / "hosts", tmp_path / name):
            path.chmod(0o500)
    try:
        assert (
            merge_runs([str(tmp_path / "a"), str(tmp_path / "b")], str(tmp_path / "all")).fleet["hosts"]["meant"] == 2
        )
        # Root may write anyway, so it is looked at whether anything was.
        assert not any((tmp_path / name / ".lock").exists() for name in "ab")
    finally:
        for name in "ab":
            (tmp_path / name).chmod(0o700)


def test_forged_options_of_a_manifest_say_nothing(tmp_path: Path) -> None:
    run = make(tmp_path / "a", {"web-1": report("sick")})
    for options in ({"merged": [{"id": "\x1b[31m"}], "duplicates": 5}, {"merged": "x"}, {"duplicates": {"count": -1}}):
        change(run, options=options, made_by="merge")
        fleet, __ = rerender_run(str(run.path))
        assert not {"merged", "duplicates"} & set(fleet["run"])
    entry = {"id": "\x1b]0;x\x07", "made_by": "m", "started_at": EARLY, "finished": False, "hosts": 2**63}
    change(run, options={"merged": [entry] * 9, "duplicates": {"count": 3, "hosts": ["\x1b[31m"]}})
    assert rerender_run(str(run.path))[0]["run"]["duplicates"]["count"] == 3
    assert "\x1b" not in (run.path / "report.txt").read_text(encoding="utf-8")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for part in range(2):
        generate(tmp_path / f"part-{part}", 60, part=part, parts=2)
    generate(tmp_path / "whole", 60)
    assert main(["merge", "part-0", "part-1", "--store", "all", "--fail-on", "warning"]) == 1
    shown = capsys.readouterr().out
    assert shown.startswith("5")
    assert "Report: " in shown
    assert main(["merge", "part-1", "part-0", "--json"]) == 0
    fleet = json.loads(capsys.readouterr().out)
    whole, __ = rerender_run("whole")
    # Cut from one inventory, the slices say what the whole says.
    assert {key: value for key, value in fleet.items() if key != "run"} == {
        key: value for key, value in whole.items() if key != "run"
    }
    assert sum(entry.is_dir() for entry in (tmp_path / "lastack-runs").iterdir()) == 1
    assert main(["merge", "part-0"]) == 2
    assert main(["merge", "part-0", "part-1", "--store", " "]) == 2
    assert capsys.readouterr().err.count("lastack: ") == 2
