# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that are applied only where this host shows that it needs them: the evidence called ``port_pressure``."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_values import numbers, ports
from ansible_collections.lastack.linux.plugins.module_utils.tune.match import port_list, target_of
from ansible_collections.lastack.linux.plugins.module_utils.tune.runtime import read_runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import PortPressure
    from ansible_collections.lastack.linux.plugins.module_utils.tune.settings import Setting

__all__ = ["PortGate"]

_ENOUGH_PERCENT = 50.0
_TIMESTAMPS = "net.ipv4.tcp_timestamps"
_RANGE = "net.ipv4.ip_local_port_range"
_RESERVED = "net.ipv4.ip_local_reserved_ports"
_PAIR = 2


class PortGate:
    """Says why a setting that needs ``port_pressure`` is not applied; asks the host once and only if it has to."""

    def __init__(
        self,
        settings: Sequence[Setting],
        *,
        applied_before: Collection[str],
        evidence: Callable[[], PortPressure] | None,
        proc: str,
    ) -> None:
        """Take all settings of the call; those ``applied_before`` stay applied when the pressure has gone.

        Half of the reason for the pressure to go is that they were applied.
        """
        self._settings = {setting.key: setting for setting in settings}
        self._applied_before = applied_before
        self._evidence = evidence
        self._proc = proc

    def fill(self, setting: Setting) -> Setting:
        """Return an empty union of reserved ports with the listeners that the wanted range would newly take in."""
        fillable = setting.key == _RESERVED and setting.match == "union" and not setting.value
        if not (fillable and setting.needs) or self._applied(_RANGE) or self._shortage():
            return setting
        return setting._replace(value=port_list(self._newly_inside()))

    def closed(self, setting: Setting) -> str:
        """Return why the setting is not applied, in one clause; empty when it is."""
        if not setting.needs or self._applied(setting.key):
            return ""
        why = self._shortage()
        if not why and setting.key == _RANGE and _RESERVED not in self._settings:
            exposed = self._newly_inside() - (ports(self._now(_RESERVED)) or set())
            if exposed:
                why = f"something listens on {port_list(exposed)}, inside the new range and not reserved"
        return why

    def _applied(self, key: str) -> bool:
        return key in self._applied_before

    def _shortage(self) -> str:
        """Return why there is no evidence of port pressure; empty when there is."""
        timestamps = self._after(_TIMESTAMPS)
        if numbers(timestamps)[:1] in ([], [0]):
            return f"{_TIMESTAMPS} is {timestamps or 'unknown'}, and nothing is gained without timestamps"
        pressure = self._pressure
        if pressure is None or pressure.used_percent is None:
            return "how many local ports are in use is not known"
        if pressure.used_percent < _ENOUGH_PERCENT:
            most = (
                f" (most: {pressure.used_percent:g} % towards {pressure.destination})" if pressure.destination else ""
            )
            return f"no destination uses half of the automatic ports{most}"
        return ""

    @cached_property
    def _pressure(self) -> PortPressure | None:
        return self._evidence() if self._evidence else None

    def _newly_inside(self) -> set[int]:
        """Return the listening ports that the wanted range takes in and the present one does not."""
        now, wanted = numbers(self._now(_RANGE)), numbers(self._after(_RANGE))
        if len(now) != _PAIR or len(wanted) != _PAIR or self._pressure is None:
            return set()
        return {
            port for port in self._pressure.listeners if wanted[0] <= port <= wanted[1] and not now[0] <= port <= now[1]
        }

    def _after(self, key: str) -> str:
        now = self._now(key)
        return target_of(self._settings[key], now) if now and key in self._settings else now

    def _now(self, key: str) -> str:
        try:
            return read_runtime(key, proc=self._proc)
        except OSError:
            return ""
