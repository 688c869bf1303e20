# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sweep without any host: what is stored, what is refused, and what an interrupt leaves."""

from __future__ import annotations

import copy
import datetime
import json
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.json_schema import load_schema, schema_problems
from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import RunFolder, RunFolderError
from ansible_collections.lastack.linux.plugins.plugin_utils.run_report import finish_run
from ansible_collections.lastack.linux.sweep.attempt import Answer
from ansible_collections.lastack.linux.sweep.inventory import Entry, InventoryError
from ansible_collections.lastack.linux.sweep.lifeline import CutError, Lifeline
from ansible_collections.lastack.linux.sweep.read_ahead import AHEAD
from ansible_collections.lastack.linux.sweep.run_sweep import INTERRUPTED, Counts, Watcher, run_sweep
from ansible_collections.lastack.linux.sweep.target import Passwords, Target, target_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

HEALTHY: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "fixtures" / "reports" / "healthy.json").read_text(encoding="utf-8")
)
LIFE_S = 30.0


class Seen:
    """Keeps every count that it was shown."""

    def __init__(self) -> None:
        self.counts: list[Counts] = []

    def show(self, counts: Counts) -> None:
        self.counts.append(counts)


def entries(hosts: Sequence[str]) -> Iterator[Entry]:
    return (Entry(host, {}) for host in hosts)


def target(entry: Entry) -> Target:
    return target_of(entry, Passwords(), marker="m", life_s=1)


def swept(  # noqa: PLR0913 - each test needs another one
    folder: Path,
    hosts: Sequence[str],
    look: Callable[[Target, Lifeline], Answer],
    *,
    forks: int = 3,
    interrupted: Callable[[], bool] = lambda: False,
    given: Iterator[Entry] | None = None,
    watcher: Watcher | None = None,
) -> tuple[dict[str, Any], Counts]:
    run = RunFolder.start(folder, made_by="sweep", hosts=hosts)
    counts = run_sweep(
        run,
        entries(hosts) if given is None else given,
        target,
        look,
        forks=forks,
        life_s=LIFE_S,
        watcher=watcher or Seen(),
        interrupted=interrupted,
    )
    return finished(folder), counts


def finished(folder: Path) -> dict[str, Any]:
    finish_run(RunFolder.read(folder))
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert schema_problems(manifest, load_schema("lastack.run/1")) == []
    assert manifest["finished"] is True
    hosts: dict[str, Any] = manifest["hosts"]
    return hosts


def test_every_host_has_its_outcome_and_its_report(tmp_path: Path) -> None:
    forged = copy.deepcopy(HEALTHY)
    forged["close_wait"] = "none"
    answers = {
        "web-1": Answer("ok", None, copy.deepcopy(HEALTHY)),
        "../../x\x1b": Answer("ok", None, copy.deepcopy(HEALTHY)),
        "gone": Answer("unreachable", "port 22: connection refused"),
        "liar": Answer("ok", None, forged),
        "old": Answer("failed", "no Python 3.9 or newer"),
    }
    hosts, counts = swept(tmp_path / "run", list(answers), lambda one, __: answers[one.host])
    assert {host: entry["outcome"] for host, entry in hosts.items()} == {
        "web-1": "ok",
        "../../x\x1b": "ok",
        "gone": "unreachable",
        "liar": "invalid",
        "old": "failed",
    }
    assert (counts.meant, counts.ok, counts.not_ok, dict(counts.running)) == (5, 2, 3, {})
    assert hosts["gone"]["reason"] == "port 22: connection refused"
    assert "close_wait" in hosts["liar"]["reason"]
    stored = json.loads((tmp_path / "run" / hosts["../../x\x1b"]["file"]).read_text(encoding="utf-8"))
    assert stored["host"]["inventory_name"] == r"../../x\x1b"
    assert not list(tmp_path.parent.glob("x*"))


def test_a_host_that_asks_for_too_much_is_never_looked_at(tmp_path: Path) -> None:
    looked: list[str] = []

    def look(one: Target, __: Lifeline) -> Answer:
        looked.append(one.host)
        return Answer("unreachable", "no")

    given = iter([Entry("win", {"ansible_connection": "winrm"}), Entry("odd", {}, "broken"), Entry("good", {})])
    hosts, __ = swept(tmp_path / "run", ["win", "odd", "good"], look, given=given)
    assert looked == ["good"]
    assert [hosts[name]["outcome"] for name in ("win", "odd")] == ["failed", "failed"]
    assert "winrm" in hosts["win"]["reason"]


def test_the_inventory_is_read_no_faster_than_hosts_are_looked_at(tmp_path: Path) -> None:
    names = [f"h{number}" for number in range(12)]
    read: list[str] = []
    free = threading.Event()

    def given() -> Iterator[Entry]:
        for name in names:
            read.append(name)
            if len(read) == 3:
                free.set()
            yield Entry(name, {})

    def look(__: Target, ___: Lifeline) -> Answer:
        # Nothing ends before as many are read as may run at once; were more needed, none would ever end.
        return Answer("unreachable", f"{len(read)}" if free.wait(LIFE_S) else "late")

    hosts, __ = swept(tmp_path / "run", names, look, given=given())
    assert read == names
    # As many as run, those that wait for one of them to end, and the one for which there is no room to wait.
    most = 3 + AHEAD + 1
    assert all(int(entry["reason"]) <= number + most for number, entry in enumerate(hosts.values()))


def test_an_inventory_that_hangs_holds_up_neither_results_nor_an_interrupt(tmp_path: Path) -> None:
    free, stop, waited = threading.Event(), threading.Event(), []

    class StopsAfterOne:
        def show(self, counts: Counts) -> None:
            if counts.done:
                stop.set()

    def given() -> Iterator[Entry]:
        yield Entry("a", {})
        waited.append(free.wait(LIFE_S))
        yield Entry("b", {})

    try:
        hosts, counts = swept(
            tmp_path / "run",
            ["a", "b"],
            lambda *__: Answer("ok", None, copy.deepcopy(HEALTHY)),
            given=given(),
            watcher=StopsAfterOne(),
            interrupted=stop.is_set,
        )
        assert not waited
    finally:
        free.set()
    assert [(entry["outcome"], entry["reason"]) for entry in hosts.values()] == [("ok", None), ("missing", INTERRUPTED)]
    assert counts.done == 2
    for thread in threading.enumerate():
        if thread.name == "lastack-inventory":
            thread.join(LIFE_S)
            assert not thread.is_alive()


def test_an_inventory_that_breaks_off_leaves_the_running_hosts_their_end(tmp_path: Path) -> None:
    broken = threading.Event()

    def given() -> Iterator[Entry]:
        yield Entry("a", {})
        yield Entry("b", {})
        broken.set()
        raise InventoryError("The inventory cannot be used: c is a riddle.")

    def look(__: Target, lifeline: Lifeline) -> Answer:
        try:
            # A moment longer than the inventory, in which nobody may end it.
            broken.wait(LIFE_S)
            lifeline.pause(0.5)
        except CutError:
            return Answer("missing", lifeline.reason)
        return Answer("ok", None, copy.deepcopy(HEALTHY))

    with pytest.raises(InventoryError, match="c is a riddle"):
        swept(tmp_path / "run", ["a", "b", "c", "d"], look, given=given())
    hosts = finished(tmp_path / "run")
    assert [hosts[name]["outcome"] for name in "abcd"] == ["ok", "ok", "missing", "missing"]
    assert hosts["c"]["reason"] == hosts["d"]["reason"] == "the inventory cannot be used: c is a riddle"


def test_a_controller_that_can_start_no_thread_for_the_inventory_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(__: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(InventoryError, match="no more threads"):
        swept(tmp_path / "run", ["a"], lambda *__: Answer("ok", None))
    assert "no more threads" in finished(tmp_path / "run")["a"]["reason"]


def test_an_interrupt_of_a_sweep_whose_inventory_broke_off_keeps_both_reasons(tmp_path: Path) -> None:
    stop = threading.Event()

    class StopsAfterTheRest:
        def show(self, counts: Counts) -> None:
            if counts.not_ok:
                stop.set()

    def given() -> Iterator[Entry]:
        yield Entry("a", {})
        raise InventoryError("It broke.")

    def look(__: Target, lifeline: Lifeline) -> Answer:
        try:
            lifeline.pause(LIFE_S - 1)
        except CutError:
            return Answer("missing", lifeline.reason)
        return Answer("failed", "was not interrupted")

    with pytest.raises(InventoryError, match="It broke"):
        swept(
            tmp_path / "run",
            ["a", "b"],
            look,
            given=given(),
            watcher=StopsAfterTheRest(),
            interrupted=stop.is_set,
        )
    reasons = {name: entry["reason"] for name, entry in finished(tmp_path / "run").items()}
    assert reasons == {"a": INTERRUPTED, "b": "it broke"}


def test_a_report_that_waits_to_be_taken_has_no_wrong_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    came_s, main = 1_800_000_000.0, threading.current_thread()
    # The sweep's own thread is an hour later than those that look.
    monkeypatch.setattr(time, "time", lambda: came_s + 3600.0 * (threading.current_thread() is main))
    made = copy.deepcopy(HEALTHY)
    made["collected_at"] = datetime.datetime.fromtimestamp(came_s - 1, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    hosts, __ = swept(tmp_path / "run", ["a"], lambda *__: Answer("ok", None, made))
    assert "clock_wrong" not in (tmp_path / "run" / hosts["a"]["file"]).read_text(encoding="utf-8")


def test_an_interrupt_leaves_a_whole_run_and_asks_no_more(tmp_path: Path) -> None:
    names = [f"h{number}" for number in range(10)]
    stop = threading.Event()

    def look(one: Target, lifeline: Lifeline) -> Answer:
        if one.host == "h0":
            return Answer("ok", None, copy.deepcopy(HEALTHY))
        stop.set()
        try:
            lifeline.pause(LIFE_S - 1)
        except CutError:
            return Answer("missing", lifeline.reason)
        return Answer("failed", "was not interrupted")

    hosts, counts = swept(tmp_path / "run", names, look, forks=2, interrupted=stop.is_set)
    assert hosts.pop("h0")["outcome"] == "ok"
    assert {(entry["outcome"], entry["reason"]) for entry in hosts.values()} == {("missing", INTERRUPTED)}
    assert counts.done == counts.meant == 10
    fleet = json.loads((tmp_path / "run" / "fleet.json").read_text(encoding="utf-8"))
    assert (fleet["hosts"]["meant"], fleet["hosts"]["audited"], fleet["hosts"]["missing"]) == (10, 1, 9)


def test_a_thread_that_hangs_does_not_hold_an_interrupt_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.lastack.linux.sweep.run_sweep._LAST_S", 0.1)
    begun, free = threading.Event(), threading.Event()

    def look(__: Target, ___: Lifeline) -> Answer:
        begun.set()
        free.wait(LIFE_S)
        return Answer("failed", "too late")

    try:
        hosts, __ = swept(tmp_path / "run", ["a"], look, interrupted=begun.is_set)
    finally:
        free.set()
    assert (hosts["a"]["outcome"], hosts["a"]["reason"]) == ("missing", INTERRUPTED)


def test_a_full_disk_ends_the_sweep_and_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def look(one: Target, lifeline: Lifeline) -> Answer:
        if one.host == "a":
            return Answer("ok", None, copy.deepcopy(HEALTHY))
        try:
            lifeline.pause(LIFE_S - 1)
        except CutError:
            ended.set()
        return Answer("missing", None)

    def full(*__: object) -> None:
        raise RunFolderError("Cannot write to the run folder: No space left on device.")

    monkeypatch.setattr(RunFolder, "store_report", full)
    with pytest.raises(RunFolderError, match="No space left"):
        swept(tmp_path / "run", ["b", "a"], look)
    assert ended.wait(LIFE_S)
