# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptor limits of services, applied: drop-ins, one daemon-reload, what systemd says then, and who is behind."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.tune.guarded_files import RefusedPath
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_processes import (
    pids_by_cgroup,
    read_running,
    started_at,
)
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_results import (
    FAILURES,
    Host,
    SubjectResult,
    capped,
    change_file,
    failure,
    falls_short,
    unchanged,
)
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_units import (
    Assignment,
    Run,
    SystemdError,
    Unit,
    assignments,
    default_limits,
    dropin_path,
    dropin_text,
    is_template,
    reload_units,
    restart_unit,
    show_units,
    unit_name,
    winner,
)
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_wishes import (
    INFINITE,
    Limits,
    Settled,
    Wish,
    settle,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_processes import RunningProcess
    from ansible_collections.lastack.linux.plugins.module_utils.tune.results import FileChange

__all__ = ["AppliedUnit", "apply_units", "finish_units"]

# What systemd gives a service without a line since version 240.
_USUAL = Limits(1024, 524288)
_ACTIVE = ("active", "reloading", "activating")
_ABSENT = {"not-found": "This host has no unit {0}.", "masked": "{0} is masked."}
# The boot time is known to a second.
_BOOT_TIME_ERROR_S = 1.0


class AppliedUnit(NamedTuple):
    """A wish with what came of it so far."""

    wish: Wish
    result: SubjectResult
    units: tuple[Unit, ...] = ()
    """As systemd shows it: the unit, or a template's never started instance and its running ones."""
    settled: Settled | None = None
    change: FileChange | None = None
    decides: str = ""
    """The file that decides, as systemd applies it."""


def apply_units(wishes: Sequence[Wish], host: Host, run: Run | None) -> tuple[list[AppliedUnit], list[str]]:
    """Write the drop-ins, reload systemd if anything changed, and read back; what to warn of is the second answer.

    Without ``run`` or where systemd is not running, every wish is refused. Raises ``LedgerError``.
    """
    if run is None or not os.path.isdir(os.path.join(host.root, "run/systemd/system")):  # noqa: PTH112,PTH118 - sd_booted(3)
        why = "This host does not run systemd; {0} was not changed."
        return [AppliedUnit(one, unchanged(one, "refused", one.refusal or why.format(one.name))) for one in wishes], []
    applied, names = _named(wishes)
    try:
        found = show_units(run, sorted(set(names.values())))
        usual = default_limits(run) if names else _USUAL
    except SystemdError as error:
        return [_fail(one, str(error)) for one in applied], []
    plans = [_plan(one, names.get(one.wish.name), found, usual, host) for one in _unique(applied, names, found)]
    stale = any(_has_dropin(one, host) and one.units[0].needs_reload for one in plans if one.units)
    if (stale or any(one.change for one in plans)) and not host.check:
        try:
            reload_units(run)
            found = show_units(run, sorted(set(names.values())))
        except SystemdError as error:
            return [_fail(one, str(error)) if one.change else one for one in plans], []
        plans = [_read_back(one, found.get(names.get(one.wish.name, ""), []), host) for one in plans]
    warned = []
    for one in plans:
        if one.result.status == "absent":
            # No failure, and most likely a misspelt name.
            warned.append(one.result.reason)
        if one.result.before.hard == INFINITE:
            warned.append(f"{one.wish.name}: LimitNOFILE=infinity means {host.ceiling.value} on this host.")
    return plans, warned


def finish_units(
    applied: Sequence[AppliedUnit], host: Host, run: Run | None, *, restart: bool, raised: Mapping[int, Limits]
) -> list[SubjectResult]:
    """Say which processes of running units have less than was wished and is configured; restart those if asked.

    ``raised`` are limits that running processes get in this call, for check mode. A process that started after the
    file that decides and still has less sets its limits itself: no restart helps.
    """
    results = []
    behind = _behind(applied, host, raised)
    for index, one in enumerate(applied):
        old, own = behind[index]
        result = one.result._replace(running=tuple(old), needs_restart=bool(old))
        if own and not old and result.status in ("ok", "changed", "kept"):
            result = _sets_its_own(result, own)
        if old and restart and run is not None and result.status not in FAILURES:
            result = _restart(one, result, host, run)
        elif old and result.status in ("ok", "kept"):
            result = result._replace(status="needs_restart")
        results.append(result)
    if any(one.restarted for one in results) and not host.check:
        for index, (old, own) in enumerate(_behind(applied, host, {})):
            if results[index].restarted and (old or own):
                results[index] = _sets_its_own(results[index], [*old, *own])
    return results


def _sets_its_own(result: SubjectResult, processes: Sequence[RunningProcess]) -> SubjectResult:
    reason = (
        f"Process {processes[0].pid} started after that was configured and has less: it set its own limits, or systemd "
        "may not give more."
    )
    return result._replace(running=tuple(processes), reason=result.reason or reason)


def _named(wishes: Sequence[Wish]) -> tuple[list[AppliedUnit], dict[str, str]]:
    applied, names = [], {}
    for wish in wishes:
        refusal = wish.refusal
        try:
            if not refusal:
                names[wish.name] = unit_name(wish.name)
        except SystemdError as error:
            refusal = str(error)
        applied.append(AppliedUnit(wish, unchanged(wish, "refused" if refusal else "ok", refusal)))
    return applied, names


def _unique(
    applied: Sequence[AppliedUnit], names: Mapping[str, str], found: Mapping[str, list[Unit]]
) -> list[AppliedUnit]:
    """Refuse a second wish for a unit that has two names."""
    owners: dict[str, str] = {}
    answers = []
    for one in applied:
        units = found.get(names.get(one.wish.name, ""), [])
        owner = owners.setdefault(units[0].id, one.wish.name) if units else one.wish.name
        if owner != one.wish.name and one.result.status == "ok":
            why = f"{one.wish.name} and {owner} are one unit, {units[0].id}; name it once."
            one = one._replace(result=unchanged(one.wish, "refused", why))  # noqa: PLW2901 - the same with a reason
        answers.append(one)
    return answers


def _plan(
    one: AppliedUnit, name: str | None, found: Mapping[str, list[Unit]], usual: Limits, host: Host
) -> AppliedUnit:
    """Decide what our drop-in says, or that none is needed, and write it."""
    if one.result.status == "refused" or name is None:
        return one
    wish = one.wish
    units = found.get(name, [])
    if not units or units[0].load_state in _ABSENT:
        told = _ABSENT[units[0].load_state if units else "not-found"].format(name)
        return one._replace(result=unchanged(wish, "absent", told))
    unit = units[0]
    if unit.load_state != "loaded":
        why = f"systemd cannot load {name} ({unit.load_state}); it was not changed."
        return one._replace(result=unchanged(wish, "refused", why))
    own = name if is_template(name) else unit.id
    path = dropin_path(own)
    others = [found for found in assignments(unit, root=host.root) if found.file != path]
    without_us = others[-1].limits if others else usual
    configured = unit.limits if path not in unit.dropins and not unit.needs_reload else without_us
    settled = settle(wish, configured, nr_open=host.ceiling.value, usual_hard=_USUAL.hard or 0)
    deciding = others[-1] if others else Assignment(unit.fragment, configured)
    if settled.changes:
        deciding = winner(others, Assignment(path, settled.limits))
    after = deciding.limits if settled.changes else configured
    result = unchanged(wish, "ok", "")._replace(
        before=unit.limits, after=after, path=deciding.file, unit="" if own == wish.name else own
    )
    try:
        change = change_file(host, path, dropin_text(settled.limits) if settled.changes else None)
    except (RefusedPath, OSError) as error:
        return one._replace(result=result._replace(status="failed", after=unit.limits, reason=failure(path, error)))
    planned = one._replace(units=tuple(units), settled=settled, change=change, decides=deciding.file, result=result)
    return _judge(planned, settled, after, host)


def _judge(one: AppliedUnit, settled: Settled, after: Limits, host: Host) -> AppliedUnit:
    """Give the status that the configured limits deserve."""
    result = one.result._replace(after=after)
    if falls_short(after, settled, one.wish, host.ceiling):
        result = result._replace(
            status="shadowed",
            shadowed_by=one.decides,
            reason=f"{one.decides} is applied after our drop-in and sets {after.soft}:{after.hard}.",
        )
    elif settled.capped:
        result = capped(result, host.ceiling)
    elif one.change is not None or (one.units[0].needs_reload and _has_dropin(one, host)):
        result = result._replace(status="changed")
    elif settled.stronger:
        result = result._replace(status="kept")
    return one._replace(result=result)


def _read_back(one: AppliedUnit, units: Sequence[Unit], host: Host) -> AppliedUnit:
    """Take what systemd says after the reload for what is configured."""
    if one.settled is None or not units:
        return one
    found = assignments(units[0], root=host.root)
    decides = found[-1].file if found else units[0].fragment
    # Whether systemd was behind its files is a matter of before.
    again = tuple(unit._replace(needs_reload=one.units[0].needs_reload) for unit in units)
    read = one._replace(units=again, decides=decides, result=one.result._replace(status="ok", path=decides))
    return _judge(read, one.settled, units[0].limits, host)


def _has_dropin(one: AppliedUnit, host: Host) -> bool:
    name = one.result.unit or one.wish.name
    return os.path.isfile(os.path.join(host.root, dropin_path(name).lstrip("/")))  # noqa: PTH113,PTH118 - a plain look


def _fail(one: AppliedUnit, why: str) -> AppliedUnit:
    if one.result.status == "refused":
        return one
    return one._replace(result=one.result._replace(status="failed", reason=why))


def _behind(
    applied: Sequence[AppliedUnit], host: Host, raised: Mapping[int, Limits]
) -> list[tuple[list[RunningProcess], list[RunningProcess]]]:
    """Return for each unit its processes with less than configured: those from before the change, and those after."""
    wanted = {}
    for index, one in enumerate(applied):
        for number, unit in enumerate(one.units):
            if unit.active_state in _ACTIVE and one.settled is not None:
                wanted[f"{index} {number}"] = unit.cgroup
    pids = pids_by_cgroup(wanted, proc=host.proc)
    ticks = os.sysconf("SC_CLK_TCK")
    answers: list[tuple[list[RunningProcess], list[RunningProcess]]] = []
    for index, one in enumerate(applied):
        old: list[RunningProcess] = []
        own: list[RunningProcess] = []
        since = _modified(one, host)
        for pid in sorted({pid for key, several in pids.items() if key.split()[0] == str(index) for pid in several}):
            process = read_running(pid, proc=host.proc)
            if process is None or not _is_below(raised.get(pid, process.limits), _due(one, host)):
                continue
            start = started_at(process.start_ticks, proc=host.proc, ticks_per_second=ticks)
            later = since is not None and start is not None and start > since + _BOOT_TIME_ERROR_S
            (own if later else old).append(process)
        answers.append((old, own))
    return answers


def _modified(one: AppliedUnit, host: Host) -> float | None:
    """Return when the deciding file was written; ``None`` where it is still to be."""
    if host.check and one.change is not None:
        return None
    try:
        return os.stat(os.path.join(host.root, one.decides.lstrip("/"))).st_mtime  # noqa: PTH116,PTH118 - a plain look
    except OSError:
        return None


def _due(one: AppliedUnit, host: Host) -> Limits:
    """Return what a running process should have: what was wished, as far as it is configured."""
    after = [host.ceiling.value if value == INFINITE else value for value in one.result.after]
    wanted = [value if value is None else min(value, host.ceiling.value) for value in (one.wish.soft, one.wish.hard)]
    return Limits(*(None if not most or not value else min(value, most) for value, most in zip(wanted, after)))


def _is_below(limits: Limits, due: Limits) -> bool:
    return any(
        now is not None and wanted is not None and now != INFINITE and now < wanted for now, wanted in zip(limits, due)
    )


def _restart(one: AppliedUnit, result: SubjectResult, host: Host, run: Run) -> SubjectResult:
    done = result._replace(status="changed", needs_restart=False, restarted=True, running=())
    if host.check:
        return done
    for unit in one.units:
        if unit.active_state in _ACTIVE:
            try:
                restart_unit(run, unit.id)
            except SystemdError as error:
                return result._replace(status="failed", reason=str(error))
    return done
