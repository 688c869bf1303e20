# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One pass over every network namespace of the machine: sockets, counters and caps, each read once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ansible_collections.lastack.linux.plugins.module_utils.observe.conntrack import read_conntrack
from ansible_collections.lastack.linux.plugins.module_utils.observe.counters import (
    parse_port_range,
    read_namespace_counters,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.namespaces import (
    NamespaceUnreadable,
    NamespaceVanished,
    find_namespaces,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.processes import all_processes_visible
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import (
    Conntrack,
    NamespaceCounters,
    NamespaceSockets,
    NetworkNamespace,
    Unseen,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.sockets import read_inodes, read_namespace

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline

__all__ = ["NamespaceSurvey", "Survey", "read_live_inodes", "survey_namespaces"]

T = TypeVar("T")


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
    """Whether nothing of the machine was left out, so that sums may be held against global counters."""
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
    look = _Survey(subsets, top=top, proc=proc, deadline=deadline)
    namespaces, unseen = _find(proc, only_current=only_current)
    lost = look.read(namespaces)
    if lost:
        # The process that showed the way has ended; the namespace may live on with others.
        inodes = {namespace.inode for namespace in lost}
        look.read([one for one in _find(proc, only_current=only_current)[0] if one.inode in inodes])
    unseen += look.unseen()
    # Inside a container the kernel's global counters are about more than is to be seen here.
    everywhere = not unseen and not only_current and not look.failed and all_processes_visible(proc)
    return Survey(look.surveys, look.failed, everywhere, unseen)


def read_live_inodes(*, proc: str = "/proc") -> set[int] | None:
    """Return the inodes of every TCP socket that a dump shows now, over all namespaces; ``None`` if one is unreadable.

    The namespaces are looked for anew: in one that came up meanwhile, every socket would look dead.
    """
    namespaces, unseen = find_namespaces(proc=proc)
    if unseen:
        return None
    inodes: set[int] = set()
    for namespace in namespaces:
        try:
            inodes |= read_inodes(namespace, proc=proc)
        except NamespaceVanished:  # noqa: PERF203 - one namespace at a time may die
            continue
        except NamespaceUnreadable:
            return None
    return inodes


def _find(proc: str, *, only_current: bool) -> tuple[list[NetworkNamespace], list[Unseen]]:
    namespaces, unseen = find_namespaces(proc=proc)
    if only_current:
        return [namespace for namespace in namespaces if namespace.current], []
    return namespaces, unseen


class _Survey:
    """A survey under way."""

    def __init__(self, subsets: frozenset[str], *, top: int, proc: str, deadline: Deadline) -> None:
        self.surveys: list[NamespaceSurvey] = []
        self.failed = 0
        self._subsets = subsets
        self._top = top
        self._proc = proc
        self._deadline = deadline
        self._reasons: Counter[tuple[str, str]] = Counter()

    def read(self, namespaces: list[NetworkNamespace]) -> list[NetworkNamespace]:
        """Read these namespaces and return those whose way in had vanished."""
        lost = []
        for namespace in namespaces:
            if self._deadline.passed():
                self._fail("deadline", "the time for the whole look was over before every network namespace was read")
                continue
            try:
                self.surveys.append(
                    _survey_namespace(namespace, self._subsets, top=self._top, proc=self._proc, deadline=self._deadline)
                )
            except NamespaceVanished:
                lost.append(namespace)
            except NamespaceUnreadable as error:
                self._fail("namespace_unreadable", f"a network namespace could not be read: {error}")
        return lost

    def unseen(self) -> list[Unseen]:
        """Return what this survey did not see."""
        warnings = [warning for survey in self.surveys for warning in survey.sockets.warnings]
        return warnings + [Unseen(code, count, detail) for (code, detail), count in self._reasons.items()]

    def _fail(self, code: str, detail: str) -> None:
        self.failed += 1
        self._reasons[code, detail] += 1


def _survey_namespace(
    namespace: NetworkNamespace, subsets: frozenset[str], *, top: int, proc: str, deadline: Deadline
) -> NamespaceSurvey:
    unseen: list[Unseen] = []
    counters = None
    if subsets & {"counters", "time_wait", "ports", "listeners"}:
        counters = _unless_refused(lambda: read_namespace_counters(namespace, proc=proc), "counters", unseen)
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
    conntrack = None
    if "conntrack" in subsets:
        conntrack = _unless_refused(lambda: read_conntrack(namespace, proc=proc), "tracked flows", unseen)
    sockets.warnings.extend(unseen)
    return NamespaceSurvey(namespace, sockets, counters, conntrack)


def _unless_refused(read: Callable[[], T], what: str, unseen: list[Unseen]) -> T | None:
    """Call ``read``; where the namespace may not be entered, its sockets may still be readable through procfs."""
    try:
        return read()
    except NamespaceVanished:
        raise
    except NamespaceUnreadable as error:
        unseen.append(Unseen("namespace_partly_unreadable", 1, f"{what} of a network namespace: {error}"))
        return None
