# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The applications of a generated fleet, and what they leak."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from random import Random

__all__ = ["APPS", "HOST_NS", "LEAKING", "App", "Leak", "leak_offender"]

HOST_NS = 4026531840
"""The number of every generated host's own network namespace."""


class App(NamedTuple):
    """One application of the fleet."""

    name: str
    runtime: str
    cause: str
    contained: bool
    peer: tuple[str, int]


APPS = tuple(
    App(
        f"{subject}-{kind}",
        runtime,
        ("unread_data", "eof_read", "eof_unnoticed_tls", "eof_unnoticed", "unaccepted")[(number + len(kind)) % 5],
        contained=kind == "gateway",
        peer=(f"10.{20 + number}.0.{len(kind)}", (443, 5432, 6379, 8443, 9200)[number % 5]),
    )
    for number, subject in enumerate(
        ("checkout", "ledger", "billing", "catalog", "session", "search", "mail", "image", "invoice", "stock")
    )
    for kind, runtime in (("api", "java"), ("worker", "python"), ("gateway", "go"), ("sync", "node"))
)
LEAKING = APPS[:16]
"""Those that leak on some hosts from the start."""


class Leak(NamedTuple):
    """What one application leaks on one host."""

    app: App
    sockets: int
    age_s: float


def leak_offender(random: Random, leak: Leak, watched_at: str | None) -> dict[str, Any]:
    """Return the leak as an offender of ``close_wait``; with ``watched_at`` an agent has seen it grow."""
    app, pid = leak.app, random.randint(400, 60000)
    held = leak.sockets + random.randint(20, 200)
    limit = next(limit for limit in (1024, 4096, 65536, 1048576) if limit > held)
    server = app.cause == "unaccepted"
    return {
        "app": app.name,
        "kind": "container" if app.contained else "unit",
        "namespace": "host",
        "namespace_id": HOST_NS,
        "unit": None if app.contained else f"{app.name}.service",
        "container": f"{random.getrandbits(48):012x}" if app.contained else None,
        "exe": f"/usr/bin/{app.runtime}",
        "runtime": app.runtime,
        "user": app.name.partition("-")[0],
        "pids": [pid],
        "container_pids": [1] if app.contained else [],
        "pids_truncated": 0,
        "count": leak.sockets,
        "undecided": random.randint(0, 3),
        "age_s": {"at_least": leak.age_s, "at_most": None},
        "causes": {app.cause: leak.sockets},
        "flags": {"shared": 0},
        "unread_bytes": leak.sockets * 420 if app.cause == "unread_data" else 0,
        "role": "server" if server else "client",
        "peers": [{"address": app.peer[0], "port": None if server else app.peer[1], "count": leak.sockets}],
        "local_ports": [{"port": 8443, "count": leak.sockets}] if server else [],
        "shared_with": [],
        "descriptors": {
            "open": held,
            "soft_limit": limit,
            "hard_limit": 1048576,
            "used_percent": round(100.0 * held / limit, 1),
            "worst_pid": pid,
        },
        "advice": [f"runtime.{app.runtime}"],
        "trend": None if watched_at is None else _trend(leak, limit - held, watched_at),
    }


def _trend(leak: Leak, left: int, watched_at: str) -> dict[str, Any]:
    growth = round(leak.sockets / leak.age_s * 60, 3)
    return {
        "verdict": "leak",
        "reason": f"{leak.sockets:,} sockets came and none went.",
        "count": leak.sockets,
        "arrivals": leak.sockets,
        "departures": 0,
        "growth_per_min": growth,
        "turnover_per_min": 0.0,
        "first_seen": watched_at,
        "ready_in_s": None,
        "exhaustion_in_s": round(left / max(growth, 0.001) * 60, 1),
        "exhaustion_pid": None,
        "observed_at": watched_at,
    }
