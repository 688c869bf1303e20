# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs compared: a fixed leak is never the same as a host that was not looked at again."""

from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.diff_runs import diff_runs
from ansible_collections.lastack.linux.plugins.plugin_utils.json_schema import load_schema, schema_problems
from ansible_collections.lastack.linux.plugins.plugin_utils.render.diff_words import setting_words
from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import RunFolder, RunFolderError
from diff_samples import OLD, host_report, incomplete, run_folder
from sample_reports import sample

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Hosts = dict[str, Any]


def diff(tmp_path: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The comparison of two runs; their reports get the times of the runs."""
    for report in old.values():
        if isinstance(report, dict):
            report["collected_at"] = OLD
    found = diff_runs(run_folder(tmp_path / "old", old, started_at=OLD), run_folder(tmp_path / "new", new))
    assert schema_problems(json.loads(json.dumps(found)), load_schema("lastack.diff/1")) == []
    return found


def app(found: Mapping[str, Any], name: str = "api") -> dict[str, Any]:
    entries: list[dict[str, Any]] = [entry for entry in found["apps"] if entry["app"] == name]
    assert len(entries) == 1
    return entries[0]


def hosts_of(entry: Mapping[str, Any]) -> dict[str, int]:
    return {key: number for key, number in entry["hosts"].items() if number}


def test_a_leak_is_gone_only_if_every_host_that_had_it_was_looked_at_again(tmp_path: Path) -> None:
    old: Hosts = {"a": host_report({"api": 100}), "b": host_report({"api": 50}), "c": host_report()}
    healed = diff(tmp_path / "1", old, {"a": host_report(), "b": host_report(), "c": host_report()})
    assert app(healed)["change"] == "gone"
    assert hosts_of(app(healed)) == {"healed": 2}
    away = diff(tmp_path / "2", old, {"a": host_report(), "b": "timed out", "c": host_report()})
    entry = app(away)
    assert entry["change"] == "unseen"
    assert hosts_of(entry) == {"healed": 1, "not_reached": 1}
    assert entry["sockets"]["not_reached"] == 50
    assert entry["named"]["not_reached"] == [{"host": "b", "old": 50, "reason": "unreachable: timed out"}]
    assert away["hosts"]["not_reached"]["hosts"] == [
        {"host": "b", "sockets": 50, "outcome": "unreachable", "reason": "timed out"}
    ]
    assert away["close_wait"] == {"old": {"hosts": 1, "sockets": 100}, "new": {"hosts": 0, "sockets": 0}}


def test_a_host_that_left_the_inventory_is_not_healed(tmp_path: Path) -> None:
    found = diff(tmp_path, {"a": host_report({"api": 100}), "b": host_report()}, {"b": host_report()})
    assert app(found)["change"] == "unseen"
    assert hosts_of(app(found)) == {"left": 1}
    assert found["hosts"]["left"] == {"count": 1, "hosts": [{"host": "a"}]}
    assert found["hosts"]["not_reached"]["count"] == 0


@pytest.mark.parametrize("state", ["failed", "invalid", "missing"])
def test_whatever_the_reason_a_host_without_a_report_is_not_healed(state: str, tmp_path: Path) -> None:
    old = run_folder(tmp_path / "old", {"a": host_report({"api": 100}, at=OLD)}, started_at=OLD)
    new = run_folder(tmp_path / "new", {"a": host_report()})
    manifest = json.loads((tmp_path / "new" / "manifest.json").read_text(encoding="utf-8"))
    manifest["hosts"]["a"] = {"outcome": state, "reason": "why not", "file": None}
    (tmp_path / "new" / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    found = diff_runs(old, new)
    assert hosts_of(app(found)) == {"not_reached": 1}
    assert app(found)["named"]["not_reached"][0]["reason"] == f"{state}: why not"


def test_a_report_that_cannot_be_read_heals_nothing(tmp_path: Path) -> None:
    old = run_folder(tmp_path / "old", {"a": host_report({"api": 100}, at=OLD)}, started_at=OLD)
    new = run_folder(tmp_path / "new", {"a": host_report()})
    (file,) = (tmp_path / "new" / "hosts").iterdir()
    file.write_bytes(file.read_bytes()[:200])
    found = diff_runs(old, new)
    assert hosts_of(app(found)) == {"not_reached": 1}
    assert found["hosts"]["not_reached"]["hosts"][0]["outcome"] == "invalid"


def test_growth_is_judged_on_the_hosts_of_both_runs_alone(tmp_path: Path) -> None:
    old: Hosts = {"a": host_report({"api": 100})}
    new: Hosts = {"a": host_report({"api": 104}), "b": host_report({"api": 900}), "c": host_report({"api": 50})}
    entry = app(diff(tmp_path / "1", {**old, "c": "timed out"}, new))
    assert entry["change"] == "steady"
    assert entry["common"] == {"old_hosts": 1, "new_hosts": 1, "old_sockets": 100, "new_sockets": 104}
    assert hosts_of(entry) == {"still": 1, "grew": 1, "joined": 1, "not_seen_before": 1}
    assert entry["new"] == {"hosts": 3, "sockets": 1054}
    assert entry["sockets"] | {"joined": 900, "not_seen_before": 50} == entry["sockets"]


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        ({"a": 100}, {"a": 111}, "grown"),
        ({"a": 100}, {"a": 109}, "steady"),
        ({"a": 3}, {"a": 6}, "steady"),
        ({"a": 100}, {"a": 89}, "shrunk"),
        ({"a": 100}, {"a": 100, "b": 2}, "grown"),
        ({"a": 100, "b": 2}, {"a": 100}, "shrunk"),
        ({}, {"a": 1}, "new"),
        ({"a": 1}, {}, "gone"),
        ({"a": 100}, {"b": 100}, "steady"),
    ],
)
def test_the_change_of_an_application(old: dict[str, int], new: dict[str, int], change: str, tmp_path: Path) -> None:
    def hosts(leaks: dict[str, int]) -> Hosts:
        return {name: host_report({"api": leaks[name]} if name in leaks else {}) for name in ("a", "b")}

    found = diff(tmp_path, hosts(old), hosts(new))
    assert app(found)["change"] == change
    assert found["changes"] == [change]


def test_a_leak_on_hosts_that_the_old_run_did_not_see_is_not_called_new(tmp_path: Path) -> None:
    new: Hosts = {"a": host_report({"api": 9}), "b": host_report({"api": 8})}
    entry = app(diff(tmp_path / "1", {"b": "timed out"}, new))
    assert entry["change"] == "first_seen"
    assert hosts_of(entry) == {"joined": 1, "not_seen_before": 1}
    assert app(diff(tmp_path / "2", {"b": host_report()}, new))["change"] == "new"


def test_what_is_as_it_was_gives_way_to_what_healed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.lastack.linux.plugins.plugin_utils.diff_runs._SHOWN", 1)
    found = diff(tmp_path, {"a": host_report({"same": 100, "once": 5})}, {"a": host_report({"same": 100})})
    assert [entry["app"] for entry in found["apps"]] == ["once"]
    assert found["apps_truncated"] == 1


def test_a_look_that_saw_less_heals_nothing(tmp_path: Path) -> None:
    blind = incomplete(host_report({"other": 1}), "not_privileged", detail="not root")
    blind["completeness"]["privileged"] = False
    found = diff(tmp_path, {"a": host_report({"api": 100, "other": 1})}, {"a": blind})
    entry = app(found)
    assert entry["change"] == "unseen"
    assert hosts_of(entry) == {"partly_seen": 1}
    assert entry["reasons"] == ["not root"]
    assert found["hosts"]["narrower"]["hosts"] == [{"host": "a", "reason": "not root"}]
    # Nor does it make the sum fall.
    assert found["close_wait"] == {"old": {"hosts": 0, "sockets": 0}, "new": {"hosts": 0, "sockets": 0}}
    # What both looks show is there both times, but how much it grew is not known.
    assert app(found, "other")["change"] == "unclear"


def test_what_an_old_look_could_not_see_is_not_called_new(tmp_path: Path) -> None:
    blind = incomplete(host_report(), "namespace_unreadable", 2)
    blind["completeness"]["namespaces"] = {"seen": 3, "read": 1, "failed": 2}
    entry = app(diff(tmp_path, {"a": blind}, {"a": host_report({"api": 100})}))
    assert entry["change"] == "first_seen"
    assert hosts_of(entry) == {"unknown_before": 1}


def test_a_restart_of_the_host_is_said(tmp_path: Path) -> None:
    old: Hosts = {"a": host_report({"api": 100}), "b": host_report({"api": 100})}
    found = diff(tmp_path, old, {"a": host_report(boot_id="boot-2"), "b": host_report()})
    assert hosts_of(app(found)) == {"healed": 2, "rebooted": 1}
    assert found["hosts"]["rebooted"]["hosts"] == [{"host": "a"}]


def test_an_application_in_two_namespaces_is_one(tmp_path: Path) -> None:
    old, new = host_report({"api": 100}), host_report({"api": 100})
    new["close_wait"]["offenders"].append({**new["close_wait"]["offenders"][0], "namespace": "blue", "count": 60})
    entry = app(diff(tmp_path, {"a": old}, {"a": new}))
    assert (entry["common"]["old_sockets"], entry["common"]["new_sockets"]) == (100, 160)
    assert entry["hosts"]["still"] == 1


def test_the_page_is_that_of_the_newest_and_largest(tmp_path: Path) -> None:
    old, new = host_report({"api": 100}), host_report({"api": 50})
    old["close_wait"]["offenders"][0]["causes"] = {"unread_data": 100}
    new["close_wait"]["offenders"][0]["causes"] = {"eof_read": 50}
    assert app(diff(tmp_path, {"a": old}, {"a": new}))["finding"] == "close_wait.leak"


def test_dead_sockets_are_compared_like_leaks(tmp_path: Path) -> None:
    dead, none, unknown = host_report(), host_report(), host_report()
    dead["dead_sockets"] = sample("sick")["dead_sockets"]
    unknown["dead_sockets"] = {**none["dead_sockets"], "total": None}
    (name,) = (entry["app"] for entry in dead["dead_sockets"]["offenders"])
    found = diff(tmp_path, {"a": dead, "b": dead}, {"a": none, "b": unknown})
    (entry,) = found["dead_sockets"]
    assert (entry["app"], entry["change"]) == (name, "unseen")
    assert hosts_of(entry) == {"healed": 1, "partly_seen": 1}
    assert found["changes"] == ["unseen"]


def test_findings_come_and_go(tmp_path: Path) -> None:
    finding = {
        "id": "listen.overflow",
        "severity": "warning",
        "remedy": "app",
        "subject": "api :8080",
        "summary": "The queue of api on :8080 ran over.",
        "evidence": {},
        "next_step": "Look at api.",
    }
    view = {**finding, "id": "view.incomplete", "subject": "this view"}
    with_it, without, cut = host_report(), host_report(), host_report()
    with_it["findings"] = [finding, view]
    cut["options"] = {"gather": ["close_wait"]}
    found = diff(tmp_path / "1", {"a": with_it, "b": without}, {"a": without, "b": with_it})
    (entry,) = found["findings"]
    assert (entry["id"], entry["change"], entry["severity"]) == ("listen.overflow", "steady", "warning")
    assert hosts_of(entry) == {"healed": 1, "appeared": 1}
    (entry,) = diff(tmp_path / "2", {"a": without}, {"a": with_it})["findings"]
    assert (entry["change"], entry["next_step"]) == ("new", "Look at api.")
    (entry,) = diff(tmp_path / "3", {"a": with_it}, {"a": cut})["findings"]
    assert (entry["change"], entry["reasons"]) == ("unseen", ["listeners, counters left out of the look"])


def sysctl(current: str | None, configured: str | None = None, winner: str | None = None) -> dict[str, Any]:
    return {"current": current, "configured": configured, "winner": winner}


def test_settings_from_what_to_what_on_how_many_hosts(tmp_path: Path) -> None:
    old: Hosts = {name: host_report() for name in "abcd"}
    new: Hosts = {name: host_report() for name in "abcd"}
    file = "/etc/sysctl.d/10-old.conf:3"
    for name in "abc":
        old[name]["sysctls"] = {"net.core.somaxconn": sysctl("4096"), "fs.nr_open": sysctl("1")}
        new[name]["sysctls"] = {"net.core.somaxconn": sysctl("128", "128", file), "fs.nr_open": sysctl(None)}
    # Written for the next boot, but not yet in force.
    old["d"]["sysctls"] = {"net.core.somaxconn": sysctl("4096")}
    new["d"]["sysctls"] = {"net.core.somaxconn": sysctl("4096", "128", file), "net.new": sysctl("1")}
    found = diff(tmp_path, old, new)
    assert found["settings"] == [
        {
            "key": "net.core.somaxconn",
            "scope": "running",
            "from": "4096",
            "to": "128",
            "hosts": 3,
            "host": "a",
            "winner": file,
        },
        {
            "key": "net.core.somaxconn",
            "scope": "boot",
            "from": None,
            "to": "128",
            "hosts": 1,
            "host": "d",
            "winner": file,
        },
    ]
    assert found["settings_hosts"] == 4


def limits(*entries: tuple[str, int, int, str | None]) -> dict[str, Any]:
    return {
        "default": None,
        "logins": [],
        "applications": [
            {
                "app": app,
                "unit": None,
                "processes": 1,
                "soft": soft,
                "hard": hard,
                "configured": place and {"soft": soft, "hard": hard, "place": place, "owner": None},
            }
            for app, soft, hard, place in entries
        ],
    }


def test_limits_from_what_to_what(tmp_path: Path) -> None:
    old: Hosts = {name: host_report() for name in "abc"}
    new: Hosts = {name: host_report() for name in "abc"}
    file = "/etc/systemd/system/api.service.d/50-lastack.conf:2"
    for name in "ab":
        old[name]["limits"] = limits(("api", 1024, 4096, None), ("two", 1, 1, None), ("left", 1, 1, None))
        new[name]["limits"] = limits(
            ("api", 65536, 524288, file), ("two", 2, 2, None), ("two", 3, 3, None), ("came", 2, 2, None)
        )
    new["c"]["limits"] = limits(("api", 2, -1, None))
    found = diff(tmp_path, old, new)
    assert found["settings"] == [
        {
            "key": "api",
            "scope": "limit",
            "from": "1024:4096",
            "to": "65536:524288",
            "hosts": 2,
            "host": "a",
            "winner": file,
        }
    ]
    assert found["settings_hosts"] == 2
    words = setting_words({**found["settings"][0], "to": "65536:-1"})
    assert words == f"open files of api 1,024:4,096 → 65,536:unlimited on 2 hosts ({file})"


def test_a_limit_that_a_host_does_not_know_is_no_change(tmp_path: Path) -> None:
    old, new = host_report(), host_report()
    old["limits"], new["limits"] = limits(("api", 1024, 4096, None)), limits(("api", 1024, 4096, None))
    new["limits"]["applications"][0].update(soft=None, hard=None)
    assert diff(tmp_path, {"a": old}, {"a": new})["settings"] == []


def test_the_same_run_twice_is_refused(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", {"a": host_report()})
    with pytest.raises(RunFolderError, match="are the same run"):
        diff_runs(run, run)


def test_a_run_that_still_goes_on_is_refused(tmp_path: Path) -> None:
    done = run_folder(tmp_path / "old", {"a": host_report()})
    RunFolder.start(tmp_path / "new", made_by="test", hosts=["a"])
    with pytest.raises(RunFolderError, match="still goes on"):
        diff_runs(done, str(tmp_path / "new"))


def test_runs_in_the_wrong_order_and_clocks_that_went_back_are_told(tmp_path: Path) -> None:
    old, new = {"a": host_report(at=OLD)}, {"a": host_report(at=OLD)}
    first = run_folder(tmp_path / "old", old, started_at=OLD)
    second = run_folder(tmp_path / "new", new)
    assert diff_runs(second, first)["apart_s"] == -7 * 86_400
    found = diff_runs(first, second)
    assert found["apart_s"] == 7 * 86_400
    assert found["hosts"]["not_newer"] == {"count": 1, "hosts": [{"host": "a", "old": OLD, "new": OLD}]}


def test_memory_holds_aggregates_only(tmp_path: Path) -> None:
    def peak(hosts: int) -> int:
        folder = tmp_path / str(hosts)
        old = run_folder(folder / "old", {f"h{n}": host_report({"api": 9}, at=OLD) for n in range(hosts)})
        new = run_folder(folder / "new", {f"h{n}": host_report({"api": 9}) for n in range(hosts)})
        diff_runs(old, new)
        tracemalloc.start()
        diff_runs(old, new)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    few, many = peak(20), peak(120)
    # Names and outcomes of both manifests stay; a report has kilobytes.
    assert (many - few) / 100 < 3_000
