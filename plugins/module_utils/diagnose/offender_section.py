# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One entry of ``close_wait.offenders``: what the leaked sockets of one application in one namespace say together."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.ages import Age, age_section, oldest
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.causes import FINDING_OF_CAUSE, UNACCEPTED
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.descriptor_pressure import worst_descriptors
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.identity import UNKNOWN_APP, Identity, identify
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.redaction import redact_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Process, TcpSocket

__all__ = ["Blamed", "Owner", "offender_section"]

PIDS = 20
PEERS = 5
PEERS_OF_CAUSE = 2
STRANGERS = 10
INHERITED = "close_wait.inherited"


class Owner(NamedTuple):
    """Who is to blame for one socket."""

    identity: Identity
    lead: int | None
    """The process that named the application."""
    pids: tuple[int, ...]
    """Its processes that hold the socket (for a never-accepted one: the listener)."""
    strangers: tuple[int, ...]
    """Processes of other programs that hold it too."""
    kernel: bool = False
    """No process holds it although every process was looked at."""
    shared: bool = False
    """Several processes hold it, whatever their program."""


class Blamed(NamedTuple):
    """One CLOSE_WAIT socket with everything that was decided about it."""

    socket: TcpSocket
    owner: Owner
    age: Age | None
    verdict: str
    cause: str
    served: bool
    """The peer connected to this host, not this host to the peer."""


def offender_section(
    group: Sequence[Blamed],
    undecided: int,
    processes: Mapping[int, Process],
    namespaces: Mapping[int, str],
    *,
    redact: bool,
) -> dict[str, Any]:
    """Return the report's entry for the offending sockets of one application in one namespace.

    ``undecided`` counts its further sockets that are too young or too uncertain to judge.
    """
    identity = _speaking_identity(group)
    namespace = group[0].socket.namespace
    causes = Counter(one.cause for one in group)
    by_pid = Counter(pid for one in group for pid in one.owner.pids)
    pids = [pid for pid, __ in sorted(by_pid.items(), key=lambda item: (-item[1], item[0]))]
    lead = Counter(one.owner.lead for one in group if one.owner.lead is not None).most_common(1)
    process = processes.get(lead[0][0]) if lead else None
    strangers = _strangers(group, processes)
    served = sum(one.served for one in group)
    shown = pids[:PIDS]

    def safe(text: str | None, limit: int = 256) -> str | None:
        if text is None:
            return None
        return clean_text(redact_text(text) if redact else text, limit)

    return {
        "app": identity.app,
        "kind": "listener" if set(causes) == {UNACCEPTED} else identity.kind,
        "namespace": clean_text(namespaces.get(namespace, "")),
        "namespace_id": namespace,
        "unit": identity.unit,
        "container": identity.container,
        "exe": safe(process.executable if process else None, 1024),
        "runtime": identity.runtime,
        "user": safe(_user(process)),
        "pids": shown,
        "container_pids": [
            inner for pid in shown if (one := processes.get(pid)) and (inner := one.container_pid) is not None
        ],
        "pids_truncated": len(pids) - len(shown),
        "count": len(group),
        "undecided": undecided,
        "age_s": age_section(oldest(one.age for one in group)),
        "causes": dict(sorted(causes.items(), key=lambda item: (-item[1], item[0]))),
        "by_cause": {cause: _narrowed([one for one in group if one.cause == cause]) for cause in sorted(causes)},
        "flags": {
            "shared": sum(one.owner.shared for one in group),
            "kernel_owned": sum(one.owner.kernel for one in group),
        },
        "unread_bytes": _unread(group),
        "role": "server" if served == len(group) else "mixed" if served else "client",
        "peers": _peers(group),
        "local_ports": _local_ports(group),
        "shared_with": strangers,
        "descriptors": worst_descriptors(processes[pid] for pid in pids if pid in processes),
        "advice": _advice(identity.runtime, causes, inherited=bool(strangers)),
    }


def _speaking_identity(group: Sequence[Blamed]) -> Identity:
    """The identity of most sockets; units and containers of equal names do not differ but in what is known."""
    return Counter(one.owner.identity for one in group).most_common(1)[0][0]


def _user(process: Process | None) -> str | None:
    if process is None:
        return None
    return process.user or (str(process.uid) if process.uid is not None else None)


def _narrowed(group: Sequence[Blamed]) -> dict[str, Any]:
    """What belongs to one cause only, so that a sentence about it does not claim the figures of another."""
    return {
        "age_s": age_section(oldest(one.age for one in group)),
        "unread_bytes": _unread(group),
        "peers": _peers(group)[:PEERS_OF_CAUSE],
        "local_ports": _local_ports(group)[:PEERS_OF_CAUSE],
    }


def _unread(group: Sequence[Blamed]) -> int:
    return sum(max(0, one.socket.receive_queue - 1) for one in group)


def _local_ports(group: Sequence[Blamed]) -> list[dict[str, int]]:
    ports = Counter(one.socket.local_port for one in group if one.served)
    return [{"port": port, "count": count} for port, count in _most(ports)]


def _peers(group: Sequence[Blamed]) -> list[dict[str, Any]]:
    # A client's port says nothing about it: only a server's port is part of the peer's name.
    peers = Counter((one.socket.remote_address, None if one.served else one.socket.remote_port) for one in group)
    return [{"address": clean_text(address), "port": port, "count": count} for (address, port), count in _most(peers)]


def _most(counts: Counter[Any]) -> list[tuple[Any, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))[:PEERS]


def _strangers(group: Sequence[Blamed], processes: Mapping[int, Process]) -> list[dict[str, Any]]:
    counts = Counter(pid for one in group for pid in one.owner.strangers)
    shared: list[dict[str, Any]] = []
    for pid, __ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:STRANGERS]:
        process = processes.get(pid)
        shared.append({"app": identify(process).app if process else UNKNOWN_APP, "pid": pid})
    return shared


def _advice(runtime: str | None, causes: Counter[str], *, inherited: bool) -> list[str]:
    weights: Counter[str] = Counter()
    for cause, count in causes.items():
        finding = FINDING_OF_CAUSE[cause]
        if finding:
            weights[finding] += count
    pages = [page for page, __ in sorted(weights.items(), key=lambda item: (-item[1], item[0]))]
    # What is wrong first, then where the lines to change are.
    return [*pages, *([INHERITED] if inherited else []), *([f"runtime.{runtime}"] if runtime else [])]
