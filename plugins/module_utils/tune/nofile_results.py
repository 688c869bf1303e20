# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a call about descriptor limits comes to: one record a subject, and how a file of ours is changed for it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import try_read_head
from ansible_collections.lastack.linux.plugins.module_utils.observe.processes import read_limits
from ansible_collections.lastack.linux.plugins.module_utils.tune.guarded_files import (
    RefusedPath,
    check_writable,
    read_state,
    remove_file,
    remove_made_directory,
    write_file,
)
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_wishes import (
    HEADER,
    INFINITE,
    SELECT_LIMIT,
    Limits,
    Settled,
    Wish,
)
from ansible_collections.lastack.linux.plugins.module_utils.tune.results import FileChange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.lastack.linux.plugins.module_utils.tune.ledger import Ledger
    from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_processes import RunningProcess

__all__ = [
    "FAILURES",
    "Ceiling",
    "Host",
    "SubjectResult",
    "capped",
    "change_file",
    "failure",
    "falls_short",
    "read_ceiling",
    "select_warning",
    "unchanged",
]

FAILURES = frozenset({"capped", "refused", "shadowed", "failed", "conflict"})
"""The words of a status that say: not as it was asked for."""

_UNKNOWN = Limits(None, None)
_KERNEL_NR_OPEN = 1 << 20
_ALL_USERS = [b"0", b"0", b"4294967295"]
# include/uapi/linux/capability.h
_CAP_SYS_RESOURCE = 24
_NAMED = 7


class Ceiling(NamedTuple):
    """The highest limit that anything on this host can have."""

    value: int
    why: str
    """What sets it, for a sentence."""


class Host(NamedTuple):
    """The host as all steps of a call see it."""

    ledger: Ledger
    root: str
    proc: str
    check: bool
    ceiling: Ceiling


class SubjectResult(NamedTuple):
    """What became of one unit or login."""

    name: str
    """As it was asked for."""
    status: str
    """``ok``, ``changed``, ``kept`` (more was configured already), ``capped``, ``absent``, ``needs_restart``, or one of
    ``refused``, ``shadowed`` and ``failed``."""
    before: Limits = _UNKNOWN
    """As configured until now; unknown where nothing configures it."""
    after: Limits = _UNKNOWN
    wanted: Limits = _UNKNOWN
    """As it was asked for; unknown what was not."""
    allowed: int | None = None
    """The highest limit here, where that is less than wanted."""
    path: str = ""
    """The file that decides, with the line where that is known."""
    shadowed_by: str = ""
    """The file that wins over ours with less."""
    reason: str = ""
    unit: str = ""
    """The unit's own name, where another name of it was asked for."""
    needs_restart: bool = False
    restarted: bool = False
    running: tuple[RunningProcess, ...] = ()
    """Processes that have less than what is configured now."""


def unchanged(wish: Wish, status: str, reason: str) -> SubjectResult:
    """Return the result of a wish that is not applied."""
    return SubjectResult(wish.name, status, wanted=Limits(wish.soft, wish.hard), reason=reason)


def capped(result: SubjectResult, ceiling: Ceiling) -> SubjectResult:
    """Return the result of a wish for more than the host allows."""
    wanted = max(result.wanted.soft or 0, result.wanted.hard or 0)
    reason = f"{wanted} is wanted for {result.name} and this host allows {ceiling.value}: {ceiling.why}."
    return result._replace(status="capped", allowed=ceiling.value, reason=reason)


def read_ceiling(proc: str = "/proc") -> Ceiling:
    """Return ``fs.nr_open``, or in a container the hard limit of its first process, where that is less.

    Only CAP_SYS_RESOURCE of the machine's own user namespace goes beyond a hard limit (kernel/sys.c ``do_prlimit``),
    so a container with users of its own, or without that capability, never does. Never raises.
    """
    text = (try_read_head(f"{proc}/sys/fs/nr_open", 64) or b"").strip()
    nr_open = int(text) if text.isdigit() else _KERNEL_NR_OPEN
    found = Ceiling(nr_open, "fs.nr_open")
    users = (try_read_head(f"{proc}/self/uid_map", 4096) or b"").split()
    match = re.search(rb"^CapBnd:\s*([0-9a-f]{1,16})$", try_read_head(f"{proc}/1/status", 16384) or b"", re.MULTILINE)
    may = (not users or users == _ALL_USERS) and (match is None or int(match.group(1), 16) >> _CAP_SYS_RESOURCE & 1)
    hard = read_limits(1, proc=proc)[1]
    if may or hard is None or hard == INFINITE or hard >= nr_open:
        return found
    return Ceiling(hard, "the hard limit of process 1, which nothing in this container may exceed")


def change_file(host: Host, path: str, content: bytes | None) -> FileChange | None:
    """Make a file of ours have this content, or go; ``None`` when it is so already.

    What was there is in the ledger first; where nothing but ours was, a file that goes leaves nothing in the ledger
    either. In check mode nothing is written. Raises ``LedgerError``, ``RefusedPath`` and ``OSError``.
    """
    now = read_state(path, root=host.root)
    before = None if now is None else now.content
    if before == content:
        return None
    if host.check:
        check_writable(path, root=host.root)
        return FileChange(path, before, content)
    host.ledger.record_file(path, content)
    if content is not None:
        write_file(path, content, root=host.root, like=now)
        host.ledger.confirm_file(path)
        return FileChange(path, before, content)
    remove_file(path, root=host.root)
    host.ledger.confirm_file(path)
    entry = host.ledger.files[path]
    # A file of ours from before the ledger was lost is nothing to come back to.
    if entry.before is None or entry.before.content.startswith(HEADER.encode()):
        for directory in reversed(entry.made_directories):
            remove_made_directory(directory, root=host.root)
        host.ledger.forget(files=[path])
    return FileChange(path, before, None)


def failure(path: str, error: Exception) -> str:
    """Return one sentence for what ``change_file`` raised."""
    if isinstance(error, RefusedPath):
        return str(error)
    number = error.errno if isinstance(error, OSError) else None
    return f"{path} cannot be changed ({os.strerror(number) if number else error})."


def falls_short(limits: Limits, settled: Settled, wish: Wish, ceiling: Ceiling) -> bool:
    """Whether limits are not what the wish came to: lower, or with ``exact`` other."""
    for now, wanted in zip(limits, settled.limits):
        value = ceiling.value if now == INFINITE else now
        if value is None or wanted is None:
            continue
        if value < wanted or (wish.match == "exact" and value != wanted):
            return True
    return False


def select_warning(results: Sequence[SubjectResult]) -> str:
    """Return one warning for all soft limits of this call that ``select()`` does not stand; empty where none is new."""
    told = [one.name for one in results if one.status in ("changed", "capped") and _goes_above(one)]
    if not told:
        return ""
    names = ", ".join(told[:_NAMED]) + (f" and {len(told) - _NAMED} more" if len(told) > _NAMED else "")
    return (
        f"{names}: a soft limit above {SELECT_LIMIT} lets descriptors above {SELECT_LIMIT - 1} come up, with which "
        "select() corrupts memory in C programs; make sure that they use poll() or epoll."
    )


def _goes_above(one: SubjectResult) -> bool:
    before, after = one.before.soft, one.after.soft
    had = before is not None and (before == INFINITE or before > SELECT_LIMIT)
    return not had and after is not None and (after == INFINITE or after > SELECT_LIMIT)
