# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The evidence for settings that help only where ports run out: one survey of the own network namespace."""

from __future__ import annotations

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.descriptor_pressure import share
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.ports import usable_ports
from ansible_collections.lastack.linux.plugins.module_utils.observe.counters import (
    parse_port_range,
    parse_reserved_ports,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import PortPressure
from ansible_collections.lastack.linux.plugins.module_utils.observe.survey import survey_namespaces

__all__ = ["read_port_pressure"]

_TIMEOUT_S = 30.0


def read_port_pressure(*, proc: str = "/proc") -> PortPressure:
    """Look at the caller's network namespace as the audit does (``ephemeral_ports`` of the host report). Never raises.

    What could not be read within 30 s is unknown.
    """
    survey = survey_namespaces(
        frozenset({"ports", "listeners"}), only_current=True, top=1, proc=proc, deadline=Deadline(_TIMEOUT_S)
    )
    if survey.failed or not survey.read:
        return PortPressure(None, "", frozenset())
    own = survey.read[0]
    bound = frozenset(listener.local_port for listener in own.sockets.listeners)
    sysctls = own.counters.sysctls if own.counters else {}
    ends = parse_port_range(sysctls.get("net.ipv4.ip_local_port_range", ""))
    if ends is None:
        return PortPressure(None, "", bound)
    if not own.sockets.destinations:
        return PortPressure(0.0, "", bound)
    worst = max(own.sockets.destinations, key=lambda to: to.used)
    reserved = parse_reserved_ports(sysctls.get("net.ipv4.ip_local_reserved_ports", ""))
    used = share(worst.used, usable_ports(ends, reserved, set(bound)))
    return PortPressure(used, f"{worst.address}:{worst.port}", bound)
