# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Back to the ledger: each changed thing becomes what it was, unless somebody else has changed it since."""

from __future__ import annotations

import errno
import resource
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import try_read_head
from ansible_collections.lastack.linux.plugins.module_utils.observe.processes import parse_stat
from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_values import same_value
from ansible_collections.lastack.linux.plugins.module_utils.tune.guarded_files import (
    FileState,
    RefusedPath,
    check_writable,
    read_state,
    remove_file,
    remove_leftover,
    remove_made_directory,
    write_file,
)
from ansible_collections.lastack.linux.plugins.module_utils.tune.ledger import digest
from ansible_collections.lastack.linux.plugins.module_utils.tune.runtime import (
    opens_for_writing,
    read_runtime,
    write_runtime,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible_collections.lastack.linux.plugins.module_utils.tune.ledger import (
        FileEntry,
        Ledger,
        ProcessEntry,
        RuntimeEntry,
    )

__all__ = ["NOFILE", "SYSCTL", "Restored", "restore", "restore_runtimes"]

SYSCTL = "sysctl"
NOFILE = "nofile"

_ROOM_OF_KIND = {
    "sysctl_dropin": SYSCTL,
    "sysctl_conf": SYSCTL,
    "unit_dropin": NOFILE,
    "limits_dropin": NOFILE,
}
_MAX_STAT_BYTES = 4096


class Restored(NamedTuple):
    """What became of one subject of the ledger."""

    subject: str
    """A path, a sysctl key or ``pid:starttime``."""
    kind: str
    """``file``, ``runtime`` or ``process``."""
    status: str
    """``restored``, ``unchanged`` (it was so already), ``conflict`` (changed by somebody else, left) or ``failed``."""
    before: str | None
    """What it was until now: a value, limits as ``soft:hard``, a file's text; ``None`` for none or unknown."""
    after: str | None
    """What it is now, or in check mode would be."""
    error: str | None
    """Why it conflicts or failed, one sentence."""


def restore(  # noqa: PLR0913 - keyword arguments; each is one side of the host
    ledger: Ledger,
    *,
    what: frozenset[str] = frozenset({SYSCTL, NOFILE}),
    root: str = "/",
    proc: str = "/proc",
    force: bool = False,
    check: bool = False,
) -> list[Restored]:
    """Bring back files, then sysctls, then processes of the rooms ``what``; what is back is forgotten by the ledger.

    A subject that is neither as it was nor as lastack set it has been changed by somebody else: a conflict, left
    unless ``force``. One that fails keeps its entry, and the others go on. With ``check`` nothing is changed and the
    answer is the same. Raises ``LedgerError`` when the ledger cannot be written.
    """
    files = {path: entry for path, entry in ledger.files.items() if _ROOM_OF_KIND[entry.kind] in what}
    answers = [_restore_file(path, entry, root=root, force=force, check=check) for path, entry in sorted(files.items())]
    if SYSCTL in what:
        answers += [
            _restore_runtime(key, entry, proc=proc, force=force, check=check)
            for key, entry in sorted(ledger.runtime.items())
        ]
    if NOFILE in what:
        answers += [
            _restore_process(key, entry, proc=proc, force=force, check=check)
            for key, entry in sorted(ledger.processes.items())
        ]
    done = [answer for answer in answers if answer.status in ("restored", "unchanged")]
    ledger.forget(
        runtime=[answer.subject for answer in done if answer.kind == "runtime"],
        files=[answer.subject for answer in done if answer.kind == "file"],
        processes=[answer.subject for answer in done if answer.kind == "process"],
    )
    return answers


def restore_runtimes(
    ledger: Ledger, keys: Iterable[str], *, proc: str = "/proc", check: bool = False
) -> list[Restored]:
    """Bring back these sysctls alone, as ``restore`` does; a key that the ledger does not know has no answer."""
    answers = [
        _restore_runtime(key, ledger.runtime[key], proc=proc, force=False, check=check)
        for key in keys
        if key in ledger.runtime
    ]
    ledger.forget(runtime=[answer.subject for answer in answers if answer.status in ("restored", "unchanged")])
    return answers


def _restore_file(path: str, entry: FileEntry, *, root: str, force: bool, check: bool) -> Restored:
    answer = Restored(path, "file", "restored", None, _text(entry.before), None)
    try:
        now = read_state(path, root=root)
        answer = answer._replace(before=_text(now))
        if now == entry.before:
            answer = answer._replace(status="unchanged")
        else:
            ours = {
                entry.set_sha256,
                entry.pending_sha256,
                digest(None if entry.before is None else entry.before.content),
            }
            if not force and digest(None if now is None else now.content) not in ours:
                why = f"{path} was changed by somebody else since; it was left as it is."
                return answer._replace(status="conflict", after=answer.before, error=why)
        if not check:
            _put_back(path, entry, now, root=root)
        elif now != entry.before:
            check_writable(path, root=root)
    except RefusedPath as error:
        return answer._replace(status="failed", after=answer.before, error=str(error))
    except OSError as error:
        if answer.status == "unchanged" and error.errno == errno.EROFS:
            # What a killed run may have left beside it harms nobody.
            return answer
        return answer._replace(status="failed", after=answer.before, error=_failure(path, error))
    return answer


def _put_back(path: str, entry: FileEntry, now: FileState | None, *, root: str) -> None:
    if entry.before is None:
        remove_file(path, root=root)
    elif now == entry.before:
        remove_leftover(path, root=root)
    else:
        write_file(path, entry.before.content, root=root, like=entry.before)
        if read_state(path, root=root) != entry.before:
            raise RefusedPath(f"{path} was written and still differs from what the ledger holds.")
    for directory in reversed(entry.made_directories):
        remove_made_directory(directory, root=root)


def _restore_runtime(key: str, entry: RuntimeEntry, *, proc: str, force: bool, check: bool) -> Restored:
    answer = Restored(key, "runtime", "restored", None, entry.before, None)
    try:
        now = read_runtime(key, proc=proc)
        answer = answer._replace(before=now)
        if same_value(key, now, entry.before):
            return answer._replace(status="unchanged", after=now)
        ours = any(value is not None and same_value(key, now, value) for value in (entry.set, entry.pending))
        if not ours and not force:
            why = f"{key} was changed to {now[:200]!r} by somebody else since; it was left as it is."
            return answer._replace(status="conflict", after=now, error=why)
        if check:
            _try_writing(key, proc)
        else:
            write_runtime(key, entry.before, proc=proc)
            after = read_runtime(key, proc=proc)
            if not same_value(key, after, entry.before):
                why = f"{key} was set to {entry.before[:200]!r} and the kernel made {after[:200]!r} of it."
                return answer._replace(status="failed", after=after, error=why)
    except FileNotFoundError:
        # A key of a module or an interface that has gone took its value along.
        return answer._replace(status="unchanged", after=None, error=f"{key} does not exist any more.")
    except OSError as error:
        return answer._replace(status="failed", after=answer.before, error=_failure(key, error))
    return answer


def _restore_process(key: str, entry: ProcessEntry, *, proc: str, force: bool, check: bool) -> Restored:
    answer = Restored(key, "process", "restored", None, f"{entry.before_soft}:{entry.before_hard}", None)
    number, __, start = key.partition(":")
    pid = int(number)
    if not _is_same_process(pid, int(start), entry.boot, proc):
        return answer._replace(status="unchanged", after=None, error=f"Process {pid} has ended.")
    try:
        now = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        answer = answer._replace(before=f"{now[0]}:{now[1]}")
        if now == (entry.before_soft, entry.before_hard):
            return answer._replace(status="unchanged")
        if not force and now != (entry.set_soft, entry.set_hard):
            why = f"The limits of process {pid} were changed by somebody else since; they were left as they are."
            return answer._replace(status="conflict", after=answer.before, error=why)
        if not check:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (entry.before_soft, entry.before_hard))
    except ProcessLookupError:
        return answer._replace(status="unchanged", after=None, error=f"Process {pid} has ended.")
    except (OSError, ValueError) as error:
        why = f"The limits of process {pid} cannot be set back ({getattr(error, 'strerror', None) or error})."
        return answer._replace(status="failed", after=answer.before, error=why)
    return answer


def _is_same_process(pid: int, start: int, boot: str, proc: str) -> bool:
    now = (try_read_head(f"{proc}/sys/kernel/random/boot_id", 64) or b"").decode("ascii", "replace").strip()
    if boot and now and boot != now:
        return False
    found = parse_stat(try_read_head(f"{proc}/{pid}/stat", _MAX_STAT_BYTES) or b"")
    return found is not None and found.start_ticks == start


def _try_writing(key: str, proc: str) -> None:
    denied = opens_for_writing(key, proc=proc)
    if denied is not None:
        raise denied


def _text(state: FileState | None) -> str | None:
    return None if state is None else state.content.decode("utf-8", "backslashreplace")


def _failure(subject: str, error: OSError) -> str:
    return f"{subject} cannot be restored ({error.strerror or error})."
