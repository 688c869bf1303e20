# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drift from the baseline over the fleet: which key of a profile is not as it should be, on how many hosts, and why."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.thresholds import ALERT_PERCENT
from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_values import numbers
from ansible_collections.lastack.linux.plugins.module_utils.tune.match import satisfies
from ansible_collections.lastack.linux.plugins.module_utils.tune.settings import parse_settings
from ansible_collections.lastack.linux.plugins.plugin_utils.baseline_settings import baseline_settings
from ansible_collections.lastack.linux.plugins.plugin_utils.catalogue import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BaselineMerge"]

_VALUES_SHOWN = 20
_TIMESTAMPS = "net.ipv4.tcp_timestamps"

# Forged reports can name any number of values: beyond this many a key, new ones are only counted.
_TRACKED = 5000


class BaselineMerge:
    """Holds every host's running values against one profile of the catalogue."""

    def __init__(self, profile: str) -> None:
        """Take a profile of ``catalogue.PROFILES``; raises ``BaselineError`` for another name."""
        self._profile = profile
        settings = parse_settings(baseline_settings(load_catalogue(), profile=profile))
        # What only the operator can know (gated) is no drift, and an empty list of ports asks for nothing.
        self._settings = [setting for setting in settings if not setting.gated and setting.value]
        self._not_judged = [setting.key for setting in settings if setting.gated]
        self._hosts = self._met = 0
        self._judged: Counter[str] = Counter()
        self._away: dict[str, Counter[tuple[str, str | None]]] = {}
        self._more: Counter[str] = Counter()

    def add(self, report: Mapping[str, Any]) -> None:
        """Take one host report; keys that the host does not have or does not show are not judged."""
        sysctls = report.get("sysctls", {})
        pressed = _port_pressure(report)
        judged = met = 0
        for setting in self._settings:
            state = sysctls.get(setting.key, {})
            current = state.get("current")
            if current is None or (setting.needs and not pressed):
                continue
            self._judged[setting.key] += 1
            judged += 1
            if satisfies(setting, current):
                met += 1
                continue
            values = self._away.setdefault(setting.key, Counter())
            seen = current, state["winner"]
            if seen in values or len(values) < _TRACKED:
                values[seen] += 1
            else:
                self._more[setting.key] += 1
        self._hosts += judged > 0
        self._met += judged > 0 and met == judged

    def result(self) -> dict[str, Any]:
        """Return ``baseline`` of ``lastack.fleet/1``: the keys that are away from the profile, most hosts first."""
        keys: list[dict[str, Any]] = []
        for setting in self._settings:
            values = self._away.get(setting.key)
            if not values:
                continue
            ranked = sorted(values.items(), key=lambda item: (-item[1], item[0][0], item[0][1] or ""))
            shown = [
                {"value": value, "hosts": hosts, "winner": winner} for (value, winner), hosts in ranked[:_VALUES_SHOWN]
            ]
            keys.append(
                {
                    "key": setting.key,
                    "match": setting.match,
                    "wanted": setting.value,
                    "judged_hosts": self._judged[setting.key],
                    "away_hosts": values.total() + self._more[setting.key],
                    "values": shown,
                    "values_truncated": len(ranked) - len(shown) + self._more[setting.key],
                }
            )
        keys.sort(key=lambda entry: -entry["away_hosts"])
        return {
            "profile": self._profile,
            "judged_hosts": self._hosts,
            "met_hosts": self._met,
            "not_judged": self._not_judged,
            "settings": keys,
        }


def _port_pressure(report: Mapping[str, Any]) -> bool:
    """Whether the report shows what the gated keys need: timestamps on, and half of the ports in use."""
    timestamps = report.get("sysctls", {}).get(_TIMESTAMPS, {}).get("current")
    if timestamps is None or numbers(timestamps)[:1] in ([], [0]):
        return False
    return any(
        (item["used_percent"] or 0) >= ALERT_PERCENT["ports"]
        for pool in report.get("ephemeral_ports", ())
        for item in pool["destinations"]
    )
