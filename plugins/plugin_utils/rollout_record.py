# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a roll-out: one folder on the controller that says at any time which host is where.

    rollout.json   schema lastack.rollout/1: state, batches, and of each host its status, windows and reasons
    rollout.txt    the last screen

It is written after each step and before each change, so that a roll-out which was killed can be told from a finished
one, and its hosts are judged by the next.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.version import VERSION
from ansible_collections.lastack.linux.plugins.plugin_utils.atomic_files import write_atomically
from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import default_path, utc_now
from ansible_collections.lastack.linux.plugins.plugin_utils.run_owner import Owner

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["DOCUMENT", "SCHEMA", "SCREEN", "RolloutError", "RolloutRecord"]

SCHEMA = "lastack.rollout/1"
DOCUMENT = "rollout.json"
SCREEN = "rollout.txt"

_MOST_BYTES = 200 << 20
_NEWEST = 50
_OPEN = ("changing", "changed", "failed", "inconclusive", "not_restored")
_WINDOW = {"seconds", "opens", "segments", "counters"}
_SAME_SECOND = 1000


class RolloutError(Exception):
    """A roll-out cannot go on; the message is one sentence."""


class RolloutRecord:
    """The folder of one roll-out and its document."""

    def __init__(self, path: Path, document: dict[str, Any]) -> None:
        """Wrap a document; use ``start`` or ``read``."""
        self.path = path
        self.document = document

    @classmethod
    def start(
        cls, path: str | Path | None, *, hosts: Iterable[str], options: Mapping[str, Any], check: bool, play: str = ""
    ) -> RolloutRecord:
        """Make the folder (default: ``lastack-runs/<UTC time>-rollout``); raises ``RolloutError``.

        A folder that holds anything is refused: the record of a roll-out is never overwritten.
        """
        owner = Owner.current(play)
        try:
            folder = _make_default() if path is None else _make(Path(path).expanduser().absolute())
        except OSError as error:
            raise RolloutError(f"Cannot make the folder {error.filename}: {error.strerror or error}.") from error
        document = {
            "schema": SCHEMA,
            "id": f"{folder.name}-{secrets.token_hex(3)}",
            "version": VERSION,
            "state": "running",
            "check": check,
            "started_at": utc_now(),
            "finished_at": None,
            "owner": {"controller": owner.controller, "pid": owner.pid, "process": owner.process, "play": owner.play},
            "options": dict(options),
            "batches": [],
            "hosts": {host: {"status": "missing", "reasons": []} for host in hosts},
        }
        record = cls(folder, document)
        record.save()
        return record

    @classmethod
    def read(cls, path: str | Path) -> RolloutRecord:
        """Read the record in a folder; raises ``RolloutError``."""
        folder = Path(path)
        try:
            with (folder / DOCUMENT).open("rb") as file:
                document = json.loads(file.read(_MOST_BYTES))
        except (OSError, ValueError, RecursionError) as error:
            raise RolloutError(f"{folder} holds no record of a roll-out ({type(error).__name__}).") from error
        if not isinstance(document, dict) or document.get("schema") != SCHEMA or not _is_sound(document):
            raise RolloutError(f"{folder} holds no record of a roll-out ({SCHEMA}).")
        return cls(folder, document)

    @property
    def hosts(self) -> dict[str, dict[str, Any]]:
        """The entry of each host."""
        hosts: dict[str, dict[str, Any]] = self.document["hosts"]
        return hosts

    @property
    def batch(self) -> dict[str, Any]:
        """The batch that is on."""
        batch: dict[str, Any] = self.document["batches"][-1]
        return batch

    def with_status(self, *statuses: str) -> list[str]:
        """Return the hosts of these statuses, in the order of the inventory."""
        return [host for host, entry in self.hosts.items() if entry["status"] in statuses]

    def save(self) -> None:
        """Write the document; raises ``RolloutError``."""
        self._write(DOCUMENT, json.dumps(self.document, indent=1, default=str) + "\n")

    def save_screen(self, text: str) -> None:
        """Write the screen beside the document; raises ``RolloutError``."""
        self._write(SCREEN, text)

    def _write(self, name: str, text: str) -> None:
        try:
            write_atomically(self.path / name, text.encode("utf-8", "replace"), mode=0o600)
        except OSError as error:
            raise RolloutError(f"Cannot write {self.path / name}: {error.strerror or error}.") from error

    def interrupted(self) -> dict[str, dict[str, Any]]:
        """Return the hosts that earlier roll-outs beside this one have left with a change that is not good, by name.

        They were never judged, as that roll-out was killed, or could not be restored. A later roll-out that judged or
        restored a host, or another one that still lives, has the last word.
        """
        found: dict[str, dict[str, Any]] = {}
        known: set[str] = set()
        for folder in sorted(_folders(self.path.parent), key=lambda one: one[0], reverse=True)[:_NEWEST]:
            if folder[1] == self.path:
                continue
            try:
                other = RolloutRecord.read(folder[1])
            except RolloutError:
                continue
            if other.document["check"] or other.is_live():
                continue
            for host, entry in other.hosts.items():
                status = entry["status"]
                if host in known or status in ("missing", "unreachable", "already", "waiting", "refused"):
                    continue
                known.add(host)
                if status in _OPEN and _has_window(entry):
                    found[host] = entry
        return found

    def is_live(self) -> bool:
        """Tell whether its process still runs, or may run on another controller."""
        owner = self.document["owner"]
        mark = Owner(owner["controller"], owner["pid"], owner["process"], owner["play"])
        return self.document["state"] == "running" and mark.is_alive() is not False


def _has_window(entry: Mapping[str, Any]) -> bool:
    window = entry.get("before")
    return isinstance(window, dict) and set(window) == _WINDOW and isinstance(window["counters"], dict)


def _folders(parent: Path) -> list[tuple[float, Path]]:
    try:
        return [(entry.stat().st_mtime, Path(entry.path)) for entry in os.scandir(parent) if entry.is_dir()]
    except OSError:
        return []


def _make(folder: Path) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not folder.is_dir() or any(folder.iterdir()):
            raise RolloutError(f"{folder} is no empty folder: a roll-out keeps its record in a new one.") from None
    return folder


def _make_default() -> Path:
    base = default_path()
    for number in range(1, _SAME_SECOND):
        folder = base.with_name(f"{base.name}-rollout" + (f"-{number}" if number > 1 else ""))
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue
        return folder
    raise RolloutError(f"There are too many roll-outs in {base.parent}.")


def _is_sound(document: dict[str, Any]) -> bool:
    hosts, owner = document.get("hosts"), document.get("owner")
    return (
        isinstance(hosts, dict)
        and all(
            isinstance(entry, dict) and isinstance(entry.get("status"), str) and isinstance(entry.get("reasons"), list)
            for entry in hosts.values()
        )
        and isinstance(document.get("batches"), list)
        and isinstance(document.get("options"), dict)
        and isinstance(document.get("check"), bool)
        and isinstance(document.get("state"), str)
        and isinstance(owner, dict)
        and {"controller", "pid", "process", "play"} <= set(owner)
        and isinstance(owner["pid"], int)
    )
