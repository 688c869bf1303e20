# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host report: what ``observe`` saw and what ``diagnose`` makes of it, as one ``lastack.host/1`` object."""

from __future__ import annotations

import datetime
import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.agent_trend import (
    add_trends,
    agent_section,
)
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.dead_sockets import dead_sockets_section
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.descriptor_pressure import descriptors_section
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.findings import derive_findings
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.hints import add_hints, pids_worth_a_hint
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.limits import limits_section, units_of
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.listeners import (
    apps_by_port,
    listener_apps,
    listeners_section,
)
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.memory import conntrack_section, memory_section
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.offenders import CloseWaitResult, group_close_wait
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.ports import ephemeral_ports_section
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.sysctl_drift import judge_sysctls, sysctl_section
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.time_wait import time_wait_section
from ansible_collections.lastack.linux.plugins.module_utils.look import Look
from ansible_collections.lastack.linux.plugins.module_utils.observe.agent_fact import read_agent_fact
from ansible_collections.lastack.linux.plugins.module_utils.observe.counters import SELECTED
from ansible_collections.lastack.linux.plugins.module_utils.observe.descriptors import read_system_descriptors
from ansible_collections.lastack.linux.plugins.module_utils.observe.file_owners import FileOwners
from ansible_collections.lastack.linux.plugins.module_utils.observe.host import read_host
from ansible_collections.lastack.linux.plugins.module_utils.observe.login_limits import read_limit_lines
from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_managers import find_managers
from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctls import read_sysctls
from ansible_collections.lastack.linux.plugins.module_utils.observe.tcp_states import no_states
from ansible_collections.lastack.linux.plugins.module_utils.observe.unit_limits import (
    read_default_limit,
    read_unit_limits,
)
from ansible_collections.lastack.linux.plugins.module_utils.options import (
    GATHER_SUBSETS,
    Options,
    OptionsError,
    check_options,
)
from ansible_collections.lastack.linux.plugins.module_utils.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.lastack.linux.plugins.module_utils.observe.agent_fact import AgentFact
    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Unseen
    from ansible_collections.lastack.linux.plugins.module_utils.sightings import Sightings

__all__ = ["GATHER_SUBSETS", "Options", "OptionsError", "collect_report", "fit_report"]


class _List(NamedTuple):
    section: str | None
    key: str
    counter: str
    least: int


_MAX_BYTES = 256 * 1024
_MAX_SOCKETS = 1000
_FINDINGS_FROM = 20
"""Entries that findings are derived from, however few of them are asked for: a short report hides no finding."""
_MAX_NAMESPACES = 50
_MAX_WARNINGS = 20
_TOP = (
    ("close_wait", "offenders", "truncated"),
    ("dead_sockets", "offenders", "truncated"),
    ("descriptors", "processes", "truncated"),
    ("limits", "applications", "truncated"),
    (None, "listeners", "listeners_truncated"),
)
# What goes first when a report is too long, and how many entries stay: what people came for goes last and never all.
_SHRINKABLE = (
    _List("close_wait", "sockets", "sockets_truncated", least=0),
    _List(None, "namespaces", "namespaces_truncated", least=1),
    _List(None, "ephemeral_ports", "ephemeral_ports_truncated", least=1),
    _List(None, "conntrack", "conntrack_truncated", least=1),
    _List(None, "time_wait", "time_wait_truncated", least=1),
    _List("limits", "logins", "logins_truncated", least=1),
    _List("limits", "applications", "truncated", least=1),
    _List("descriptors", "processes", "truncated", least=1),
    _List(None, "listeners", "listeners_truncated", least=1),
    _List("dead_sockets", "offenders", "truncated", least=5),
    _List("close_wait", "offenders", "truncated", least=5),
    _List(None, "findings", "findings_truncated", least=5),
)


def collect_report(
    options: Options, *, proc: str = "/proc", root: str = "/", sightings: Sightings | None = None
) -> dict[str, Any]:
    """Look at this host once and return its report, a JSON-able ``lastack.host/1`` object of at most 256 KiB.

    With ``sightings``, the memory of earlier looks settles ages that one look must leave undecided.

    Raises:
        OptionsError: an option makes no sense. Nothing on the host is an error: what could not be read is said in
            ``completeness``.
    """
    subsets = check_options(options)
    started = time.monotonic()
    moment = datetime.datetime.now(datetime.timezone.utc)
    look = Look(options, subsets, proc=proc, root=root)
    report = _head(look, root)
    report["collected_at"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    close_wait = _close_wait(look, sightings.look(look.close_wait, started) if sightings else {})
    report.update(_states(look))
    fact = _agent(look, root, report["host"]["boot_id"])
    if "close_wait" in subsets:
        offenders = add_trends(_with_hints(look, close_wait), fact, redact=options.redact)
        report["close_wait"] = {**close_wait.section, "offenders": offenders}
        report["agent"] = agent_section(fact)
    owners = FileOwners(root)
    report.update(_pressure(look, root, owners))
    sysctl_findings: list[dict[str, Any]] = []
    if "sysctls" in subsets:
        states, unseen = read_sysctls(list(options.catalogue), proc=proc, root=root)
        look.unseen += unseen
        report["sysctls"] = sysctl_section(states, find_managers(root, proc), owners.of)
        sysctl_findings = judge_sysctls(states, options.catalogue)
    report["completeness"] = _completeness(look, close_wait.completeness)
    report["findings"], report["findings_truncated"] = derive_findings(report, sysctl_findings, top=options.top)
    _cut(report, options.top)
    report["duration_s"] = round(time.monotonic() - started, 3)
    return fit_report(report)


def fit_report(report: dict[str, Any], max_bytes: int = _MAX_BYTES) -> dict[str, Any]:
    """Halve lists, best entries first to go, until the report's JSON has at most ``max_bytes``.

    What goes is counted in the lists' own ``truncated`` keys and said in ``completeness.warnings``. The worst
    offenders and findings stay whatever the length.
    """
    if len(json.dumps(report)) <= max_bytes:
        return report
    # Room for the warning that says so.
    room = max_bytes - 512
    cut = 0
    for entry in _SHRINKABLE:
        holder = report if entry.section is None else report.get(entry.section, {})
        while len(json.dumps(report)) > room and len(holder.get(entry.key, ())) > entry.least:
            entries = holder[entry.key]
            holder[entry.key] = entries[: max(entry.least, len(entries) // 2)]
            gone = len(entries) - len(holder[entry.key])
            holder[entry.counter] = holder.get(entry.counter, 0) + gone
            cut += gone
    detail = f"entries were left out to keep the report below {max_bytes // 1024} KiB"
    report["completeness"]["warnings"].append({"code": "report_cut", "count": cut, "detail": detail})
    report["completeness"]["complete"] = False
    return report


def _cut(report: dict[str, Any], top: int) -> None:
    """Keep ``top`` entries of the lists that people ask to be short; what goes is counted."""
    for section, key, counter in _TOP:
        holder = report if section is None else report.get(section, {})
        entries = holder.get(key, ())
        if len(entries) > top:
            holder[key] = entries[:top]
            holder[counter] = holder.get(counter, 0) + len(entries) - top


def _agent(look: Look, root: str, boot_id: str | None) -> AgentFact | Unseen | None:
    if not look.options.agent or "close_wait" not in look.subsets:
        return None
    return read_agent_fact(root, boot_id, time.clock_gettime(time.CLOCK_BOOTTIME))


def _head(look: Look, root: str) -> dict[str, Any]:
    host = read_host(proc=look.proc, root=root)
    options = look.options
    return {
        "schema": "lastack.host/1",
        "host": {
            "name": clean_text(host.name),
            "boot_id": _clean(host.boot_id),
            "kernel": _clean(host.kernel),
            "os": _clean(host.os),
            "virtualization": _clean(host.virtualization),
        },
        "collector": {"name": options.collector, "version": VERSION},
        "options": {
            "min_age_s": options.min_age_s,
            "top": options.top,
            "namespaces": options.namespaces,
            "gather": sorted(look.subsets),
            "redact": options.redact,
            "agent": options.agent,
        },
    }


def _states(look: Look) -> dict[str, Any]:
    entries: list[dict[str, Any]] = [
        {
            "id": sockets.namespace,
            "label": look.labels[sockets.namespace],
            "states": sockets.states,
            "counters": _selected(look, sockets.namespace),
        }
        for sockets in look.sockets
    ]
    entries.sort(key=lambda entry: (entry["label"] != "host", -_trouble(entry["states"]), entry["id"]))
    return {
        "states": _sum_states([sockets.states for sockets in look.sockets]),
        "namespaces": entries[:_MAX_NAMESPACES],
        "namespaces_truncated": max(0, len(entries) - _MAX_NAMESPACES),
    }


def _selected(look: Look, namespace: int) -> dict[str, int]:
    counters = look.counters.get(namespace)
    if counters is None or "counters" not in look.subsets:
        return {}
    return {name: counters.counters[name] for name in SELECTED if name in counters.counters}


def _trouble(states: Mapping[str, int | None]) -> int:
    return (states["CLOSE_WAIT"] or 0) * 1000 + sum(count or 0 for count in states.values())


def _sum_states(all_states: Sequence[Mapping[str, int | None]]) -> dict[str, int | None]:
    total = no_states() if all_states else dict.fromkeys(no_states())
    for states in all_states:
        for name, count in states.items():
            if count is not None:
                total[name] = (total[name] or 0) + count
    return total


def _close_wait(look: Look, seen_for_s: Mapping[tuple[int, int], float]) -> CloseWaitResult:
    options = look.options
    return group_close_wait(
        look.close_wait,
        look.owners,
        look.processes.by_pid,
        look.listeners,
        look.listener_pids,
        look.labels,
        min_age_s=options.min_age_s,
        top=max(options.top, _FINDINGS_FROM),
        list_sockets=_MAX_SOCKETS if options.sockets else 0,
        redact=options.redact,
        seen_for_s=seen_for_s,
    )


def _with_hints(look: Look, close_wait: CloseWaitResult) -> list[dict[str, Any]]:
    offenders = close_wait.section["offenders"]
    # More are derived from than are named; only those that stay in the report are worth the reading.
    loaded = look.read_loaded_files(pids_worth_a_hint(offenders[: look.options.top]))
    return add_hints(offenders, loaded, look.processes.by_pid, redact=look.options.redact)


def _pressure(look: Look, root: str, owners: FileOwners) -> dict[str, Any]:
    subsets, top = look.subsets, max(look.options.top, _FINDINGS_FROM)
    apps = listener_apps(look.listener_pids, look.processes.by_pid)
    sections: dict[str, Any] = {}
    if "dead_sockets" in subsets:
        sections["dead_sockets"] = dead_sockets_section(look.gap, look.dead, look.processes.by_pid, top=top)
    if "time_wait" in subsets:
        ports = apps_by_port(look.listeners, apps)
        sections["time_wait"] = time_wait_section(look.sockets, look.counters, look.labels, ports, top=top)
    if "ports" in subsets:
        sections["ephemeral_ports"] = ephemeral_ports_section(look.sockets, look.counters, look.labels, top=top)
    if "listeners" in subsets:
        listeners = listeners_section(look.listeners, look.counters, look.labels, apps, top=top)
        sections["listeners"], sections["listeners_truncated"] = listeners
    if "descriptors" in subsets:
        allocated, maximum = read_system_descriptors(look.proc)
        sections["descriptors"] = descriptors_section(
            look.descriptors, look.processes.by_pid, allocated=allocated, maximum=maximum, top=top
        )
        sections["limits"] = limits_section(
            look.descriptors,
            look.processes.by_pid,
            read_unit_limits(units_of(look.processes.by_pid.values()), root=root),
            read_default_limit(root=root),
            read_limit_lines(root=root)[0],
            owners.of,
        )
    if "memory" in subsets:
        sections["memory"] = memory_section(look.memory)
    if "conntrack" in subsets:
        tracked = {entry.namespace.inode: entry.conntrack for entry in look.survey.read if entry.conntrack}
        sections["conntrack"] = conntrack_section(tracked, look.labels, top=top)
    return sections


def _completeness(look: Look, close_wait: Mapping[str, int]) -> dict[str, Any]:
    merged: dict[tuple[str, str], int] = {}
    for one in look.unseen:
        key = (one.code, clean_text(one.detail, 512))
        merged[key] = merged.get(key, 0) + one.occurrences
    warnings = [{"code": code, "count": count, "detail": detail} for (code, detail), count in merged.items()]
    sources = {sockets.source for sockets in look.sockets}
    read, failed = len(look.survey.read), look.survey.failed
    return {
        "complete": not warnings and not failed and not close_wait["unattributed"],
        "source": "none" if not sources else "proc_net" if "proc_net" in sources else "sock_diag",
        "privileged": look.privileged,
        "namespaces": {"seen": read + failed, "read": read, "failed": failed},
        "close_wait": dict(close_wait),
        "warnings": warnings[:_MAX_WARNINGS],
    }


def _clean(text: str | None) -> str | None:
    return None if text is None else clean_text(text)
