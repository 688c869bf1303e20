# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One pass over every network namespace of the machine: sockets, counters and caps, each read once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.conntrack import read_conntrack
from ansible_collections.lastack.linux.plugins.module_utils.observe.counters import (
    parse_port_range,
    read_namespace_counters,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.namespaces import (
    NamespaceUnreadable,
    find_namespaces,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import (
    Conntrack,
    NamespaceCounters,
    NamespaceSockets,
    NetworkNamespace,
    Unseen,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.sockets import read_inodes, read_namespace

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline

__all__ = ["NamespaceSurvey", "Survey", "read_live_inodes", "survey_namespaces"]


class NamespaceSurvey(NamedTuple):
    """What one namespace showed."""

    namespace: NetworkNamespace
    sockets: NamespaceSockets
    counters: NamespaceCounters | None
    conntrack: Conntrack | None


class Survey(NamedTuple):
    """What all namespaces showed; ``read`` plus ``failed`` is every namespace that was seen."""

    read: list[NamespaceSurvey]
    failed: int
    everywhere: bool
    """Whether no namespace of the machine was left out, so that sums may be held against global counters."""
    unseen: list[Unseen]


def survey_namespaces(
    subsets: frozenset[str],
    *,
    only_current: bool,
    top: int,
    proc: str = "/proc",
    deadline: Deadline,
) -> Survey:
    """Read sockets, counters and caps of every network namespace, or of the collector's own only.

    Args:
        subsets: what to gather, by the names of ``report.GATHER_SUBSETS``.
        only_current: leave the other namespaces of the machine out.
        top: how many destinations to keep a namespace.
        proc: where procfs is mounted.
        deadline: when it has passed, the namespaces that are left count as failed.
    """
    namespaces, unseen = find_namespaces(proc=proc)
    everywhere = not unseen and not only_current
    if only_current:
        namespaces = [namespace for namespace in namespaces if namespace.current]
        unseen = []
    read: list[NamespaceSurvey] = []
    reasons: dict[tuple[str, str], int] = {}
    for namespace in namespaces:
        if deadline.passed():
            key = ("deadline", "the time for the whole look was over before every network namespace was read")
            reasons[key] = reasons.get(key, 0) + 1
            continue
        try:
            survey = _survey_namespace(namespace, subsets, top=top, proc=proc, deadline=deadline)
        except NamespaceUnreadable as error:
            key = ("namespace_unreadable", f"a network namespace could not be read: {error}")
            reasons[key] = reasons.get(key, 0) + 1
            continue
        read.append(survey)
        unseen.extend(survey.sockets.warnings)
    unseen.extend(Unseen(code, occurrences, detail) for (code, detail), occurrences in reasons.items())
    failed = len(namespaces) - len(read)
    return Survey(read, failed, everywhere and not failed, unseen)


def _survey_namespace(
    namespace: NetworkNamespace, subsets: frozenset[str], *, top: int, proc: str, deadline: Deadline
) -> NamespaceSurvey:
    counters = None
    if subsets & {"counters", "time_wait", "ports", "listeners"}:
        counters = read_namespace_counters(namespace, proc=proc)
    port_range = parse_port_range(counters.sysctls.get("net.ipv4.ip_local_port_range", "")) if counters else None
    sockets = read_namespace(
        namespace,
        proc=proc,
        port_range=port_range,
        top=top,
        deadline=deadline,
        close_wait="close_wait" in subsets,
        listeners=bool(subsets & {"close_wait", "listeners", "time_wait"}),
        time_wait="time_wait" in subsets,
        destinations="ports" in subsets,
    )
    conntrack = read_conntrack(namespace, proc=proc) if "conntrack" in subsets else None
    return NamespaceSurvey(namespace, sockets, counters, conntrack)


def read_live_inodes(survey: Survey, *, proc: str = "/proc") -> set[int] | None:
    """Return the inodes of every socket that a dump shows now, over all namespaces; ``None`` if one cannot be read."""
    inodes: set[int] = set()
    try:
        for entry in survey.read:
            inodes |= read_inodes(entry.namespace, proc=proc)
    except NamespaceUnreadable:
        return None
    return inodes
