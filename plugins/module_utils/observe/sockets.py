# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One network namespace's TCP sockets: by sock_diag, or by ``/proc/PID/net`` where that is refused.

A dump walks the tables of the whole machine, so every pass costs, also in an empty namespace: one counts all states,
the others are made only for the families and states that it saw.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.module_utils.observe import sock_diag
from ansible_collections.lastack.linux.plugins.module_utils.observe.namespaces import (
    NamespaceUnreadable,
    NamespaceVanished,
    call_inside,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.proc_net_sockets import (
    Wanted,
    inodes_by_proc_net,
    merge_destinations,
    sockets_by_proc_net,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import NamespaceSockets, Unseen
from ansible_collections.lastack.linux.plugins.module_utils.observe.tcp_states import (
    STATE_BY_NUMBER,
    bound_inactive_observable,
    count_full_sockets,
    mask,
    no_states,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline
    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import (
        Destination,
        NetworkNamespace,
        TcpSocket,
    )

__all__ = ["count_full_sockets", "read_inodes", "read_namespace"]


def read_namespace(  # noqa: PLR0913 - one switch for each part of the answer
    namespace: NetworkNamespace,
    *,
    proc: str = "/proc",
    port_range: tuple[int, int] | None = None,
    top: int = 20,
    deadline: Deadline | None = None,
    close_wait: bool = True,
    listeners: bool = True,
    time_wait: bool = True,
    destinations: bool = True,
) -> NamespaceSockets:
    """Count and list the TCP sockets of ``namespace``.

    Args:
        namespace: one of ``find_namespaces``.
        proc: where procfs is mounted.
        port_range: the automatic local ports; without it there are no ``destinations``.
        top: how many destinations to return.
        deadline: when it has passed, what is missing is said in ``warnings``.
        close_wait: list the CLOSE_WAIT sockets with their ``tcp_info``.
        listeners: list the listening sockets.
        time_wait: count TIME_WAIT by the local ports on which something listens.
        destinations: count automatic ports by destination.

    Raises:
        NamespaceUnreadable: neither sock_diag nor procfs shows it, or the deadline passed before it was read.
    """
    if deadline is not None and deadline.passed():
        raise NamespaceUnreadable("the time was over before it was read")
    wanted = Wanted(
        port_range=port_range if destinations else None,
        top=top,
        close_wait=close_wait,
        listeners=listeners,
        time_wait=time_wait,
    )
    try:
        with sock_diag.SockDiag(_opener(namespace), deadline=deadline) as diag:
            return _by_sock_diag(namespace, diag, wanted)
    except sock_diag.SockDiagUnavailable as error:
        why = str(error)
        return _by_proc_net(namespace, proc, wanted, deadline, why)
    except NamespaceUnreadable as error:
        # Reading another namespace's procfs needs less than entering it, but the namespace has to be there.
        if namespace.pid is None or isinstance(error, NamespaceVanished):
            raise
        why = f"a network namespace cannot be entered: {error}"
        return _by_proc_net(namespace, proc, wanted, deadline, why)


def _by_proc_net(
    namespace: NetworkNamespace, proc: str, wanted: Wanted, deadline: Deadline | None, why: str
) -> NamespaceSockets:
    """Read procfs, and say why that was needed."""
    sockets = sockets_by_proc_net(namespace, proc, wanted, deadline=deadline)
    sockets.warnings.insert(0, Unseen("sock_diag_unavailable", 1, why))
    return sockets


def read_inodes(namespace: NetworkNamespace, *, proc: str = "/proc") -> set[int]:
    """Inodes of every socket in the tables of ``namespace``: a TCP descriptor with another inode is dead or new.

    On kernels before 6.8 and from procfs, bound sockets that neither listen nor connect are not among them. Raises
    ``NamespaceUnreadable`` also if only a part was seen: a part is no ground for a verdict.
    """
    try:
        with sock_diag.SockDiag(_opener(namespace)) as diag:
            found: set[int] = set()
            for family in sock_diag.FAMILIES:
                found |= diag.inodes(family, bound_inactive=_bound_inactive())
            warnings = diag.warnings
    except sock_diag.SockDiagUnavailable:
        found, warnings = inodes_by_proc_net(namespace, proc)
    except NamespaceVanished:
        raise
    except NamespaceUnreadable:
        if namespace.pid is None:
            raise
        found, warnings = inodes_by_proc_net(namespace, proc)
    if warnings:
        raise NamespaceUnreadable(f"only a part of its sockets was seen: {warnings[0].detail}")
    return found


def _opener(namespace: NetworkNamespace) -> Callable[[], socket.socket]:
    return lambda: call_inside(namespace, sock_diag.open_netlink)


def _bound_inactive() -> bool:
    return bound_inactive_observable(os.uname().release)


def _by_sock_diag(namespace: NetworkNamespace, diag: sock_diag.SockDiag, wanted: Wanted) -> NamespaceSockets:
    states = no_states()
    minis = unknown = 0
    seen: dict[int, set[str]] = {}
    for family in sock_diag.FAMILIES:
        dumped = diag.count_states(family)
        minis += dumped.mini_fin_wait2
        seen[family] = {STATE_BY_NUMBER.get(number, "") for number in dumped.by_number}
        for number, count in dumped.by_number.items():
            name = STATE_BY_NUMBER.get(number)
            if name is None:
                unknown += count
            else:
                states[name] = (states[name] or 0) + count
    if _bound_inactive() and not diag.warnings:
        states["BOUND_INACTIVE"] = sum(diag.count_bound_inactive(family) for family in sock_diag.FAMILIES)
    listening = _list(diag, seen, "LISTEN", namespace.inode)
    ports = {listener.local_port for listener in listening}
    by_port: Counter[int] = Counter()
    destinations: list[Destination] = []
    for family, names in seen.items():
        if wanted.time_wait and ports and "TIME_WAIT" in names:
            by_port.update(diag.time_wait_ports(family, ports))
        if wanted.port_range and names - {"LISTEN"}:
            # More than asked for, because a v4-mapped destination may be in both families.
            destinations += diag.destinations(family, *wanted.port_range, ports, 4 * wanted.top)
    close_wait = _list(diag, seen, "CLOSE_WAIT", namespace.inode) if wanted.close_wait else []
    # Their state is above TCP's: the subflows stay ESTABLISHED while the program leaks.
    mptcp = sum(diag.count_mptcp_close_wait(family) for family, names in seen.items() if names - {"LISTEN"})
    if mptcp:
        detail = "Multipath TCP connections in CLOSE_WAIT, which are not examined: see ss -M state close-wait"
        diag.warnings.append(Unseen("mptcp_not_examined", mptcp, detail))
    if unknown:
        diag.warnings.append(Unseen("unknown_state", unknown, "sockets in a state that this version does not know"))
    return NamespaceSockets(
        namespace=namespace.inode,
        source="sock_diag",
        states=states,
        close_wait=close_wait,
        listeners=listening if wanted.listeners else [],
        time_wait_by_local_port=dict(by_port),
        destinations=merge_destinations(destinations, wanted.top),
        warnings=diag.warnings,
        full_sockets=count_full_sockets(states, mini_fin_wait2=minis),
    )


def _list(diag: sock_diag.SockDiag, seen: dict[int, set[str]], state: str, namespace: int) -> list[TcpSocket]:
    """The sockets in ``state``, asked only of the families that have any."""
    found: list[TcpSocket] = []
    for family, names in seen.items():
        if state in names:
            found += diag.sockets(family, mask(state), namespace, info=state == "CLOSE_WAIT")
    return found
