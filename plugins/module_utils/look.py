# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at a host: the cheap survey first, then owners and processes only for what the survey shows to be wrong.

The order is what keeps a look cheap during an incident: no descriptor of any process is read unless a CLOSE_WAIT
socket is old enough, a queue fills, this host closes first in large numbers, or sockets are missing from all tables.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.accept_queues import ListenerIndex
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.ages import IN_TRANSIT, age_bracket, verdict
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.dead_sockets import suspected, worth_a_look
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.redaction import redact_text
from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import try_read_head
from ansible_collections.lastack.linux.plugins.module_utils.observe.dead_descriptors import find_dead_descriptors
from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline
from ansible_collections.lastack.linux.plugins.module_utils.observe.descriptors import read_descriptor_use
from ansible_collections.lastack.linux.plugins.module_utils.observe.loaded_files import read_loaded_files
from ansible_collections.lastack.linux.plugins.module_utils.observe.memory import read_memory
from ansible_collections.lastack.linux.plugins.module_utils.observe.named_processes import NamedProcesses
from ansible_collections.lastack.linux.plugins.module_utils.observe.processes import all_processes_visible
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import OwnerScan, Unseen
from ansible_collections.lastack.linux.plugins.module_utils.observe.socket_owners import find_owners
from ansible_collections.lastack.linux.plugins.module_utils.observe.survey import read_live_inodes, survey_namespaces

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible_collections.lastack.linux.plugins.module_utils.observe.loaded_files import LoadedFiles
    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import (
        DeadDescriptors,
        DescriptorUse,
        NetworkNamespace,
        TcpSocket,
    )
    from ansible_collections.lastack.linux.plugins.module_utils.options import Options

__all__ = ["Look"]

_CLOSED_HERE_WORTH_A_NAME = 1000
_CHEAP_DESCRIPTORS = 20_000
_CAP_SYS_PTRACE = 19
_MAPPED_KEPT = 65_536
"""Names of mapped files, over all processes: enough for a thousand programs."""
_LOADED_LOOKED_AT = 60
"""Processes whose loaded files are looked at: so many as a screen of offenders names, three each."""


class Look:
    """What one look saw; everything is read when the object is made, under one deadline."""

    def __init__(self, options: Options, subsets: frozenset[str], *, proc: str = "/proc", root: str = "/") -> None:
        """Look now."""
        self.options = options
        self.subsets = subsets
        self.proc = proc
        self.deadline = Deadline(options.timeout_s)
        self.unseen: list[Unseen] = []
        self.processes = NamedProcesses(proc=proc, root=root, deadline=self.deadline, keep_mapped=_MAPPED_KEPT)
        self.memory = read_memory(proc=proc)
        self.survey = survey_namespaces(
            subsets, only_current=options.namespaces == "host", top=options.top, proc=proc, deadline=self.deadline
        )
        self.unseen += self.survey.unseen
        self.sockets = [entry.sockets for entry in self.survey.read]
        self.counters = {entry.namespace.inode: entry.counters for entry in self.survey.read if entry.counters}
        self.labels = {entry.namespace.inode: self._label(entry.namespace) for entry in self.survey.read}
        self.listeners = [one for sockets in self.sockets for one in sockets.listeners]
        self.close_wait = [one for sockets in self.sockets for one in sockets.close_wait]
        self.privileged = may_see_owners(proc)
        # Owners first: their dump is the freshest now, and a short deadline is theirs before anybody's.
        self.owners = self._find_owners()
        self.listener_pids = {
            one.inode: [holder.pid for holder in self.owners.holders[one.inode]]
            for one in self.listeners
            if one.inode in self.owners.holders
        }
        self.gap, self.dead = self._look_for_dead_sockets()
        self.descriptors = self._read_descriptors()
        if self.processes.not_read:
            self.unseen.append(
                Unseen("deadline", self.processes.not_read, "processes were not looked at: the time was over")
            )

    def read_loaded_files(self, pids: Iterable[int]) -> dict[int, LoadedFiles]:
        """Return what these processes have loaded, by pid; what vanished or hides is absent."""
        loaded: dict[int, LoadedFiles] = {}
        wanted = [pid for pid in dict.fromkeys(pids) if pid in self.processes.by_pid][:_LOADED_LOOKED_AT]
        for count, pid in enumerate(wanted):
            if self.deadline.passed():
                left = len(wanted) - count
                self.unseen.append(Unseen("deadline", left, "loaded files of processes not read: the time was over"))
                break
            found = read_loaded_files(self.processes.by_pid[pid], proc=self.proc, deadline=self.deadline)
            if found is not None:
                loaded[pid] = found
        return loaded

    def _label(self, namespace: NetworkNamespace) -> str:
        name = namespace.label
        if not name and namespace.pid is not None:
            name = self.processes.container_of(namespace.pid)
        # Whoever made the namespace or the container chose the name.
        return clean_text(redact_text(name), 128) or f"net:[{namespace.inode}]"

    def _find_owners(self) -> OwnerScan:
        old = [one for one in self.close_wait if verdict(age_bracket(one.info), self.options.min_age_s) != IN_TRANSIT]
        held = [one for one in old if one.inode]
        wanted = held + self._listeners_worth_a_name([one for one in old if not one.inode])
        if not wanted:
            return OwnerScan({}, 0, 0, complete=True, exhaustive=False)
        scan = find_owners(wanted, proc=self.proc, deadline=self.deadline)
        missing = {one.inode for one in held} - scan.holders.keys()
        if missing:
            self._forget_closed(missing)
        if not scan.complete and scan.processes_denied:
            detail = "processes whose descriptors may not be read: owners among them are not known"
            self.unseen.append(Unseen("owners_denied", scan.processes_denied, detail))
        elif not scan.complete and self.deadline.passed():
            self.unseen.append(Unseen("deadline", len(missing), "sockets have no owner yet: the time was over"))
        self.processes.read({holder.pid for found in scan.holders.values() for holder in found})
        return scan

    def _forget_closed(self, missing: set[int]) -> None:
        """Leave out sockets that their program has closed since the dump: nobody holds them, also not the kernel."""
        live = read_live_inodes(proc=self.proc)
        if live is not None:
            gone = missing - live
            self.close_wait = [one for one in self.close_wait if one.inode not in gone]

    def _listeners_worth_a_name(self, unaccepted: list[TcpSocket]) -> list[TcpSocket]:
        worth = {one.inode: one for one in ListenerIndex(self.listeners).blame(unaccepted) if one is not None}
        closed_here = {
            (sockets.namespace, port)
            for sockets in self.sockets
            for port, count in sockets.time_wait_by_local_port.items()
            if count >= _CLOSED_HERE_WORTH_A_NAME
        }
        for one in self.listeners:
            half_full = one.receive_queue * 2 >= max(one.send_queue, 1)
            if half_full or (one.namespace, one.local_port) in closed_here:
                worth[one.inode] = one
        return [one for inode, one in worth.items() if inode]

    def _look_for_dead_sockets(self) -> tuple[int | None, DeadDescriptors | None]:
        if "dead_sockets" not in self.subsets or self.options.namespaces == "host" or self.survey.failed:
            return None, None
        contained = not all_processes_visible(self.proc)
        if not contained and not self.survey.everywhere:
            return None, None
        gap = None
        if not contained:
            full = _sum_known(sockets.full_sockets for sockets in self.sockets)
            gap = suspected(self.memory.allocated_sockets, full)
            if not worth_a_look(gap, full):
                return gap, None
        found = find_dead_descriptors(
            lambda: read_live_inodes(proc=self.proc),
            proc=self.proc,
            deadline=self.deadline,
            # The kernel's count of all sockets is the machine's: a container has nothing to suspect by, so it is looked
            # at where that is cheap.
            most_descriptors=_CHEAP_DESCRIPTORS if contained else None,
            min_quiet_s=self.options.min_age_s,
        )
        self.processes.read(sorted(found.by_pid, key=lambda pid: -found.by_pid[pid])[: 10 * self.options.top])
        self._say_what_dead_sockets_hid(found, contained=contained)
        return gap, found

    def _say_what_dead_sockets_hid(self, found: DeadDescriptors, *, contained: bool) -> None:
        if found.complete:
            return
        code, count = "dead_sockets_incomplete", 1
        if found.refused is not None:
            detail = f"dead sockets are not told: the kernel does not let them be asked ({found.refused})"
        elif found.elsewhere:
            code, count = "namespace_unknown", found.elsewhere
            detail = "sockets are in a network namespace that no process's first thread is in"
        elif found.processes_denied:
            count = found.processes_denied
            detail = "processes whose descriptors may not be read: dead sockets among them are not counted"
        elif self.deadline.passed():
            detail = "the look for dead sockets was cut short: the time was over"
        elif contained:
            detail = "dead sockets were not looked for: a container with so many descriptors is looked at from its host"
        else:
            detail = "the look for dead sockets came to no verdict"
        self.unseen.append(Unseen(code, count, detail))

    def _read_descriptors(self) -> list[DescriptorUse]:
        if "descriptors" not in self.subsets:
            return []
        uses, unseen = read_descriptor_use(proc=self.proc, deadline=self.deadline)
        self.unseen += unseen
        self.processes.read([use.pid for use in uses[: max(self.options.top, 20)]])
        return uses


def may_see_owners(proc: str = "/proc") -> bool:
    """Return whether this process may read other users' descriptors (``CAP_SYS_PTRACE``, capabilities(7))."""
    for line in (try_read_head(f"{proc}/self/status", 16384) or b"").split(b"\n"):
        key, __, value = line.partition(b":")
        if key == b"CapEff":
            try:
                return bool(int(value, 16) >> _CAP_SYS_PTRACE & 1)
            except ValueError:
                break
    return os.geteuid() == 0


def _sum_known(numbers: Iterable[int | None]) -> int | None:
    total = 0
    for number in numbers:
        if number is None:
            return None
        total += number
    return total
