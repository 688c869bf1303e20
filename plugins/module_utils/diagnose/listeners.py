# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accept queues: connections that the kernel has completed and no program has taken yet (listen(2)).

A queue of ``backlog`` N takes N + 1 connections; what it cannot take is dropped and counted in ``ListenOverflows``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.descriptor_pressure import share
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.identity import identify
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.time_wait import integer_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import (
        NamespaceCounters,
        Process,
        TcpSocket,
    )

__all__ = ["ListenersResult", "apps_by_port", "listener_apps", "listeners_section"]

_SOMAXCONN = "net.core.somaxconn"


class ListenersResult(NamedTuple):
    """``listeners`` of the host report and how many listeners are not in it."""

    section: list[dict[str, Any]]
    truncated: int


def listeners_section(
    listeners: Sequence[TcpSocket],
    counters: Mapping[int, NamespaceCounters],
    namespaces: Mapping[int, str],
    apps: Mapping[int, str],
    *,
    top: int = 20,
) -> ListenersResult:
    """Return the listeners whose queue holds anything, fullest first; ``apps`` names their programs by inode.

    ``somaxconn`` is the namespace's ceiling now; a listener keeps the one of its last ``listen()``.
    """
    filled = [one for one in listeners if one.receive_queue > 0]
    filled.sort(key=lambda one: (-(share(one.receive_queue, one.send_queue) or 0), -one.receive_queue, one.local_port))
    section = []
    for one in filled[:top]:
        own = counters.get(one.namespace)
        section.append(
            {
                "namespace": clean_text(namespaces.get(one.namespace, "")),
                "namespace_id": one.namespace,
                "address": clean_text(one.local_address),
                "port": one.local_port,
                "app": apps.get(one.inode),
                "queue": one.receive_queue,
                "backlog": one.send_queue,
                "used_percent": share(one.receive_queue, one.send_queue),
                "somaxconn": integer_of(own.sysctls.get(_SOMAXCONN)) if own else None,
            }
        )
    return ListenersResult(section, len(listeners) - len(section))


def listener_apps(listener_pids: Mapping[int, Sequence[int]], processes: Mapping[int, Process]) -> dict[int, str]:
    """Return the application of each listener, by its inode; of several holders the first known one counts."""
    apps: dict[int, str] = {}
    for inode, pids in listener_pids.items():
        process = next((processes[pid] for pid in pids if pid in processes), None)
        if process is not None:
            apps[inode] = identify(process).app
    return apps


def apps_by_port(listeners: Sequence[TcpSocket], apps: Mapping[int, str]) -> dict[tuple[int, int], str]:
    """Return the application of each listening port, by namespace and port; ``apps`` is by the listener's inode."""
    ports: dict[tuple[int, int], str] = {}
    for one in listeners:
        if one.inode in apps:
            ports.setdefault((one.namespace, one.local_port), apps[one.inode])
    return ports
