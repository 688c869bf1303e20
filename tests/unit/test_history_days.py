# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the history keeps of a run, and what it says of days: a day that saw too little has healed nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.history_days import build_history
from ansible_collections.lastack.linux.plugins.plugin_utils.history_schema import HistoryError
from ansible_collections.lastack.linux.plugins.plugin_utils.history_sink import HistorySink, add_run
from ansible_collections.lastack.linux.plugins.plugin_utils.history_store import FindingFigures, opened
from ansible_collections.lastack.linux.plugins.plugin_utils.json_schema import load_schema, schema_problems
from history_samples import figures, history_of, run_on
from sample_reports import sample
from stored_samples import RUN, fleet_of, hand_to, not_audited, stored, varied
from test_cli_report import run_of

if TYPE_CHECKING:
    from pathlib import Path


def _kept(path: Path, hosts: list[Any]) -> tuple[Any, Any, Any]:
    with opened(path, write=True) as store:
        hand_to(HistorySink(store), hosts)
        (run,) = store.runs("")
        return run, store.apps(run.run_id), store.findings(run.run_id)


def test_the_sums_of_a_run_are_those_of_the_fleet_report(tmp_path: Path) -> None:
    run, apps, findings = _kept(tmp_path / "history.sqlite", varied())
    fleet = fleet_of(varied())
    assert (run.meant, run.audited, run.incomplete, run.judged) == (7, 4, 1, 4)
    assert (run.day, run.finished, run.apps_left_out) == ("2026-11-23", True, 0)
    assert set(apps) == {app["app"] for app in fleet["apps"] if app["sockets"]}
    for app in fleet["apps"]:
        kept = apps[app["app"]]
        assert kept.sockets == app["sockets"]
        assert kept.oldest_s == (app["oldest_s"] or {}).get("at_least")
        assert kept.descriptors_percent == (app["worst_descriptors"] or {}).get("used_percent")
        assert kept.growth_per_min == ((app["trend"] or {}).get("growth_per_min"))
    assert findings["ports.near_exhaustion"] == FindingFigures("warning", 3)


def test_a_host_counts_once_for_a_finding(tmp_path: Path) -> None:
    report = sample("sick")
    finding = report["findings"][0]
    report["findings"] = [{**finding, "subject": name, "severity": "warning"} for name in "abc"] + [finding]
    __, __, findings = _kept(tmp_path / "history.sqlite", [stored("web", report)])
    assert findings == {finding["id"]: FindingFigures("critical", 1)}


def test_what_was_not_looked_at_is_not_judged(tmp_path: Path) -> None:
    report = sample("healthy")
    del report["close_wait"]
    run, __, __ = _kept(tmp_path / "history.sqlite", [stored("web", report), stored("db")])
    assert (run.audited, run.judged) == (2, 1)


def test_a_forged_flood_of_applications_is_bounded(tmp_path: Path) -> None:
    report = sample("sick")
    offender = report["close_wait"]["offenders"][0]
    report["close_wait"]["offenders"] = [{**offender, "app": f"app-{n}", "count": n} for n in range(1, 1_501)]
    report["close_wait"]["truncated"] = 7
    run, apps, __ = _kept(tmp_path / "history.sqlite", [stored("web", report)])
    assert (len(apps), run.apps_left_out) == (1_000, 507)
    assert apps["app-1500"].sockets == 1_500


def test_figures_beyond_a_database_are_kept_as_the_largest(tmp_path: Path) -> None:
    report = sample("sick")
    for offender in report["close_wait"]["offenders"]:
        offender.update(app="one", count=2**64 - 1)
    __, apps, __ = _kept(tmp_path / "history.sqlite", [stored("web", report)])
    assert apps["one"].sockets == 2**63 - 1


def test_a_run_folder_is_added_once(tmp_path: Path) -> None:
    folder = run_of(tmp_path / "run", web1="sick", web2="healthy", db=None)
    with opened(tmp_path / "history.sqlite", write=True) as store:
        assert add_run(store, folder)
        assert not add_run(store, folder)
        (run,) = store.runs("")
        assert (run.meant, run.audited, run.finished) == (3, 2, True)
        assert store.apps(run.run_id)["checkout-api"].sockets == 2_204


def test_it_is_valid_against_its_schema(tmp_path: Path) -> None:
    with opened(tmp_path / "history.sqlite", write=True) as store:
        for day in (1, 2, 5):
            sink = HistorySink(store)
            for host in varied() if day != 5 else [not_audited("web")]:
                sink.add(host)
            sink.finish({"run": {**RUN, "id": f"r{day}", "started_at": f"2026-11-0{day}T04:30:00Z"}})
        for app in (None, "checkout-api", "nobody"):
            history = json.loads(json.dumps(build_history(store, days=30, app=app)))
            assert schema_problems(history, load_schema("lastack.history/1")) == []
            assert len(history["days"]) == 3
            assert {item["app"] for item in history["apps"]} <= (
                {app} if app else {row["app"] for row in history["apps"]}
            )
    assert [day["fewer_hosts"] for day in history["days"]] == [True, True, True], "three of seven hosts were not seen"


def test_an_empty_history_is_valid(tmp_path: Path) -> None:
    history = history_of(tmp_path / "history.sqlite", {})
    assert schema_problems(history, load_schema("lastack.history/1")) == []
    assert history["days"] == []


def _sockets(history: dict[str, Any], app: str = "a") -> list[tuple[int | None, bool]]:
    points = next(item["points"] for item in history["apps"] if item["app"] == app)
    return [(point["sockets"], point["at_least"]) for point in points]


def test_growth_is_a_day_and_not_a_run(tmp_path: Path) -> None:
    history = history_of(
        tmp_path / "history.sqlite", {run_on(1): {"a": 100}, run_on(3): {"a": 300}, run_on(7): {"a": 700}}
    )
    assert history["apps"][0]["growth_per_day"] == 100
    assert [day["day"][-2:] for day in history["days"]] == ["01", "03", "07"]


def test_a_restart_does_not_turn_the_growth(tmp_path: Path) -> None:
    runs = {run_on(day): {"a": 0 if day == 6 else 100 * day} for day in range(1, 12)}
    assert history_of(tmp_path / "history.sqlite", runs)["apps"][0]["growth_per_day"] == 100


def test_a_day_with_fewer_hosts_has_healed_nothing(tmp_path: Path) -> None:
    runs = {run_on(1): {"a": 100, "b": 5}, run_on(2): {"a": 200, "b": 5}, run_on(3, audited=60): {"a": 40}}
    history = history_of(tmp_path / "history.sqlite", runs)
    assert _sockets(history) == [(100, False), (200, False), (40, True)]
    assert _sockets(history, "b") == [(5, False), (5, False), (None, True)]
    growth = {item["app"]: item["growth_per_day"] for item in history["apps"]}
    assert growth == {"a": 100, "b": 0}
    last = {item["app"]: item["last"]["day"] for item in history["apps"]}
    assert last == {"a": "2026-11-03", "b": "2026-11-02"}


def test_a_run_of_a_part_of_the_inventory_is_no_healing_either(tmp_path: Path) -> None:
    runs = {run_on(1): {"a": 100}, run_on(2, audited=10, meant=10): {}}
    assert _sockets(history_of(tmp_path / "history.sqlite", runs)) == [(100, False), (None, True)]


def test_a_host_that_is_off_may_be_the_one_that_leaks(tmp_path: Path) -> None:
    """One host leaked, one is off: nobody knows. Ten leaked, four are off: some of them have healed."""
    path = tmp_path / "history.sqlite"
    with opened(path, write=True) as store:
        store.add(run_on(1), {"few": figures(50, hosts=4), "many": figures(100, hosts=10)}, {})
        store.add(run_on(2, audited=96), {}, {})
        store.add(run_on(3, audited=96), {}, {})
        store.add(run_on(4), {}, {})
        history = build_history(store, days=30)
    assert [day["fewer_hosts"] for day in history["days"]] == [False] * 4
    assert _sockets(history, "few") == [(50, False), (None, True), (None, True), (0, False)]
    assert _sockets(history, "many") == [(100, False), (0, False), (0, False), (0, False)]


def test_a_finding_on_hosts_that_were_not_seen_is_not_gone(tmp_path: Path) -> None:
    with opened(tmp_path / "history.sqlite", write=True) as store:
        store.add(run_on(1), {}, {"fd.dead_sockets": FindingFigures("warning", 2)})
        store.add(run_on(2, audited=98), {}, {})
        store.add(run_on(3, audited=99), {}, {})
        (row,) = build_history(store, days=30)["findings"]
    assert [(point["hosts"], point["at_least"]) for point in row["points"]] == [(2, False), (None, True), (0, False)]


@pytest.mark.parametrize("why", [{"finished": False}, {"apps_left_out": 3}, {"judged": 50}])
def test_what_may_have_been_missed_is_not_zero(why: dict[str, Any], tmp_path: Path) -> None:
    runs = {run_on(1): {"a": 100}, run_on(2, **why): {}}
    assert _sockets(history_of(tmp_path / "history.sqlite", runs))[1] == (None, True)


def test_hosts_that_were_seen_less_well_have_not_healed(tmp_path: Path) -> None:
    # Without root from the second day on: first some hosts, then all of them, and at last for good.
    blind = [0, 1, 100, *[100] * 9]
    runs = {run_on(day, blind=number): ({"few": 9} if day == 1 else {}) for day, number in enumerate(blind, 1)}
    history = history_of(tmp_path / "history.sqlite", runs)
    assert _sockets(history, "few") == [(9, False), *[(None, True)] * 11]


def test_hosts_that_are_never_seen_well_hide_no_change(tmp_path: Path) -> None:
    runs = {run_on(day, blind=40): ({"a": 9} if day < 3 else {}) for day in (1, 2, 3)}
    history = history_of(tmp_path / "history.sqlite", runs)
    assert _sockets(history) == [(9, False), (9, False), (0, False)]


def test_findings_that_were_not_looked_for_are_not_gone(tmp_path: Path) -> None:
    with opened(tmp_path / "history.sqlite", write=True) as store:
        store.add(run_on(1), {}, {"time_wait.bucket_overflow": FindingFigures("warning", 2)})
        store.add(run_on(2, findings_blind=100), {}, {})
        store.add(run_on(3), {}, {})
        (row,) = build_history(store, days=30)["findings"]
    assert [(point["hosts"], point["at_least"]) for point in row["points"]] == [(2, False), (None, True), (0, False)]


@pytest.mark.parametrize(
    ("change", "blind", "findings_blind"),
    [
        ({}, 0, 0),
        ({"completeness": {"close_wait": {"unattributed": 3}}}, 1, 0),
        ({"completeness": {"namespaces": {"failed": 1}}}, 1, 0),
        ({"completeness": {"source": "none"}}, 1, 0),
        ({"options": {"namespaces": "host"}}, 1, 0),
        ({"options": {"gather": ["close_wait"]}}, 0, 1),
        ({"findings_truncated": 4}, 0, 1),
    ],
)
def test_a_run_counts_the_hosts_that_it_saw_less_well(
    change: dict[str, Any], blind: int, findings_blind: int, tmp_path: Path
) -> None:
    report = sample("healthy")
    for key, value in change.items():
        if not isinstance(value, dict):
            report[key] = value
            continue
        for name, inner in value.items():
            old = report[key].get(name)
            report[key][name] = {**old, **inner} if isinstance(inner, dict) else inner
    run, __, __ = _kept(tmp_path / "history.sqlite", [stored("web", report)])
    assert (run.judged, run.blind, run.findings_blind) == (1, blind, findings_blind)


@pytest.mark.parametrize("year", ["0001", "1999", "9999"])
def test_a_run_of_no_such_year_is_refused(year: str, tmp_path: Path) -> None:
    run = {"id": "x", "started_at": f"{year}-01-01T00:00:00Z", "made_by": "x", "finished_at": None}
    with opened(tmp_path / "history.sqlite", write=True) as store:
        with pytest.raises(HistoryError, match="that controller's clock is wrong"):
            HistorySink(store).finish({"run": run})
        assert store.last_day() is None


def test_more_hosts_than_before_are_no_fewer(tmp_path: Path) -> None:
    runs = {run_on(1, audited=50, meant=50): {"a": 1}, run_on(2): {"a": 2}}
    assert _sockets(history_of(tmp_path / "history.sqlite", runs)) == [(1, False), (2, False)]


def test_the_widest_run_of_a_day_counts_and_of_two_such_the_later(tmp_path: Path) -> None:
    first, second = run_on(1), run_on(1, run_id="second", started_at="2026-11-01T09:00:00Z")
    part = run_on(1, audited=9, run_id="part", started_at="2026-11-01T12:00:00Z")
    history = history_of(tmp_path / "history.sqlite", {first: {"a": 1}, part: {"a": 2}, second: {"a": 3}})
    assert [day["run"] for day in history["days"]] == ["second"]
    assert _sockets(history) == [(3, False)]


def test_days_count_back_from_the_newest_run(tmp_path: Path) -> None:
    runs = {run_on(day): {"a": day} for day in (1, 2, 10)}
    path = tmp_path / "history.sqlite"
    assert [day["day"][-2:] for day in history_of(path, runs, days=9)["days"]] == ["02", "10"]
    assert [day["day"][-2:] for day in history_of(path, runs, days=1)["days"]] == ["10"]


def test_what_grows_fastest_stands_first(tmp_path: Path) -> None:
    runs = {run_on(day): {"flat": 5_000, "fast": 50 * day, "slow": 10 * day} for day in (1, 2, 3)}
    assert [item["app"] for item in history_of(tmp_path / "history.sqlite", runs)["apps"]] == ["fast", "slow", "flat"]
