# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger: what every changed thing was before, on disk before the first change; root's alone, one run at a time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import try_read_head
from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_values import same_value
from ansible_collections.lastack.linux.plugins.module_utils.tune.guarded_directories import (
    RefusedPath,
    rightful_owner,
)
from ansible_collections.lastack.linux.plugins.module_utils.tune.guarded_files import (
    kind_of,
    missing_directory,
    read_state,
)
from ansible_collections.lastack.linux.plugins.module_utils.tune.ledger_document import (
    ABSENT,
    DocumentError,
    Entries,
    FileEntry,
    ProcessEntry,
    RuntimeEntry,
    check_key,
    render,
)
from ansible_collections.lastack.linux.plugins.module_utils.tune.ledger_store import (
    DIRECTORY,
    MAX_BYTES,
    PATH,
    LedgerError,
    check_text,
    open_locked,
    read_entries,
    remove_ledger,
    write_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = [
    "ABSENT",
    "DIRECTORY",
    "PATH",
    "FileEntry",
    "Ledger",
    "LedgerError",
    "ProcessEntry",
    "RuntimeEntry",
    "digest",
    "open_ledger",
]

_Entry = TypeVar("_Entry", RuntimeEntry, FileEntry, ProcessEntry)


def digest(content: bytes | None) -> str:
    """Return what stands for a file's content in the ledger; ``ABSENT`` for no file."""
    return ABSENT if content is None else hashlib.sha256(content).hexdigest()


class Ledger:
    """What was before, by subject; each ``record`` is on disk when it returns. Made by :func:`open_ledger`.

    In check mode the same calls change only this object, and fail as they would. Methods raise ``LedgerError`` when the
    ledger cannot be written; then what was to be recorded must not be changed.
    """

    def __init__(self, entries: Entries, *, directory: int | None, root: str, proc: str) -> None:
        """Hold ``entries``; ``directory`` is the locked directory's descriptor, ``None`` in check mode."""
        self._entries = entries
        self._directory = directory
        self._root = root
        self._proc = proc
        self.runtime: Mapping[str, RuntimeEntry] = MappingProxyType(entries.runtime)
        """By dotted key."""
        self.files: Mapping[str, FileEntry] = MappingProxyType(entries.files)
        """By path on the host."""
        self.processes: Mapping[str, ProcessEntry] = MappingProxyType(entries.processes)
        """By ``pid:starttime``, the start in clock ticks since boot."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing of lastack's is left to restore."""
        return not (self.runtime or self.files or self.processes)

    def record_runtime(self, key: str, before: str, wanted: str) -> None:
        """Record that the sysctl ``key``, now ``before``, is about to be set to ``wanted``."""
        self.record_runtimes([(key, before, wanted)])

    def record_runtimes(self, changes: Iterable[tuple[str, str, str]]) -> None:
        """Record many sysctls with one write: key, value now, value to be set. The first value is kept for ever."""
        entries = dict(self._entries.runtime)
        for key, now, wanted in changes:
            try:
                check_key(key)
            except DocumentError as error:
                raise LedgerError(f"{error}; it was not recorded and not changed.") from None
            entry = entries.get(key)
            if entry is None:
                entries[key] = RuntimeEntry(before=now, set=None, pending=wanted, recorded=time.time())
                continue
            # A run that was killed between its write and its confirmation: what it wrote is ours.
            confirmed = now if entry.pending is not None and same_value(key, now, entry.pending) else entry.set
            entries[key] = entry._replace(set=confirmed, pending=wanted)
        self._save(self._entries._replace(runtime=entries))

    def confirm_runtime(self, key: str, accepted: str) -> None:
        """Record that the kernel took ``accepted`` for a recorded key."""
        self.confirm_runtimes({key: accepted})

    def confirm_runtimes(self, accepted: Mapping[str, str]) -> None:
        """Record with one write what the kernel took for recorded keys."""
        entries = dict(self._entries.runtime)
        for key, value in accepted.items():
            entries[key] = entries[key]._replace(set=value, pending=None)
        self._save(self._entries._replace(runtime=entries))

    def record_file(self, path: str, wanted: bytes | None) -> None:
        """Record what stands at ``path`` now, before ``wanted`` is written there; ``None``: before it is removed.

        Raises ``RefusedPath`` and ``OSError`` as ``guarded_files.read_state`` does.
        """
        state = read_state(path, root=self._root)
        entry = self.files.get(path)
        if entry is None:
            # A directory that is ours goes with the last of our files in it.
            missing = missing_directory(path, root=self._root)
            parent = path.rpartition("/")[0]
            ours = missing is not None or any(parent in other.made_directories for other in self.files.values())
            entry = FileEntry(
                kind=kind_of(path),
                before=state,
                set_sha256=None,
                pending_sha256=None,
                made_directories=(parent,) if ours else (),
                recorded=time.time(),
            )
        now = digest(None if state is None else state.content)
        confirmed = now if now == entry.pending_sha256 else entry.set_sha256
        entry = entry._replace(set_sha256=confirmed, pending_sha256=digest(wanted))
        self._save(self._entries._replace(files={**self.files, path: entry}))

    def confirm_file(self, path: str) -> None:
        """Record that what was recorded for ``path`` was written."""
        entry = self.files[path]
        entry = entry._replace(set_sha256=entry.pending_sha256, pending_sha256=None)
        self._save(self._entries._replace(files={**self.files, path: entry}))

    def record_process(self, key: str, *, before: tuple[int, int], wanted: tuple[int, int]) -> None:
        """Record that the process ``pid:starttime`` has the soft and hard limits ``before`` and gets ``wanted``."""
        entry = self.processes.get(key)
        if entry is None:
            boot = (try_read_head(f"{self._proc}/sys/kernel/random/boot_id", 64) or b"").decode("ascii", "replace")
            entry = ProcessEntry(*before, *wanted, recorded=time.time(), boot=boot.strip())
        entry = entry._replace(set_soft=wanted[0], set_hard=wanted[1])
        self._save(self._entries._replace(processes={**self.processes, key: entry}))

    def forget(self, *, runtime: Iterable[str] = (), files: Iterable[str] = (), processes: Iterable[str] = ()) -> None:
        """Drop what has been restored, with one write."""
        keys, paths, numbers = set(runtime), set(files), set(processes)
        if keys or paths or numbers:
            self._save(
                Entries(
                    runtime={key: entry for key, entry in self.runtime.items() if key not in keys},
                    files={path: entry for path, entry in self.files.items() if path not in paths},
                    processes={key: entry for key, entry in self.processes.items() if key not in numbers},
                )
            )

    def _save(self, entries: Entries) -> None:
        text = render(entries)
        if len(text) > MAX_BYTES:
            raise LedgerError(f"{PATH} would be larger than {MAX_BYTES} bytes; nothing more was changed.")
        try:
            if self._directory is None:
                check_text(text, self._root)
            else:
                write_text(self._directory, text)
        except OSError as error:
            raise LedgerError(f"{PATH} cannot be written ({error.strerror}); nothing more was changed.") from error
        # In place, because the views of runtime, files and processes stay.
        if entries.runtime is not self._entries.runtime:
            _refill(self._entries.runtime, entries.runtime)
        if entries.files is not self._entries.files:
            _refill(self._entries.files, entries.files)
        if entries.processes is not self._entries.processes:
            _refill(self._entries.processes, entries.processes)


@contextlib.contextmanager
def open_ledger(*, root: str = "/", proc: str = "/proc", check: bool = False, wait_s: float = 0.0) -> Iterator[Ledger]:
    """Give the host's ledger, locked against every other run until the end; an empty one leaves nothing on disk.

    With ``check`` nothing is made, written or locked: the ledger is read as it stands, whole because it is only ever
    replaced. ``wait_s`` is how long to wait for another run. ``proc`` names the run that holds the lock.

    Raises:
        LedgerError: a ledger that is corrupt (it is kept), a link, not root's, open to others, or in use.
    """
    try:
        directory = open_locked(root=root, proc=proc, check=check, wait_s=wait_s)
    except RefusedPath as error:
        raise LedgerError(f"The ledger cannot be used: {error}") from error
    try:
        entries = Entries({}, {}, {}) if directory is None else read_entries(directory, rightful_owner(root))
        ledger = Ledger(entries, directory=None if check else directory, root=root, proc=proc)
        try:
            yield ledger
        finally:
            if directory is not None and not check and ledger.is_empty:
                remove_ledger(directory, root)
    finally:
        if directory is not None:
            os.close(directory)


def _refill(kept: dict[str, _Entry], new: dict[str, _Entry]) -> None:
    kept.clear()
    kept.update(new)
