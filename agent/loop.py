# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The resident agent: look, judge, publish, rest; again and again, whatever fails on the way."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.agent.configuration import ConfigurationError, read_configuration
from ansible_collections.lastack.linux.agent.cost import CpuBudget
from ansible_collections.lastack.linux.agent.journal import ERROR, INFO, NOTICE
from ansible_collections.lastack.linux.agent.look import Look, LookOptions
from ansible_collections.lastack.linux.agent.publication import Publication
from ansible_collections.lastack.linux.agent.signals import Signals, StopNow
from ansible_collections.lastack.linux.agent.state import StateUnusable, load_state
from ansible_collections.lastack.linux.agent.watch import StateError, Watch
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.wording import plural
from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import try_read_head
from ansible_collections.lastack.linux.plugins.module_utils.observe.namespaces import StrandedInNamespace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.lastack.linux.agent.configuration import Configuration
    from ansible_collections.lastack.linux.agent.journal import Journal
    from ansible_collections.lastack.linux.agent.places import Places
    from ansible_collections.lastack.linux.agent.records import Pass
    from ansible_collections.lastack.linux.agent.service_notify import ServiceNotifier

__all__ = ["AlreadyRunning", "Loop", "boottime", "look_options", "read_boot_id"]

# ruff: noqa: PTH103 - the agent does without pathlib, which costs memory

_SOONEST_PUBLICATION_S = 5.0
_ALMOST = 0.95
_LONGEST_WAIT_S = 60.0
_SEARCH_SHARE = 0.5
_PASSES_TO_MEET = 2
"""Passes after a restart in which nothing is published while holders of remembered sockets are still looked for."""
_TURNS_S = 15.0
"""A pass may spend on namespaces without CLOSE_WAIT what the CPU budget gives for so many seconds, on others twice."""


class AlreadyRunning(Exception):  # noqa: N818 - the text is one sentence
    """Another agent has the folder."""


class Loop:
    """One resident agent."""

    def __init__(self, places: Places, *, journal: Journal, notifier: ServiceNotifier) -> None:
        """Read the configuration and what an earlier process remembered. Raises ``ConfigurationError``."""
        self._places = places
        self._journal = journal
        self._notifier = notifier
        self._configuration = read_configuration(places.configuration, may_be_missing=True)
        self._budget = CpuBudget(self._configuration.interval_s, self._configuration.cpu_budget_percent)
        self._look = Look(look_options(self._configuration))
        boot_id = read_boot_id()
        self._watch, since = self._remembered(boot_id)
        self._look.remember(self._watch.first_seen_s())
        self._publication = Publication(
            places, self._configuration, boot_id=boot_id, started_s=boottime(), watching_since_s=since, say=journal.say
        )
        self._last: Pass | None = None
        self._published_s: float | None = None
        self._change_pending = False

    def run(self) -> int:
        """Run until a signal ends it; return the exit status.

        Raises:
            AlreadyRunning: two agents would write the same files.
        """
        ready = False
        with self._lock(), Signals() as signals:
            try:
                while not signals.stop:
                    if signals.reload:
                        signals.reload = False
                        self._reload()
                    begin = boottime()
                    self._pass(signals)
                    if not ready:
                        # Also after a look that failed: the agent is there, and its next look may go well.
                        self._say_ready()
                        ready = True
                    self._notifier.alive()
                    self._rest(begin + self._budget.next_interval_s(), signals)
            except StopNow:
                pass
            except StrandedInNamespace as error:
                self._journal.say(ERROR, f"The agent ends, to be started anew: {error}.")
                return 1
            self._notifier.stopping()
            self._publication.save_state(self._watch)
        return 0

    def _pass(self, signals: Signals) -> None:
        self._budget.begin()
        try:
            with signals.interruptible():
                look = self._look.look()
            if self._last is None:
                self._forget_unwanted()
            changes = self._watch.observe(look, self._budget.next_interval_s())
        except StrandedInNamespace:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the host shows, the next pass may go well
            detail = f"a look at the host failed: {type(error).__name__}: {clean_text(str(error))}"
            self._publication.trouble("look_failed", detail)
            self._budget.end()
            return
        self._publication.over("look_failed")
        self._last = look
        self._publication.note_pass(self._watch.dropped)
        if self._configuration.journal:
            trends = self._watch.trends()
            for change in changes:
                self._journal.say_change(change, trends[change.key][1] if change.key in trends else None)
        self._change_pending = self._change_pending or bool(changes)
        self._publish_if_due()
        self._budget.end()

    def _publish_if_due(self) -> None:
        if self._last is None:
            return
        if self._published_s is None and self._watch.unmet and self._publication.passes <= _PASSES_TO_MEET:
            # The fact of the process before says more, and says its age.
            return
        now = boottime()
        passed = None if self._published_s is None else now - self._published_s
        every = self._configuration.publish_s
        if passed is None or passed >= every * _ALMOST or (self._change_pending and passed >= self._soonest_s()):
            self._publication.publish(self._watch, self._last, self._budget)
            self._published_s = now
            self._change_pending = False

    def _soonest_s(self) -> float:
        return min(_SOONEST_PUBLICATION_S, self._configuration.publish_s)

    def _rest(self, until: float, signals: Signals) -> None:
        """Wait for the next pass, alive to the watchdog, and publish a change that had to wait."""
        while not signals.stop and not signals.reload:
            now = boottime()
            if now >= until:
                return
            waits = [until - now, _LONGEST_WAIT_S]
            if self._notifier.watchdog_s is not None:
                waits.append(self._notifier.watchdog_s / 3)
            if self._change_pending and self._published_s is not None:
                waits.append(self._published_s + self._soonest_s() - now)
            signals.wait(min(waits))
            self._notifier.alive()
            if self._change_pending:
                self._publish_if_due()

    def _reload(self) -> None:
        self._notifier.reloading()
        path = self._places.configuration
        try:
            there = os.path.lexists(path)
            configuration = read_configuration(path, may_be_missing=True)
        except ConfigurationError as error:
            self._publication.trouble("configuration_refused", f"the old configuration stays: {error}")
        else:
            self._publication.over("configuration_refused")
            self._take(configuration)
            said = "The configuration was read again." if there else f"There is no {path} any more: the defaults hold."
            self._journal.say(INFO if there else NOTICE, said)
        self._say_ready()

    def _take(self, configuration: Configuration) -> None:
        if configuration.thresholds != self._configuration.thresholds:
            self._watch.set_thresholds(configuration.thresholds)
        self._configuration = configuration
        self._budget.interval_s = configuration.interval_s
        self._budget.budget_percent = configuration.cpu_budget_percent
        self._look.set_options(look_options(configuration))
        self._publication.configuration = configuration
        self._forget_unwanted()
        self._change_pending = True

    def _forget_unwanted(self) -> None:
        """What is not looked at any more has not left: it is no burst."""
        self._watch.forget(lambda key: not self._look.is_wanted(key))

    def _remembered(self, boot_id: str | None) -> tuple[Watch, float]:
        now = boottime()
        thresholds = self._configuration.thresholds
        try:
            found = load_state(self._places.state, boot_id=boot_id, now_s=now)
            if found is not None:
                watch, since = found
                return Watch.from_state(watch, thresholds), since
        except (StateUnusable, StateError) as error:
            self._journal.say(NOTICE, f"The watch starts anew, what it remembered is of no use: {error}.")
        return Watch(thresholds), now

    def _say_ready(self) -> None:
        count = len(self._watch.trends())
        self._notifier.ready(f"Watching, {plural(count, 'application')} with CLOSE_WAIT sockets.")

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """Have the folder alone; it is made if it is not there."""
        folder = self._places.folder
        try:
            os.makedirs(folder, mode=0o755, exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            # Whatever is wrong with the disk may pass; every write will say it again.
            self._publication.trouble("folder_unusable", f"{folder} cannot be used: {error.strerror}")
            yield
            return
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise AlreadyRunning(f"Another agent runs with {folder}.") from error
            yield
        finally:
            os.close(descriptor)


def look_options(configuration: Configuration) -> LookOptions:
    """Return how the configuration wants the host to be looked at."""
    share = configuration.cpu_budget_percent / 100
    return LookOptions(
        namespaces=configuration.namespaces,
        min_age_s=configuration.thresholds.min_age_s,
        exclude=configuration.exclude,
        redact=configuration.redact,
        search_cpu_share=share * _SEARCH_SHARE,
        pass_cpu_s=share * _TURNS_S,
    )


def boottime() -> float:
    """Return the moment, in seconds of CLOCK_BOOTTIME."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def read_boot_id(proc: str = "/proc") -> str | None:
    """Return the id of this boot; ``None`` when the kernel does not tell it."""
    data = try_read_head(f"{proc}/sys/kernel/random/boot_id", 64)
    return data.decode("ascii", "replace").strip() or None if data else None
