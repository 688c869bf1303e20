# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One cheap look at the CLOSE_WAIT sockets of the machine, made again and again by one process that remembers.

The kernel is asked for CLOSE_WAIT alone, holders are searched for sockets that are new, processes are read once. What
cannot be read is left out and said; nothing on the host is an error.
"""

from __future__ import annotations

import fnmatch
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.agent.known_holders import KnownHolders
from ansible_collections.lastack.linux.agent.known_processes import KnownProcesses
from ansible_collections.lastack.linux.agent.namespace_reads import NamespaceReads
from ansible_collections.lastack.linux.agent.records import AppKey, AppLook, DescriptorUse, Member, Pass
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.accept_queues import ListenerIndex
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.ages import (
    IN_TRANSIT,
    UNDECIDED,
    age_bracket,
    verdict,
)
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.causes import HALF_CLOSE, UNACCEPTED
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.offender_section import offender_section
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.offenders import blame_sockets, offends
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.redaction import redact_text
from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline
from ansible_collections.lastack.linux.plugins.module_utils.observe.named_processes import NamedProcesses

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.lastack.linux.agent.records import SocketKey
    from ansible_collections.lastack.linux.plugins.module_utils.diagnose.offender_section import Blamed
    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import NetworkNamespace, TcpSocket

__all__ = ["Look", "LookOptions"]

_LISTENER = "listener"
_TIMEOUT_S = 20.0
_MOST_UNSEEN = 20


class LookOptions(NamedTuple):
    """How to look; what the configuration says of it."""

    namespaces: str = "all"
    """``all``, or ``host`` for the process's own one alone."""
    min_age_s: float = 60.0
    exclude: tuple[str, ...] = ()
    """Applications that are left out, with ``*`` and ``?`` as in the shell."""
    redact: bool = True
    most_sockets: int = 10_000
    """CLOSE_WAIT sockets to look at one by one, at 2 KiB each; the others are only counted."""
    search_cpu_share: float = 1.0
    """Of one core, for searches through descriptors beyond the first."""
    pass_cpu_s: float = 0.1
    """CPU seconds of one pass for namespaces that had no CLOSE_WAIT socket; those that are left come next time."""


class Look:
    """A pair of eyes with a memory; ``look`` is one pass."""

    def __init__(self, options: LookOptions, *, proc: str = "/proc", root: str = "/") -> None:
        """Look at the machine behind ``proc``; container names come from below ``root``."""
        self.options = options
        self._proc = proc
        self._root = root
        self._processes = KnownProcesses(proc=proc, root=root)
        self._holders = KnownHolders(self._processes, proc=proc, cpu_share=options.search_cpu_share)
        self._first_seen: dict[SocketKey, float] = {}
        self._remembered: frozenset[SocketKey] = frozenset()
        self._own_label: str | None = None
        self._labels: dict[tuple[int, int | None], str] = {}
        self._reads = NamespaceReads(proc=proc, most_sockets=options.most_sockets, cpu_s=options.pass_cpu_s)

    def set_options(self, options: LookOptions) -> None:
        """Look in another way from the next pass on; nothing is forgotten."""
        self.options = options
        self._holders.set_cpu_share(options.search_cpu_share)
        self._reads.set_limits(options.most_sockets, options.pass_cpu_s)

    def remember(self, first_seen_s: Mapping[SocketKey, float]) -> None:
        """Take over since when an earlier process has known sockets, before the first look."""
        self._first_seen = dict(first_seen_s)
        self._remembered = frozenset(self._first_seen)

    def is_wanted(self, key: AppKey) -> bool:
        """Whether an application may be in the next look at all, by exclusions and namespaces."""
        here = self.options.namespaces != "host" or self._own_label in (None, key.namespace)
        return here and not self._excluded(key.app)

    def look(self) -> Pass:
        """Look once. Raises only ``StrandedInNamespace``: then nothing that this process reads can be trusted."""
        deadline = Deadline(_TIMEOUT_S)
        unseen: Counter[tuple[str, str]] = Counter()
        namespaces, read, whole = self._reads.read(self.options.namespaces, self._first_seen, deadline, unseen)
        self._own_label = next((self._label(one) for one in namespaces.values() if one.current), self._own_label)
        moment = _boottime()
        sockets = [socket for one in read for socket in one.sockets]
        seen_for_s = self._sightings(sockets, moment, whole)
        old = [
            socket
            for socket in sockets
            if verdict(age_bracket(socket.info, None, seen_for_s.get(_key(socket), 0.0)), self.options.min_age_s)
            != IN_TRANSIT
        ]
        listeners = [listener for one in read for listener in one.listeners]
        self._processes.refresh(deadline)
        waiting = [socket for socket in old if not socket.inode]
        queues = dict(zip(map(_key, waiting), ListenerIndex(listeners).blame(waiting))) if waiting else {}
        blamed_listeners = {one.inode: one for one in queues.values() if one}
        listening = {(one.namespace, one.local_port) for one in listeners}
        lasting = {socket.inode for socket in old if self._remembered and _key(socket) in self._remembered}
        if self._remembered:
            lasting.update(blamed_listeners)
            self._remembered = frozenset()
        self._holders.update([*old, *blamed_listeners.values()], listening, deadline, lasting=lasting)
        self._say_what_is_missing(unseen)
        settled = [socket for socket in old if self._is_settled(queues.get(_key(socket), socket))]
        placed = set(map(id, settled))
        applications = self._applications(settled, listeners, seen_for_s, namespaces)
        return Pass(
            moment_s=moment,
            applications=applications,
            namespaces_read=whole,
            unseen=tuple((code, count, detail) for (code, detail), count in unseen.most_common(_MOST_UNSEEN)),
            total=len(sockets) + sum(one.left_out for one in read),
            unplaced=frozenset(_key(socket) for socket in sockets if id(socket) not in placed),
        )

    def _is_settled(self, held: TcpSocket | None) -> bool:
        """Whether the holders of a socket, or of the listener that has it in its queue, are known, or that none are."""
        return held is None or self._holders.is_settled(held)

    def _sightings(self, sockets: Sequence[TcpSocket], moment: float, whole: frozenset[int]) -> dict[SocketKey, float]:
        """Return how long each socket has been known, and remember it."""
        first = {key: since for key, since in self._first_seen.items() if key[0] not in whole}
        for socket in sockets:
            key = _key(socket)
            first[key] = self._first_seen.get(key, moment)
        self._first_seen = first
        return {key: moment - since for key, since in first.items() if since < moment}

    def _say_what_is_missing(self, unseen: Counter[tuple[str, str]]) -> None:
        if self._holders.denied:
            detail = "processes whose descriptors may not be read: owners among them are not known"
            unseen["owners_denied", detail] += self._holders.denied
        if self._holders.postponed:
            detail = "new sockets whose owner is looked for later, to keep to the CPU budget"
            unseen["owners_postponed", detail] += self._holders.postponed

    def _applications(
        self,
        sockets: Sequence[TcpSocket],
        listeners: Sequence[TcpSocket],
        seen_for_s: Mapping[SocketKey, float],
        namespaces: Mapping[int, NetworkNamespace],
    ) -> dict[AppKey, AppLook]:
        blamed = blame_sockets(
            sockets,
            self._holders.as_scan(),
            self._processes.by_pid,
            listeners,
            {one.inode: self._holders.pids(one.inode) for one in listeners},
            min_age_s=self.options.min_age_s,
            seen_for_s=seen_for_s,
        )
        labels = {inode: self._label(namespaces[inode]) for inode in {one.socket.namespace for one in blamed}}
        groups: dict[AppKey, list[Blamed]] = {}
        for one in blamed:
            kind = _LISTENER if one.cause == UNACCEPTED else one.owner.identity.kind
            groups.setdefault(AppKey(one.owner.identity.app, kind, labels[one.socket.namespace]), []).append(one)
        return {key: self._application(group, labels) for key, group in groups.items() if not self._excluded(key.app)}

    def _application(self, group: Sequence[Blamed], labels: Mapping[int, str]) -> AppLook:
        offences = [one for one in group if offends(one)]
        undecided = sum(one.verdict == UNDECIDED and one.cause != HALF_CLOSE for one in group)
        section = offender_section(
            offences or group, undecided, self._processes.by_pid, labels, redact=self.options.redact
        )
        section["count"] = len(offences)
        members = {}
        for one in group:
            least, most = one.age if one.age is not None else (0.0, None)
            members[_key(one.socket)] = Member(one.cause, least, most, one.socket.inode)
        return AppLook(members, self._descriptors(section["descriptors"]), section)

    def _descriptors(self, worst: Mapping[str, Any] | None) -> DescriptorUse | None:
        if worst is None or worst["worst_pid"] in self._processes.gone:
            return None
        soft, hard = (
            limit if limit is not None and limit >= 0 else None for limit in (worst["soft_limit"], worst["hard_limit"])
        )
        pid = worst["worst_pid"]
        return DescriptorUse(pid, self._processes.started(pid), worst["open"], soft, hard)

    def _label(self, namespace: NetworkNamespace) -> str:
        key = namespace.inode, namespace.pid
        if key not in self._labels:
            name = namespace.label
            if not name and namespace.pid is not None:
                reader = NamedProcesses(proc=self._proc, root=self._root, deadline=Deadline())
                name = reader.container_of(namespace.pid)
            if len(self._labels) > self.options.most_sockets:
                self._labels.clear()
            # Whoever made the namespace or the container chose the name.
            self._labels[key] = clean_text(redact_text(name), 128) or f"net:[{namespace.inode}]"
        return self._labels[key]

    def _excluded(self, app: str) -> bool:
        return any(fnmatch.fnmatchcase(app, pattern) for pattern in self.options.exclude)


def _key(socket: TcpSocket) -> SocketKey:
    return socket.namespace, socket.cookie


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
