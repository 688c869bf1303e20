# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of ``sysctl_baseline``: profile, own settings and catalogue become one list for the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.lastack.linux.plugins.plugin_utils.baseline_settings import (
    BaselineError,
    baseline_settings,
    removable,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.catalogue import CatalogueError, load_catalogue
from ansible_collections.lastack.linux.plugins.plugin_utils.unknown_keys import tell_unknown_keys

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.plugins.plugin_utils.catalogue import Catalogue

_MODULE = "lastack.linux.sysctl_baseline"
_CONTROLLERS = ("profile", "settings", "exclude", "idle_cutter", "catalogue")


class ActionModule(ActionBase):  # type: ignore[misc] # ansible-core ships no types
    """Builds the finished list of settings and runs the module once; what makes no sense reaches no host."""

    _supports_check_mode = True
    _supports_async = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what the module returns, or a failure with one sentence."""
        super().run(tmp, task_vars)
        del tmp
        arguments = dict(self._task.args)
        try:
            catalogue, arguments["settings"], arguments["_never"] = self._settings(arguments)
        except (BaselineError, CatalogueError) as error:
            return {"failed": True, "changed": False, "msg": str(error)}
        wrap_async = bool(self._task.async_val) and not self._connection.has_native_async
        result: dict[str, Any] = self._execute_module(
            module_name=_MODULE, module_args=arguments, task_vars=task_vars or {}, wrap_async=wrap_async
        )
        if catalogue is not None and arguments.get("state") in (None, "", "present"):
            for warning in (*catalogue.notes, *tell_unknown_keys(catalogue, result)):
                self._display.warning(warning)
        return result

    def _settings(self, arguments: dict[str, Any]) -> tuple[Catalogue | None, list[dict[str, Any]], dict[str, str]]:
        """Take the controller's options out of ``arguments``; return the catalogue, the settings and the never-keys."""
        taken = {name: arguments.pop(name, None) for name in _CONTROLLERS}
        state = arguments.get("state") or "present"
        if state == "restored":
            # What a host was before does not depend on what is wanted now.
            return None, [], {}
        catalogue = self._catalogue(taken["catalogue"])
        settings = _list(taken["settings"], "settings")
        if state == "present" and not taken["profile"] and not settings:
            raise BaselineError("There is nothing to apply: give profile, settings or both.")
        finished = baseline_settings(
            catalogue,
            profile=taken["profile"] or None,
            settings=settings,
            exclude=_list(taken["exclude"], "exclude"),
            idle_cutter=_flag(taken["idle_cutter"]),
            values=state != "absent",
        )
        return catalogue, finished, removable(catalogue)

    def _catalogue(self, path: object) -> Catalogue:
        if not path:
            return load_catalogue()
        if not isinstance(path, str):
            raise BaselineError("catalogue must be the path of a file on the controller.")
        found = self._loader.path_dwim(path)
        try:
            return load_catalogue(found)
        except OSError as error:
            raise BaselineError(f"The catalogue {found} cannot be read: {error.strerror}.") from error


def _list(value: object, option: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise BaselineError(f"{option} is no list.")
    return value


def _flag(value: object) -> bool:
    if value is None:
        return False
    try:
        return bool(boolean(value))
    except TypeError as error:
        raise BaselineError("idle_cutter must be true or false.") from error
