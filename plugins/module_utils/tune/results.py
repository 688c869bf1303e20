# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of a baseline: each setting, the files, and the difference for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Unseen
    from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_files import Assignment
    from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_managers import Manager
    from ansible_collections.lastack.linux.plugins.module_utils.tune.harmful_lines import HarmfulLine
    from ansible_collections.lastack.linux.plugins.module_utils.tune.restore import Restored

__all__ = ["BaselineResult", "FileChange", "KeyResult", "as_return", "differences", "failures"]


class KeyResult(NamedTuple):
    """What became of one setting."""

    key: str
    status: str
    """``ok``, ``changed``, ``kept`` (something stronger was there), ``clamped`` (the kernel made another value of
    it), ``absent``, ``read_only``, ``shadowed`` (another file wins), ``invalid``, ``never`` or ``gated``; of a key that
    is no longer named ``restored``, ``conflict``, ``failed``, ``absent`` or ``ok``."""
    match: str = ""
    wanted: str = ""
    before: str | None = None
    """As the kernel showed it, white space collapsed; ``None`` where there is no such key or it was not read."""
    after: str | None = None
    boot: Assignment | None = None
    """The line that systemd-sysctl applies at the next boot; ``None`` also where that is not certain."""
    reload: Assignment | None = None
    """The line that stands after ``sysctl --system``."""
    shadowed_by: str = ""
    """``file:line`` that wins over ours; empty unless ``shadowed``."""
    reason: str = ""
    error: str = ""
    """What went wrong, one sentence."""


class FileChange(NamedTuple):
    """One file that was, or in check mode would be, changed."""

    path: str
    before: bytes | None
    after: bytes | None


class BaselineResult(NamedTuple):
    """What became of the whole call."""

    keys: tuple[KeyResult, ...]
    failed_keys: tuple[str, ...]
    changed: bool
    diff: list[dict[str, str]]
    """As Ansible shows it: one entry for /proc/sys and one for each file."""
    path: str
    ledger: str
    file_error: str
    """Why the drop-in is not as it should be, one sentence; empty: it is."""
    restored: tuple[Restored, ...]
    harmful: tuple[HarmfulLine, ...]
    managers: tuple[Manager, ...]
    """Who else would set one of the keys to something weaker, later than the files of sysctl.d."""
    unseen: tuple[Unseen, ...]
    remarks: tuple[str, ...] = ()
    """What an operator should know and nothing shows otherwise, a sentence each."""


def differences(keys: Sequence[KeyResult], files: Sequence[FileChange]) -> list[dict[str, str]]:
    """Return what changed as Ansible's diff entries, the running values first."""
    found = []
    running = [one for one in keys if one.before != one.after]
    if running:
        found.append(
            {
                "before_header": "/proc/sys",
                "after_header": "/proc/sys",
                "before": "".join(f"{one.key} = {one.before or ''}\n" for one in running),
                "after": "".join(f"{one.key} = {one.after or ''}\n" for one in running),
            }
        )
    for one in files:
        entry = {"before": _text(one.before), "after": _text(one.after)}
        headers = {"before": one.path, "after": one.path}
        if one.before is None:
            headers["before"] = f"{one.path} (absent)"
        if one.after is None:
            headers["after"] = f"{one.path} (absent)"
        found.append({"before_header": headers["before"], "after_header": headers["after"], **entry})
    return found


def failures(result: BaselineResult) -> list[str]:
    """Return one sentence for each thing that failed; none: the call did what was asked."""
    told = []
    for one in result.keys:
        if one.key not in result.failed_keys:
            continue
        if one.status == "never":
            told.append(f"{one.key} = {one.wanted} is refused: {one.reason}.".replace("..", "."))
        elif one.status == "shadowed":
            told.append(f"{one.key} is set to something weaker by {one.shadowed_by}.")
        else:
            told.append(one.error)
    if result.file_error:
        told.append(result.file_error)
    told += [one.error for one in result.restored if one.status in ("conflict", "failed") and one.error]
    told += [one.error for one in result.harmful if one.error]
    return told


def as_return(result: BaselineResult) -> dict[str, Any]:
    """Return what the module returns, as JSON-able data."""
    return {
        "changed": result.changed,
        "sysctls": _plain(result.keys),
        "failed_keys": list(result.failed_keys),
        "failures": failures(result),
        # Not "path": Ansible adds the owner, size and state of a file of that name to the result.
        "dropin": result.path,
        "ledger": result.ledger,
        "restored": _plain(result.restored),
        "conflicts": [one.subject for one in result.restored if one.status == "conflict"],
        "harmful_lines": _plain(result.harmful),
        "removed_lines": [one.place for one in result.harmful if one.removed],
        "managers": _plain(result.managers),
        "unseen": _plain(result.unseen),
        "remarks": list(result.remarks),
        "diff": result.diff,
    }


def _plain(value: Any) -> Any:  # noqa: ANN401 - records of any shape
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _plain(one) for name, one in value._asdict().items()}
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value


def _text(content: bytes | None) -> str:
    return "" if content is None else content.decode("utf-8", "backslashreplace")
