# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which network namespaces a pass reads: all that matter now, the others when something happened in them, in turns.

The kernel walks the sockets of the whole machine for every dump: on a host with 200,000 connections and a hundred
containers, reading each of them costs two seconds. So a namespace is read again only after a segment came or went
there, and when many of them are busy, they take turns. What was in CLOSE_WAIT in one that is not read is taken to be
there still, for a few passes.
"""

from __future__ import annotations

import time
import zlib
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text
from ansible_collections.lastack.linux.plugins.module_utils.observe.close_wait_sockets import (
    read_activity,
    read_close_wait,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.namespaces import (
    NamespaceUnreadable,
    NamespaceVanished,
    find_namespaces,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ansible_collections.lastack.linux.agent.records import SocketKey
    from ansible_collections.lastack.linux.plugins.module_utils.observe.close_wait_sockets import CloseWaitSockets
    from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline
    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import (
        NetworkNamespace,
        TcpSocket,
        Unseen,
    )

__all__ = ["NamespaceReads", "Reading"]

_ABSENT_PASSES = 3
_LONGEST_QUIET = 20
"""Passes after which even a namespace without any segment is read: a segment counts before it is handled."""
_LONGEST_TURN = 8
"""Passes after which a busy namespace is read whatever it costs."""
_LONGEST_KEPT = 4
"""Passes after which a namespace with CLOSE_WAIT sockets is read: a program may read its data without a segment."""
_SHARE_OF_KNOWN = 2.0
"""CPU seconds for namespaces that have CLOSE_WAIT sockets, as a multiple of those for the others."""
_HOST = "host"
_MOST_MS = 2**32 - 1


class Reading(NamedTuple):
    """What one pass read."""

    namespaces: dict[int, NetworkNamespace]
    """Every one that there is, by inode."""
    sockets: list[CloseWaitSockets]
    whole: frozenset[int]
    """Where a socket that is missing has gone."""


class _Quiet(NamedTuple):
    """A namespace that had no CLOSE_WAIT socket when it was read last."""

    number: int
    """The pass."""
    activity: bytes | None


class _Kept(NamedTuple):
    """A namespace that had CLOSE_WAIT sockets when it was read last."""

    number: int
    activity: bytes | None
    read_at: float
    sockets: CloseWaitSockets


class NamespaceReads:
    """Reads namespaces pass after pass."""

    def __init__(self, *, proc: str = "/proc", most_sockets: int, cpu_s: float) -> None:
        """Read through ``proc`` and sock_diag; the limits are those of ``LookOptions``."""
        self._proc = proc
        self._most_sockets = most_sockets
        self._cpu_s = cpu_s
        self._number = 0
        self._quiet: dict[int, _Quiet] = {}
        self._kept: dict[int, _Kept] = {}
        self._absent: Counter[int] = Counter()

    def set_limits(self, most_sockets: int, cpu_s: float) -> None:
        """Change the limits."""
        self._most_sockets = most_sockets
        self._cpu_s = cpu_s

    def read(
        self, which: str, sockets: Collection[SocketKey], deadline: Deadline, unseen: Counter[tuple[str, str]]
    ) -> Reading:
        """Read the namespaces, ``all`` or that of the ``host`` alone; ``sockets`` are those that are known.

        What could not be read is added to ``unseen`` by code and detail.
        """
        self._number += 1
        namespaces, not_found = find_namespaces(proc=self._proc)
        if which == _HOST:
            namespaces, not_found = [one for one in namespaces if one.current], []
        _add(unseen, not_found)
        known: dict[int, set[int]] = {}
        for inode, cookie in sockets:
            known.setdefault(inode, set()).add(cookie)
        present = {namespace.inode: namespace for namespace in namespaces}
        self._quiet = {inode: quiet for inode, quiet in self._quiet.items() if inode in present}
        self._kept = {inode: kept for inode, kept in self._kept.items() if inode in present and inode in known}
        room = max(0, self._most_sockets - len(sockets))
        read: list[CloseWaitSockets] = []
        whole = self._dead(set(known), set(present), certain=not not_found)
        for namespace in self._due(namespaces, known, read, whole):
            mine = known.get(namespace.inode, set())
            one = self._read(namespace, mine, room, deadline, unseen)
            if one is not None:
                read.append(one)
                room = max(0, room - sum(socket.cookie not in mine for socket in one.sockets))
                if one.whole:
                    whole.add(namespace.inode)
        return Reading(present, read, frozenset(whole))

    def _due(
        self,
        namespaces: Sequence[NetworkNamespace],
        known: Collection[int],
        read: list[CloseWaitSockets],
        whole: set[int],
    ) -> Iterable[NetworkNamespace]:
        """Yield the namespaces to read; those that take turns last, and not all of them once the time is used up.

        Where nothing happened is as good as read: it goes into ``whole``. What is not read goes on in ``read``.
        """
        kept, quiet = [], []
        for namespace in namespaces:
            if not namespace.current and namespace.inode in known and namespace.inode in self._kept:
                kept.append((self._kept[namespace.inode], namespace))
            elif not namespace.current and namespace.inode not in known and namespace.inode in self._quiet:
                quiet.append((self._quiet[namespace.inode], namespace))
            else:
                yield namespace
        begin = time.process_time()
        for one, namespace in sorted(kept, key=lambda item: item[0].number):
            passes = self._number - one.number
            still = not self._stirred(namespace, one.activity)
            if passes < _LONGEST_KEPT and (still or time.process_time() - begin >= self._cpu_s * _SHARE_OF_KNOWN):
                read.append(_aged(one.sockets, time.monotonic() - one.read_at))
                if still:
                    whole.add(namespace.inode)
            else:
                yield namespace
        begin = time.process_time()
        for last, namespace in sorted(quiet, key=lambda item: item[0].number):
            passes = self._number - last.number
            if passes < _LONGEST_QUIET and not self._stirred(namespace, last.activity):
                whole.add(namespace.inode)
            elif passes >= _LONGEST_TURN or time.process_time() - begin < self._cpu_s:
                yield namespace

    def _stirred(self, namespace: NetworkNamespace, activity: bytes | None) -> bool:
        return activity is None or read_activity(namespace, proc=self._proc) != activity

    def _read(
        self,
        namespace: NetworkNamespace,
        known: Collection[int],
        room: int,
        deadline: Deadline,
        unseen: Counter[tuple[str, str]],
    ) -> CloseWaitSockets | None:
        # Before the dump: what happens during it counts as new next time.
        activity = read_activity(namespace, proc=self._proc)
        self._quiet.pop(namespace.inode, None)
        self._kept.pop(namespace.inode, None)
        try:
            one = read_close_wait(namespace, proc=self._proc, deadline=deadline, known=known, room=room)
        except NamespaceVanished:
            # It died, or lives on with other processes: the next pass will find out.
            return None
        except NamespaceUnreadable as error:
            unseen["namespace_unreadable", f"a network namespace could not be read: {error}"] += 1
            return None
        except (OSError, ValueError) as error:
            unseen["namespace_unreadable", f"a network namespace could not be read: {clean_text(str(error))}"] += 1
            return None
        one = one._replace(sockets=[_recognisable(socket) for socket in one.sockets])
        _add(unseen, one.warnings)
        if one.left_out:
            detail = "CLOSE_WAIT sockets are counted and not looked at: there are too many"
            unseen["sockets_dropped", detail] += one.left_out
        if one.whole and not one.sockets and not one.left_out:
            self._quiet[namespace.inode] = _Quiet(self._number, activity)
        elif one.whole and not one.left_out and not namespace.current:
            self._kept[namespace.inode] = _Kept(self._number, activity, time.monotonic(), one)
        return one

    def _dead(self, known: set[int], present: set[int], *, certain: bool) -> set[int]:
        """Return the namespaces that are no more, and their sockets with them; not one that merely hides for a pass."""
        self._absent = Counter({inode: self._absent[inode] + 1 for inode in known - present})
        return {inode for inode, passes in self._absent.items() if certain or passes >= _ABSENT_PASSES}


def _aged(one: CloseWaitSockets, seconds: float) -> CloseWaitSockets:
    """Return sockets that were read so long ago as they would be read now if nothing happened to them."""
    ms = int(seconds * 1000)
    sockets = []
    for socket in one.sockets:
        info = socket.info
        if info is not None:
            info = info._replace(
                last_data_sent_ms=min(_MOST_MS, info.last_data_sent_ms + ms),
                last_data_recv_ms=min(_MOST_MS, info.last_data_recv_ms + ms),
                last_ack_recv_ms=min(_MOST_MS, info.last_ack_recv_ms + ms),
            )
        sockets.append(socket._replace(info=info))
    return one._replace(sockets=sockets)


def _recognisable(socket: TcpSocket) -> TcpSocket:
    """Return a socket without a cookie (from procfs) with a stand-in: its inode or, without one, its addresses."""
    if socket.cookie:
        return socket
    if socket.inode:
        return socket._replace(cookie=-socket.inode)
    ends = f"{socket.local_address} {socket.local_port} {socket.remote_address} {socket.remote_port}"
    return socket._replace(cookie=-(1 << 40) - zlib.crc32(ends.encode()))


def _add(unseen: Counter[tuple[str, str]], warnings: Sequence[Unseen]) -> None:
    for warning in warnings:
        unseen[warning.code, clean_text(warning.detail, 512)] += warning.occurrences
