# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptor limits of a host in one call: services, logins, running processes; present, absent or restored."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.tune.guarded_files import RefusedPath, kind_of
from ansible_collections.lastack.linux.plugins.module_utils.tune.ledger import PATH, open_ledger
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_leftovers import UNITS, leftovers
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_login_changes import apply_logins, remove_logins
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_logins import DROPIN as LIMITS_DROPIN
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_processes import (
    ProcessResult,
    forget_ended,
    pids_by_cgroup,
    pids_of_program,
    raise_limits,
)
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_results import (
    FAILURES,
    Host,
    SubjectResult,
    change_file,
    failure,
    read_ceiling,
    select_warning,
)
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_unit_changes import apply_units, finish_units
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_units import (
    DROPIN,
    Run,
    SystemdError,
    behind_disk,
    dropin_path,
    is_template,
    reload_units,
    show_units,
    unit_name,
)
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_wishes import (
    Limits,
    NofileError,
    ProcessWish,
    Wish,
    parse_process_wishes,
    parse_wishes,
)
from ansible_collections.lastack.linux.plugins.module_utils.tune.restore import NOFILE, Restored, restore
from ansible_collections.lastack.linux.plugins.module_utils.tune.results import FileChange, differences

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = ["NofileError", "NofileOptions", "NofileResult", "as_answer", "failures", "set_limits"]


class NofileOptions(NamedTuple):
    """The options of the module, as they were given."""

    units: Sequence[Any] = ()
    users: Sequence[Any] = ()
    processes: Sequence[Any] = ()
    state: str = "present"
    """``present``, ``absent`` or ``restored``."""
    restart: bool = False
    force: bool = False


class NofileResult(NamedTuple):
    """What became of the whole call."""

    changed: bool
    units: tuple[SubjectResult, ...] = ()
    users: tuple[SubjectResult, ...] = ()
    processes: tuple[ProcessResult, ...] = ()
    restored: tuple[Restored, ...] = ()
    files: tuple[FileChange, ...] = ()
    warnings: tuple[str, ...] = ()
    ledger: str = PATH
    error: str = ""
    """What failed beside the subjects, one sentence."""


def set_limits(
    options: NofileOptions, *, run: Run | None, root: str = "/", proc: str = "/proc", check: bool = False
) -> NofileResult:
    """Bring the host's descriptor limits to what the options say; with ``check`` say what that would do.

    ``run`` runs a program; ``None`` where there is no ``systemctl``.

    Raises:
        NofileError: options that make no sense; nothing was changed.
        LedgerError: a ledger that cannot be used; nothing, or nothing more, was changed.
    """
    units = parse_wishes(options.units, "units") if options.state == "present" else []
    users = parse_wishes(options.users, "users") if options.state == "present" else []
    processes = parse_process_wishes(options.processes, "processes") if options.state == "present" else []
    names = (_names(options.units, "units"), _names(options.users, "users")) if options.state == "absent" else ([], [])
    with open_ledger(root=root, proc=proc, check=check) as ledger:
        host = Host(ledger, root, proc, check, read_ceiling(proc))
        if options.state == "restored":
            return _restore(host, run, force=options.force)
        if options.state == "absent":
            return _remove(host, run, *names)
        return _apply(host, run, units, users, processes, restart=options.restart)


def failures(result: NofileResult) -> list[str]:
    """Return one sentence for each thing that failed; none: the call did what was asked."""
    told = [one.reason for one in (*result.units, *result.users) if one.status in FAILURES]
    told += [one.reason for one in result.processes if one.status in FAILURES]
    told += [one.error for one in result.restored if one.status in FAILURES and one.error]
    return [*told, result.error] if result.error else told


def as_answer(result: NofileResult) -> dict[str, Any]:
    """Return what the module returns: plain lists and dictionaries."""
    return {
        "changed": result.changed,
        "units": _plain(result.units),
        "users": _plain(result.users),
        "processes": _plain(result.processes),
        "failed_limits": failures(result),
        "restored": _plain(result.restored),
        "conflicts": [one.subject for one in result.restored if one.status == "conflict"],
        "ledger": result.ledger,
        "diff": differences([], result.files),
    }


def _plain(value: Any) -> Any:  # noqa: ANN401 - records of any shape
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _plain(one) for name, one in value._asdict().items()}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def _apply(  # noqa: PLR0913 - the parts of one call
    host: Host,
    run: Run | None,
    units: Sequence[Wish],
    users: Sequence[Wish],
    processes: Sequence[ProcessWish],
    *,
    restart: bool,
) -> NofileResult:
    applied, warnings = apply_units(units, host, run) if units else ([], [])
    logins, change, more = apply_logins(users, host)
    raised = _raise(host, run, processes)
    now = {one.pid: one.after for one in raised if one.status in ("changed", "capped") and one.before != one.after}
    results = finish_units(applied, host, run, restart=restart, raised=now)
    files = [one.change for one in applied if one.change is not None] + ([change] if change is not None else [])
    return NofileResult(
        changed=bool(files or now) or any(one.restarted or one.status == "changed" for one in results),
        units=tuple(results),
        users=tuple(logins),
        processes=tuple(raised),
        files=tuple(files),
        warnings=tuple(text for text in (*warnings, *more, select_warning([*results, *logins])) if text),
    )


def _raise(host: Host, run: Run | None, wishes: Sequence[ProcessWish]) -> list[ProcessResult]:
    results = []
    if wishes and not host.check:
        forget_ended(host.ledger, proc=host.proc)
    for wish in wishes:
        nothing = ProcessResult(0, wish.name, "absent", Limits(None, None), Limits(None, None))
        if wish.refusal:
            results.append(nothing._replace(status="refused", reason=wish.refusal))
            continue
        try:
            pids = _pids(host, run, wish)
        except SystemdError as error:
            results.append(nothing._replace(status="refused", reason=str(error)))
            continue
        if not pids:
            results.append(nothing._replace(reason=f"No process of {wish.by} {wish.name} is running."))
        results += [
            raise_limits(pid, wish, host.ledger, ceiling=host.ceiling, proc=host.proc, check=host.check) for pid in pids
        ]
    return results


def _pids(host: Host, run: Run | None, wish: ProcessWish) -> list[int]:
    if wish.by == "pid":
        return [int(wish.name)]
    if wish.by == "program":
        return pids_of_program(wish.name, proc=host.proc)
    if run is None:
        raise SystemdError(f"This host does not run systemd; there is no unit {wish.name}.")
    name = unit_name(wish.name)
    units = show_units(run, [name])[name]
    found = pids_by_cgroup({unit.id: unit.cgroup for unit in units}, proc=host.proc)
    return sorted({pid for pids in found.values() for pid in pids})


def _remove(host: Host, run: Run | None, units: Sequence[str], users: Sequence[str]) -> NofileResult:
    """Take our drop-ins away: the named ones, or all when nothing is named."""
    everything = not units and not users
    results: list[SubjectResult] = []
    files: list[FileChange] = []
    for name in _all_units(host) if everything else units:
        result, change = _remove_dropin(host, run, name)
        results.append(result)
        files += [change] if change else []
    failed = _reload(run, host) if files else ""
    logins: list[SubjectResult] = []
    try:
        if everything or users:
            logins, change = remove_logins(None if everything else users, host)
            files += [change] if change else []
    except (RefusedPath, OSError) as error:
        failed = failure(LIMITS_DROPIN, error)
    return NofileResult(
        changed=bool(files), units=tuple(results), users=tuple(logins), files=tuple(files), error=failed
    )


def _remove_dropin(host: Host, run: Run | None, name: str) -> tuple[SubjectResult, FileChange | None]:
    path = ""
    try:
        full = unit_name(name)
        if run is not None and _is_booted(host) and not is_template(full):
            # The drop-in stands under the unit's own name, whichever name of it was given.
            full = next((unit.id for unit in show_units(run, [full])[full]), full)
        path = dropin_path(full)
        change = change_file(host, path, None)
    except SystemdError as error:
        return SubjectResult(name, "refused", reason=str(error)), None
    except (RefusedPath, OSError) as error:
        return SubjectResult(name, "failed", path=path, reason=failure(path, error)), None
    return SubjectResult(name, "changed" if change else "ok", path=path), change


def _restore(host: Host, run: Run | None, *, force: bool) -> NofileResult:
    answers = restore(
        host.ledger,
        what=frozenset({NOFILE}),
        root=host.root,
        proc=host.proc,
        force=force,
        check=host.check,
    )
    done = [one for one in answers if one.status == "restored"]
    units = any(one.kind == "file" and kind_of(one.subject) == "unit_dropin" for one in done)
    # A run that was killed between the file and the reload left systemd behind.
    error = _reload(run, host) if units or _is_behind(run, host) else ""
    files = [FileChange(one.subject, _bytes(one.before), _bytes(one.after)) for one in done if one.kind == "file"]
    unknown = leftovers(answers, root=host.root)
    return NofileResult(changed=bool(done), restored=(*answers, *unknown), files=tuple(files), error=error)


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8", "surrogateescape")


def _is_behind(run: Run | None, host: Host) -> bool:
    if run is None or host.check or not _is_booted(host):
        return False
    try:
        return behind_disk(run)
    except SystemdError:
        return False


def _reload(run: Run | None, host: Host) -> str:
    if host.check or run is None or not _is_booted(host):
        return ""
    try:
        reload_units(run)
    except SystemdError as error:
        return str(error)
    return ""


def _is_booted(host: Host) -> bool:
    return os.path.isdir(os.path.join(host.root, "run/systemd/system"))  # noqa: PTH112,PTH118 - sd_booted(3)


def _all_units(host: Host) -> list[str]:
    """Return the units that have a drop-in of our name, by the ledger and by looking."""
    found = {
        path.split("/")[4][: -len(".d")] for path, entry in host.ledger.files.items() if entry.kind == "unit_dropin"
    }
    folder = os.path.join(host.root, UNITS.lstrip("/"))  # noqa: PTH118 - a plain look
    try:
        names = os.listdir(folder)  # noqa: PTH208 - names alone
    except OSError:
        names = []
    for name in names:
        if name.endswith(".service.d") and os.path.lexists(os.path.join(folder, name, DROPIN)):  # noqa: PTH118 - the same
            found.add(name[: -len(".d")])
    return sorted(found)


def _names(entries: Sequence[Any], where: str) -> list[str]:
    found = []
    for index, entry in enumerate(entries):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name:
            raise NofileError(f"{where}[{index}]: name is missing.")
        found.append(name)
    return found
