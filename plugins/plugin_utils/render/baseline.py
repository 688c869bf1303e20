# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the baseline did on one host: what was changed, kept, gated and refused, and what it cannot do."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import clean, plural, rows
from ansible_collections.lastack.linux.plugins.plugin_utils.render.table import Column, Screen, Span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.lastack.linux.plugins.plugin_utils.catalogue import Catalogue

__all__ = ["BaselineSummary", "baseline_summary"]

# What an operator has to decide first, what is as it should be last and only counted.
_STATUSES = (
    "invalid",
    "never",
    "refused",
    "clamped",
    "capped",
    "shadowed",
    "conflict",
    "failed",
    "read_only",
    "needs_restart",
    "changed",
    "restored",
    "left",
    "gated",
    "kept",
    "absent",
)
_WORDS = {"never": "refused", "read_only": "read-only", "needs_restart": "old limit"}
_COUNTED = ("ok", "unchanged")
_LONGEST_VALUE = 40
_WIDTH = 100
_SHOWN = 60


class BaselineSummary(NamedTuple):
    """The screen of one host."""

    lines: list[str]
    failed: list[str]
    """One sentence for each key or limit that could not be set."""


def baseline_summary(
    sysctls: Mapping[str, Any],
    limits: Mapping[str, Any],
    *,
    catalogue: Catalogue,
    host: str = "",
    check: bool = False,
) -> BaselineSummary:
    """Sum up the results of ``sysctl_baseline`` and ``nofile_limits``; either is empty where its task did not run.

    With ``check`` the results say what would be.
    """
    entries = [*_sysctl_entries(sysctls, catalogue), *_limit_entries(limits)]
    screen = Screen(colour=False, width=_WIDTH)
    changed = bool(sysctls.get("changed") or limits.get("changed"))
    verdict = "check mode: nothing was changed, this is what a run would do" if check and changed else ""
    _head(screen, entries, host, verdict if changed else "nothing to change")
    _changes(screen, entries)
    _harmful(screen, sysctls, check=check)
    _managers(screen, sysctls, entries)
    for unseen in rows(sysctls, "unseen"):
        screen.paragraph(f"Not seen: {unseen.get('detail') or unseen.get('code')}", rest="  ")
    _remarks(screen, sysctls, limits, {entry.why for entry in entries})
    if changed and not check:
        _after(screen, sysctls, limits)
    if entries:
        screen.paragraph(catalogue.close_wait, rest="  ")
    failed = [*_texts(sysctls.get("failures")), *_texts(limits.get("failed_limits"))]
    if any(row.get("status") == "conflict" for result in (sysctls, limits) for row in rows(result, "restored")):
        failed.append("tcp_baseline_force=true restores also what was changed since.")
    return BaselineSummary(screen.text().splitlines(), failed)


class _Entry(NamedTuple):
    subject: str
    status: str
    values: str
    why: str


def _texts(value: object) -> list[str]:
    return [clean(text) for text in value if isinstance(text, str)] if isinstance(value, (list, tuple)) else []


def _sysctl_entries(result: Mapping[str, Any], catalogue: Catalogue) -> list[_Entry]:
    return [
        *(_sysctl_entry(row, catalogue) for row in rows(result, "sysctls")),
        *(_restored_entry(row) for row in rows(result, "restored")),
    ]


def _restored_entry(row: Mapping[str, Any]) -> _Entry:
    subject, status, why = (
        str(row.get("subject") or ""),
        str(row.get("status") or "unknown"),
        str(row.get("error") or ""),
    )
    if status == "conflict":
        why = f"{why} tcp_baseline_force=true restores it all the same.".strip()
    if row.get("kind") == "file":
        # The texts of whole files are for --diff.
        back = "removed again" if row.get("after") is None else "content of before"
        return _Entry(subject, status, back if status == "restored" else "", why)
    return _Entry(subject, status, _turned(_short(row.get("before")), _short(row.get("after"))), why)


def _turned(before: str, after: str) -> str:
    return f"{before or 'unset'} → {after or 'unset'}" if before != after else after


def _sysctl_entry(row: Mapping[str, Any], catalogue: Catalogue) -> _Entry:
    key, status = str(row.get("key") or ""), str(row.get("status") or "unknown")
    before, after, wanted = (_short(row.get(name)) for name in ("before", "after", "wanted"))
    known = catalogue.keys.get(key)
    why = str(row.get("error") or row.get("reason") or "")
    values = after or before
    if status == "changed":
        values = _turned(before, after) if before != after else f"{after or 'unset'} (file only)"
        effect = f"counts {known.effect}" if known and known.effect and before != after else ""
        # Of a key that is wanted the reason is the catalogue's; of another, what became of it.
        why = effect if wanted else why
    elif status == "ok" and why and not wanted:
        status = "left"
    elif status in ("restored", "failed"):
        values = _turned(before, after)
    elif status == "kept":
        why = f"stronger than {wanted}" if before != wanted else why
    elif status == "shadowed":
        why = f"{row.get('shadowed_by')} wins: take {key} out of it"
    elif status == "clamped":
        values, why = f"{before} → {after}", why or f"the kernel allowed less than {wanted}"
    elif status in ("invalid", "never", "gated", "read_only"):
        values = f"{before or 'unset'}, not {wanted}" if wanted and wanted != before else before
    elif status == "absent":
        values, why = "", why or "this kernel or namespace does not have the key"
    return _Entry(key, status, values, why)


def _limit_entries(result: Mapping[str, Any]) -> list[_Entry]:
    found = [*rows(result, "units"), *rows(result, "users"), *rows(result, "processes")]
    return [*map(_limit_entry, found), *(_restored_entry(row) for row in rows(result, "restored"))]


def _limit_entry(row: Mapping[str, Any]) -> _Entry:
    before, after = _limits(row.get("before")), _limits(row.get("after"))
    values = f"{before} → {after}" if before != after else after
    why, name = str(row.get("reason") or ""), str(row.get("name") or row.get("pid") or "")
    old = len(rows(row, "running"))
    if row.get("needs_restart") or old:
        who = name if not old else "1 process" if old == 1 else f"{old:,} processes"
        why = f"{why} {who} still with the old limit: restart {name}".strip()
    return _Entry(name, str(row.get("status") or "unknown"), values, why)


def _limits(value: object) -> str:
    """Return ``soft:hard`` as systemd writes them; a side that nobody sets is said so."""
    if not isinstance(value, dict) or (value.get("soft") is None and value.get("hard") is None):
        return "unset"
    return ":".join(str(value.get(side) if value.get(side) is not None else "unset") for side in ("soft", "hard"))


def _short(value: object) -> str:
    text = "" if value is None else clean(str(value))
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def _head(screen: Screen, entries: Sequence[_Entry], host: str, verdict: str) -> None:
    counted = Counter(entry.status for entry in entries)
    said = [f"{counted[status]:,} {_WORDS.get(status, status)}" for status in _STATUSES if counted[status]]
    fine = sum(counted[status] for status in _COUNTED)
    said += [f"{fine:,} already right"] if fine else []
    pieces = [Span(piece, whole=True) for piece in [host, verdict, ", ".join(said)] if piece]
    for index, piece in enumerate(pieces[:-1]):
        pieces[index] = piece._replace(text=f"{piece.text} ·")
    screen.paragraph(*pieces, rest="  ")


def _changes(screen: Screen, entries: Sequence[_Entry]) -> None:
    rank = {status: index for index, status in enumerate(_STATUSES)}
    told = [entry for entry in entries if entry.status not in _COUNTED]
    told.sort(key=lambda entry: rank.get(entry.status, -1))
    if not told:
        return
    columns = [Column("status"), Column("setting", least=24), Column("value", least=16)]
    shown = told[:_SHOWN]
    table: list[list[Span | str]] = [
        [_WORDS.get(entry.status, entry.status), entry.subject, entry.values] for entry in shown
    ]
    # A reason that several rows in a row have stands once, below the last of them.
    last = [entry.why != after.why for entry, after in zip(shown, [*shown[1:], _Entry("", "", "", "")], strict=True)]
    notes = [[[Span(entry.why)]] if entry.why and is_last else [] for entry, is_last in zip(shown, last, strict=True)]
    screen.table(columns, table, notes)
    if len(told) > _SHOWN:
        screen.line(f"  … {plural(len(told) - _SHOWN, 'more setting')} in the result of the task")


def _harmful(screen: Screen, sysctls: Mapping[str, Any], *, check: bool) -> None:
    gone = "would be removed" if check else "removed"
    for line in rows(sysctls, "harmful_lines")[:_SHOWN]:
        done = gone if line.get("removed") else "still there: tcp_baseline_remove_harmful=true removes it"
        screen.paragraph(f"{line.get('place')} sets {line.get('key')} ({done}). {line.get('reason')}", rest="  ")


_NOT_CERTAIN = "not certain:"
"""Part of the module's reason where a file that was not read may decide."""


def _remarks(screen: Screen, sysctls: Mapping[str, Any], limits: Mapping[str, Any], told: set[str]) -> None:
    for name, lead in (("remarks", "Note"), ("warnings", "Warning")):
        for said in [*_texts(sysctls.get(name)), *_texts(limits.get(name))][:_SHOWN]:
            # What stands below its row already is not said again.
            if said not in told:
                screen.paragraph(f"{lead}: {said}", rest="  ")
                told.add(said)


def _managers(screen: Screen, sysctls: Mapping[str, Any], entries: Sequence[_Entry]) -> None:
    ours = {entry.subject for entry in entries}
    for manager in rows(sysctls, "managers"):
        name, overrides = manager.get("name"), manager.get("overrides")
        if overrides is None:
            screen.paragraph(f"{name} is there ({manager.get('evidence')}); what it sets is not known.", rest="  ")
            continue
        for key in overrides:
            if key in ours and not manager.get("yields"):
                said = overrides[key] if isinstance(overrides, dict) else {}
                value = said.get("value") if isinstance(said, dict) else said
                place = said.get("place") if isinstance(said, dict) else manager.get("evidence")
                sets = f"sets {key} = {value}" if value else f"sets {key}"
                screen.paragraph(f"{name} {sets} {manager.get('when') or 'later'} ({place}).", rest="  ")


def _after(screen: Screen, sysctls: Mapping[str, Any], limits: Mapping[str, Any]) -> None:
    path, told = sysctls.get("dropin"), rows(sysctls, "sysctls")
    kept = [row for row in told if isinstance(row.get("boot"), dict) and row["boot"]["file"] == path]
    if kept:
        screen.paragraph(f"{plural(len(kept), 'line')} in {path}, so that the next boot sets them too.", rest="  ")
    doubtful = [row for row in told if row.get("boot") is None and _NOT_CERTAIN in str(row.get("reason") or "")]
    if doubtful:
        said = f"What the next boot sets is not certain for {plural(len(doubtful), 'setting')}: a file was not read."
        screen.paragraph(said, rest="  ")
    if told or not (rows(sysctls, "restored") or rows(limits, "restored")):
        screen.line("Undo: run the role again with tcp_baseline_state=restored.")
