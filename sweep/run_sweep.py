# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sweep from its first host to its last: who is looked at next, and every outcome in the run folder as it comes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ansible_collections.lastack.linux.plugins.plugin_utils.host_clock import note_wrong_clock
from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.plugins.plugin_utils.report_warnings import add_warning
from ansible_collections.lastack.linux.plugins.plugin_utils.validate import InvalidReport, require_host_report
from ansible_collections.lastack.linux.sweep.inventory import InventoryError
from ansible_collections.lastack.linux.sweep.read_ahead import ReadAhead
from ansible_collections.lastack.linux.sweep.target import TargetError
from ansible_collections.lastack.linux.sweep.worker_pool import WorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import RunFolder
    from ansible_collections.lastack.linux.sweep.attempt import Answer
    from ansible_collections.lastack.linux.sweep.inventory import Entry
    from ansible_collections.lastack.linux.sweep.lifeline import Lifeline
    from ansible_collections.lastack.linux.sweep.target import Target
    from ansible_collections.lastack.linux.sweep.worker_pool import Brought

__all__ = ["INTERRUPTED", "Counts", "Watcher", "run_sweep"]

INTERRUPTED = "the sweep was interrupted"

_TICK_S = 0.2
# How long running hosts get to end after an interrupt.
_LAST_S = 2.0


class Counts(NamedTuple):
    """How far a sweep is."""

    meant: int
    ok: int
    not_ok: int
    running: Mapping[str, Lifeline]
    """The hosts that are being looked at, those that began first at the front."""

    @property
    def done(self) -> int:
        """Hosts of which the outcome is known."""
        return self.ok + self.not_ok


class Watcher(Protocol):
    """Who shows how far a sweep is."""

    def show(self, counts: Counts) -> None:
        """Show it; called several times a second, and after every host."""


def run_sweep(  # noqa: PLR0913 - each one is another part of a sweep
    run: RunFolder,
    entries: Iterator[Entry],
    target_of: Callable[[Entry], Target],
    look: Callable[[Target, Lifeline], Answer],
    *,
    forks: int,
    life_s: float,
    watcher: Watcher,
    interrupted: Callable[[], bool],
) -> Counts:
    """Look at every host of ``entries`` and store what comes; return the counts.

    Once ``interrupted`` says so, no new host is asked and the running ones are closed; those without an outcome
    stay ``missing``, with the reason. Where the inventory breaks off, no new host is asked either; the running ones
    come to their end, and then ``InventoryError`` is raised. Raises ``RunFolderError``, and nothing goes on.
    """
    pool = WorkerPool(look, size=forks, life_s=life_s)
    sweep = _Sweep(run, pool, watcher)
    ahead = ReadAhead(entries, pool.wake)
    try:
        trouble = sweep.go(ahead, target_of, interrupted)
        if interrupted():
            sweep.break_off()
    except BaseException:
        pool.interrupt(INTERRUPTED)
        raise
    finally:
        ahead.close()
        pool.end()
    if trouble is not None:
        raise trouble
    return sweep.counts()


class _Sweep:
    """What a sweep knows while it goes on: the hosts that run, and two numbers."""

    def __init__(self, run: RunFolder, pool: WorkerPool, watcher: Watcher) -> None:
        self._run = run
        self._pool = pool
        self._watcher = watcher
        self._meant = len(run.hosts)
        self._ok = 0
        self._not_ok = 0

    def counts(self) -> Counts:
        return Counts(self._meant, self._ok, self._not_ok, self._pool.running)

    def go(
        self, ahead: ReadAhead, target_of: Callable[[Entry], Target], interrupted: Callable[[], bool]
    ) -> InventoryError | None:
        """Go on to the end or to an interrupt; return why the inventory could not be read to its end."""
        trouble = None
        while (self._pool.busy or not ahead.ended) and not interrupted():
            entry = None
            try:
                if self._pool.has_room:
                    entry = ahead.poll()
            except InventoryError as error:
                trouble = error
                self._leave_out(_clause(error))
            if entry is not None:
                self._begin(entry, target_of)
            if self._pool.busy or not ahead.ended:
                # Where one could begin, another one may be there; else the pool is woken when one is.
                self._end(self._pool.take(_TICK_S if entry is None else 0.0))
            self._watcher.show(self.counts())
        return trouble

    def break_off(self) -> None:
        """Close the running hosts and say of the rest why nothing is known of them."""
        self._pool.interrupt(INTERRUPTED)
        last = time.monotonic() + _LAST_S
        while self._pool.busy and time.monotonic() < last:
            self._end(self._pool.take(_TICK_S))
        self._leave_out(INTERRUPTED, also_running=True)

    def _leave_out(self, reason: str, *, also_running: bool = False) -> None:
        running = {} if also_running else self._pool.running
        outcomes = self._run.outcomes().items()
        rest = [host for host, outcome in outcomes if outcome is None and host not in running]
        self._run.record_all(rest, "missing", reason)
        self._not_ok += len(rest)

    def _begin(self, entry: Entry, target_of: Callable[[Entry], Target]) -> None:
        try:
            target = target_of(entry)
        except TargetError as error:
            self._note(entry.host, "failed", str(error))
        else:
            self._pool.give(target)

    def _end(self, brought: Brought | None) -> None:
        if brought is None:
            return
        host, answer, came_s = brought
        if answer.report is None:
            self._note(host, answer.outcome, answer.reason)
            return
        try:
            report = require_host_report(answer.report)
        except InvalidReport as error:
            self._note(host, "invalid", f"the host report {error}")
            return
        report["host"]["inventory_name"] = one_line(host, 256)
        note_wrong_clock(report, self._pool.life_s, came_s)
        if answer.doubt:
            add_warning(report, "host_key_doubtful", one_line(answer.doubt))
        self._run.store_report(host, report)
        self._ok += 1

    def _note(self, host: str, outcome: str, reason: str | None) -> None:
        self._run.record(host, outcome, reason)
        self._not_ok += 1


def _clause(error: InventoryError) -> str:
    """The sentence as a reason, which begins small and has no full stop."""
    text = str(error).removesuffix(".")
    return text[:1].lower() + text[1:]
