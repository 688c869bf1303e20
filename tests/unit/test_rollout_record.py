# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a roll-out: never overwritten, refused when it is none, and the last word on a host."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.rollout_options import RolloutOptions
from ansible_collections.lastack.linux.plugins.plugin_utils.rollout_record import DOCUMENT, RolloutError, RolloutRecord

if TYPE_CHECKING:
    from pathlib import Path

BEFORE = {"seconds": 10.0, "opens": 1, "segments": 1, "counters": {}}


def made(path: Path | None, **statuses: str) -> RolloutRecord:
    record = RolloutRecord.start(path, hosts=["a", "b"], options=RolloutOptions()._asdict(), check=False)
    for host, status in statuses.items():
        record.hosts[host].update(status=status, before=BEFORE)
    record.save()
    return record


def dead(record: RolloutRecord, at: float) -> RolloutRecord:
    """Make the record one of a process that is gone, ``at`` seconds."""
    record.document["owner"]["pid"] = 4194399
    record.save()
    os.utime(record.path, (at, at))
    return record


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = made(tmp_path / "new" / "run", a="waiting")
    again = RolloutRecord.read(record.path)
    assert again.document == json.loads(json.dumps(record.document))
    assert again.with_status("waiting", "missing") == ["a", "b"]
    assert (record.path / DOCUMENT).stat().st_mode & 0o777 == 0o600
    assert record.path.stat().st_mode & 0o777 == 0o700
    again.save_screen("well\n")
    assert (record.path / "rollout.txt").read_text() == "well\n"


def test_two_of_one_second_have_two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one, other = made(None), made(None)
    assert one.path != other.path
    assert one.path.parent == other.path.parent == tmp_path / "lastack-runs"
    assert one.path.name.endswith("-rollout")


def test_a_folder_that_holds_anything_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(RolloutError, match="is no empty folder: a roll-out keeps its record in a new one"):
        made(tmp_path)
    with pytest.raises(RolloutError, match="is no empty folder"):
        made(tmp_path / "mine")
    with pytest.raises(RolloutError, match=r"^Cannot make the folder .*: File exists\.$"):
        made(tmp_path / "mine" / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def _without(name: str) -> Any:  # noqa: ANN401 - a JSON document
    return lambda document: {key: value for key, value in document.items() if key != name}


@pytest.mark.parametrize(
    "damage",
    [
        lambda document: document | {"schema": "lastack.rollout/9"},
        lambda document: document | {"hosts": ["a"]},
        lambda document: document | {"hosts": {"a": "passed"}},
        lambda document: document | {"hosts": {"a": {"status": None, "reasons": []}}},
        lambda document: document | {"hosts": {"a": {"status": "passed"}}},
        lambda document: document | {"batches": None},
        lambda document: document | {"check": "no"},
        lambda document: document | {"owner": {}},
        lambda document: document | {"owner": document["owner"] | {"pid": "1"}},
        _without("options"),
        _without("state"),
        lambda document: [document],
    ],
)
def test_what_is_no_record_is_refused(tmp_path: Path, damage: Any) -> None:  # noqa: ANN401 - a function of JSON
    record = made(tmp_path / "run")
    (record.path / DOCUMENT).write_text(json.dumps(damage(record.document)))
    with pytest.raises(RolloutError, match="holds no record of a roll-out"):
        RolloutRecord.read(record.path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{", b"[" * 200000, b"null"])
def test_a_corrupt_record_is_refused(tmp_path: Path, content: bytes) -> None:
    record = made(tmp_path / "run")
    (record.path / DOCUMENT).write_bytes(content)
    with pytest.raises(RolloutError, match="holds no record of a roll-out"):
        RolloutRecord.read(record.path)
    with pytest.raises(RolloutError, match="holds no record of a roll-out"):
        RolloutRecord.read(tmp_path / "nowhere")


def test_a_record_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    record = made(tmp_path / "run")
    (record.path / DOCUMENT).unlink()
    record.path.rmdir()
    with pytest.raises(RolloutError, match=r"^Cannot write .*rollout\.json: No such file or directory\.$"):
        record.save()


def test_the_last_roll_out_that_touched_a_host_has_the_last_word(tmp_path: Path) -> None:
    dead(made(tmp_path / "1", a="changed", b="changed"), at=1)
    assert sorted(made(tmp_path / "now").interrupted()) == ["a", "b"]
    dead(made(tmp_path / "2", a="passed", b="unreachable"), at=2)
    assert sorted(made(tmp_path / "later").interrupted()) == ["b"]
    dead(made(tmp_path / "3", b="restored"), at=3)
    assert made(tmp_path / "latest").interrupted() == {}


def test_a_live_roll_out_a_prediction_and_strange_folders_have_no_word(tmp_path: Path) -> None:
    made(tmp_path / "live", a="changed")
    checked = dead(made(tmp_path / "checked", a="changed"), at=1)
    checked.document["check"] = True
    checked.save()
    (tmp_path / "other").mkdir()
    (tmp_path / "file").touch()
    strange = dead(made(tmp_path / "strange", a="changed"), at=1)
    strange.hosts["a"]["before"] = {"seconds": 1, "colour": "red"}
    strange.save()
    assert made(tmp_path / "now").interrupted() == {}
