# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The generated fleets of the benchmarks are run folders like those of an audit, and the same for the same seed."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import RunFolder
from ansible_collections.lastack.linux.plugins.plugin_utils.stored_reports import StoredHost, stored_hosts
from ansible_collections.lastack.linux.plugins.plugin_utils.validate import load_host_report
from generated_leaks import LEAKING
from generated_reports import generate, main, names

if TYPE_CHECKING:
    from pathlib import Path

HOSTS = 400


@pytest.fixture(scope="module")
def fleets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same generated fleet now and a week later."""
    folder = tmp_path_factory.mktemp("fleets")
    generate(folder / "old", HOSTS)
    generate(folder / "new", HOSTS, change=True)
    return folder / "old", folder / "new"


def hosts_of(folder: Path) -> dict[str, StoredHost]:
    return {stored.host: stored for stored in stored_hosts(RunFolder.read(folder))}


def leaks_of(stored: StoredHost) -> dict[str, int]:
    report: dict[str, Any] = stored.report or {"close_wait": {"offenders": []}}
    return {offender["app"]: offender["count"] for offender in report["close_wait"]["offenders"]}


def test_every_report_is_valid_and_the_mix_is_that_of_a_fleet(fleets: tuple[Path, Path]) -> None:
    run = RunFolder.read(fleets[0])
    for outcome in itertools.islice(run.outcomes().values(), 60):
        if outcome is not None and outcome.file is not None:
            load_host_report(run.report_path(outcome.file), full=True)
    hosts = hosts_of(fleets[0])
    assert len(hosts) == HOSTS
    reports = [stored.report for stored in hosts.values() if stored.report is not None]
    unreachable = sum(stored.outcome.outcome == "unreachable" for stored in hosts.values())
    assert len(reports) + unreachable == HOSTS
    shares = {
        "unreachable": unreachable,
        "incomplete": sum(not report["completeness"]["complete"] for report in reports),
        "leaking": sum(bool(report["close_wait"]["offenders"]) for report in reports),
        "healthy": sum(all(one["severity"] == "info" for one in report["findings"]) for report in reports),
    }
    for name, expected in {"unreachable": 0.03, "incomplete": 0.02, "leaking": 0.10, "healthy": 0.60}.items():
        assert expected / 2 < shares[name] / HOSTS < expected * 1.5, (name, shares)


def test_a_week_later_some_leaks_are_healed_and_some_hosts_were_only_not_reached(fleets: tuple[Path, Path]) -> None:
    old, new = (hosts_of(folder) for folder in fleets)
    assert len(set(old) - set(new)) == len(set(new) - set(old)) == HOSTS // 200
    leaked = {host: leaks for host, stored in old.items() if (leaks := leaks_of(stored)) and host in new}
    lost = [host for host in leaked if new[host].report is None]
    assert lost
    seen = [host for host in leaked if new[host].report is not None]
    healed, grown = LEAKING[0].name, LEAKING[1].name
    assert any(healed in leaked[host] for host in seen)
    for host in seen:
        later = leaks_of(new[host])
        assert healed not in later
        assert later.get(grown, 0) >= leaked[host].get(grown, 0)
    assert any(leaks_of(stored) for host, stored in new.items() if host in old and not leaks_of(old[host]))


def test_the_same_seed_gives_the_same_files_and_slices_are_the_whole(fleets: tuple[Path, Path], tmp_path: Path) -> None:
    for part in ("0", "1"):
        assert main([str(tmp_path / part), "--hosts", str(HOSTS), "--part", part, "--parts", "2"]) == 0
    whole = {path.name: path.read_bytes() for path in (fleets[0] / "hosts").iterdir()}
    parts = [{path.name: path.read_bytes() for path in (tmp_path / part / "hosts").iterdir()} for part in ("0", "1")]
    assert parts[0].keys().isdisjoint(parts[1])
    assert {**parts[0], **parts[1]} == whole
    assert RunFolder.read(tmp_path / "0").run_id != RunFolder.read(tmp_path / "1").run_id
    assert len({name for __, name in names(HOSTS, change=True)}) == HOSTS
    generate(tmp_path / "other", HOSTS, seed=2)
    assert {path.name: path.read_bytes() for path in (tmp_path / "other" / "hosts").iterdir()} != whole
