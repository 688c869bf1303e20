# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host of a generated fleet as a ``lastack.host/1`` report; its findings are derived as on a real host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.findings import derive_findings
from ansible_collections.lastack.linux.plugins.module_utils.observe.tcp_states import STATES
from ansible_collections.lastack.linux.plugins.module_utils.version import VERSION
from generated_leaks import APPS, HOST_NS, leak_offender
from generated_sysctls import sysctls

if TYPE_CHECKING:
    from random import Random

    from generated_leaks import App, Leak

__all__ = ["TROUBLES", "host_report"]

TROUBLES = ("ports", "listener", "descriptors", "dead_sockets", "conntrack", "time_wait", "sysctl")
"""What a host that only warns may have."""

_RARE = ("ListenOverflows", "ListenDrops", "TCPReqQFullDrop", "TCPTimeWaitOverflow", "SyncookiesSent")
_COUNTERS = (
    *("PAWSActive", "PAWSEstab", "OutSegs", "RetransSegs", "ActiveOpens", "PassiveOpens", "AttemptFails"),
    *("EstabResets", "OutRsts", "TCPSynRetrans", "TCPTimeouts", "TCPBacklogDrop", "PruneCalled", "TW", "TWRecycled"),
)

_OVERFLOWED = 0.05
_CONTAINERS_SHARE = 0.25
_AGENT_SHARE = 0.4


class _Process(NamedTuple):
    app: App
    pid: int
    open: int
    soft_limit: int

    @property
    def used_percent(self) -> float:
        return round(100.0 * self.open / self.soft_limit, 1)

    def use(self) -> dict[str, Any]:
        return {"open": self.open, "soft_limit": self.soft_limit, "hard_limit": 524288}


def host_report(  # noqa: PLR0913 - what a host is like, each by its name
    random: Random, name: str, collected_at: str, *, leaks: tuple[Leak, ...], trouble: str, complete: bool, drift: float
) -> dict[str, Any]:
    """Return the report of a host; ``trouble`` is one of ``TROUBLES`` or empty, ``drift`` the share of odd sysctls."""
    contained = random.random() < _CONTAINERS_SHARE
    agent = random.random() < _AGENT_SHARE
    processes = [
        _Process(app, random.randint(400, 60000), random.randint(12, 400), 1024 if app.runtime == "node" else 4096)
        for app in random.sample(APPS, random.randint(4, 14))
    ]
    leaked = sum(leak.sockets for leak in leaks)
    in_transit = random.randint(0, 12)
    states = _states(random, leaked + in_transit)
    report: dict[str, Any] = {
        "schema": "lastack.host/1",
        "host": {
            "name": name.partition(".")[0],
            "inventory_name": name,
            "boot_id": f"{random.getrandbits(128):032x}",
            "kernel": random.choice(("6.1.0-28-amd64", "6.12.9-amd64", "5.14.0-503.el9", "4.18.0-553.el8_10")),
            "os": random.choice(("Debian GNU/Linux 12 (bookworm)", "Red Hat Enterprise Linux 9.5", "Ubuntu 24.04 LTS")),
            "virtualization": "kvm",
        },
        "collector": {"name": "tcp_facts", "version": VERSION},
        "options": {"min_age_s": 60.0, "top": 20, "namespaces": "all", "gather": ["all"], "redact": True},
        "collected_at": collected_at,
        "duration_s": round(random.uniform(0.02, 1.5), 3),
        "states": states,
        "namespaces": [_namespace(random, HOST_NS, "host", states)],
        "namespaces_truncated": 0,
        "close_wait": {"total": leaked + in_transit, "oldest_s": None, "offenders": [], "truncated": 0},
        "agent": None,
        "dead_sockets": {"suspected": 0, "total": 0, "offenders": [], "processes_examined": 0, "truncated": 0},
        "time_wait": [_time_wait(states["TIME_WAIT"], overflows=0)],
        "ephemeral_ports": [_ports(random, random.randint(40, 9000))],
        "listeners": [],
        "listeners_truncated": random.randint(4, 40),
        "descriptors": {"system": {"allocated": random.randint(900, 40000), "max": 9223372036854775807}},
        "memory": {"orphans": 0, "max_orphans": 65536, "pages": 20111, "pressure_pages": 254933, "max_pages": 382398},
        "conntrack": [_conntrack(random.randint(0, 60000))],
        "sysctls": sysctls(random, drift),
        "completeness": _completeness(leaked, in_transit, complete=complete),
    }
    if contained:
        report["namespaces"] += [
            _namespace(random, HOST_NS + 200 + 83 * i, f"{random.getrandbits(48):012x}", _states(random, 0))
            for i in range(random.randint(1, 6))
        ]
    if leaks:
        offenders = [leak_offender(random, leak, collected_at if agent else None) for leak in leaks]
        report["close_wait"]["offenders"] = offenders
        report["close_wait"]["oldest_s"] = max((one["age_s"] for one in offenders), key=lambda age: age["at_least"])
    if agent:
        report["agent"] = _agent(collected_at)
    extra = _trouble(random, report, processes, trouble)
    ranked = sorted(processes, key=lambda one: -one.used_percent)
    report["descriptors"] |= {
        "processes": [
            {"app": one.app.name, "pid": one.pid, **one.use(), "used_percent": one.used_percent} for one in ranked
        ],
        "truncated": random.randint(10, 150),
    }
    report["limits"] = _limits(ranked)
    report["findings"], report["findings_truncated"] = derive_findings(report, extra)
    return report


def _states(random: Random, close_wait: int) -> dict[str, int | None]:
    states: dict[str, int | None] = dict.fromkeys(STATES, 0)
    established = int(random.lognormvariate(5, 1.5))
    counted = {"ESTABLISHED": established, "TIME_WAIT": int(established * random.uniform(0, 2)), "LISTEN": 14}
    return {**states, **counted, "FIN_WAIT2": random.randint(0, 9), "CLOSE": None, "CLOSE_WAIT": close_wait}


def _namespace(random: Random, number: int, label: str, states: dict[str, int | None]) -> dict[str, Any]:
    counters = {name: random.getrandbits(24) for name in _COUNTERS}
    counters |= dict.fromkeys(_RARE, 0)
    if random.random() < _OVERFLOWED:
        counters["ListenOverflows"] = counters["ListenDrops"] = random.randint(1, 2000)
    return {"id": number, "label": label, "states": states, "counters": counters}


def _time_wait(total: int | None, *, overflows: int) -> dict[str, Any]:
    held = total or 0
    return {
        "namespace": "host",
        "namespace_id": HOST_NS,
        "total": held,
        "max_buckets": 131072,
        "used_percent": round(100.0 * held / 131072, 1),
        "overflows": overflows,
        "closed_here": [{"port": 8080, "count": held // 2, "app": "nginx"}] if held > 100 else [],
    }


def _ports(random: Random, used: int) -> dict[str, Any]:
    app = random.choice(APPS)
    return {
        "namespace": "host",
        "namespace_id": HOST_NS,
        "range": [32768, 60999],
        "reserved": 0,
        "usable": 28232,
        "destinations": [
            {
                "source": f"10.2.{random.randint(0, 255)}.{random.randint(1, 254)}",
                "address": app.peer[0],
                "port": app.peer[1],
                "used": used,
                "time_wait": used // 2,
                "used_percent": round(100.0 * used / 28232, 1),
            }
        ],
        "truncated": random.randint(0, 12),
    }


def _conntrack(count: int) -> dict[str, Any]:
    used = round(100.0 * count / 262144, 1)
    return {"namespace": "host", "namespace_id": HOST_NS, "count": count, "max": 262144, "used_percent": used}


def _limits(processes: list[_Process]) -> dict[str, Any]:
    return {
        "default": None,
        "applications": [
            {
                "app": one.app.name,
                "unit": None if one.app.contained else f"{one.app.name}.service",
                "processes": 1,
                "soft": one.soft_limit,
                "hard": 524288,
                "configured": None,
            }
            for one in processes
        ],
        "truncated": 0,
        "logins": [],
        "logins_truncated": 0,
    }


def _completeness(leaked: int, in_transit: int, *, complete: bool) -> dict[str, Any]:
    warnings = [
        {"code": "not_privileged", "count": 31, "detail": "not root: owners are known only for your own processes"},
        {"code": "namespace_unreadable", "count": 2, "detail": "namespaces of 2 containers could not be entered"},
    ]
    return {
        "complete": complete,
        "source": "sock_diag",
        "privileged": complete,
        "namespaces": {"seen": 3, "read": 3 if complete else 1, "failed": 0 if complete else 2},
        "close_wait": {
            "seen": leaked + in_transit,
            "in_transit": in_transit,
            "undecided": 0,
            "attributed": leaked,
            "unaccepted": 0,
            "kernel_owned": 0,
            "unattributed": 0,
        },
        "warnings": [] if complete else warnings,
    }


def _agent(published_at: str) -> dict[str, Any]:
    return {
        "state": "fresh",
        "reason": None,
        "version": VERSION,
        "published_at": published_at,
        "age_s": 14.2,
        "fresh_for_s": 180.0,
        "interval_s": 15.0,
        "watching_since": published_at,
        "complete": True,
        "dropped": {"sockets": 0, "applications": 0},
    }


def _trouble(random: Random, report: dict[str, Any], processes: list[_Process], trouble: str) -> list[dict[str, Any]]:
    """Put a trouble into the report; return findings that are not derived from it."""
    if trouble == "ports":
        report["ephemeral_ports"] = [_ports(random, random.randint(17000, 27900))]
    elif trouble == "listener":
        address = {"namespace": "host", "namespace_id": HOST_NS, "address": "0.0.0.0", "port": 8080}  # noqa: S104 - nobody binds it
        queue = {"app": random.choice(APPS).name, "queue": 129, "backlog": 128, "used_percent": 100.0}
        report["listeners"] = [{**address, **queue}]
    elif trouble == "descriptors":
        processes[0] = processes[0]._replace(open=random.randint(3400, 4050), soft_limit=4096)
    elif trouble == "dead_sockets":
        app, count = random.choice(APPS), random.randint(20, 900)
        use = {
            "open": count + 90,
            "soft_limit": 1024,
            "hard_limit": 4096,
            "used_percent": round((count + 90) / 10.24, 1),
        }
        offender = {"app": app.name, "pids": [5120], "count": count, "descriptors": {**use, "worst_pid": 5120}}
        report["dead_sockets"] |= {"suspected": count, "total": count, "offenders": [offender]}
    elif trouble == "conntrack":
        report["conntrack"] = [_conntrack(random.randint(215000, 262144))]
    elif trouble == "time_wait":
        report["states"]["TIME_WAIT"] = 131072
        report["time_wait"] = [_time_wait(131072, overflows=random.randint(1, 90000))]
    elif trouble == "sysctl":
        line = random.randint(3, 60)
        key = "net.ipv4.tcp_tw_recycle"
        report["sysctls"][key] = {"current": None, "configured": None, "winner": None}
        return [
            {
                "id": "sysctl.harmful",
                "severity": "warning",
                "remedy": "kernel",
                "subject": key,
                "summary": f"/etc/sysctl.conf:{line} sets {key} = 1, which Linux 4.12 removed.",
                "evidence": {"file": f"/etc/sysctl.conf:{line}"},
                "next_step": f"Remove line {line} of /etc/sysctl.conf.",
            }
        ]
    return []
