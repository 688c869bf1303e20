# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The typed records that ``observe`` hands to ``diagnose``: what the host said, unjudged.

Counts are numbers of things, times are in the unit of their name, unknown is ``None`` and never 0.
Strings taken from the host are decoded as UTF-8 with ``backslashreplace`` and otherwise left as they were:
cleaning them for a person is the work of ``report`` and the renderers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.plugins.module_utils.observe.mapped_files import MappedFiles

__all__ = [
    "Conntrack",
    "DeadDescriptors",
    "DescriptorUse",
    "Destination",
    "Holder",
    "HostIdentity",
    "HostMemory",
    "NamespaceCounters",
    "NamespaceSockets",
    "NetworkNamespace",
    "OwnerScan",
    "PortPressure",
    "Process",
    "SysctlState",
    "TcpInfo",
    "TcpSocket",
    "Unseen",
]


class Unseen(NamedTuple):
    """One thing that was not seen, for ``completeness.warnings``."""

    code: str
    """Stable snake_case word, for example ``namespace_unreadable`` or ``dump_interrupted``."""
    occurrences: int
    """How often it happened in this look."""
    detail: str
    """One clause for a person: what was not seen and why."""


class TcpInfo(NamedTuple):
    """The part of ``struct tcp_info`` (include/uapi/linux/tcp.h) that tells ages and causes.

    Times are milliseconds before the moment of the dump, unsigned 32 bit: they wrap after 49.7 days.
    """

    last_data_sent_ms: int
    last_data_recv_ms: int
    last_ack_recv_ms: int
    bytes_received: int | None
    bytes_acked: int | None


class TcpSocket(NamedTuple):
    """One TCP socket of a dump (``struct inet_diag_msg``) or of ``/proc/PID/net/tcp{,6}``."""

    namespace: int
    """Inode of the network namespace."""
    family: int
    """4 or 6; a v4-mapped IPv6 address is reported as 4."""
    state: str
    """RFC name in upper case, for example ``CLOSE_WAIT``."""
    local_address: str
    local_port: int
    remote_address: str
    remote_port: int
    receive_queue: int
    """Bytes unread, the FIN counted as one until it is consumed; for ``LISTEN`` the accept queue now."""
    send_queue: int
    """Bytes not acknowledged; for ``LISTEN`` the limit of the accept queue."""
    uid: int
    inode: int
    """0 when no process holds it (never accepted, mini socket)."""
    cookie: int
    """Recognises the socket again within its namespace; 0 from ``/proc``."""
    cgroup_id: int | None
    """Inode of the cgroup v2 directory in which the socket was created; ``None`` when the kernel does not tell."""
    info: TcpInfo | None
    """Asked for CLOSE_WAIT only; ``None`` from ``/proc``."""


class NetworkNamespace(NamedTuple):
    """A network namespace of the machine and a way to enter it."""

    inode: int
    label: str
    """``host``, the name under ``/run/netns``, or empty where only processes know it."""
    path: str
    """An nsfs path below ``/proc/PID/ns/net`` or a bind mount."""
    pid: int | None
    """A process inside it (for ``/proc/PID/net``); ``None`` when only a mount keeps it alive."""
    current: bool
    """Whether this is the collector's own namespace."""


class Destination(NamedTuple):
    """Automatic local ports in use towards one destination from one source address."""

    source: str
    address: str
    port: int
    used: int
    """Sockets whose local port lies in the automatic range, every state but LISTEN."""
    time_wait: int
    """Of ``used``, those in TIME_WAIT."""


class PortPressure(NamedTuple):
    """How short of automatic local ports one network namespace is, and what listens there."""

    used_percent: float | None
    """Of the usable ports, towards the destination that uses most; ``None``: unknown."""
    destination: str
    """That destination as ``address:port``; empty when there is none."""
    listeners: frozenset[int]
    """Ports on which something listens."""


class NamespaceSockets(NamedTuple):
    """What one look at one network namespace's TCP sockets returned."""

    namespace: int
    source: str
    """``sock_diag`` or ``proc_net``."""
    states: dict[str, int | None]
    """All twelve states; ``None`` where the state cannot be observed."""
    close_wait: list[TcpSocket]
    listeners: list[TcpSocket]
    time_wait_by_local_port: dict[int, int]
    """TIME_WAIT entries by local port, only for ports on which something listens."""
    destinations: list[Destination]
    """By ``used``, most first; cut where the caller asked."""
    warnings: list[Unseen]
    full_sockets: int | None = None
    """Sockets that count into ``alloc`` of /proc/net/sockstat; mini sockets do not, also those in FIN_WAIT2."""


class NamespaceCounters(NamedTuple):
    """Per-namespace counters and caps; a name that the kernel does not have is absent."""

    namespace: int
    counters: dict[str, int]
    """``Tcp`` of /proc/net/snmp and ``TcpExt`` of /proc/net/netstat, by their kernel names."""
    sysctls: dict[str, str]
    """Per-namespace values that pressure needs (``net.ipv4.ip_local_port_range`` and others)."""


class HostMemory(NamedTuple):
    """``/proc/net/sockstat`` and ``tcp_mem``: global, whatever the namespace."""

    orphans: int | None
    max_orphans: int | None
    pages: int | None
    pressure_pages: int | None
    max_pages: int | None
    allocated_sockets: int | None
    """``alloc``: every full TCP socket of the machine, in a table or not."""


class Conntrack(NamedTuple):
    """Flows tracked by nf_conntrack in one namespace."""

    flows: int
    maximum: int
    """0 means no limit."""


class HostIdentity(NamedTuple):
    """Which host this is."""

    name: str
    boot_id: str | None
    kernel: str | None
    os: str | None
    """``PRETTY_NAME`` of os-release."""
    virtualization: str | None
    uptime_s: float | None


class Process(NamedTuple):
    """One process as ``/proc/PID`` shows it; every field but ``pid`` may be unknown."""

    pid: int
    """As seen from the host."""
    container_pid: int | None
    """Its pid in its innermost pid namespace, ``None`` when that is the host's."""
    age_s: float | None
    comm: str | None
    executable: str | None
    """Target of ``/proc/PID/exe`` without a trailing `` (deleted)``."""
    uid: int | None
    user: str | None
    cgroup: str | None
    """Path within the cgroup hierarchy: of v2, or the ``name=systemd`` one where v2 says only ``/``."""
    namespace: int | None
    """Inode of its network namespace."""
    open_descriptors: int | None
    soft_limit: int | None
    """``RLIMIT_NOFILE``; ``None`` when unreadable; -1 for unlimited."""
    hard_limit: int | None
    arguments: tuple[str, ...] | None
    """Command line, at most the first 64 KiB; read only for processes named in the report, never part of it."""
    tls_library: bool | None
    """Whether a TLS library is mapped; ``None`` when not looked at."""
    container_name: str | None
    """Name from the container runtime's own state files, without the replica suffix."""
    container_id: str | None
    container_image: str | None
    runtime: str | None = None
    """``go`` where its heap shows (it has no interpreter to be known by); looked at with the arguments."""
    start_ticks: int | None = None
    """Clock ticks between the boot and its start: with the pid, which process it is."""
    mapped: MappedFiles | None = None
    """Its mapped files; read with the arguments, but not of runtimes that are known to carry their own TLS."""


class Holder(NamedTuple):
    """A descriptor that holds a socket."""

    pid: int
    descriptor: int


class OwnerScan(NamedTuple):
    """Result of looking for the processes that hold given socket inodes."""

    holders: dict[int, list[Holder]]
    """By inode; an inode that nobody shows is absent."""
    processes_examined: int
    processes_denied: int
    """Processes whose descriptors could not be read for want of a right."""
    complete: bool
    """Whether every process was looked at or every inode found (false after a deadline or a denial)."""
    exhaustive: bool
    """Whether every process of the machine was looked at, so that a missing inode belongs to the kernel."""


class DescriptorUse(NamedTuple):
    """Open descriptors of one process against its limits."""

    pid: int
    comm: str | None
    open: int
    soft_limit: int
    """-1 for unlimited."""
    hard_limit: int


class DeadDescriptors(NamedTuple):
    """Descriptors of TCP sockets that are in no table any more."""

    by_pid: dict[int, int]
    """Dead TCP descriptors by process."""
    processes_examined: int
    processes_denied: int
    complete: bool
    elsewhere: int = 0
    """Candidates that turned out to be alive: in a network namespace that was not seen."""
    refused: str | None = None
    """Why no socket could be asked for its state; then there is no verdict."""


class SysctlState(NamedTuple):
    """One catalogued key: what the kernel has and which files say what."""

    key: str
    current: str | None
    """Of the initial view of /proc/sys; white space collapsed to one blank; ``None``: no such key or unreadable."""
    exists: bool
    configured: str | None
    """Value that the boot loader (systemd-sysctl) would write."""
    winner: str | None
    """``file:line`` of that value."""
    reload_configured: str | None
    """Value that ``sysctl --system`` would leave."""
    reload_winner: str | None
    shadowed: tuple[str, ...]
    """``file:line`` of assignments in files hidden by a file of the same base name."""
    overridden: tuple[str, ...]
    """``file:line`` of earlier assignments that lose at boot."""
    certain: bool = True
    """Whether every file that could decide was read and systemd-sysctl is what this host boots with."""
