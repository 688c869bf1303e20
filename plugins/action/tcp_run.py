# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bracket round an audit: makes the run folder before the first host, merges and shows it after the last.

It never connects to a host.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.lastack.linux.plugins.plugin_utils.audit_options import (
    LOOK_OPTIONS,
    AuditOptionError,
    check_flag,
    check_options,
    check_profile,
    check_variable_names,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.play_of_task import keeps_step, play_hosts, play_id
from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import RunFolder, RunFolderError
from ansible_collections.lastack.linux.plugins.plugin_utils.run_report import (
    finish_run,
    summary_of,
    waiting_hosts,
)

# The variables of the playbook that are no options of tcp_facts.
_PLAYBOOK_ONLY = frozenset({"become", "hosts", "profile", "screen", "store", "strategy"})
_OPTIONS = frozenset({"state", "path", "hosts", "screen", "become", "profile", "variables_prefix", *LOOK_OPTIONS})
_STATES = ("started", "finished")


class ActionModule(ActionBase):  # type: ignore[misc] # ansible-core ships no types
    """Starts or finishes a run; works under any strategy, run by one host or by all of them."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Start or finish the run folder and return its path."""
        super().run(tmp, task_vars)
        del tmp
        variables = task_vars or {}
        try:
            return self._run(dict(self._task.args), variables)
        except (AuditOptionError, RunFolderError) as error:
            return {"failed": True, "msg": str(error), "changed": False}

    def _run(self, arguments: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        prefix = str(arguments.get("variables_prefix") or "")
        unknown = sorted(set(arguments) - _OPTIONS)
        if unknown:
            raise AuditOptionError(f"tcp_run has no option {unknown[0]}: known are {', '.join(sorted(_OPTIONS))}.")
        if prefix:
            check_variable_names(variables, prefix, {*LOOK_OPTIONS, *_PLAYBOOK_ONLY})
        state = arguments.get("state")
        if state not in _STATES:
            raise AuditOptionError("state must be started or finished.")
        screen = check_flag("screen", arguments.get("screen", True), prefix)
        check_flag("become", arguments.get("become", False), prefix)
        path = _path(arguments.get("path"), f"{prefix}store" if prefix else "path")
        if state == "started":
            return self._started(path, arguments, variables, prefix)
        if path is None:
            raise AuditOptionError("path is needed to finish a run.")
        return self._finished(path, variables, screen=screen)

    def _started(
        self, path: Path | None, arguments: dict[str, Any], variables: dict[str, Any], prefix: str
    ) -> dict[str, Any]:
        options = check_options({name: arguments[name] for name in LOOK_OPTIONS if name in arguments}, prefix)
        if arguments.get("profile") is not None:
            options["profile"] = check_profile(arguments["profile"], prefix)
        hosts = arguments.get("hosts")
        meant = [str(host) for host in hosts] if isinstance(hosts, list) and hosts else play_hosts(variables)
        made_by = prefix.rstrip("_") or "tcp_run"
        play = play_id(self._task)
        if path is None:
            run = RunFolder.start_default(made_by=made_by, hosts=meant, options=options, play=play)
        else:
            run = RunFolder.start(path, made_by=made_by, hosts=meant, options=options, play=play)
        return {"changed": False, "path": str(run.path), "id": run.run_id, "finished": False}

    def _finished(self, path: Path, variables: dict[str, Any], *, screen: bool) -> dict[str, Any]:
        run = RunFolder.read(path)
        result: dict[str, Any] = {"changed": False, "path": str(run.path), "id": run.run_id}
        if not keeps_step(self._task):
            self._arrive(run, str(variables["inventory_hostname"]))
            waiting = waiting_hosts(run)
            if waiting:
                return {**result, "finished": False, "msg": f"waiting for {waiting} hosts"}
        done = finish_run(run)
        if done is None:
            return {**result, "finished": True, "msg": "finished by another host's task"}
        if screen:
            self._display.display(done.text)
        return {
            **result,
            "finished": True,
            "html": done.html_path,
            "text": done.text_path,
            "summary": summary_of(done.fleet),
        }

    @staticmethod
    def _arrive(run: RunFolder, host: str) -> None:
        """Give up on this host's outcome: its look has ended, and where it left none it never will."""
        if host in run.outcomes() and run.outcomes()[host] is None:
            run.record(host, "missing", "its task ended without a result: see Ansible's own output")


def _path(value: object, name: str) -> Path | None:
    if value is None:
        return None
    if isinstance(value, str) and not value.strip():
        raise AuditOptionError(f"{name} is empty: name a folder on the controller, or leave {name} out.")
    if not isinstance(value, (str, os.PathLike)):
        raise AuditOptionError(f"{name} must be the path of a folder on the controller.")
    return Path(str(value)).expanduser()
