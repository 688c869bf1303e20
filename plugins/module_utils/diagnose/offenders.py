# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CLOSE_WAIT by application: the ``close_wait`` section of the host report and the sums that prove nothing was lost.

Every socket counts in exactly one place of ``completeness.close_wait``: ``in_transit`` and ``undecided`` by its age,
the rest by who holds it: ``unaccepted`` (nobody yet), ``attributed`` (a process, half-closed connections included),
``kernel_owned`` (every process was looked at and none holds it) or ``unattributed``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.accept_queues import ListenerIndex
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.ages import (
    IN_TRANSIT,
    OFFENDER,
    UNDECIDED,
    Age,
    age_bracket,
    age_section,
    oldest,
    verdict,
)
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.causes import (
    HALF_CLOSE,
    UNACCEPTED,
    cause_of,
    tls_plausible,
)
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.identity import Identity
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.offender_section import (
    Blamed,
    Owner,
    offender_section,
)
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.programs import Programs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import OwnerScan, Process, TcpSocket

__all__ = ["KERNEL_APP", "CloseWaitResult", "blame_sockets", "group_close_wait", "offends"]

KERNEL_APP = "kernel"
"""``app`` of sockets that the kernel itself holds: NFS, CIFS, iSCSI, io_uring direct descriptors."""

_BUCKETS = ("in_transit", "undecided", "attributed", "unaccepted", "kernel_owned", "unattributed")
_INIT = 1
_SERVED_BY_COUNT = 3


class CloseWaitResult(NamedTuple):
    """``close_wait`` and ``completeness.close_wait`` of the host report."""

    section: dict[str, Any]
    completeness: dict[str, int]


def group_close_wait(  # noqa: PLR0913 - one argument per record that observe hands over
    sockets: Sequence[TcpSocket],
    holders: OwnerScan | None,
    processes: Mapping[int, Process],
    listeners: Sequence[TcpSocket],
    listener_pids: Mapping[int, Sequence[int]],
    namespaces: Mapping[int, str],
    *,
    min_age_s: float = 60.0,
    top: int = 20,
    list_sockets: int = 0,
    redact: bool = True,
    seen_for_s: Mapping[tuple[int, int], float] | None = None,
) -> CloseWaitResult:
    """Group the CLOSE_WAIT sockets of all namespaces by application, worst first.

    Args:
        sockets: every CLOSE_WAIT socket, with ``tcp_info`` where the kernel gave it.
        holders: who holds their inodes; ``None`` when nobody looked.
        processes: by pid, those that hold sockets or listeners; a vanished one may be absent.
        listeners: every ``LISTEN`` socket.
        listener_pids: holders of listeners, by the listener's inode.
        namespaces: labels by namespace inode.
        min_age_s: seconds in CLOSE_WAIT from which on a socket is an offence.
        top: offenders to keep; the rest is counted in ``truncated``.
        list_sockets: sockets to list one by one, worst first; 0 leaves the list out.
        redact: mask what may carry a secret in paths and names.
        seen_for_s: how long earlier looks have known sockets in CLOSE_WAIT, by namespace and cookie.
    """
    blamed = blame_sockets(
        sockets, holders, processes, listeners, listener_pids, min_age_s=min_age_s, seen_for_s=seen_for_s
    )
    groups: dict[tuple[str, int], list[Blamed]] = defaultdict(list)
    for one in blamed:
        groups[one.owner.identity.app, one.socket.namespace].append(one)
    offending = [group for group in groups.values() if any(map(offends, group))]
    offending.sort(key=_rank)
    section: dict[str, Any] = {
        "total": len(blamed),
        "oldest_s": age_section(oldest(one.age for one in blamed)),
        "offenders": [
            offender_section(
                [one for one in group if offends(one)],
                sum(one.verdict == UNDECIDED and one.cause != HALF_CLOSE for one in group),
                processes,
                namespaces,
                redact=redact,
            )
            for group in offending[:top]
        ],
        "truncated": max(0, len(offending) - top),
    }
    if list_sockets > 0:
        worst = sorted(blamed, key=_socket_rank)
        section["sockets"] = [_socket_section(one, namespaces) for one in worst[:list_sockets]]
        section["sockets_truncated"] = max(0, len(worst) - list_sockets)
    counts = Counter(map(_bucket, blamed))
    return CloseWaitResult(section, {"seen": len(blamed), **{bucket: counts[bucket] for bucket in _BUCKETS}})


def blame_sockets(  # noqa: PLR0913 - the same records as the caller's
    sockets: Sequence[TcpSocket],
    holders: OwnerScan | None,
    processes: Mapping[int, Process],
    listeners: Sequence[TcpSocket],
    listener_pids: Mapping[int, Sequence[int]],
    *,
    min_age_s: float = 60.0,
    seen_for_s: Mapping[tuple[int, int], float] | None = None,
) -> list[Blamed]:
    """Decide about each CLOSE_WAIT socket: whose it is, how old, and why; in the order of ``sockets``.

    The arguments are those of ``group_close_wait``.
    """
    index = ListenerIndex(listeners)
    known = Programs(processes)
    waiting = [socket for socket in sockets if socket.inode == 0]
    listener_of = dict(zip(map(id, waiting), index.blame(waiting)))
    served = _Served(index, sockets)
    drafts = [
        _draft(socket, listener_of.get(id(socket)), holders, known, listener_pids, served, min_age_s, seen_for_s or {})
        for socket in sockets
    ]
    return _with_causes(drafts, known)


def offends(one: Blamed) -> bool:
    """Whether a socket is old enough and not meant to be half closed."""
    return one.verdict == OFFENDER and one.cause != HALF_CLOSE


class _Served:
    """Which connections somebody made to this host, also to a listener that is gone (a graceful shutdown)."""

    def __init__(self, index: ListenerIndex, sockets: Sequence[TcpSocket]) -> None:
        self._index = index
        remotes: dict[tuple[int, str, int], set[tuple[str, int]]] = defaultdict(set)
        for socket in sockets:
            key = socket.namespace, socket.local_address, socket.local_port
            remotes[key].add((socket.remote_address, socket.remote_port))
        # connect() gives each connection to one peer a local port of its own; a server's all have the same.
        self._shared = {key for key, peers in remotes.items() if len(peers) >= _SERVED_BY_COUNT}

    def by(self, socket: TcpSocket) -> bool:
        """Whether the socket was accepted here."""
        key = socket.namespace, socket.local_address, socket.local_port
        return key in self._shared or self._index.is_served(socket)


class _Draft(NamedTuple):
    """A socket whose owner is known but whose cause still needs its neighbours."""

    socket: TcpSocket
    owner: Owner
    age: Age | None
    verdict: str
    served: bool


def _draft(  # noqa: PLR0913 - the same records as the caller's
    socket: TcpSocket,
    listener: TcpSocket | None,
    holders: OwnerScan | None,
    known: Programs,
    listener_pids: Mapping[int, Sequence[int]],
    served: _Served,
    min_age_s: float,
    seen_for_s: Mapping[tuple[int, int], float],
) -> _Draft:
    seen = seen_for_s.get((socket.namespace, socket.cookie), 0.0)
    if socket.inode == 0:
        owner = _listening(socket, listener, known, listener_pids)
        age = age_bracket(socket.info, None, seen)
    else:
        owner = _holding(socket, holders, known)
        ages = [process.age_s for pid in owner.pids if (process := known.processes.get(pid)) is not None]
        known_ages = [seconds for seconds in ages if seconds is not None]
        age = age_bracket(socket.info, max(known_ages) if ages and len(known_ages) == len(ages) else None, seen)
    return _Draft(socket, owner, age, verdict(age, min_age_s), socket.inode == 0 or served.by(socket))


def _listening(
    socket: TcpSocket, listener: TcpSocket | None, known: Programs, listener_pids: Mapping[int, Sequence[int]]
) -> Owner:
    pids = tuple(dict.fromkeys(listener_pids.get(listener.inode, ()))) if listener else ()
    lead = _lead(pids, known)
    identity = known.identity(lead) if lead is not None else None
    return Owner(identity or known.nobody(listener.uid if listener else socket.uid, "listener"), lead, pids, ())


def _holding(socket: TcpSocket, holders: OwnerScan | None, known: Programs) -> Owner:
    found = holders.holders.get(socket.inode, []) if holders else []
    pids = tuple(dict.fromkeys(holder.pid for holder in found))
    lead = _lead(pids, known)
    if lead is None:
        kernel = holders is not None and holders.exhaustive
        identity = Identity(KERNEL_APP, "kernel", None, None, None) if kernel else known.nobody(socket.uid, "unknown")
        return Owner(identity, None, (), (), kernel=kernel)
    strangers = tuple(pid for pid in pids if pid != lead and not known.same_program(lead, pid))
    own = tuple(pid for pid in pids if pid not in strangers)
    identity = known.identity(lead) or known.nobody(socket.uid, "unknown")
    return Owner(identity, lead, own, strangers, shared=len(pids) > 1)


def _lead(pids: Sequence[int], known: Programs) -> int | None:
    """Return the process to blame among several: the oldest, for a child inherits; never init if there is another."""
    if not pids:
        return None
    return min(pids, key=lambda pid: (pid == _INIT, known.identity(pid) is None, -known.age(pid), pid))


def _with_causes(drafts: Sequence[_Draft], known: Programs) -> list[Blamed]:
    lengths: dict[tuple[str, int, int], Counter[int]] = defaultdict(Counter)
    for draft in drafts:
        lengths[_service(draft)][draft.socket.receive_queue] += 1
    blamed = []
    for draft in drafts:
        process = known.processes.get(draft.owner.lead) if draft.owner.lead is not None else None
        library = process.tls_library if process else None
        if library is False and draft.owner.identity.runtime in ("java", "go", "node"):
            library = None  # these carry their own TLS: no mapped library says nothing
        plausible = tls_plausible(draft.socket, tls_library=library, lengths=lengths[_service(draft)])
        cause = cause_of(draft.socket, tls_plausible=plausible)
        blamed.append(Blamed(draft.socket, draft.owner, draft.age, draft.verdict, cause, draft.served))
    return blamed


def _service(draft: _Draft) -> tuple[str, int, int]:
    socket = draft.socket
    port = socket.local_port if draft.served else socket.remote_port
    return draft.owner.identity.app, socket.namespace, port


def _bucket(one: Blamed) -> str:
    if one.verdict != OFFENDER:
        return one.verdict
    if one.cause == UNACCEPTED:
        return "unaccepted"
    if one.owner.kernel:
        return "kernel_owned"
    return "attributed" if one.owner.lead is not None else "unattributed"


def _rank(group: Sequence[Blamed]) -> tuple[int, float, str, int]:
    offences = [one for one in group if offends(one)]
    age = oldest(one.age for one in offences)
    return -len(offences), -(age.at_least_s if age else 0.0), group[0].owner.identity.app, group[0].socket.namespace


def _socket_rank(one: Blamed) -> tuple[int, float, str, int]:
    order = (OFFENDER, UNDECIDED, IN_TRANSIT).index(one.verdict) if one.cause != HALF_CLOSE else len(_BUCKETS)
    return order, -(one.age.at_least_s if one.age else 0.0), one.owner.identity.app, one.socket.cookie


def _socket_section(one: Blamed, namespaces: Mapping[int, str]) -> dict[str, Any]:
    socket = one.socket
    return {
        "namespace": clean_text(namespaces.get(socket.namespace, "")),
        "namespace_id": socket.namespace,
        "local_address": clean_text(socket.local_address),
        "local_port": socket.local_port,
        "remote_address": clean_text(socket.remote_address),
        "remote_port": socket.remote_port,
        "receive_queue": socket.receive_queue,
        "send_queue": socket.send_queue,
        "age_s": age_section(one.age),
        "cause": one.cause,
        "verdict": one.verdict,
        "app": one.owner.identity.app if one.owner.lead is not None else None,
        "pids": [*one.owner.pids, *one.owner.strangers],
        "inode": socket.inode,
        "cookie": str(socket.cookie),
    }
