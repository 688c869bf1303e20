# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sinks see what the fleet merge sees, in one pass, whether or not the folder can be written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils import run_report, validate
from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import RunFolder
from sample_reports import sample

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Mapping
    from pathlib import Path

    from ansible_collections.lastack.linux.plugins.plugin_utils.stored_reports import StoredHost


class Seen:
    """A sink that remembers what it was told."""

    def __init__(self) -> None:
        self.hosts: list[tuple[str, str, bool]] = []
        self.fleets: list[dict[str, Any]] = []

    def add(self, stored: StoredHost) -> None:
        assert not self.fleets
        self.hosts.append((stored.host, stored.outcome.outcome, stored.report is not None))

    def finish(self, fleet: Mapping[str, Any]) -> None:
        self.fleets.append(dict(fleet))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder.start(tmp_path / "run", made_by="test", hosts=["sick", "gone", "forged", "healthy"])
    run.store_report("sick", sample("sick"))
    run.store_report("healthy", sample("healthy"))
    run.record("gone", "unreachable", "timed out")
    (run.path / run.store_report("forged", sample("healthy"))).write_bytes(b"{}")
    assert run_report.finish_run(run) is not None
    return RunFolder.read(run.path)


def test_every_sink_sees_every_host_once_and_each_file_is_read_once(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    original = validate.read_capped

    def counted(path: Path, limit: int) -> bytes:
        read.append(path.name)
        return original(path, limit)

    monkeypatch.setattr(validate, "read_capped", counted)
    first, second = Seen(), Seen()
    fleet, html = run_report.rerender_run(str(run.path), [first, second])
    assert html == str(run.path / "report.html")
    assert first.hosts == [
        ("sick", "ok", True),
        ("gone", "unreachable", False),
        ("forged", "invalid", False),
        ("healthy", "ok", True),
    ]
    assert second.hosts == first.hosts
    assert first.fleets == second.fleets == [fleet]
    assert fleet["hosts"]["audited"] == 2
    # An outcome that was invalid when the run finished is not tried again.
    assert sorted(read) == ["healthy.json", "sick.json"]


def test_a_folder_that_cannot_be_written_still_feeds_the_sinks(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_run: RunFolder) -> contextlib.AbstractContextManager[None]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(RunFolder, "exclusive", denied)
    seen = Seen()
    fleet, html = run_report.rerender_run(str(run.path), [seen])
    assert html == ""
    assert len(seen.hosts) == 4
    assert seen.fleets == [fleet]
