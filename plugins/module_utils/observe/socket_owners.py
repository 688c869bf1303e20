# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which processes hold given sockets: a search through ``/proc/PID/fd``, narrowed so that it ends early."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import try_read_head
from ansible_collections.lastack.linux.plugins.module_utils.observe.cgroups import (
    find_cgroup_mount,
    find_cgroups,
    read_cgroup_pids,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.processes import (
    all_processes_visible,
    descriptor_folder_has_size,
    list_pids,
    parse_cgroup,
    parse_status,
    read_parent,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Holder, OwnerScan

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline
    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import TcpSocket

__all__ = ["find_owners"]

# ruff: noqa: PTH115, PTH116, PTH208 - pathlib costs several times as much, for every descriptor of the machine

# A process with at least so many descriptors is sampled before it is read, because reading it costs a millisecond.
_LARGE = 512
_SAMPLES = 24
# Links to read after every socket is found, in search of further holders: some 30 ms.
_EXTRA_LINKS = 8192
_PROBES = 64
_CHECK_EVERY = 1024
_STATUS_LIMIT = 16384
# "." and ".." and the folder of the only thread.
_LINKS_OF_ONE_THREAD = 3
_INIT_AND_KTHREADD = 2


def find_owners(  # noqa: PLR0913 - where to look, and how far
    sockets: Sequence[TcpSocket],
    *,
    proc: str = "/proc",
    cgroup_mount: str | None = None,
    deadline: Deadline | None = None,
    first: Sequence[int] = (),
    further: bool = True,
    everywhere: bool = True,
) -> OwnerScan:
    """Return the processes that hold these sockets; sockets with inode 0 have none and are not looked for.

    Looked at are first the processes that the caller names in ``first``, then those in the cgroups in which the sockets
    were created, then, unless ``everywhere`` is false, those of the sockets' users, then all others; it ends when every
    socket has a holder. Within each group the processes in which a few descriptors tried at random places show wanted
    sockets come first, then the small ones.

    Then, unless ``further`` is false, further holders are looked for, with a bounded effort: relatives of the holders
    (ancestors, descendants, siblings) and processes in their cgroups first, then any, the smallest first, for at most
    8,192 descriptors. Relatives and cgroup neighbours that are larger than what is left are tried only at the
    descriptor numbers that the holders use, which is where fork leaves its copies. So a further holder may be missed
    that is large and got the socket over a Unix socket, or that is unrelated. One ``Holder`` a process.

    The threads of a process are taken to share one descriptor table (``CLONE_FILES``, as pthreads do). A socket
    that was closed since its dump has no holder either: dump again before an ``exhaustive`` scan's missing inode is
    called the kernel's. ``cgroup_mount`` is found where not given. Source: proc_pid_fd(5).
    """
    search = _Search(sockets, proc, deadline)
    if search.missing:
        pids = list_pids(proc)
        search.find(first)
        search.find(_cgroup_members(sockets, proc, cgroup_mount, deadline))
        if everywhere:
            users = {socket.uid for socket in sockets if socket.inode}
            search.find(pid for pid in pids if _owner_of(f"{proc}/{pid}") in users)
            search.find(pids)
        if further:
            search.find_further(pids)
        everyone = search.looked.issuperset(pids)
    else:
        everyone = False
    exhaustive = everyone and not search.cut and not search.denied and all_processes_visible(proc)
    return OwnerScan(
        holders={inode: sorted(holders) for inode, holders in search.holders.items()},
        processes_examined=search.examined,
        processes_denied=len(search.denied),
        complete=not search.cut and (not search.missing or exhaustive),
        exhaustive=exhaustive,
    )


class _Search:
    """The state of one search."""

    def __init__(self, sockets: Sequence[TcpSocket], proc: str, deadline: Deadline | None) -> None:
        self.wanted = {f"socket:[{socket.inode}]": socket.inode for socket in sockets if socket.inode}
        self.missing = set(self.wanted)
        self.holders: dict[int, list[Holder]] = {}
        self.examined = 0
        self.looked: set[int] = set()
        """Processes that need no further look: read to the end, vanished, empty or denied."""
        self.denied: set[int] = set()
        self.cut = False
        """Whether the deadline ended it."""
        self._proc = proc
        self._deadline = deadline
        self._has_size = descriptor_folder_has_size(proc)
        self._sizes: dict[int, int] = {}

    def find(self, pids: Iterable[int]) -> None:
        """Read processes until no socket is missing."""
        if not self.missing:
            return
        order: list[tuple[int, int, int]] = []
        for pid in pids:
            if self._over():
                return
            size = self._size(pid)
            if size is not None:
                order.append((-self._sample(pid, size) * size, size, pid))
        for __, __, pid in sorted(order):
            if not self.missing or self._over():
                return
            self._read(pid)

    def find_further(self, pids: Sequence[int]) -> None:
        """Look for further holders of what was found (the rule is in ``find_owners``)."""
        rest = [pid for pid in pids if pid not in self.looked]
        if self.missing or not rest or self._over():
            return
        near = self._neighbours(pids, rest)
        order = [(pid not in near, size, pid) for pid in rest for size in [self._size(pid)] if size is not None]
        left = _EXTRA_LINKS
        for far, size, pid in sorted(order):
            if self._over():
                return
            if size <= left:
                left -= self._read(pid)
            elif not far:
                self._try_same_numbers(pid)

    def _over(self) -> bool:
        self.cut = self.cut or (self._deadline is not None and self._deadline.passed())
        return self.cut

    def _size(self, pid: int) -> int | None:
        """Return how many descriptors a process has, or an upper bound; ``None`` if there is nothing to read."""
        if pid in self.looked:
            return None
        if pid not in self._sizes:
            try:
                self._sizes[pid] = self._measure(pid)
            except OSError as error:
                self._give_up(pid, error)
        return None if pid in self.looked else self._sizes[pid]

    def _measure(self, pid: int) -> int:
        if not self._has_size:
            status = try_read_head(f"{self._proc}/{pid}/status", _STATUS_LIMIT) or b""
            return parse_status(status).table_size or 0
        size = os.stat(f"{self._proc}/{pid}/fd").st_size
        if size == 0 and os.stat(f"{self._proc}/{pid}/task").st_nlink <= _LINKS_OF_ONE_THREAD:
            self.looked.add(pid)
            self.examined += 1
        return size

    def _give_up(self, pid: int, error: OSError) -> None:
        self.looked.add(pid)
        if isinstance(error, PermissionError):
            self.denied.add(pid)

    def _sample(self, pid: int, size: int) -> int:
        """Return how many of a few descriptors over the whole range are wanted sockets."""
        if size < _LARGE:
            return 0
        hits = 0
        for step in range(_SAMPLES):
            number = (2 * step + 1) * size // (2 * _SAMPLES)
            try:
                hits += os.readlink(f"{self._proc}/{pid}/fd/{number}") in self.wanted
            except FileNotFoundError:
                continue
            except OSError:
                break
        return hits

    def _read(self, pid: int) -> int:
        """Read the descriptors of a process; returns how many."""
        self.looked.add(pid)
        try:
            count = self._read_folder(pid, f"{self._proc}/{pid}/fd")
            if count == 0:
                count = self._read_other_thread(pid)
        except OSError as error:
            self._give_up(pid, error)
            return 0
        self.examined += 1
        return count

    def _read_other_thread(self, pid: int) -> int:
        """Read the descriptors of a process whose first thread has ended: only the others show them."""
        tasks = f"{self._proc}/{pid}/task"
        try:
            others = sorted(int(name) for name in os.listdir(tasks) if name.isdigit() and int(name) != pid)
        except FileNotFoundError:
            return 0
        return self._read_folder(pid, f"{tasks}/{others[0]}/fd") if others else 0

    def _read_folder(self, pid: int, path: str) -> int:
        wanted, mine = self.wanted, set()
        count = 0
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    count += 1
                    if count % _CHECK_EVERY == 0 and self._over():
                        break
                    try:
                        link = os.readlink(entry.name, dir_fd=folder)
                    except (FileNotFoundError, ProcessLookupError):
                        continue
                    if link in wanted and link not in mine:
                        mine.add(link)
                        self._hold(link, pid, int(entry.name))
                        if len(mine) == len(wanted):
                            break
        finally:
            os.close(folder)
        return count

    def _hold(self, link: str, pid: int, descriptor: int) -> None:
        self.missing.discard(link)
        self.holders.setdefault(self.wanted[link], []).append(Holder(pid, descriptor))

    def _neighbours(self, pids: Sequence[int], rest: Sequence[int]) -> set[int]:
        """Return those of ``rest`` that are relatives of a holder or share a cgroup with one."""
        owners = {holder.pid for holders in self.holders.values() for holder in holders}
        parents = {pid: parent for pid in pids for parent in [read_parent(pid, proc=self._proc)] if parent is not None}
        lineages = {pid: _lineage(pid, parents) for pid in pids}
        ancestors = {pid for owner in owners for pid in lineages.get(owner, ())}
        siblings = {parents.get(owner, 0) for owner in owners} - set(range(_INIT_AND_KTHREADD + 1))
        cgroups = {self._cgroup(owner) for owner in owners} - {None, "/"}
        return {
            pid
            for pid in rest
            if pid in ancestors
            or parents.get(pid) in siblings
            or not owners.isdisjoint(lineages[pid])
            or (cgroups and self._cgroup(pid) in cgroups)
        }

    def _cgroup(self, pid: int) -> str | None:
        return parse_cgroup(try_read_head(f"{self._proc}/{pid}/cgroup", _STATUS_LIMIT) or b"")

    def _try_same_numbers(self, pid: int) -> None:
        """Try the numbers that other holders use: a few, and all of them if one of the few is the same socket."""
        pairs = [(f"socket:[{inode}]", holders[0].descriptor) for inode, holders in self.holders.items()]
        step = max(1, len(pairs) // _PROBES)
        if any(self._shows(pid, link, number) for link, number in pairs[::step]):
            for link, number in pairs:
                if self._over():
                    return
                if self._shows(pid, link, number):
                    self._hold(link, pid, number)

    def _shows(self, pid: int, link: str, number: int) -> bool:
        try:
            return os.readlink(f"{self._proc}/{pid}/fd/{number}") == link
        except OSError:
            return False


def _lineage(pid: int, parents: dict[int, int]) -> set[int]:
    """Return the ancestors of a process below the first; a snapshot that is not one may even hold a circle."""
    lineage: set[int] = set()
    parent = parents.get(pid, 0)
    while parent > _INIT_AND_KTHREADD and parent not in lineage:
        lineage.add(parent)
        parent = parents.get(parent, 0)
    return lineage


def _owner_of(folder: str) -> int | None:
    try:
        return os.stat(folder).st_uid
    except OSError:
        return None


def _cgroup_members(sockets: Sequence[TcpSocket], proc: str, mount: str | None, deadline: Deadline | None) -> list[int]:
    ids = {socket.cgroup_id for socket in sockets if socket.inode and socket.cgroup_id is not None}
    mount = find_cgroup_mount(proc) if mount is None and ids else mount
    if mount is None:
        return []
    directories = find_cgroups(ids, mount=mount, deadline=deadline)
    return [pid for number in sorted(directories) for pid in read_cgroup_pids(directories[number])]
