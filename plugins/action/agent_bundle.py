# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lastack.linux.agent_bundle``: builds the agent on the controller, and lets ``copy`` take it to the host.

A configuration is checked here by the very sources that go into the bundle, before anything is touched on the host.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible_collections.lastack.linux.agent.configuration import ConfigurationError, check_configuration
from ansible_collections.lastack.linux.plugins.plugin_utils.bundle import BUNDLE_NAME, BundleError, build_bundle

_SPECIFICATION = {
    "dest": {"type": "path"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mode": {"type": "raw", "default": "0644"},
    "validate": {"type": "str"},
    "configuration": {"type": "dict"},
}
_ONE_OF = (("dest", "configuration"),)


class ActionModule(ActionBase):  # type: ignore[misc] # ansible-core ships no types
    """Builds the bundle and hands it to ``ansible.builtin.copy``, which compares, validates and replaces."""

    _supports_check_mode = True
    _supports_async = False
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what ``copy`` returns, and what the bundle is."""
        super().run(tmp, task_vars)
        del tmp
        __, arguments = self.validate_argument_spec(_SPECIFICATION, required_one_of=_ONE_OF)
        configuration = arguments.pop("configuration")
        problem = None if configuration is None else _problem(configuration)
        if problem:
            return {"failed": True, "changed": False, "msg": f"The configuration of the agent is refused: {problem}"}
        if arguments["dest"] is None:
            return {"changed": False}
        try:
            bundle = build_bundle()
        except BundleError as error:
            return {"failed": True, "changed": False, "msg": f"The agent cannot be bundled: {error}"}
        variables = task_vars or {}
        before = self._installed(arguments["dest"], variables) if self._task.diff else ""
        with tempfile.TemporaryDirectory(dir=constants.DEFAULT_LOCAL_TMP) as folder:
            source = Path(folder, BUNDLE_NAME)
            source.write_bytes(bundle.data)
            result = self._copy(str(source), arguments, variables)
        # The source was here for a moment, and says nothing to anybody.
        for name in ("src", "diff", "invocation"):
            result.pop(name, None)
        result.update(version=bundle.version, sha256=bundle.sha256, size=len(bundle.data), modules=len(bundle.modules))
        if self._task.diff and result.get("changed"):
            result["diff"] = {
                "before_header": arguments["dest"],
                "after_header": arguments["dest"],
                "before": before,
                "after": f"lastack agent {bundle.version}, SHA-1 {result.get('checksum')}\n",
            }
        return result

    def _copy(self, source: str, arguments: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        task = self._task.copy()
        # A difference of two archives is of no use to a reader.
        task.diff = False
        task.args = {name: value for name, value in {**arguments, "src": source}.items() if value is not None}
        copy = self._shared_loader_obj.action_loader.get(
            "ansible.legacy.copy",
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        result: dict[str, Any] = copy.run(task_vars=variables)
        return result

    def _installed(self, path: str, variables: dict[str, Any]) -> str:
        """Return a line on the bundle that is there; empty if there is none."""
        found = self._execute_remote_stat(path, all_vars=variables, follow=True)
        return f"lastack agent, SHA-1 {found['checksum']}\n" if found.get("exists") and found.get("checksum") else ""


def _problem(configuration: dict[str, Any]) -> str | None:
    """Return why the agent would not take this configuration, one sentence; ``None`` if it does."""
    try:
        # What the file would hold: Ansible's own types of text and numbers are JSON's there.
        check_configuration(json.loads(json.dumps(configuration)))
    except (ConfigurationError, TypeError, ValueError) as error:
        return str(error)
    return None
