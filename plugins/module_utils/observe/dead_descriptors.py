# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptors of TCP sockets that no table shows any more: the end stage of a leak."""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.peeked_sockets import PeekRefused, peek_socket
from ansible_collections.lastack.linux.plugins.module_utils.observe.processes import (
    descriptor_folder_has_size,
    list_pids,
    measure_descriptors,
    processes_hidden,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import DeadDescriptors

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline
    from ansible_collections.lastack.linux.plugins.module_utils.observe.peeked_sockets import PeekedSocket

__all__ = ["find_dead_descriptors"]

# ruff: noqa: PTH115 - pathlib costs several times as much, for every descriptor of the machine

_PREFIX = "socket:["
_ATTRIBUTE = "system.sockprotoname"
# MPTCP sockets have names of their own, and their dumps are others.
_TCP_NAMES = frozenset({b"TCP", b"TCPv6"})
_CHECK_EVERY = 1024


class _Candidate(NamedTuple):
    pid: int
    descriptor: str
    link: str


def find_dead_descriptors(  # noqa: PLR0913 - two limits, and the parts that tests stand in for
    live_inodes: Callable[[], set[int] | None],
    *,
    proc: str = "/proc",
    deadline: Deadline | None = None,
    minimum_open: int = 32,
    most_descriptors: int | None = None,
    min_quiet_s: float = 0.0,
    settle_s: float = 0.2,
    peek: Callable[[int, int], PeekedSocket | None] = peek_socket,
) -> DeadDescriptors:
    """Count, by process, the descriptors of TCP sockets that are in no dump.

    ``live_inodes`` returns the inodes of every socket that the dumps of all network namespaces show now, or ``None``
    if one could not be read: then there is no verdict. It is called before and after the look, and only descriptors
    count whose socket is in neither answer and that are still the same afterwards; so connections that open and close
    meanwhile do not. If there are any, ``settle_s`` seconds pass before the second call: a healthy program needs a
    moment to close what its peer has reset (measured: one in most looks at a busy server without the pause).

    That no table shows a socket is a suspicion and no proof: it may not be connected yet, or live in a network
    namespace of which only a thread knows. So each is asked (``peek``) and counts only if it had a connection, has none
    now, and nothing has arrived on it for ``min_quiet_s`` seconds: a program may still read what came before the end.

    Processes with fewer than ``minimum_open`` descriptors are left out, those with the most come first. With
    ``most_descriptors`` nothing is read if there are more to read in all. A socket that several processes hold counts
    for each. ``complete`` is false if anything was denied, hidden or cut short, or if the kernel does not name the
    protocol (``system.sockprotoname``, net/socket.c, xattr(7)).
    """
    before = live_inodes()
    if before is None:
        return DeadDescriptors({}, 0, 0, complete=False)
    look = _Look(proc, deadline)
    candidates = look.collect(before, minimum_open, most_descriptors)
    # Two sets of hundreds of thousands at once would double the memory.
    del before
    if look.unsupported:
        candidates = []
    if candidates:
        left = None if deadline is None else deadline.remaining_s()
        time.sleep(settle_s if left is None else min(settle_s, left))
    after = live_inodes() if candidates else set()
    if after is None:
        return DeadDescriptors({}, look.examined, look.denied, complete=False)
    # Looked at after the dump: a socket that was closed before it must not count.
    suspects = [one for one in candidates if _inode(one.link) not in after and _read_link(proc, one) == one.link]
    try:
        by_pid, elsewhere = _ask(suspects, peek, min_quiet_s)
    except PeekRefused as error:
        return DeadDescriptors({}, look.examined, look.denied, complete=False, refused=str(error))
    complete = not (look.cut or look.denied or look.unsupported or elsewhere or processes_hidden(proc))
    return DeadDescriptors(by_pid, look.examined, look.denied, complete, elsewhere)


def _ask(
    suspects: list[_Candidate], peek: Callable[[int, int], PeekedSocket | None], min_quiet_s: float
) -> tuple[dict[int, int], int]:
    by_pid: dict[int, int] = {}
    elsewhere = 0
    for suspect in suspects:
        peeked = peek(suspect.pid, int(suspect.descriptor))
        if peeked is None:
            continue
        if not peeked.closed:
            elsewhere += 1
        elif peeked.was_connected and peeked.quiet_s >= min_quiet_s:
            by_pid[suspect.pid] = by_pid.get(suspect.pid, 0) + 1
    return by_pid, elsewhere


class _Look:
    """The state of one pass over all processes."""

    def __init__(self, proc: str, deadline: Deadline | None) -> None:
        self.examined = 0
        self.denied = 0
        self.unsupported = False
        self.cut = False
        self._proc = proc
        self._deadline = deadline

    def collect(self, live: set[int], minimum_open: int, most_descriptors: int | None) -> list[_Candidate]:
        """Return TCP descriptors whose inode is not among ``live``."""
        candidates: list[_Candidate] = []
        sizes = self._largest_first(minimum_open)
        if most_descriptors is not None and sum(-size for size, __ in sizes) > most_descriptors:
            self.cut = True
            return []
        for __, pid in sizes:
            if self.unsupported or self._over():
                break
            try:
                candidates.extend(self._collect_from(pid, live))
            except PermissionError:
                self.denied += 1
                continue
            except OSError:
                continue
            self.examined += 1
        return candidates

    def _over(self) -> bool:
        self.cut = self.cut or (self._deadline is not None and self._deadline.passed())
        return self.cut

    def _largest_first(self, minimum_open: int) -> list[tuple[int, int]]:
        has_size = descriptor_folder_has_size(self._proc)
        sizes: list[tuple[int, int]] = []
        for pid in list_pids(self._proc):
            try:
                size = measure_descriptors(pid, proc=self._proc, has_size=has_size)
            except PermissionError:
                self.denied += 1
                continue
            except OSError:
                continue
            if size >= minimum_open:
                sizes.append((-size, pid))
        return sorted(sizes)

    def _collect_from(self, pid: int, live: set[int]) -> list[_Candidate]:
        candidates = []
        folder = os.open(f"{self._proc}/{pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with os.scandir(folder) as entries:
                for count, entry in enumerate(entries):
                    if count % _CHECK_EVERY == 0 and self._over():
                        break
                    try:
                        link = os.readlink(entry.name, dir_fd=folder)
                    except (FileNotFoundError, ProcessLookupError):
                        continue
                    if link.startswith(_PREFIX) and _inode(link) not in live:
                        candidate = _Candidate(pid, entry.name, link)
                        if self._is_tcp(candidate):
                            candidates.append(candidate)
        finally:
            os.close(folder)
        return candidates

    def _is_tcp(self, candidate: _Candidate) -> bool:
        path = f"{self._proc}/{candidate.pid}/fd/{candidate.descriptor}"
        try:
            # Through the link to the socket itself: the link has no such attribute.
            return os.getxattr(path, _ATTRIBUTE).rstrip(b"\0") in _TCP_NAMES
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ESRCH):
                self.unsupported = True
            return False


def _read_link(proc: str, candidate: _Candidate) -> str | None:
    try:
        return os.readlink(f"{proc}/{candidate.pid}/fd/{candidate.descriptor}")
    except OSError:
        return None


def _inode(link: str) -> int:
    try:
        return int(link[len(_PREFIX) : -1])
    except ValueError:
        return 0
