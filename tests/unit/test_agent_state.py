# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's state file: what comes back, what is refused, and that a failed write leaves the old one."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.agent import whole_files
from ansible_collections.lastack.linux.agent.state import StateUnusable, load_state, save_state
from ansible_collections.lastack.linux.agent.whole_files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

BOOT = "b7a1"


def test_what_was_saved_comes_back_within_the_boot(tmp_path: Path) -> None:
    path = str(tmp_path / "state.json")
    save_state(path, {"some": [1, 2.5]}, boot_id=BOOT, watching_since_s=12.5)
    assert load_state(path, boot_id=BOOT, now_s=100.0) == ({"some": [1, 2.5]}, 12.5)
    assert load_state(path, boot_id="another", now_s=100.0) is None
    assert load_state(path, boot_id=None, now_s=100.0) is None
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["state.json"]  # noqa: PTH208 - the names alone


def test_no_file_is_no_state(tmp_path: Path) -> None:
    assert load_state(str(tmp_path / "state.json"), boot_id=BOOT, now_s=1.0) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"[" * 100_000,
        json.dumps({"schema": "lastack.agent-state/2", "boot_id": BOOT}).encode(),
        json.dumps({"schema": "lastack.agent-state/1", "boot_id": BOOT, "watching_since_s": 1}).encode(),
        json.dumps({"schema": "lastack.agent-state/1", "boot_id": BOOT, "watch": {}}).encode(),
        json.dumps({"schema": "lastack.agent-state/1", "boot_id": BOOT, "watch": [], "watching_since_s": 1}).encode(),
        json.dumps(
            {"schema": "lastack.agent-state/1", "boot_id": BOOT, "watch": {}, "watching_since_s": True}
        ).encode(),
        json.dumps({"schema": "lastack.agent-state/1", "boot_id": BOOT, "watch": {}, "watching_since_s": 101}).encode(),
        b'{"schema": "lastack.agent-state/1", "boot_id": "b7a1", "watch": {}, "watching_since_s": NaN}',
    ],
)
def test_nonsense_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "state.json").write_bytes(data)
    with pytest.raises(StateUnusable):
        load_state(str(tmp_path / "state.json"), boot_id=BOOT, now_s=100.0)


def test_links_and_pipes_are_refused(tmp_path: Path) -> None:
    save_state(str(tmp_path / "real.json"), {}, boot_id=BOOT, watching_since_s=1.0)
    (tmp_path / "state.json").symlink_to("real.json")
    with pytest.raises(StateUnusable):
        load_state(str(tmp_path / "state.json"), boot_id=BOOT, now_s=100.0)
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(StateUnusable):
        load_state(str(tmp_path / "pipe.json"), boot_id=BOOT, now_s=100.0)


def test_a_full_disk_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(b"old")

    def full(_descriptor: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(whole_files.os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(str(path), b"new", 0o600)
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["state.json"]


def test_a_write_in_pieces_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(whole_files.os, "write", lambda descriptor, data: write(descriptor, bytes(data[:3])))
    write_whole(str(tmp_path / "file"), b"0123456789", 0o644)
    assert (tmp_path / "file").read_bytes() == b"0123456789"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_links_are_replaced_and_leftovers_used_up(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (tmp_path / "file").symlink_to(victim)
    (tmp_path / ".file.new").symlink_to(victim)
    write_whole(str(tmp_path / "file"), b"new", 0o644)
    assert victim.read_bytes() == b"mine"
    assert not (tmp_path / "file").is_symlink()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "victim"]
