# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bracket round each step of a roll-out: takes the hosts' answers, decides, waits, keeps the record, shows it.

It never connects to a host.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ansible import context
from ansible.plugins.action import ActionBase
from ansible_collections.lastack.linux.plugins.plugin_utils.audit_options import AuditOptionError, check_variable_names
from ansible_collections.lastack.linux.plugins.plugin_utils.play_of_task import play_hosts, play_id
from ansible_collections.lastack.linux.plugins.plugin_utils.render.rollout import (
    Fleet,
    rollback_screen,
    rollout_screen,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.rollback import rollback_outcome
from ansible_collections.lastack.linux.plugins.plugin_utils.rollout import Next, Rollout
from ansible_collections.lastack.linux.plugins.plugin_utils.rollout_options import (
    RolloutOptionError,
    RolloutOptions,
    check_rollout_options,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.rollout_record import RolloutError, RolloutRecord
from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import utc_now

if TYPE_CHECKING:
    from collections.abc import Iterable

_OPTIONS = RolloutOptions._fields
_OTHERS = ("state", "path", "results", "variables_prefix", "known_variables")
_STATES = (
    "started",
    "predicted",
    "begun",
    "measured",
    "ready",
    "applied",
    "judged",
    "decided",
    "restored",
    "finished",
    "rolled_back",
)


class ActionModule(ActionBase):  # type: ignore[misc] # ansible-core ships no types
    """Takes one step; run by one host of the batch for all of them."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Take the step that ``state`` names and return what follows from it."""
        super().run(tmp, task_vars)
        del tmp
        variables = task_vars or {}
        try:
            return self._run(dict(self._task.args), variables)
        except (AuditOptionError, RolloutError, RolloutOptionError) as error:
            return {"failed": True, "msg": str(error), "changed": False}

    def _run(self, arguments: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(arguments) - {*_OPTIONS, *_OTHERS})
        if unknown:
            raise RolloutOptionError(f"tcp_rollout_step has no option {unknown[0]}.")
        state = arguments.get("state")
        if state not in _STATES:
            raise RolloutOptionError(f"state must be one of {', '.join(_STATES)}.")
        prefix = str(arguments.get("variables_prefix") or "")
        if prefix and arguments.get("known_variables") is not None:
            check_variable_names(variables, prefix, {*_OPTIONS, *map(str, arguments["known_variables"])})
        if state == "started":
            return self._started(arguments, variables, prefix)
        if state == "rolled_back":
            return self._rolled_back(arguments, variables)
        if not arguments.get("path"):
            raise RolloutOptionError("path is needed for every step but the first.")
        rollout = Rollout(RolloutRecord.read(str(arguments["path"])))
        following = self._step(rollout, str(state), arguments, variables)
        rollout.record.save()
        if following.wait_s > 0:
            self._wait(following)
        result = {"changed": False, "path": str(rollout.record.path), **following._asdict()}
        result["hosts"] = list(following.hosts)
        ended = state == "finished" or (state == "restored" and rollout.record.document["state"] == "stopped")
        return {**result, **self._ended(rollout, variables, show=ended)}

    def _started(self, arguments: dict[str, Any], variables: dict[str, Any], prefix: str) -> dict[str, Any]:
        options = check_rollout_options({name: arguments.get(name) for name in _OPTIONS}, prefix)
        record = RolloutRecord.start(
            arguments.get("path"),
            hosts=play_hosts(variables),
            options=options._asdict(),
            check=bool(self._task.check_mode),
            play=play_id(self._task),
        )
        return {"changed": False, "path": str(record.path)}

    def _step(self, rollout: Rollout, state: str, arguments: dict[str, Any], variables: dict[str, Any]) -> Next:
        now = time.monotonic()
        batch = [str(host) for host in variables.get("ansible_play_batch") or ()]
        # A host whose tasks failed is no longer in the batch of the play, but it is in that of the record.
        known = rollout.record.batch["hosts"] if rollout.record.document["batches"] else list(rollout.record.hosts)
        steps = {
            "predicted": lambda: rollout.predicted(self._answers(arguments, variables, rollout.record.hosts), now),
            "begun": lambda: rollout.begun(batch, now),
            "measured": lambda: rollout.measured(self._answers(arguments, variables, known), now),
            "ready": lambda: rollout.ready(self._answers(arguments, variables, known)),
            "applied": lambda: rollout.applied(self._answers(arguments, variables, known), now),
            "judged": lambda: rollout.judged(self._answers(arguments, variables, known), now),
            "decided": lambda: rollout.must_restore(self._answers(arguments, variables, {*known, *batch}), batch),
            "restored": lambda: rollout.restored(self._answers(arguments, variables, known)),
            "finished": rollout.finished,
        }
        following: Next = steps[state]()
        return following

    def _ended(self, rollout: Rollout, variables: dict[str, Any], *, show: bool) -> dict[str, Any]:
        """Show and keep the screen, and return one sentence for each host that does not have the baseline."""
        if not show:
            return {}
        record = rollout.record
        text = rollout_screen(record.document, fleet=_fleet(variables, "rollout"), folder=str(record.path))
        first = not record.document.get("shown")
        record.document["shown"] = True
        record.document["finished_at"] = record.document["finished_at"] or utc_now()
        record.save()
        record.save_screen(text)
        if first:
            self._display.display("\n" + text)
        return {"screen": text, "failures": rollout.failures()}

    def _rolled_back(self, arguments: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        hosts = play_hosts(variables)
        answers = self._answers(arguments, variables, hosts)
        check = bool(self._task.check_mode)
        outcome = {host: rollback_outcome(answers[host], check=check) for host in hosts}
        statuses = {host: status for host, (status, __) in outcome.items()}
        problems = {host: problem for host, (__, problem) in outcome.items() if problem}
        text = rollback_screen(statuses, problems, check=check, fleet=_fleet(variables, "rollback"))
        self._display.display("\n" + text)
        return {"changed": False, "screen": text, "statuses": statuses, "failures": problems}

    def _wait(self, following: Next) -> None:
        self._display.display(f"{following.why} ({following.wait_s:,.0f} s)")
        time.sleep(following.wait_s)

    @staticmethod
    def _answers(arguments: dict[str, Any], variables: dict[str, Any], hosts: Iterable[str]) -> dict[str, Any]:
        """Return what the variables that ``results`` names hold for each host; a skipped task has none."""
        wanted = arguments.get("results") or {}
        if not isinstance(wanted, dict):
            raise RolloutOptionError("results must be a mapping of names to variables.")
        hostvars = variables["hostvars"]
        answers: dict[str, Any] = {}
        for host in hosts:
            known = hostvars[host] if host in hostvars else {}  # noqa: SIM401 - HostVars has no get
            answers[host] = {name: _first(known, names) for name, names in wanted.items()}
        return answers


def _fleet(variables: dict[str, Any], playbook: str) -> Fleet:
    """Return what selected the hosts of this run."""
    pattern = variables.get(f"tcp_{playbook}_hosts")
    return Fleet(
        inventory=[str(one) for one in context.CLIARGS.get("inventory") or ()],
        limit=str(context.CLIARGS.get("subset") or ""),
        pattern=",".join(map(str, pattern)) if isinstance(pattern, list) else str(pattern or ""),
    )


def _first(known: Any, names: object) -> Any:  # noqa: ANN401 - HostVarsVars, which has no types
    """Return the first of the variables that a task which ran has left, a failed one before others."""
    found = []
    for name in [names] if isinstance(names, str) else names if isinstance(names, list) else ():
        value = known.get(name)
        if value is None or (isinstance(value, dict) and value.get("skipped") and not value.get("unreachable")):
            continue
        found.append(value)
    bad = [one for one in found if isinstance(one, dict) and (one.get("failed") or one.get("unreachable"))]
    return next(iter([*bad, *found]), None)
