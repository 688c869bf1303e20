# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run folders: who may write them, what survives a crash, and what is read back from a damaged one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils import run_folder as run_folder_module
from ansible_collections.lastack.linux.plugins.plugin_utils.manifest import Outcome, append_outcome, fold, read_journal
from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import RunFolder, RunFolderError
from ansible_collections.lastack.linux.plugins.plugin_utils.run_owner import Owner
from ansible_collections.lastack.linux.plugins.plugin_utils.run_report import (
    finish_run,
    merge_run,
    rerender_run,
    summary_of,
    waiting_hosts,
)

REPORTS = Path(__file__).parent.parent / "fixtures" / "reports"
ROOT = Path(__file__).parent.parent.parent


def sample(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((REPORTS / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def start(path: Path, *hosts: str, play: str = "") -> RunFolder:
    return RunFolder.start(path, made_by="test", hosts=hosts, play=play)


def in_another_process(path: Path, code: str) -> subprocess.Popen[str]:
    """Run ``code`` with a started ``run`` in a process of its own, which then waits for its input to end."""
    script = (
        "import sys\n"
        "from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import RunFolder\n"
        "run = RunFolder.start(sys.argv[1], made_by='other', hosts=['a', 'b'])\n"
        f"{code}\nprint('ready', flush=True)\nsys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_run_from_start_to_finish(tmp_path: Path) -> None:
    run = start(tmp_path / "deep" / "run", "web-17.example.org", "../../x", "gone", "silent")
    assert run.path.stat().st_mode & 0o777 == 0o700
    run.store_report("web-17.example.org", sample("sick"))
    file = run.store_report("../../x", sample("healthy"))
    assert file.startswith("hosts/x~")
    run.record("gone", "unreachable", "timed\nout \x1b[31m" + "x" * 1000)
    assert waiting_hosts(run) == 1
    finished = finish_run(run)
    assert finished is not None
    manifest = json.loads((run.path / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["finished"], manifest["finished_at"] is not None) == (True, True)
    assert {host: entry["outcome"] for host, entry in manifest["hosts"].items()} == {
        "web-17.example.org": "ok",
        "../../x": "ok",
        "gone": "unreachable",
        "silent": "missing",
    }
    assert manifest["hosts"]["gone"]["reason"].startswith("timed out \\x1b[31mx")
    assert len(manifest["hosts"]["gone"]["reason"]) == 300
    assert sorted(entry.name for entry in run.path.iterdir()) == [
        ".lock",
        "fleet.json",
        "hosts",
        "manifest.json",
        "report.html",
        "report.txt",
    ]
    assert finished.text.strip() in (run.path / "report.txt").read_text(encoding="utf-8")
    assert merge_run(str(run.path)) == finished.fleet
    assert summary_of(finished.fleet)["hosts"]["audited"] == 2
    # Every host's task may say "finished": only news makes another merge.
    assert finish_run(RunFolder.read(run.path)) is None
    RunFolder.read(run.path).store_report("silent", sample("healthy"))
    again = finish_run(RunFolder.read(run.path))
    assert again is not None
    assert again.fleet["hosts"]["audited"] == 3


def test_one_play_joins_its_folder_and_another_play_replaces_it(tmp_path: Path) -> None:
    first = start(tmp_path / "run", "a", play="one")
    assert start(tmp_path / "run", "a", play="one").run_id == first.run_id
    first.store_report("a", sample("sick"))
    second = start(tmp_path / "run", "b", play="two")
    assert second.run_id != first.run_id
    assert list((tmp_path / "run" / "hosts").iterdir()) == []
    assert second.outcomes() == {"b": None}
    # Whatever its play, a task of the same process stores into the folder that is there.
    assert RunFolder.join(tmp_path / "run", made_by="test", hosts=["x"], play="three").run_id == second.run_id


def test_default_folders_of_one_play_are_one_and_of_two_plays_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_folder_module, "default_path", lambda: tmp_path / "lastack-runs" / "20261123T043000Z")
    first = RunFolder.start_default(made_by="test", hosts=["a"], play="one")
    other = RunFolder.start_default(made_by="test", hosts=["a"], play="two")
    monkeypatch.setattr(run_folder_module, "default_path", lambda: tmp_path / "lastack-runs" / "20261123T043001Z")
    late = RunFolder.start_default(made_by="test", hosts=["a"], play="one")
    assert first.path.name == "20261123T043000Z"
    assert other.path.name == "20261123T043000Z-2"
    assert late.path == first.path


def test_a_live_run_of_another_process_is_refused_and_a_dead_one_replaced(tmp_path: Path) -> None:
    process = in_another_process(tmp_path / "run", "run.record('a', 'failed', 'first')")
    try:
        with pytest.raises(RunFolderError, match=rf"is in use since \S+Z by other \(process {process.pid} on "):
            start(tmp_path / "run", "c")
        with pytest.raises(RunFolderError, match="still goes on"):
            rerender_run(str(tmp_path / "run"))
        assert RunFolder.read(tmp_path / "run").outcomes()["a"] == Outcome("failed", "first", None)
    finally:
        process.kill()
        process.communicate()
    # Cut short, it can still be read and rendered; and it makes room for the next one.
    fleet, html = rerender_run(str(tmp_path / "run"))
    assert (fleet["hosts"]["failed"], fleet["hosts"]["missing"], fleet["run"]["finished_at"]) == (1, 1, None)
    assert Path(html).is_file()
    assert start(tmp_path / "run", "c").outcomes() == {"c": None}
    assert not (tmp_path / "run" / "fleet.json").exists()


def test_an_unfinished_run_of_another_controller_is_refused(tmp_path: Path) -> None:
    run = start(tmp_path / "run", "a", play="one")
    manifest = json.loads((run.path / "manifest.json").read_text(encoding="utf-8")) | {"controller": "elsewhere"}
    (run.path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"on elsewhere\): wait for it .* remove the folder"):
        start(tmp_path / "run", "a", play="two")


def test_a_pid_that_was_given_again_is_not_the_owner() -> None:
    owner = Owner.current()
    assert owner.is_alive() is True
    assert owner._replace(process=f"{owner.pid}@1").is_alive() is False
    assert owner._replace(controller="elsewhere").is_alive() is None


@pytest.mark.parametrize("name", ["notes.txt", "hosts.yml", "a\x1b[31m"])
def test_foreign_folders_are_refused_untouched(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x", encoding="utf-8")
    with pytest.raises(RunFolderError, match="is not a run folder but holds other files") as refused:
        start(tmp_path, "a")
    assert "\x1b" not in str(refused.value)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_a_manifest_of_something_else_does_not_open_a_folder(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"schema": "other/1"}', encoding="utf-8")
    (tmp_path / "precious").write_text("x", encoding="utf-8")
    with pytest.raises(RunFolderError, match="precious"):
        start(tmp_path, "a")


def test_hosts_that_is_a_link_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious.json").write_text("{}", encoding="utf-8")
    run = start(tmp_path / "run", "a", play="one")
    shutil.rmtree(run.path / "hosts")
    (run.path / "hosts").symlink_to(outside)
    with pytest.raises(RunFolderError, match="hosts is not a directory"):
        start(tmp_path / "run", "a", play="two")
    assert (outside / "precious.json").exists()


@pytest.mark.parametrize("where", ["file/run", "file"])
def test_unwritable_places_are_named_with_the_reason(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(RunFolderError) as refused:
        start(tmp_path / where, "a")
    assert str(tmp_path / where) in str(refused.value)
    assert "is not a directory" in str(refused.value)


def test_a_full_disk_loses_no_outcome_silently(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start(tmp_path / "run", "a")

    def full(*__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunFolderError, match="No space left on device"):
        run.store_report("a", sample("healthy"))
    with pytest.raises(RunFolderError, match="No space left on device"):
        run.record("a", "failed", "x")


def test_one_outcome_of_many_hosts_is_flushed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start(tmp_path / "run", "a", "b", "c")
    flushed = []
    real = os.fsync

    def counted(descriptor: int) -> None:
        flushed.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", counted)
    run.record_all(["c", "a"], "missing", "interrupted\n")
    assert len(flushed) == 1
    outcome = Outcome("missing", "interrupted", None)
    assert dict(run.outcomes()) == {"a": outcome, "b": None, "c": outcome}


def test_half_written_journal_lines_spoil_no_other(tmp_path: Path) -> None:
    append_outcome(tmp_path, "r", "a", Outcome("failed", "one", None))
    with (tmp_path / "outcomes.jsonl").open("ab") as file:
        file.write(b'{"run": "r", "host": "b", "outco')
    append_outcome(tmp_path, "r", "c", Outcome("ok", None, "hosts/c.json"))
    with (tmp_path / "outcomes.jsonl").open("ab") as file:
        file.write(b"[" * 100_000 + b'\n{"run": "r", "host": 5}\n{"run": "old", "host": "d", "outcome": "ok"}\nnull\n')
        file.write(b'{"run": "r", "host": "e", "outcome": "excellent", "reason": null, "file": null}\n')
    assert dict(read_journal(tmp_path, "r")) == {
        "a": Outcome("failed", "one", None),
        "c": Outcome("ok", None, "hosts/c.json"),
    }


@pytest.mark.parametrize("outcome", [["ok"], {}, None, 7, "fine"])
def test_a_journal_line_with_an_odd_outcome_spoils_no_other(outcome: object, tmp_path: Path) -> None:
    odd = {"run": "r", "host": "a", "outcome": outcome, "reason": None, "file": None}
    (tmp_path / "outcomes.jsonl").write_text(json.dumps(odd) + "\n", encoding="utf-8")
    append_outcome(tmp_path, "r", "b", Outcome("failed", "why", None))
    assert dict(read_journal(tmp_path, "r")) == {"b": Outcome("failed", "why", None)}


def test_a_journal_that_is_a_folder_or_a_pipe_says_nothing(tmp_path: Path) -> None:
    journal = tmp_path / "outcomes.jsonl"
    journal.mkdir()
    assert not list(read_journal(tmp_path, "r"))
    journal.rmdir()
    os.mkfifo(journal)
    assert not list(read_journal(tmp_path, "r"))


def test_the_last_outcome_counts_and_a_delegating_host_was_not_meant() -> None:
    ok, failed = Outcome("ok", None, "hosts/a.json"), Outcome("failed", "x", None)
    journal = [
        ("a", failed),
        ("a", ok),
        ("b", Outcome("delegated", None, None)),
        ("c", Outcome("delegated", None, None)),
    ]
    assert fold(["a", "b", "c", "d"], [*journal, ("c", failed)]) == {"a": ok, "c": failed, "d": None}


def damaged(run: RunFolder, host: str, data: bytes) -> None:
    file = run.store_report(host, sample("healthy"))
    (run.path / file).write_bytes(data)


def test_host_files_that_cannot_be_used_are_listed_with_the_reason(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    run.store_report("good", sample("sick"))
    damaged(run, "not-json", b"hello")
    damaged(run, "huge", b" " * 50_000_000)
    damaged(run, "deep", b'{"a":' * 100_000)
    damaged(run, "wrong-id", b'{"schema": "lastack.host/7"}')
    damaged(run, "wrong-types", json.dumps({**sample("sick"), "states": []}).encode())
    (run.path / run.store_report("absent", sample("healthy"))).unlink()
    run.record("escape", "ok", None, "hosts/../../secret.json")
    run.record("nameless", "ok", None, None)
    finished = finish_run(run)
    assert finished is not None
    hosts = finished.fleet["hosts"]
    assert (hosts["audited"], hosts["invalid"]) == (1, 8)
    reasons = {entry["host"]: entry["reason"] for entry in hosts["not_audited"]}
    assert "is not JSON" in reasons["not-json"]
    assert "has 50,000,000 bytes" in reasons["huge"]
    assert "nested deeper" in reasons["deep"]
    assert "lastack.host/7" in reasons["wrong-id"]
    assert "states is a list, not an object" in reasons["wrong-types"]
    assert "No such file" in reasons["absent"]
    assert "is no name of a host report" in reasons["escape"]
    # The manifest says the same as the fleet report, and merging again changes nothing.
    manifest = json.loads((run.path / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["hosts"]["huge"]["outcome"] == "invalid"
    assert merge_run(str(run.path)) == finished.fleet


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (b"", "manifest.json is not JSON"),
        (b'{"schema": "lastack.run/1"', "manifest.json is not JSON"),
        (b"{}", "is not a manifest of the schema lastack.run/1"),
        (b'{"schema": "lastack.run/1"}', "controller is missing"),
        (b'{"schema": "lastack.run/\\u001b"}', "is not a manifest of the schema lastack.run/1"),
    ],
)
def test_half_written_manifests_are_refused_clearly_and_the_folder_can_be_used_again(
    tmp_path: Path, manifest: bytes, said: str
) -> None:
    run = start(tmp_path / "run", "a", play="one")
    (run.path / "manifest.json").write_bytes(manifest)
    with pytest.raises(RunFolderError) as refused:
        rerender_run(str(run.path))
    assert said in str(refused.value)
    assert start(tmp_path / "run", "b", play="two").outcomes() == {"b": None}


def test_a_folder_that_is_not_there_is_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="there is no such directory"):
        rerender_run(str(tmp_path / "absent"))


def test_many_processes_write_one_journal(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    script = (
        "import sys\n"
        "from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import RunFolder\n"
        "run = RunFolder.read(sys.argv[1])\n"
        "for number in range(25): run.record(f'{sys.argv[2]}-{number}', 'failed', 'x' * 200)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "collections")}
    writers = [subprocess.Popen([sys.executable, "-c", script, str(run.path), name], env=environment) for name in "abc"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert len(run.outcomes()) == 75


def test_the_run_of_a_newer_lastack_is_not_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / "hosts").mkdir(parents=True)
    (folder / "hosts" / "a.json").write_text("{}", encoding="utf-8")
    (folder / "manifest.json").write_text('{"schema": "lastack.run/2", "hosts": {}}', encoding="utf-8")
    before = {path: path.read_bytes() for path in folder.rglob("*.json")}
    with pytest.raises(RunFolderError, match=r"is of the schema lastack\.run/2: a newer lastack wrote it\.$"):
        RunFolder.read(folder)
    with pytest.raises(RunFolderError, match=r"run/2: a newer lastack wrote it\. Choose another one\.$"):
        RunFolder.start(folder, made_by="test", hosts=["a"])
    assert {path: path.read_bytes() for path in folder.rglob("*.json")} == before


def test_the_run_of_a_newer_lastack_beside_it_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    newer = tmp_path / "lastack-runs" / "99991231T000000Z"
    newer.mkdir(parents=True)
    (newer / "manifest.json").write_text('{"schema": "lastack.run/2", "hosts": {}}', encoding="utf-8")
    assert RunFolder.start_default(made_by="test", hosts=["a"]).path.parent == newer.parent
