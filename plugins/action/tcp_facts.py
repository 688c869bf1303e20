# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of ``tcp_facts``: one module run, its report checked, stored and summed up."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleConnectionFailure
from ansible.playbook.task import Task
from ansible.plugins.action import ActionBase
from ansible_collections.lastack.linux.plugins.plugin_utils.audit_options import (
    LOOK_OPTIONS,
    AuditOptionError,
    check_options,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.catalogue import for_target, load_catalogue
from ansible_collections.lastack.linux.plugins.plugin_utils.host_clock import note_wrong_clock
from ansible_collections.lastack.linux.plugins.plugin_utils.host_summary import host_summary
from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.plugins.plugin_utils.play_of_task import play_hosts, play_id
from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import RunFolder, RunFolderError
from ansible_collections.lastack.linux.plugins.plugin_utils.validate import InvalidReport, require_host_report

if TYPE_CHECKING:
    from collections.abc import Mapping

_MODULE = "lastack.linux.tcp_facts"
_SSH_PREFIX = "Failed to connect to the host via ssh: "
_WARNINGS_KEPT = 5


class ActionModule(ActionBase):  # type: ignore[misc] # ansible-core ships no types
    """Runs ``tcp_facts`` on the host; nothing that the host says is used before it was checked."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module once and return the report, or with ``store`` its summary, as a fact."""
        super().run(tmp, task_vars)
        del tmp
        variables = task_vars or {}
        arguments = dict(self._task.args)
        store = arguments.pop("store", None)
        try:
            arguments.update(check_options({name: arguments[name] for name in LOOK_OPTIONS if name in arguments}))
            run = self._run_folder(store, variables)
        except (AuditOptionError, RunFolderError) as error:
            return self._failure(str(error))
        # The report belongs to the host that is looked at, whoever's turn it is.
        host = str(self._task.delegate_to or variables["inventory_hostname"])
        arguments["_catalogue"] = for_target(load_catalogue())
        if self._task.async_val and not self._task.poll:
            # Nobody waits for the report: async_status gets it, unchecked, from the host.
            job: dict[str, Any] = self._start(arguments, variables)
            return job
        journal = _Journal(run, host, str(variables["inventory_hostname"]))
        began = time.monotonic()
        try:
            raw = self._look(arguments, variables)
        except AnsibleConnectionFailure as error:
            journal.note("unreachable", _unreachable_reason(error))
            raise
        except RecursionError:
            return self._failure(journal.note("invalid", "the host report is nested too deeply"))
        except BaseException as error:
            journal.note("failed", _reason(error))
            raise
        return self._judge(raw, journal, time.monotonic() - began)

    def _run_folder(self, store: object, variables: Mapping[str, Any]) -> RunFolder | None:
        if store is None:
            return None
        if not isinstance(store, (str, os.PathLike)) or not str(store).strip():
            raise AuditOptionError("store must be the path of a folder on the controller.")
        if self._task.async_val and not self._task.poll:
            raise AuditOptionError(
                "store needs the result, and async with poll 0 does not wait for it: set poll above 0 or drop store."
            )
        path = Path(str(store)).expanduser()
        return RunFolder.join(path, made_by="tcp_facts", hosts=play_hosts(variables), play=play_id(self._task))

    def _start(self, arguments: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        wrap_async = bool(self._task.async_val) and not self._connection.has_native_async
        raw: dict[str, Any] = self._execute_module(
            module_name=_MODULE, module_args=arguments, task_vars=variables, wrap_async=wrap_async
        )
        return raw

    def _look(self, arguments: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        raw = self._start(arguments, variables)
        if not self._task.async_val:
            return raw
        seconds, pause = self._task.async_val, self._task.poll
        try:
            job = raw.get("ansible_job_id")
            if raw.get("failed") or not isinstance(job, str):
                return raw
            return self._wait(job, seconds, pause, variables)
        finally:
            # The task executor would poll once more, for a job that is done and cleaned up.
            self._task.async_val = 0

    def _wait(self, job: str, seconds: float, pause: float, variables: dict[str, Any]) -> dict[str, Any]:
        """Poll the job as Ansible's own task executor does; the last connection error counts, earlier ones do not."""
        status = self._async_status({"jid": job})
        while True:
            time.sleep(pause)
            seconds -= pause
            try:
                result: dict[str, Any] = status.run(task_vars=variables)
            except AnsibleConnectionFailure:
                if seconds <= 0:
                    raise
                continue
            parsed = result.get("_ansible_parsed", False)
            if result.get("finished") or (result.get("failed") and parsed):
                break
            if seconds <= 0:
                message = f"the look did not end within the {self._task.async_val} s of async"
                return {"failed": True, "msg": message}
        cleanup = self._async_status({"jid": job, "mode": "cleanup"})
        cleanup.run(task_vars=variables)
        cleanup.cleanup(force=True)
        return result

    def _async_status(self, arguments: dict[str, str]) -> ActionBase:
        task = Task.load(
            {
                "action": "async_status",
                "args": arguments,
                "check_mode": self._task.check_mode,
                "environment": self._task.environment,
            }
        )
        return self._shared_loader_obj.action_loader.get(
            "ansible.legacy.async_status",
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )

    def _judge(self, raw: Mapping[str, Any], journal: _Journal, look_s: float) -> dict[str, Any]:
        if raw.get("unreachable"):
            reason = journal.note("unreachable", _text(raw.get("msg")) or "no connection")
            return {"unreachable": True, "msg": reason, "changed": False}
        if raw.get("failed"):
            return self._failure(journal.note("failed", _failed_reason(raw)), raw)
        facts = raw.get("ansible_facts")
        report = facts.get("lastack") if isinstance(facts, dict) else None
        if report is None:
            return self._failure(journal.note("invalid", "the module returned no host report"), raw)
        try:
            checked = require_host_report(report)
        except InvalidReport as error:
            return self._failure(journal.note("invalid", f"the host report {error}"), raw)
        checked["host"]["inventory_name"] = one_line(journal.host, 256)
        note_wrong_clock(checked, look_s)
        try:
            fact = journal.store(checked)
        except RunFolderError as error:
            return self._failure(str(error), raw)
        return self._result({"ansible_facts": {"lastack": fact}}, raw)

    def _failure(self, message: str, raw: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return self._result({"failed": True, "msg": message}, raw or {})

    def _result(self, result: dict[str, Any], raw: Mapping[str, Any]) -> dict[str, Any]:
        """Add what Ansible needs; every other key that came from the host ends here."""
        result["changed"] = False
        if self._discovered_interpreter_key:
            result.setdefault("ansible_facts", {})[self._discovered_interpreter_key] = self._discovered_interpreter
        warnings = raw.get("warnings")
        if isinstance(warnings, list):
            kept = [one_line(warning, 500) for warning in warnings if isinstance(warning, str)]
            result["warnings"] = kept[:_WARNINGS_KEPT]
        return result


class _Journal:
    """Writes a host's outcome down where there is a run folder."""

    def __init__(self, run: RunFolder | None, host: str, turn_of: str) -> None:
        self._run = run
        self.host = host
        self._turn_of = turn_of

    def note(self, outcome: str, reason: str) -> str:
        """Record an outcome without a report; return the reason, or why it could not be recorded."""
        if self._run is None:
            return reason
        try:
            self._note_turn(self._run)
            self._run.record(self.host, outcome, reason)
        except RunFolderError as error:
            return f"{reason} ({error})"
        return reason

    def store(self, report: dict[str, Any]) -> dict[str, Any]:
        """Store the report and return the fact: its summary, or the whole where there is no run folder."""
        if self._run is None:
            return report
        self._note_turn(self._run)
        file = self._run.store_report(self.host, report)
        return host_summary(report, str(self._run.path / file))

    def _note_turn(self, run: RunFolder) -> None:
        if self._turn_of != self.host:
            run.record_delegated(self._turn_of)


def _text(value: object) -> str:
    return one_line(value) if isinstance(value, str) else ""


def _reason(error: BaseException) -> str:
    return _text(getattr(error, "message", None) or str(error)) or type(error).__name__


def _unreachable_reason(error: AnsibleConnectionFailure) -> str:
    """Return ssh's last line: what comes before it are warnings and banners."""
    message = str(getattr(error, "message", None) or error)
    lines = [line for line in message.removeprefix(_SSH_PREFIX).splitlines() if line.strip()]
    return one_line(lines[-1]) if lines else "no connection"


def _failed_reason(raw: Mapping[str, Any]) -> str:
    reason = _text(raw.get("msg")) or _exception_text(raw.get("exception")) or "the module failed without a message"
    if raw.get("_ansible_parsed", True) or "interpreter" in reason:
        return reason
    # What came was no module result: the program's last line says more than the parser.
    said = raw.get("module_stderr") or raw.get("module_stdout")
    lines = said.strip().splitlines() if isinstance(said, str) else []
    return f"{reason} ({one_line(lines[-1], 160)})" if lines else reason


def _exception_text(exception: object) -> str:
    """Return the last line of a traceback: text, or from ansible-core 2.19 on inside a summary object."""
    event = getattr(exception, "event", None)
    for said in (exception, getattr(event, "msg", None), getattr(event, "formatted_traceback", None)):
        if isinstance(said, str) and said.strip():
            return one_line(said.strip().splitlines()[-1])
    return ""
