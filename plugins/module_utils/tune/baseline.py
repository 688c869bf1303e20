# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The baseline: recorded in the ledger, set through /proc/sys, persisted in one drop-in, verified by reading back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Unseen
from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_files import resolve, sysctl_path
from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_managers import find_managers
from ansible_collections.lastack.linux.plugins.module_utils.tune.dropin import (
    DROPIN,
    Line,
    dropin_content,
    dropin_lines,
    is_ours,
)
from ansible_collections.lastack.linux.plugins.module_utils.tune.enclosure import enclosure
from ansible_collections.lastack.linux.plugins.module_utils.tune.file_changes import FilePlan, change_file
from ansible_collections.lastack.linux.plugins.module_utils.tune.guarded_files import RefusedPath, kind_of, read_state
from ansible_collections.lastack.linux.plugins.module_utils.tune.harmful_lines import find_harmful, plan_removal
from ansible_collections.lastack.linux.plugins.module_utils.tune.ledger import PATH, open_ledger
from ansible_collections.lastack.linux.plugins.module_utils.tune.match import satisfies, unvetted
from ansible_collections.lastack.linux.plugins.module_utils.tune.own_files import (
    edited_by_hand,
    forget_our_own,
    left_behind,
    unknown_to_the_ledger,
)
from ansible_collections.lastack.linux.plugins.module_utils.tune.plan import KEEP, View, plan
from ansible_collections.lastack.linux.plugins.module_utils.tune.port_gate import PortGate
from ansible_collections.lastack.linux.plugins.module_utils.tune.restore import SYSCTL, restore
from ansible_collections.lastack.linux.plugins.module_utils.tune.results import (
    BaselineResult,
    FileChange,
    KeyResult,
    differences,
)
from ansible_collections.lastack.linux.plugins.module_utils.tune.runtime import read_runtime
from ansible_collections.lastack.linux.plugins.module_utils.tune.runtime_changes import Outcome, apply_runtime
from ansible_collections.lastack.linux.plugins.module_utils.tune.unnamed_keys import take_back
from ansible_collections.lastack.linux.plugins.module_utils.tune.winners import judged_result, with_winners

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import PortPressure
    from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_files import Resolution
    from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_managers import Manager
    from ansible_collections.lastack.linux.plugins.module_utils.tune.harmful_lines import Edit, HarmfulLine
    from ansible_collections.lastack.linux.plugins.module_utils.tune.ledger import Ledger
    from ansible_collections.lastack.linux.plugins.module_utils.tune.settings import Setting

__all__ = ["STATES", "Baseline", "apply_baseline"]

STATES = ("present", "absent", "restored")

# A file that takes part in the order of names and says nothing.
_SILENT = b"\n"


class Baseline(NamedTuple):
    """What is asked for, and how."""

    settings: Sequence[Setting] = ()
    state: str = "present"
    path: str = DROPIN
    persist: bool = True
    check: bool = False
    force: bool = False
    remove_harmful: bool = False
    never: Mapping[str, str] = {}
    """Keys for which no value is right, with the reason: lines that set them are told, and removed if asked."""
    evidence: Callable[[], PortPressure] | None = None
    root: str = "/"
    proc: str = "/proc"


def apply_baseline(asked: Baseline) -> BaselineResult:
    """Bring this host to what is asked for, or back, and say per key what became of it.

    ``present``: the kernel and the drop-in hold the settings. ``absent``: the lines of the named keys, of all keys if
    none is named, leave the drop-in. ``restored``: all of sysctls that the ledger knows is again what it was.

    Raises:
        LedgerError: the ledger cannot be used or written; then nothing, or nothing more, is changed.
        RefusedPath: the drop-in's path is none, or something else stands there; nothing is changed.
        OSError: the drop-in cannot be read; nothing is changed.
    """
    if kind_of(asked.path) != "sysctl_dropin":
        raise RefusedPath(f"path: {asked.path} is no /etc/sysctl.d/NAME.conf.")
    with open_ledger(root=asked.root, proc=asked.proc, check=asked.check) as ledger:
        if asked.state == "restored":
            return _restored(asked, ledger)
        if asked.state == "absent":
            return _absent(asked, ledger)
        return _present(asked, ledger)


def _present(asked: Baseline, ledger: Ledger) -> BaselineResult:
    existing = read_state(asked.path, root=asked.root) if asked.persist else None
    remarks = [] if asked.persist else [left_behind(asked.path, root=asked.root)]
    if existing is not None and not is_ours(existing.content) and not asked.force:
        raise RefusedPath(
            f"{asked.path} is there and was not written by this module; give another path, or force: what it holds now "
            "is then kept in the ledger."
        )
    lines = dropin_lines(existing.content) if existing is not None and is_ours(existing.content) else {}
    harmful, edits = _harmful(asked)
    planned: dict[str, bytes | None] = {edit.path: edit.content for edit in edits}
    named = {setting.key for setting in asked.settings}
    dropped = [key for key in lines if key not in named]
    keys = _existing(asked, [*named, *dropped])
    others = resolve(root=asked.root, keys=keys, overlay={**planned, asked.path: _SILENT}) if asked.persist else None
    view = View(
        others=others,
        lines=lines,
        recorded=dict(ledger.runtime),
        gate=PortGate(
            asked.settings,
            applied_before=lines.keys() | ledger.runtime.keys(),
            evidence=asked.evidence,
            proc=asked.proc,
        ),
        enclosed=enclosure(proc=asked.proc),
        check=asked.check,
        proc=asked.proc,
    )
    plans = [plan(setting, view) for setting in asked.settings]
    outcomes = apply_runtime(plans, ledger, proc=asked.proc, check=asked.check)
    unnamed = take_back(dropped, ledger, others, path=asked.path, proc=asked.proc, check=asked.check)
    file_error = ""
    changes: list[FileChange] = []
    if asked.persist:
        content = dropin_content(_dropin(outcomes, lines, asked.never))
        dropin = FilePlan(asked.path, existing, content)
        remarks.append(edited_by_hand(asked.path, existing, content, ledger))
        file_error = _change(dropin, ledger, asked, changes)
        planned[asked.path] = content
        if file_error:
            file_error = f"{asked.path} could not be written ({file_error}); the values hold until the next boot."
            planned.pop(asked.path)
    broken = {}
    for edit in edits:
        why = _change(FilePlan(edit.path, edit.state, edit.content), ledger, asked, changes)
        if why:
            broken[edit.path] = f"{edit.path} could not be written ({why})."
            planned.pop(edit.path)
    harmful = [_told(line, broken) for line in harmful]
    files = resolve(root=asked.root, keys=keys, overlay=planned if asked.check else None)
    judged = asked.persist and not file_error
    results = [judged_result(outcome, files, asked.path, judged=judged) for outcome in outcomes]
    failed = [one.key for one, outcome in zip(results, outcomes) if outcome.fails or one.status == "shadowed"]
    results += [with_winners(one, files) for one in unnamed]
    failed += [one.key for one in unnamed if one.status == "failed"]
    return _answer(asked, files, results, changes)._replace(
        failed_keys=tuple(failed),
        remarks=tuple(filter(None, remarks)),
        file_error=file_error,
        harmful=tuple(harmful),
        managers=tuple(_managers(asked)),
    )


def _absent(asked: Baseline, ledger: Ledger) -> BaselineResult:
    existing = read_state(asked.path, root=asked.root)
    ours = existing is not None and is_ours(existing.content)
    lines = dropin_lines(existing.content) if existing is not None and ours else {}
    named = [setting.key for setting in asked.settings] or list(lines)
    content = dropin_content(line for key, line in lines.items() if key not in named) if ours else None
    changes: list[FileChange] = []
    remark = edited_by_hand(asked.path, existing, content, ledger) if ours else ""
    file_error = _change(FilePlan(asked.path, existing, content), ledger, asked, changes) if ours else ""
    if ours and content is None and not file_error and not asked.check:
        # The ledger was lost and our own file came before it: there is nothing to come back to.
        forget_our_own(asked.path, ledger)
    planned: dict[str, bytes | None] = {asked.path: content} if asked.check and ours and not file_error else {}
    files = resolve(root=asked.root, keys=named, overlay=planned)
    gone = set() if file_error else lines.keys()
    results = [with_winners(_taken_out(key, asked, gone=key in gone), files) for key in named]
    if file_error:
        file_error = f"{asked.path} could not be changed ({file_error})."
    return _answer(asked, files, results, changes)._replace(file_error=file_error, remarks=(remark,) if remark else ())


def _taken_out(key: str, asked: Baseline, *, gone: bool) -> KeyResult:
    try:
        now: str | None = read_runtime(key, proc=asked.proc)
    except OSError:
        now = None
    why = "its line left the file; what runs stays" if gone else ""
    return KeyResult(key, "changed" if gone else "ok", before=now, after=now, reason=why)


def _restored(asked: Baseline, ledger: Ledger) -> BaselineResult:
    lost = unknown_to_the_ledger(ledger, root=asked.root)
    answers = restore(
        ledger,
        what=frozenset({SYSCTL}),
        root=asked.root,
        proc=asked.proc,
        force=asked.force,
        check=asked.check,
    )
    done = [one for one in answers if one.status == "restored"]
    diff = [
        {
            "before_header": one.subject if one.before is not None else f"{one.subject} (absent)",
            "after_header": one.subject if one.after is not None else f"{one.subject} (absent)",
            "before": _line(one.before),
            "after": _line(one.after),
        }
        for one in done
    ]
    files = resolve(root=asked.root)
    answer = _answer(asked, files, [], [])
    return answer._replace(changed=bool(done), restored=tuple(answers), diff=diff, unseen=(), file_error=lost)


def _dropin(outcomes: Sequence[Outcome], lines: Mapping[str, Line], never: Mapping[str, str]) -> list[Line]:
    """Return the lines of the drop-in: what the kernel accepted, in the order of the settings.

    A key that could not be set keeps the line that it has, unless nobody should ever write that.
    """
    found = []
    for outcome in outcomes:
        setting = outcome.plan.setting
        if not setting.persist:
            continue
        if outcome.line == KEEP and setting.key in lines:
            line = lines[setting.key]
            if setting.key not in never and not unvetted(setting._replace(value=line.value)):
                found.append(line)
        elif outcome.gets_line:
            asked = outcome.plan.target if outcome.status == "clamped" else ""
            found.append(Line(setting.key, outcome.after or "", asked, setting.reason))
    return found


def _answer(
    asked: Baseline, files: Resolution, results: Sequence[KeyResult], changes: Sequence[FileChange]
) -> BaselineResult:
    return BaselineResult(
        keys=tuple(results),
        failed_keys=(),
        changed=bool(changes) or any(one.before != one.after for one in results),
        diff=differences(results, changes),
        path=asked.path,
        ledger=PATH,
        file_error="",
        restored=(),
        harmful=(),
        managers=(),
        unseen=(*files.unseen, *_unknown_loader(asked, files)),
    )


def _change(wanted: FilePlan, ledger: Ledger, asked: Baseline, changes: list[FileChange]) -> str:
    """Change one file if there is anything to change; a file that was is added to ``changes``."""
    if not wanted.changes:
        return ""
    error = change_file(wanted, ledger, root=asked.root, check=asked.check)
    if not error:
        changes.append(FileChange(wanted.path, None if wanted.state is None else wanted.state.content, wanted.content))
    return error


def _harmful(asked: Baseline) -> tuple[list[HarmfulLine], list[Edit]]:
    found = find_harmful(asked.never, root=asked.root)
    found = [line for line in found if line.place.rpartition(":")[0] != asked.path]
    return plan_removal(found, asked.never, root=asked.root) if asked.remove_harmful else (found, [])


def _told(line: HarmfulLine, broken: Mapping[str, str]) -> HarmfulLine:
    why = broken.get(line.file, "") if line.removed else ""
    return line._replace(removed=False, error=why) if why else line


def _managers(asked: Baseline) -> list[Manager]:
    """Return who else would set one of the keys to something weaker, and those of whom that is not known."""
    settings = {setting.key: setting for setting in asked.settings}
    found = []
    for manager in find_managers(asked.root, asked.proc):
        if manager.overrides is None:
            found.append(manager)
            continue
        weaker = {
            key: override
            for key, override in manager.overrides.items()
            if key in settings and not (override.value and satisfies(settings[key], override.value))
        }
        if weaker and not manager.yields:
            found.append(manager._replace(overrides=weaker))
    return found


def _existing(asked: Baseline, keys: Iterable[str]) -> list[str]:
    paths = {key: f"{asked.proc}/sys/{sysctl_path(key)}" for key in keys}
    return [key for key, path in paths.items() if os.path.isfile(path)]  # noqa: PTH113 - never raises


def _unknown_loader(asked: Baseline, files: Resolution) -> list[Unseen]:
    booted = os.path.isdir(os.path.join(asked.root, "run/systemd/system"))  # noqa: PTH112, PTH118 - never raises
    if booted or not (files.boot or files.reload):
        return []
    why = "this host does not boot with systemd: which file wins is not known"
    return [Unseen("sysctl_boot_loader_unknown", 1, why)]


def _line(text: str | None) -> str:
    return "" if text is None else text if text.endswith("\n") else f"{text}\n"
