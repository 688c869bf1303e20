# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What will become of each setting, decided before anything is changed: the run and its prediction share it."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_values import (
    PORT_LISTS,
    numbers,
    same_value,
)
from ansible_collections.lastack.linux.plugins.module_utils.tune.enclosure import is_shared
from ansible_collections.lastack.linux.plugins.module_utils.tune.match import (
    predict,
    satisfies,
    target_of,
    unfit,
    unvetted,
)
from ansible_collections.lastack.linux.plugins.module_utils.tune.runtime import (
    like_named,
    opens_for_writing,
    read_runtime,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_files import Assignment, Resolution
    from ansible_collections.lastack.linux.plugins.module_utils.tune.dropin import Line
    from ansible_collections.lastack.linux.plugins.module_utils.tune.ledger import RuntimeEntry
    from ansible_collections.lastack.linux.plugins.module_utils.tune.port_gate import PortGate
    from ansible_collections.lastack.linux.plugins.module_utils.tune.settings import Setting

__all__ = ["KEEP", "NONE", "WRITE", "Plan", "View", "is_denied", "plan", "refused", "set_elsewhere"]

WRITE, KEEP, NONE = "write", "keep", "none"
"""The key's line in the drop-in: with the value that runs in the end, as it is there now, or none."""

_RANGE = "net.ipv4.ip_local_port_range"
_CONTROL, _CONTROLS = "net.ipv4.tcp_congestion_control", "net.ipv4.tcp_available_congestion_control"
_MAX_MODULES_BYTES = 1 << 24
_FIRST_UNPRIVILEGED = "net.ipv4.ip_unprivileged_port_start"
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO)


class View(NamedTuple):
    """The host as it was before the change, as far as plans need it."""

    others: Resolution | None
    """What the files say without ours; ``None`` where nothing is persisted."""
    lines: Mapping[str, Line]
    """The lines of our file now."""
    recorded: Mapping[str, RuntimeEntry]
    """What the ledger knows of sysctls."""
    gate: PortGate
    enclosed: str
    """What this process is enclosed in; empty on the machine itself."""
    check: bool
    proc: str


class Plan(NamedTuple):
    """What to do for one setting."""

    setting: Setting
    """With what other files and the host's evidence add to the value."""
    asked: str
    status: str
    """As planned: ``changed`` means that ``target`` is to be written."""
    before: str | None = None
    target: str = ""
    expected: str = ""
    """How the kernel will show it."""
    line: str = KEEP
    reason: str = ""
    error: str = ""
    fails: bool = False


def plan(given: Setting, view: View) -> Plan:
    """Decide what becomes of one setting. Reads the running value; writes nothing and never raises."""
    setting = view.gate.fill(given)
    draft = Plan(setting, setting.value, "ok", reason=setting.reason)
    try:
        before = read_runtime(setting.key, proc=view.proc)
    except OSError as error:
        return _forbidden(draft) or _unread(draft, error, view)
    draft = draft._replace(before=before, expected=before)
    objection = _forbidden(draft) or _misshapen(draft, before)
    if objection is not None:
        return objection
    theirs = _not_ours(setting, before, view)
    setting, place = _with_files(setting, theirs, view.others)
    target = target_of(setting, theirs)
    closed = setting.gated or view.gate.closed(setting)
    if same_value(setting.key, before, target):
        stronger = bool(draft.asked) and not same_value(setting.key, before, draft.asked)
        line = KEEP if closed else NONE if set_elsewhere(given, view.others) else WRITE
        return draft._replace(setting=setting, status="kept" if stronger else "ok", line=line)
    if closed:
        return draft._replace(status="gated", reason=closed)
    if place:
        draft = draft._replace(reason=f"{place} sets something stronger, and that stays")
    draft = draft._replace(
        setting=setting,
        status="changed",
        target=target,
        expected=predict(setting.key, before, target),
        line=NONE if set_elsewhere(given, view.others) else WRITE,
    )
    return _writable(draft, view)


def refused(key: str, value: str, error: OSError) -> str:
    """Return the sentence for a value that the kernel did not take."""
    return f"{key}: the kernel refused {value[:80]!r} ({error.strerror or error})."


def is_denied(error: OSError) -> bool:
    """Whether the process may not write, whatever the value."""
    return error.errno in _DENIED


def set_elsewhere(setting: Setting, others: Resolution | None) -> bool:
    """Whether other files already give the key a value at least as good, at boot and on reload.

    A line of ours would then only stand in the way when the administrator raises theirs. ``exact`` always gets one.
    """
    if others is None or setting.match == "exact":
        return False
    if any(others.doubts(setting.key)):
        return False
    found = (others.boot.get(setting.key), others.reload.get(setting.key))
    return all(line is not None and _good(setting, line) for line in found)


def _good(setting: Setting, line: Assignment) -> bool:
    return not unfit(setting._replace(value=line.value), setting.value or line.value) and satisfies(setting, line.value)


def _forbidden(draft: Plan) -> Plan | None:
    why = draft.setting.never or unvetted(draft.setting)
    return draft._replace(status="never", reason=why, fails=True) if why else None


def _misshapen(draft: Plan, before: str) -> Plan | None:
    why = unfit(draft.setting, before)
    return draft._replace(status="invalid", error=f"{draft.setting.key}: {why}.", fails=True) if why else None


def _unread(draft: Plan, error: OSError, view: View) -> Plan:
    key = draft.setting.key
    if error.errno in _GONE:
        meant = like_named(key, proc=view.proc)
        hint = f"; write {meant}, if that is meant" if meant else ""
        return draft._replace(status="absent", reason=f"this kernel or namespace has no {key}{hint}")
    why = f"{key} cannot be read ({error.strerror}), so that it could not be restored."
    return draft._replace(status="invalid", error=why, fails=True)


def _not_ours(setting: Setting, before: str, view: View) -> str:
    """Return the value that would run without us: the ledger's, where what runs is what an earlier call set.

    A value of ours is nobody's stronger one. What depends on nothing but what runs is held against that: ``exact``,
    and an empty list that was filled with the ports of listeners.
    """
    entry = view.recorded.get(setting.key)
    if entry is None or setting.match == "exact" or not setting.value:
        return before
    ours = any(value is not None and same_value(setting.key, before, value) for value in (entry.set, entry.pending))
    return entry.before if ours else before


def _with_files(setting: Setting, before: str, others: Resolution | None) -> tuple[Setting, str]:
    """Raise what is asked for to what an administrator's files say, where that is stronger: it is to stay.

    Returns the place of the line that says more, too; empty when none does.
    """
    place = ""
    if others is None or setting.match == "exact":
        return setting, place
    for line in (others.boot.get(setting.key), others.reload.get(setting.key)):
        if line is None:
            continue
        theirs = setting._replace(value=line.value)
        if unfit(theirs, before) or not _in_range(theirs, line.value):
            continue
        value = target_of(setting, predict(setting.key, before, line.value))
        if not same_value(setting.key, value, target_of(setting, setting.value)):
            setting, place = setting._replace(value=value), line.place
    return setting, place


def _writable(draft: Plan, view: View) -> Plan:
    setting = draft.setting
    stays = draft._replace(status="read_only", target="", expected=draft.before or "", line=KEEP)
    if view.enclosed and is_shared(setting.key, setting.scope):
        why = f"the machine has one value, which is never written from inside {view.enclosed}"
        return stays._replace(reason=why)
    error = opens_for_writing(setting.key, proc=view.proc)
    if error is not None and is_denied(error):
        why = f"{setting.key} cannot be written ({error.strerror})."
        return stays._replace(error=why, fails=not view.enclosed and setting.scope in ("ns", ""))
    if error is None and view.check:
        # What the run would hear from the kernel.
        error = _predicted_refusal(draft, view)
        line = view.lines.get(setting.key)
        if (
            line is not None
            and line.asked
            and line.asked == draft.target
            and same_value(setting.key, draft.before, line.value)
        ):
            why = f"{setting.key}: the kernel made {draft.before!r} of {draft.target!r}."
            return stays._replace(status="clamped", error=why, fails=True)
    if error is not None:
        why = refused(setting.key, draft.target, error)
        return stays._replace(status="invalid", error=why, fails=True)
    return draft


def _predicted_refusal(draft: Plan, view: View) -> OSError | None:
    setting = draft.setting
    if setting.key == _CONTROL and not _can_be_loaded(draft.target, view.proc):
        # net/ipv4/tcp_cong.c, tcp_set_default_congestion_control.
        return OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    fits = _in_range(setting, draft.target)
    if fits and setting.key == _RANGE:
        low, high = numbers(draft.expected)[:2]
        # net/ipv4/sysctl_net_ipv4.c, ipv4_local_port_range.
        try:
            first = numbers(read_runtime(_FIRST_UNPRIVILEGED, proc=view.proc))[0]
        except (OSError, IndexError):
            first = 1
        fits = first <= low <= high
    return None if fits else OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def _can_be_loaded(algorithm: str, proc: str) -> bool:
    """Whether the kernel has a congestion control algorithm, or may load its module; also where that is not known."""
    try:
        if algorithm in read_runtime(_CONTROLS, proc=proc).split():
            return True
        release = read_runtime("kernel.osrelease", proc=proc)
        with open(f"/lib/modules/{release}/modules.dep", encoding="utf-8") as file:  # noqa: PTH123 - no Path needed
            return f"/tcp_{algorithm}.ko" in file.read(_MAX_MODULES_BYTES)
    except FileNotFoundError as error:
        # No list of modules: nothing is loaded.
        return "/modules.dep" not in str(error.filename)
    except (OSError, ValueError):
        return True


def _in_range(setting: Setting, text: str) -> bool:
    if setting.key in PORT_LISTS:
        return True
    low, high = setting.range
    return all((low is None or low <= number) and (high is None or number <= high) for number in numbers(text))
