# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several run folders made into one: slices of an inventory, a second attempt at the hosts that were not reached."""

from __future__ import annotations

import datetime
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.host_outcomes import HOSTS, Outcome, report_file
from ansible_collections.lastack.linux.plugins.plugin_utils.manifest import MANIFEST, read_manifest_head
from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import RunFolder, RunFolderError, utc_now
from ansible_collections.lastack.linux.plugins.plugin_utils.run_report import Finished, finish_merged
from ansible_collections.lastack.linux.plugins.plugin_utils.stored_reports import StoredHost, stored_host
from ansible_collections.lastack.linux.plugins.plugin_utils.validate import MAX_FILE_BYTES, InvalidReport, read_capped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["merge_runs"]

_MADE_BY = "merge"
_MOST = 1000
_NAMED = 20
_CLOCKS_DIFFER = datetime.timedelta(days=1)
"""So far a host's clock is believed to be right; the controller's own may be wrong too."""


def merge_runs(paths: Sequence[str], store: str | None = None) -> Finished:
    """Write a run folder with the hosts of all ``paths``, which are only read; return it finished.

    A host that several runs have is taken once: ``ok`` beats any other outcome, then the later ``collected_at``
    counts, then the later run; where the host's clock is a day off its run, the run's start stands for it. ``store``
    may hold no run but a merge that was cut short. Without ``store`` the folder is a new one beside other runs
    (``default_path``).
    Raises ``RunFolderError``: a run still goes on, comes twice or cannot be read (then nothing was written), or the
    new folder cannot be written (then it is removed, unless it was there before).
    """
    runs = _open(paths)
    if store is not None:
        _refuse_inside(Path(store), runs)
        _refuse_run(Path(store))
    places = _Places(runs)
    options = _options(runs, places)
    existed = store is not None and os.path.lexists(store)
    if store is None:
        run = RunFolder.start_default(made_by=_MADE_BY, hosts=(), options=options, play=_play(runs))
    else:
        run = RunFolder.start(store, made_by=_MADE_BY, hosts=(), options=options, play=_play(runs))
    try:
        run.manifest["started_at"] = min(source.manifest["started_at"] for source in runs)
        ends = [source.manifest["finished_at"] for source in runs]
        finished_at = max((end for end in ends if end is not None), default=utc_now())
        copied = _Copied(run)
        return finish_merged(run, copied.each(places), finished_at=finished_at, before_close=copied.flush)
    except BaseException:
        if not existed:
            shutil.rmtree(run.path, ignore_errors=True)
        raise


def _open(paths: Sequence[str]) -> list[RunFolder]:
    if not 1 < len(paths) <= _MOST:
        raise RunFolderError(f"A merge needs two run folders or more, at most {_MOST:,}, not {len(paths):,}.")
    runs = []
    seen: dict[str, Path] = {}
    for path in paths:
        run = RunFolder.read(path)
        run.require_ended()
        for run_id in _ids(run):
            if run_id in seen:
                first = "" if seen[run_id] == run.path else f", in {seen[run_id]} and in {run.path}"
                raise RunFolderError(f"The run {one_line(run_id, 64)} is there twice{first or f': {run.path}'}.")
            seen[run_id] = run.path
        runs.append(run)
    return runs


def _ids(run: RunFolder) -> Iterator[str]:
    """Yield the ids of a run and of those that it was merged from."""
    yield run.run_id
    merged = run.manifest["options"].get("merged")
    for entry in merged if run.manifest["made_by"] == _MADE_BY and isinstance(merged, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("id"), str):
            yield entry["id"]


def _refuse_inside(store: Path, runs: Sequence[RunFolder]) -> None:
    """Refuse to write where a source is read: starting a run replaces what its folder held."""
    target = store.resolve()
    for run in runs:
        source = run.path.resolve()
        if target == source or source in target.parents or target in source.parents:
            raise RunFolderError(f"Cannot write the merged run to {store}: {run.path} is read from there.")


def _refuse_run(store: Path) -> None:
    """Refuse to replace a run: one that is finished, of somebody else, of a newer lastack, or damaged."""
    if not os.path.lexists(store / MANIFEST):
        return
    try:
        head = read_manifest_head(store)
    except InvalidReport as error:
        raise RunFolderError(f"Cannot write the merged run to {store}: its {MANIFEST} {error}.") from error
    if head["finished"] or head["made_by"] != _MADE_BY:
        held = one_line(head["id"], 64)
        raise RunFolderError(f"Cannot write the merged run to {store}: it holds the run {held}, choose a new folder.")


def _play(runs: Sequence[RunFolder]) -> str:
    # Two merges of one process are two runs.
    return f"merge {utc_now()} {runs[0].run_id}"


def _options(runs: Sequence[RunFolder], places: _Places) -> dict[str, Any]:
    """Return what the manifest of the merged run says of where it comes from."""
    options: dict[str, Any] = {
        "merged": [
            {
                "id": run.run_id,
                "made_by": run.manifest["made_by"],
                "started_at": run.manifest["started_at"],
                "finished": run.manifest["finished"],
                "hosts": count,
            }
            for run, count in zip(runs, places.counts, strict=True)
        ],
        "duplicates": {"count": len(places.again), "hosts": sorted(places.again)[:_NAMED]},
    }
    profiles = {str(run.manifest["options"].get("profile")) for run in runs}
    if len(profiles) == 1 and profiles != {"None"}:
        options["profile"] = profiles.pop()
    return options


class _Places:
    """Which of the runs have each host."""

    def __init__(self, runs: Sequence[RunFolder]) -> None:
        self._runs = runs
        self.counts = [len(run.outcomes()) for run in runs]
        self.again: dict[str, list[tuple[int, Outcome | None]]] = {}
        """The hosts that several runs have: which ones, and what they say."""
        first: dict[str, int] = {}
        for number, run in enumerate(runs):
            for host in run.outcomes():
                earlier = first.setdefault(host, number)
                if earlier != number:
                    said = self.again.setdefault(host, [(earlier, runs[earlier].outcomes()[host])])
                    said.append((number, run.outcomes()[host]))
        for run in runs:
            run.release()

    def each(self) -> Iterator[tuple[RunFolder, StoredHost]]:
        """Yield every host once, with the run whose word counts."""
        for number, run in enumerate(self._runs):
            for host, known in run.each_outcome():
                (first, outcome), *others = self.again.get(host) or [(number, known)]
                if first != number:
                    continue
                best = run, stored_host(run, host, outcome)
                for other, rival in others:
                    best = max(best, (self._runs[other], stored_host(self._runs[other], host, rival)), key=_worth)
                yield best


def _worth(place: tuple[RunFolder, StoredHost]) -> tuple[bool, str, bool, str]:
    """Return the sort key of one word on a host: the highest counts; of equal ones ``max`` keeps the first."""
    run, stored = place
    looked_at = "" if stored.report is None else _looked_at(run, str(stored.report["collected_at"]))
    # Without the Z, a time sorts before the same second with a fraction.
    collected_at = looked_at.rstrip("Z")
    # That nothing came back is no news beside a reason.
    return stored.report is not None, collected_at, stored.outcome.outcome != "missing", run.manifest["started_at"]


def _looked_at(run: RunFolder, collected_at: str) -> str:
    """Return when a host was looked at: as it says, or when its run began if its clock cannot be right."""
    started_at = str(run.manifest["started_at"])
    try:
        collected, started, ended = (
            datetime.datetime.fromisoformat(moment)
            for moment in (collected_at, started_at, run.manifest["finished_at"] or started_at)
        )
    except ValueError:
        return collected_at
    return collected_at if started - collected <= _CLOCKS_DIFFER and collected - ended <= _CLOCKS_DIFFER else started_at


class _Copied:
    """Copies the reports whole, and flushes them all at the end: a flush per file takes ten times as long."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run

    def each(self, places: _Places) -> Iterator[StoredHost]:
        """Yield every host after its report was copied, with the outcome that the new folder gives it."""
        for source, stored in places.each():
            if stored.report is None or stored.outcome.file is None:
                yield stored._replace(outcome=stored.outcome._replace(file=None))
                continue
            try:
                data = read_capped(source.report_path(stored.outcome.file), MAX_FILE_BYTES)
            except InvalidReport as error:
                # It could be read a moment ago.
                yield stored._replace(outcome=Outcome("invalid", f"{stored.outcome.file} {error}", None), report=None)
                continue
            file = report_file(stored.host)
            with (self._run.path / file).open("xb") as copy:
                copy.write(data)
            yield stored._replace(outcome=Outcome("ok", None, file))

    def flush(self) -> None:
        """Flush the copies to disk; the manifest, which makes them count, is written after them."""
        for entry in os.scandir(self._run.path / HOSTS):
            descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
