# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The run folder ``lastack.run/1``: where an audit leaves its manifest, host reports, fleet report and screens.

    manifest.json   what was meant, by whom, and each host's outcome
    hosts/NAME.json one report per host, under a safe form of its name
    outcomes.jsonl  the journal while the run goes on
    fleet.json, report.txt, report.html

Any number of processes of one run may write at the same time; a second run into the same folder is refused
while the first one lives, and replaces it as a whole afterwards.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.version import VERSION
from ansible_collections.lastack.linux.plugins.plugin_utils.atomic_files import write_atomically
from ansible_collections.lastack.linux.plugins.plugin_utils.folder_lock import LOCK, locked
from ansible_collections.lastack.linux.plugins.plugin_utils.host_outcomes import HOSTS, HostOutcomes, report_file
from ansible_collections.lastack.linux.plugins.plugin_utils.manifest import (
    DELEGATED,
    JOURNAL,
    MANIFEST,
    RUN_SCHEMA,
    NewerManifest,
    Outcome,
    append_outcomes,
    fold,
    manifest_owner,
    open_manifest,
    read_journal,
    read_manifest,
    read_manifest_head,
    read_manifest_hosts,
    write_manifest,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.plugins.plugin_utils.run_owner import Owner, controller_name
from ansible_collections.lastack.linux.plugins.plugin_utils.validate import InvalidReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["FLEET", "HOSTS", "HTML", "TEXT", "RunFolder", "RunFolderError", "default_path", "utc_now"]

FLEET = "fleet.json"
HTML = "report.html"
TEXT = "report.txt"

# The last one is what a caller keeps of the output of ansible-playbook (scripts/audit does).
_OURS = frozenset({MANIFEST, JOURNAL, HOSTS, FLEET, HTML, TEXT, LOCK, "ansible.log"})
_TEMPORARY = ".new-"

_NAMES_SHOWN = 3
_SAME_SECOND = 1000
_REPORT_NAME = re.compile(r"[a-z0-9][a-z0-9._~-]*\.json")
_NEWEST = 20
_SILENT_S = 3600.0


class RunFolderError(Exception):
    """A run folder cannot be used; the message is one sentence that names the path and the reason."""


def utc_now() -> str:
    """Return the time as RFC 3339 UTC with milliseconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def default_path() -> Path:
    """Return where a run goes when nobody said: ``lastack-runs/<UTC time>`` in the current directory."""
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    return Path.cwd() / "lastack-runs" / stamp


class RunFolder:
    """One run folder, opened for writing by a process of its run, or for reading by anyone."""

    def __init__(self, path: Path, manifest: Mapping[str, Any], hosts: HostOutcomes | None = None) -> None:
        """Wrap an existing folder; use ``start``, ``join`` or ``read``."""
        self.path = path
        self.manifest = dict(manifest)
        """The manifest, all but its ``hosts``."""
        self._hosts = hosts

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return str(self.manifest["id"])

    @classmethod
    def start(  # noqa: PLR0913 - each one stands in the manifest
        cls,
        path: str | Path,
        *,
        made_by: str,
        hosts: Iterable[str],
        options: Mapping[str, Any] | None = None,
        play: str = "",
        fresh: bool = False,
    ) -> RunFolder:
        """Create the folder, or join it if this very play has started it already.

        A finished run, and one whose process has ended, are replaced; ``fresh`` refuses that. Raises
        ``RunFolderError`` before anything is touched: not writable, not a run folder, in use by another run.
        """
        folder = Path(path).absolute()
        owner = Owner.current(play)
        try:
            _make_parents(folder)
            with contextlib.suppress(FileExistsError):
                # Reports name processes, users and peers: they are for whoever ran the audit.
                folder.mkdir(mode=0o700)
            _refuse_foreign(folder)
            with locked(folder):
                known = _manifest_or_none(folder)
                if known is not None:
                    if manifest_owner(known) == owner:
                        return cls(folder, known)
                    _refuse_busy(folder, known, owner, fresh=fresh)
                return cls._begin(folder, owner, made_by, hosts, options or {})
        except OSError as error:
            raise RunFolderError(f"Cannot write to the run folder {folder}: {error.strerror or error}.") from error

    @classmethod
    def start_default(
        cls, *, made_by: str, hosts: Iterable[str], options: Mapping[str, Any] | None = None, play: str = ""
    ) -> RunFolder:
        """Create or join the folder of ``default_path``; runs of the same second get ``-2``, ``-3`` and so on.

        The processes of one play find each other's folder although each of them reads its own clock.
        """
        owner = Owner.current(play)
        base = default_path()
        meant = list(hosts)
        try:
            _make_parents(base)
            with locked(base.parent):
                for folder in _newest_folders(base.parent):
                    with contextlib.suppress(RunFolderError):
                        known = _manifest_or_none(folder)
                        if known is not None and manifest_owner(known) == owner:
                            return cls(folder, known)
                for number in range(1, _SAME_SECOND):
                    folder = base if number == 1 else base.with_name(f"{base.name}-{number}")
                    with contextlib.suppress(_TakenError):
                        return cls.start(folder, made_by=made_by, hosts=meant, options=options, play=play, fresh=True)
        except OSError as error:
            raise RunFolderError(f"Cannot write to the folder {base.parent}: {error.strerror or error}.") from error
        raise RunFolderError(f"Cannot find a free name for a run folder beside {base}.")

    @classmethod
    def join(cls, path: str | Path, *, made_by: str, hosts: Iterable[str], play: str = "") -> RunFolder:
        """Open the folder that this process has started, in whatever play; without one, start it."""
        folder = Path(path).absolute()
        known = _manifest_or_none(folder)
        if known is not None:
            owner = manifest_owner(known)
            if owner is not None and owner.same_process(Owner.current(play)):
                return cls(folder, known)
        return cls.start(folder, made_by=made_by, hosts=hosts, play=play)

    @classmethod
    def read(cls, path: str | Path) -> RunFolder:
        """Open a run folder to read it, finished or not; raises ``RunFolderError``."""
        folder = Path(path).absolute()
        if not folder.is_dir():
            raise RunFolderError(f"{folder} is not a run folder: there is no such directory.")
        try:
            return cls(folder, *read_manifest(folder))
        except InvalidReport as error:
            raise _unreadable(folder, error) from error

    @classmethod
    def _begin(
        cls, folder: Path, owner: Owner, made_by: str, hosts: Iterable[str], options: Mapping[str, Any]
    ) -> RunFolder:
        started = utc_now()
        manifest = {
            "schema": RUN_SCHEMA,
            "id": f"{started[:19].replace('-', '').replace(':', '')}Z-{os.urandom(3).hex()}",
            "made_by": made_by,
            "version": VERSION,
            "controller": controller_name(),
            "started_at": started,
            "finished_at": None,
            "finished": False,
            "options": dict(options),
            "owner": {"process": owner.process, "pid": owner.pid, "play": owner.play},
        }
        write_manifest(folder, manifest, fold(hosts, ()).items())
        run = cls(folder, manifest)
        # Only now is the old run no longer the one that the manifest names.
        _remove_old(folder)
        (folder / HOSTS).mkdir(mode=0o700, exist_ok=True)
        return run

    def write(self, name: str, data: bytes) -> Path:
        """Write one file of the folder atomically and return its path; raises ``OSError``."""
        path = self.path / name
        write_atomically(path, data)
        return path

    def record(self, host: str, outcome: str, reason: str | None = None, file: str | None = None) -> None:
        """Append the outcome of ``host`` to the journal; the last one counts. Raises ``RunFolderError``."""
        self._append((host,), outcome, reason, file)

    def record_all(self, hosts: Iterable[str], outcome: str, reason: str) -> None:
        """Append one outcome of many hosts at once; raises ``RunFolderError``."""
        self._append(hosts, outcome, reason, None)

    def _append(self, hosts: Iterable[str], outcome: str, reason: str | None, file: str | None) -> None:
        entry = Outcome(outcome, one_line(reason) if reason else None, file)
        try:
            append_outcomes(self.path, self.run_id, ((host, entry) for host in hosts))
        except OSError as error:
            raise RunFolderError(f"Cannot write to the run folder {self.path}: {error.strerror or error}.") from error

    def record_delegated(self, host: str) -> None:
        """Note that the task of ``host`` looked at another host."""
        self.record(host, DELEGATED)

    def store_report(self, host: str, report: Mapping[str, Any]) -> str:
        """Write the checked report of ``host`` and record it as ``ok``; return its path in the folder."""
        name = report_file(host)
        compact = json.dumps(report, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
        try:
            self.write(name, compact + b"\n")
        except OSError as error:
            raise RunFolderError(f"Cannot write to the run folder {self.path}: {error.strerror or error}.") from error
        self.record(host, "ok", None, name)
        return name

    def outcomes(self) -> HostOutcomes:
        """Return the last known outcome of every host; ``None`` where there is none yet. Raises ``RunFolderError``."""
        if not self.manifest["finished"]:
            return fold(self.hosts, read_journal(self.path, self.run_id))
        outcomes = self.hosts
        if self.journal_exists:
            outcomes.update(fold((), read_journal(self.path, self.run_id)))
        return outcomes

    @property
    def hosts(self) -> HostOutcomes:
        """The hosts of the manifest; raises ``RunFolderError``."""
        if self._hosts is None:
            try:
                self._hosts = read_manifest(self.path)[1]
            except InvalidReport as error:
                raise _unreadable(self.path, error) from error
        return self._hosts

    def each_outcome(self) -> Iterator[tuple[str, Outcome | None]]:
        """Yield what ``outcomes`` has, of a finished run that was released without holding it in memory."""
        if self._hosts is not None or not self.manifest["finished"] or self.journal_exists:
            yield from self.outcomes().items()
            return
        try:
            yield from read_manifest_hosts(self.path)
        except InvalidReport as error:
            raise _unreadable(self.path, error) from error

    def release(self) -> None:
        """Let go of the hosts in memory; they are read again when somebody asks."""
        self._hosts = None

    def report_path(self, file: str) -> Path:
        """Return where a host's report lies; raises ``InvalidReport`` for a name that is none of ours."""
        # The manifest and the journal may come from elsewhere: a path in them is never followed.
        folder, __, name = file.partition("/")
        if folder != HOSTS or not _REPORT_NAME.fullmatch(name) or (self.path / HOSTS).is_symlink():
            raise InvalidReport("is no name of a host report")
        return self.path / HOSTS / name

    @property
    def journal_exists(self) -> bool:
        """Whether outcomes came in that the manifest does not have."""
        return (self.path / JOURNAL).exists()

    def is_live(self) -> bool:
        """Tell whether the run is not finished and its process still runs, or may run on another controller.

        A run of another controller that has written nothing for an hour has ended: no host may take that long.
        """
        owner = manifest_owner(self.manifest)
        if self.manifest["finished"] or owner is None:
            return False
        alive = owner.is_alive()
        return self._written_within(_SILENT_S) if alive is None else alive

    def require_ended(self) -> None:
        """Raise ``RunFolderError`` if the run still goes on."""
        if self.is_live():
            owner = manifest_owner(self.manifest)
            away = owner is not None and owner.is_alive() is None
            where = f", on {one_line(str(self.manifest['controller']), 60)}" if away else ""
            patience = ", or has written nothing for an hour" if away else ""
            raise RunFolderError(
                f"The run in {self.path} still goes on (since {self.manifest['started_at']}{where}): "
                f"wait until it has finished{patience}."
            )

    def _written_within(self, seconds: float) -> bool:
        changed = [0.0]
        for name in (MANIFEST, JOURNAL, HOSTS):
            with contextlib.suppress(OSError):
                changed.append((self.path / name).stat().st_mtime)
        return time.time() - max(changed) < seconds

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the folder's lock and read the manifest anew; raises ``RunFolderError`` and ``OSError``."""
        with locked(self.path):
            try:
                self.manifest, self._hosts = read_manifest_head(self.path), None
            except InvalidReport as error:
                raise _unreadable(self.path, error) from error
            yield

    def close(self, outcomes: Mapping[str, Outcome]) -> None:
        """Finish the run with these outcomes, as ``closing`` does; raises ``OSError``."""
        with self.closing() as put:
            for host, outcome in outcomes.items():
                put(host, outcome)

    @contextlib.contextmanager
    def closing(self) -> Iterator[Callable[[str, Outcome], None]]:
        """Yield a function that takes each host's final outcome; when the block ends, the run is finished.

        The manifest is written then, after all else, and the journal dropped. Raises ``OSError``.
        """
        with contextlib.ExitStack() as stack:
            yield stack.enter_context(open_manifest(self.path, {**self.manifest, "finished": True}))
        self.manifest["finished"], self._hosts = True, None
        (self.path / JOURNAL).unlink(missing_ok=True)


class _TakenError(RunFolderError):
    """The folder holds another run, which a fresh run must not replace."""


def _unreadable(folder: Path, error: InvalidReport) -> RunFolderError:
    return RunFolderError(f"{folder} is not a run folder that can be read: {MANIFEST} {error}.")


def _manifest_or_none(folder: Path) -> dict[str, Any] | None:
    try:
        return read_manifest_head(folder)
    except NewerManifest as error:
        raise RunFolderError(
            f"{folder} cannot be the run folder: its {MANIFEST} {error}. Choose another one."
        ) from error
    except InvalidReport:
        return None


def _make_parents(folder: Path) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        what = f"{error.filename} is not a directory"
        raise RunFolderError(f"Cannot make the run folder {folder}: {what}.") from error


def _newest_folders(parent: Path) -> list[Path]:
    try:
        folders = [Path(entry.path) for entry in os.scandir(parent) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return sorted(folders, reverse=True)[:_NEWEST]


def _refuse_foreign(folder: Path) -> None:
    """Refuse a folder that holds anything but a run, before any file is made in it."""
    if not stat.S_ISDIR(folder.stat().st_mode):
        raise RunFolderError(f"{folder} is not a directory, so it cannot be the run folder.")
    if _manifest_or_none(folder) is None:
        found = (entry.name for entry in folder.iterdir())
        names = sorted(name for name in found if name not in _OURS and not name.startswith(_TEMPORARY))
        if names:
            shown = ", ".join(one_line(name, 40) for name in names[:_NAMES_SHOWN])
            more = ", …" if len(names) > _NAMES_SHOWN else ""
            raise RunFolderError(
                f"{folder} is not a run folder but holds other files ({shown}{more}): choose a new or empty folder."
            )
    hosts = folder / HOSTS
    if hosts.is_symlink() or (hosts.exists() and not hosts.is_dir()):
        raise RunFolderError(f"{hosts} is not a directory, so {folder} cannot be the run folder.")


def _refuse_busy(folder: Path, manifest: Mapping[str, Any], owner: Owner, *, fresh: bool) -> None:
    """Refuse a folder whose run still goes on; ``fresh`` refuses every other run."""
    if fresh:
        raise _TakenError(f"{folder} holds the run {manifest['id']}.")
    writer = manifest_owner(manifest)
    if manifest["finished"] or writer is None or writer.same_process(owner):
        return
    alive = writer.is_alive()
    if alive is False:
        return
    who = f"{one_line(manifest['made_by'], 40)} (process {writer.pid} on {one_line(writer.controller, 60)})"
    doubt = "" if alive else " If that controller no longer works on it, remove the folder."
    raise RunFolderError(
        f"The run folder {folder} is in use since {manifest['started_at']} by {who}: "
        f"wait for it or choose another folder.{doubt}"
    )


def _remove_old(folder: Path) -> None:
    for name in (JOURNAL, FLEET, HTML, TEXT):
        (folder / name).unlink(missing_ok=True)
    for leftover in list(folder.glob(f"{_TEMPORARY}*")):
        leftover.unlink(missing_ok=True)
    hosts = folder / HOSTS
    if hosts.is_dir() and not hosts.is_symlink():
        for entry in list(os.scandir(hosts)):
            if not entry.is_dir(follow_symlinks=False) and (entry.name.endswith(".json") or _TEMPORARY in entry.name):
                Path(entry.path).unlink(missing_ok=True)
