# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds the sockets, remembered: the search through all descriptors is made only for sockets that are new.

On a server with 200,000 connections in one process, a search costs a second, and a leak brings new sockets at every
pass. So a new socket that is like known ones (namespace, cgroup, user, and the local port or the peer) is taken to be
of the same program, and searches are made no more often than their cost allows; they settle what was taken for granted.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Holder, OwnerScan
from ansible_collections.lastack.linux.plugins.module_utils.observe.socket_owners import find_owners

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ansible_collections.lastack.linux.agent.known_processes import KnownProcesses
    from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline
    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import TcpSocket

__all__ = ["KnownHolders"]

_SURE_OF_NOBODY = 2
"""A socket that its program closes between dump and search has no holder either: only a second search tells."""
_LONGEST_PAUSE = 64
_MOST_LIKENESSES = 1024
_LIKE_FOR_PASSES = 100


class _Miss(NamedTuple):
    tries: int
    """Searches everywhere."""
    next_pass: int
    exhaustive: bool


class _Alike(NamedTuple):
    pids: tuple[int, ...]
    """Empty where two programs share the likeness: it tells nothing."""
    number: int
    """The pass in which it last helped."""


class KnownHolders:
    """The holders of sockets by inode, over many passes."""

    def __init__(self, processes: KnownProcesses, *, proc: str = "/proc", cpu_share: float = 1.0) -> None:
        """Start knowing nothing; searches may use ``cpu_share`` of one core (the first is free)."""
        self.postponed = 0
        """Sockets without a holder because the last search was too costly to make another now."""
        self.denied = 0
        """Processes whose descriptors could not be read, while a holder is missing."""
        self._processes = processes
        self._proc = proc
        self._cpu_share = cpu_share
        self._pids: dict[int, tuple[int, ...]] = {}
        self._unsure: set[int] = set()
        self._missed: dict[int, _Miss] = {}
        self._likeness: dict[tuple[object, ...], _Alike] = {}
        self._tuples: dict[tuple[int, ...], tuple[int, ...]] = {}
        self._number = 0
        self._search_cost_s = {False: 0.0, True: 0.0}
        self._searched_at = {False: 0.0, True: 0.0}
        """By whether the search is everywhere."""

    def set_cpu_share(self, cpu_share: float) -> None:
        """Change how much of one core the searches may use."""
        self._cpu_share = cpu_share

    def update(
        self,
        wanted: Sequence[TcpSocket],
        listening: Collection[tuple[int, int]],
        deadline: Deadline,
        *,
        lasting: Collection[int] = (),
    ) -> None:
        """Know the holders of these sockets, those with an inode, as far as that can be afforded; forget others.

        ``listening`` are the namespaces and ports on which something listens, ``lasting`` the inodes of sockets that an
        earlier process has known: these are searched everywhere at once.
        """
        self._number += 1
        self.postponed = 0
        wanted = [socket for socket in wanted if socket.inode]
        self._prune({socket.inode for socket in wanted})
        self._notice_ends()
        strange = []
        for socket in wanted:
            if socket.inode in self._pids or not self._is_due(socket.inode):
                continue
            pids = self._alike(_likeness(socket, listening))
            if not pids:
                strange.append(socket)
            else:
                self._pids[socket.inode] = pids
                self._unsure.add(socket.inode)
        doubtful = [socket for socket in wanted if socket.inode in self._unsure and self._is_due(socket.inode)]
        if strange or doubtful:
            self._search(strange, doubtful, listening, deadline, lasting)
        if not self._missed:
            self.denied = 0
        self._forget()

    def is_settled(self, socket: TcpSocket) -> bool:
        """Whether it is known who holds a socket, or that nobody does."""
        if socket.inode == 0 or socket.inode in self._pids:
            return True
        miss = self._missed.get(socket.inode)
        return miss is not None and miss.tries >= _SURE_OF_NOBODY

    def pids(self, inode: int) -> tuple[int, ...]:
        """Return the processes that hold a socket."""
        return self._pids.get(inode, ())

    def as_scan(self) -> OwnerScan:
        """Return what is known in the shape of one search."""
        # One list for all sockets of the same processes.
        lists = {pids: [Holder(pid, -1) for pid in pids] for pids in set(self._pids.values())}
        holders = {inode: lists[pids] for inode, pids in self._pids.items()}
        exhaustive = all(miss.exhaustive for miss in self._missed.values())
        return OwnerScan(holders, 0, self.denied, complete=not self._missed, exhaustive=exhaustive)

    def _prune(self, present: set[int]) -> None:
        for gone in [inode for inode in self._pids if inode not in present]:
            del self._pids[gone]
        for gone in [inode for inode in self._missed if inode not in present]:
            del self._missed[gone]
        self._unsure &= present

    def _notice_ends(self) -> None:
        gone = self._processes.gone
        if not gone:
            return
        for inode, pids in self._pids.items():
            if not gone.isdisjoint(pids):
                left = tuple(pid for pid in pids if pid not in gone)
                if left:
                    self._pids[inode] = self._tuples.setdefault(left, left)
                else:
                    # Handed on, or closed a moment ago: until a search says more, it stays its program's.
                    self._unsure.add(inode)
        self._likeness = {key: alike for key, alike in self._likeness.items() if gone.isdisjoint(alike.pids)}

    def _alike(self, likeness: tuple[object, ...]) -> tuple[int, ...]:
        alike = self._likeness.get(likeness)
        if alike is None:
            return ()
        self._likeness[likeness] = alike._replace(number=self._number)
        return alike.pids

    def _forget(self) -> None:
        """Forget the processes that hold nothing, and have not for long: a pool that is empty now fills again."""
        oldest = self._number - _LIKE_FOR_PASSES
        self._likeness = {key: alike for key, alike in self._likeness.items() if alike.number > oldest}
        held = {pid for pids in self._pids.values() for pid in pids}
        self._processes.forget_others(held.union(*(alike.pids for alike in self._likeness.values())))

    def _is_due(self, inode: int) -> bool:
        miss = self._missed.get(inode)
        return miss is None or miss.next_pass <= self._number

    def _search(
        self,
        strange: list[TcpSocket],
        doubtful: list[TcpSocket],
        listening: Collection[tuple[int, int]],
        deadline: Deadline,
        lasting: Collection[int],
    ) -> None:
        """Search where the sockets were made at first, and everywhere for those that are still there a pass later.

        On a busy host, every pass meets sockets that are closed before they are looked for: a search for these would
        read every descriptor of the machine.
        """
        lost = {socket.inode for socket in (*strange, *doubtful) if self._is_lost(socket)}
        for everywhere in (False, True):
            new = [socket for socket in strange if (socket.inode in lost) == everywhere]
            old = [socket for socket in doubtful if (socket.inode in lost) == everywhere]
            if not new and not old:
                continue
            if (time.monotonic() - self._searched_at[everywhere]) * self._cpu_share < self._search_cost_s[everywhere]:
                self.postponed += len(new)
                continue
            before = time.process_time()
            scan = find_owners(
                [*new, *old],
                proc=self._proc,
                deadline=deadline,
                first=self._holders_first(),
                further=bool(new),
                everywhere=everywhere,
            )
            self._processes.read({holder.pid for found in scan.holders.values() for holder in found}, deadline)
            if everywhere:
                self.denied = 0 if scan.complete else scan.processes_denied
            for socket in [*new, *old]:
                self._settle(socket, scan, _likeness(socket, listening), everywhere=everywhere)
            self._search_cost_s[everywhere] = time.process_time() - before
            self._searched_at[everywhere] = time.monotonic()
            lost.update(inode for inode in lasting if inode in self._missed)

    def _is_lost(self, socket: TcpSocket) -> bool:
        """Whether its holder may be anywhere: it is not where the socket was made, or nobody knows where that was."""
        return socket.cgroup_id is None or socket.inode in self._missed

    def _holders_first(self) -> list[int]:
        """Return those who hold the most first: a leak's next socket is where the others are."""
        counts: dict[int, int] = {}
        for pids in self._pids.values():
            for pid in pids:
                counts[pid] = counts.get(pid, 0) + 1
        return sorted(counts, key=lambda pid: -counts[pid])

    def _settle(self, socket: TcpSocket, scan: OwnerScan, likeness: tuple[object, ...], *, everywhere: bool) -> None:
        inode = socket.inode
        found = dict.fromkeys(holder.pid for holder in scan.holders.get(inode, ()))
        # One that ended before it could be read names no application.
        pids = tuple(pid for pid in found if pid in self._processes.by_pid)
        if pids:
            pids = self._tuples.setdefault(pids, pids)
            self._pids[inode] = pids
            self._unsure.discard(inode)
            self._missed.pop(inode, None)
            self._remember(likeness, pids)
            return
        tries = (self._missed[inode].tries if inode in self._missed else 0) + everywhere
        pause = 1 if tries < _SURE_OF_NOBODY else min(_LONGEST_PAUSE, 2**tries)
        # A holder that was found, and not read, is no kernel: only where nobody was found does nobody hold it.
        self._missed[inode] = _Miss(tries, self._number + pause, scan.exhaustive and not found)
        if tries >= _SURE_OF_NOBODY:
            self._pids.pop(inode, None)
            self._unsure.discard(inode)

    def _remember(self, likeness: tuple[object, ...], pids: tuple[int, ...]) -> None:
        if len(self._likeness) > _MOST_LIKENESSES or len(self._tuples) > _MOST_LIKENESSES:
            self._likeness.clear()
            self._tuples.clear()
        alike = self._likeness.setdefault(likeness, _Alike(pids, self._number))
        if alike.pids != pids and not self._same_program(alike.pids, pids):
            self._likeness[likeness] = _Alike((), self._number)

    def _same_program(self, some: tuple[int, ...], others: tuple[int, ...]) -> bool:
        if not some or not others:
            return False
        one, other = self._processes.by_pid.get(some[0]), self._processes.by_pid.get(others[0])
        if one is None or other is None:
            return False
        return (one.executable, one.cgroup, one.arguments) == (other.executable, other.cgroup, other.arguments)


def _likeness(socket: TcpSocket, listening: Collection[tuple[int, int]]) -> tuple[object, ...]:
    """Return what a socket has in common with others of its program: where it was made, and the port that is no chance.

    Of an accepted connection that is the local one, of another the peer's.
    """
    where = socket.namespace, socket.cgroup_id, socket.uid
    if (socket.namespace, socket.local_port) in listening:
        return (*where, socket.local_address, socket.local_port)
    return (*where, "to", socket.remote_address, socket.remote_port)
