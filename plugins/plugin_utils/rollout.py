# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roll-out as a sequence of steps, each a decision over a batch: what the hosts answered, and what follows.

Nothing here connects or sleeps. ``results`` are, of each host, the registered results that the playbook names.

Statuses of a host: missing (no answer yet), unreachable (at its turn, so nothing was changed), refused (not fit for
the change, nothing was changed), already (nothing to change), waiting, changing, changed (and soaking), passed,
unjudged (changed, and there was too little traffic to judge by), failed (to be restored), restored, not_restored.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.health_gate import (
    Demands,
    Window,
    judge,
    too_little,
    window_between,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.health_thresholds import thresholds
from ansible_collections.lastack.linux.plugins.plugin_utils.rollout_answers import (
    apply_trouble,
    changed_keys,
    changed_subjects,
    prediction,
    restore_trouble,
    timers,
    unexpected,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.rollout_options import (
    LEAST_SOAK_S,
    batch_sizes,
    check_rollout_options,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.rollout_record import RolloutError
from ansible_collections.lastack.linux.plugins.plugin_utils.task_results import is_unreachable, plain, trouble

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.lastack.linux.plugins.plugin_utils.rollout_record import RolloutRecord

__all__ = ["Next", "Rollout"]

_LEAST_LIMIT_S = 600.0
_MOST_RESAMPLES = 2


class Next(NamedTuple):
    """What the playbook does after a step."""

    go: bool = False
    """Whether the batch goes on to its next step."""
    again: bool = False
    """Whether this step is taken again."""
    wait_s: float = 0.0
    """Seconds to wait before that."""
    why: str = ""
    """Why it waits, for the one who watches."""
    hosts: tuple[str, ...] = ()
    """The hosts that the next step is for."""


class Rollout:
    """The steps over one record."""

    def __init__(self, record: RolloutRecord) -> None:
        """Take up the roll-out where its record stands."""
        self.record = record
        self.options = check_rollout_options(record.document["options"])

    def predicted(self, results: Mapping[str, Mapping[str, Any]], now: float) -> Next:
        """Take the first looks and the answers in check mode; the hosts of the answer need the change."""
        left_open = self.record.interrupted()
        longest = [0.0]
        for host, entry in self.record.hosts.items():
            answers = results.get(host, {})
            status, reason = prediction(answers)
            entry["status"] = status
            if reason:
                entry["reasons"] = [reason]
            entry["keys"] = changed_keys(answers)
            entry["subjects"] = changed_subjects(answers)
            if status not in ("waiting", "already"):
                continue
            entry["first"], entry["first_at"] = plain(answers["first"]), now
            entry["client"] = str(answers.get("profile")) in ("client", "mixed")
            if status == "already" and host in left_open:
                # An earlier roll-out changed it, and nobody knows that it is well: it has its turn like the others.
                entry.update(status="waiting", before=left_open[host]["before"], interrupted=True)
                entry["keys"] = [str(key) for key in left_open[host].get("keys", ())]
            longest += timers(answers)
        waiting = self.record.with_status("waiting")
        document = self.record.document
        soak = self.options.soak_s or max(LEAST_SOAK_S, 2 * max(longest))
        document["soak_s"] = soak
        document["soak_limit_s"] = max(soak, self.options.soak_limit_s or max(_LEAST_LIMIT_S, 3 * soak))
        document["sizes"] = batch_sizes(self.options.batches, len(waiting))
        if document["check"]:
            document["state"] = "predicted"
        return Next(go=bool(waiting) and not document["check"], hosts=tuple(waiting))

    def begun(self, hosts: Sequence[str], now: float) -> Next:
        """Begin a batch and wait until its first looks are old enough for a window."""
        if self.record.document["state"] != "running":
            raise RolloutError("The roll-out has stopped: no later batch is touched.")
        number = len(self.record.document["batches"]) + 1
        self.record.document["batches"].append(
            {"number": number, "hosts": list(hosts), "begun_at": now, "verdict": "running", "resamples": 0}
        )
        ages = [now - self.record.hosts[host]["first_at"] for host in hosts if not self._is_carried(host)]
        wait = max([0.0, *(self.options.baseline_s - age for age in ages)])
        return Next(go=True, wait_s=wait, why=f"{self._name()}: watching how it is before the change")

    def measured(self, results: Mapping[str, Mapping[str, Any]], now: float) -> Next:
        """Take the second looks before the change; again where a host gave no window, or too little traffic."""
        batch = self.record.batch
        may_wait = now - batch["begun_at"] < self.record.document["soak_limit_s"]
        again = ""
        for host in self._of_batch("waiting"):
            if self._is_carried(host):
                continue
            entry, look = self.record.hosts[host], results.get(host, {}).get("look")
            why = self._measure(entry, look, now)
            if why and may_wait and batch["resamples"] < self._most_samples():
                again = f"{self._name()}: {host}: {why}"
            elif why:
                entry["doubt"] = why
        batch["resamples"] += 1
        if again:
            return Next(again=True, wait_s=self.options.baseline_s, why=again)
        return Next(go=True)

    def ready(self, results: Mapping[str, Mapping[str, Any]]) -> Next:
        """Refuse what is sick already; where one host is, nothing of the batch is changed."""
        for host in self._of_batch("waiting"):
            entry, answer = self.record.hosts[host], results.get(host, {}).get("probe")
            if is_unreachable(answer):
                entry.update(status="unreachable", reasons=[trouble(answer)])
            elif answer is not None and trouble(answer):
                self._refuse(entry, f"The probe failed before the change: {trouble(answer)}")
            elif entry.get("doubt") and self.options.inconclusive == "stop":
                self._refuse(entry, entry["doubt"])
            elif entry.get("before") is None:
                self._refuse(entry, entry.get("doubt") or "There is no window before the change.")
        batch = self.record.batch
        if any(self.record.hosts[host]["status"] == "refused" for host in batch["hosts"]):
            batch["verdict"] = "refused"
            self._stop()
            return Next()
        hosts = self._of_batch("waiting")
        for host in hosts:
            # Before the change: whoever is killed from here on leaves a host that has to be judged.
            self.record.hosts[host]["status"] = "changing"
        return Next(go=bool(hosts), hosts=tuple(hosts))

    def applied(self, results: Mapping[str, Mapping[str, Any]], now: float) -> Next:
        """Take what became of the change and the first looks after it."""
        for host in self._of_batch("changing"):
            entry, answers = self.record.hosts[host], results.get(host, {})
            entry["status"] = "changed"
            keys = changed_keys(answers)
            entry["keys"] = sorted({*entry.get("keys", ()), *keys})
            problem = apply_trouble(answers)
            look = answers.get("look")
            if problem:
                self._fail(entry, f"The change failed: {problem}")
            elif trouble(look):
                self._fail(entry, f"After the change: {trouble(look)}")
            else:
                entry["look"] = plain(look)
        self.record.batch["applied_at"] = now
        if self._of_batch("failed"):
            return Next()
        return Next(
            go=True,
            wait_s=self.record.document["soak_s"],
            why=f"{self._name()}: changed, watching what it does",
            hosts=tuple(self._of_batch("changed")),
        )

    def judged(self, results: Mapping[str, Mapping[str, Any]], now: float) -> Next:
        """Judge the batch; again while a host cannot be judged and the limit of the soak is not reached."""
        document, batch = self.record.document, self.record.batch
        left = batch["applied_at"] + document["soak_limit_s"] - now
        doubts = ""
        for host in self._of_batch("changed"):
            entry, answers = self.record.hosts[host], results.get(host, {})
            doubt = self._judge(entry, answers)
            if entry["status"] == "changed":
                entry["doubt"] = doubt
                doubts = doubts or (f"{host}: {doubt}" if doubt else "")
        if doubts and not self._of_batch("failed") and left > 0:
            wait = min(document["soak_s"], max(left, 1.0))
            return Next(again=True, wait_s=wait, why=f"{self._name()}: watching on, {doubts}")
        # Where one host has failed, all are restored: the others need no verdict.
        undecided = [] if self._of_batch("failed") else self._of_batch("changed")
        for host in undecided:
            entry = self.record.hosts[host]
            if not entry["doubt"]:
                entry["status"] = "passed"
            elif self.options.inconclusive == "go_on":
                entry.update(status="unjudged", reasons=[entry["doubt"]])
            else:
                self._fail(entry, entry["doubt"], sure=False)
        bad = self._of_batch("failed", "inconclusive")
        batch["verdict"] = "failed" if bad else "passed"
        return Next(go=not bad)

    def must_restore(self, results: Mapping[str, Mapping[str, Any]], hosts: Sequence[str]) -> Next:
        """Return the hosts to restore if the batch, for whatever reason, has not passed as a whole.

        Raises ``RolloutError`` where the batch of ``hosts`` was never begun, so that no later one is.
        """
        broken = {host: why for host, answers in results.items() if (why := unexpected(answers))}
        if not self.record.document["batches"] or not set(hosts) <= set(self.record.batch["hosts"]):
            why = next((broken[host] for host in hosts if host in broken), "no reason given")
            raise RolloutError(f"The batch could not be begun, and nothing of it was changed: {why}")
        batch = self.record.batch
        if self.record.document["state"] != "running":
            return Next()
        if batch["verdict"] == "passed" and not any(host in broken for host in batch["hosts"]):
            return Next(go=True)
        self._blame({host: broken[host] for host in batch["hosts"] if host in broken})
        for host in self._of_batch("changing", "changed"):
            if batch["verdict"] == "running" and not self._of_batch("failed"):
                self._fail(self.record.hosts[host], "Its tasks ended before it was judged: see Ansible's own output")
        touched = self._of_batch("failed", "inconclusive", "changing", "changed", "passed", "unjudged")
        if not touched and self._of_batch("refused", "waiting"):
            batch["verdict"] = "refused"
            self._stop()
            return Next()
        if not touched:
            # Nobody of the batch was there to be changed.
            batch["verdict"] = "passed"
            return Next(go=True)
        batch["verdict"] = "failed"
        batch["restoring"] = touched
        self._stop()
        return Next(hosts=tuple(touched))

    def _blame(self, broken: Mapping[str, str]) -> None:
        for host, why in broken.items():
            entry = self.record.hosts[host]
            if entry["status"] == "waiting":
                self._refuse(entry, why)
            elif entry["status"] in ("changing", "changed", "passed", "unjudged"):
                self._fail(entry, why)

    def restored(self, results: Mapping[str, Mapping[str, Any]]) -> Next:
        """Take what became of the restored hosts."""
        for host in self.record.batch.get("restoring", ()):
            entry = self.record.hosts[host]
            problem = restore_trouble(results.get(host, {}))
            entry["culprit"] = entry["status"] in ("failed", "inconclusive")
            entry["status"] = "not_restored" if problem else "restored"
            if problem:
                entry["problem"] = problem
        return Next()

    def finished(self) -> Next:
        """End the roll-out; the hosts of the answer have the change."""
        if self.record.document["state"] == "running":
            self.record.document["state"] = "finished"
        good = self.record.with_status("already", "passed", "unjudged")
        return Next(go=len(good) == len(self.record.hosts), hosts=tuple(good))

    def failures(self) -> dict[str, str]:
        """Return one sentence for each host that could not be changed, or was to blame for a stop."""
        told = {}
        for host, entry in self.record.hosts.items():
            bad = entry["status"] in ("missing", "unreachable", "refused", "failed", "not_restored")
            if bad or entry.get("culprit"):
                # The first is the worst, and the screen has said the others.
                told[host] = " ".join([entry.get("problem", ""), *entry["reasons"][:1]]).strip() or entry["status"]
        return told

    def _of_batch(self, *statuses: str) -> list[str]:
        return [host for host in self.record.batch["hosts"] if self.record.hosts[host]["status"] in statuses]

    def _is_carried(self, host: str) -> bool:
        return bool(self.record.hosts[host].get("interrupted"))

    def _name(self) -> str:
        return f"batch {self.record.batch['number']} of {len(self.record.document['sizes'])}"

    def _stop(self) -> None:
        self.record.document["state"] = "stopped"

    @staticmethod
    def _refuse(entry: dict[str, Any], why: str) -> None:
        entry.update(status="refused", reasons=[why])

    @staticmethod
    def _fail(entry: dict[str, Any], why: str, *, sure: bool = True) -> None:
        entry["status"] = "failed" if sure else "inconclusive"
        entry["reasons"] = [*entry["reasons"], why]

    def _most_samples(self) -> int:
        limit_s: float = self.record.document["soak_limit_s"]
        return max(_MOST_RESAMPLES, math.ceil(limit_s / self.options.baseline_s))

    def _demands(self, entry: Mapping[str, Any]) -> Demands:
        """The demands on one host: the false alarms of the whole roll-out are shared out among all judgements."""
        document = self.record.document
        hosts = max(1, sum(document["sizes"]))
        looks = max(1, math.ceil(document["soak_limit_s"] / document["soak_s"]))
        return Demands(
            least_opens=self.options.least_opens,
            least_segments=self.options.least_segments,
            false_alarm=self.options.false_alarm / (hosts * looks),
            client=bool(entry.get("client")),
        )

    def _measure(self, entry: dict[str, Any], look: object, now: float) -> str:
        """Take the look before the change; return why there is no good window yet."""
        if is_unreachable(look):
            entry.update(status="unreachable", reasons=[trouble(look)])
            return ""
        if trouble(look):
            self._refuse(entry, f"The counters could not be read: {trouble(look)}")
            return ""
        second = plain(look)
        window = window_between(entry["first"], second)
        if isinstance(window, str) or now - entry["first_at"] > max(
            self.options.baseline_limit_s, 2 * self.options.baseline_s
        ):
            entry["first"], entry["first_at"] = second, now
            return window if isinstance(window, str) else "its first look is too old"
        entry["before"] = _as_dict(window)
        return too_little(window, "before", self._demands(entry))

    def _judge(self, entry: dict[str, Any], answers: Mapping[str, Any]) -> str:
        """Judge a host; return why it cannot be judged."""
        probe, look = answers.get("probe"), answers.get("look")
        if probe is not None and trouble(probe):
            self._fail(entry, f"The probe passed before the change and fails now: {trouble(probe)}")
            return ""
        if trouble(look):
            self._fail(entry, f"After the change: {trouble(look)}")
            return ""
        second = plain(look)
        after = window_between(entry["look"], second)
        if isinstance(after, str):
            entry["look"] = second
            return after
        entry["after"] = _as_dict(after)
        verdict = judge(
            Window(**entry["before"]),
            after,
            changed_keys=entry["keys"],
            table=thresholds(self.options.thresholds),
            demands=self._demands(entry),
        )
        entry["warnings"] = [reason.sentence for reason in verdict.warnings]
        entry["unjudged"] = list(verdict.unjudged)
        entry["figures"] = [reason._asdict() for reason in verdict.reasons]
        for reason in verdict.reasons:
            self._fail(entry, reason.sentence)
        return " ".join(verdict.doubts) if verdict.verdict == "inconclusive" else ""


def _as_dict(window: Window) -> dict[str, Any]:
    return {**window._asdict(), "counters": dict(window.counters)}
