# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planned values go to the kernel: recorded before, written one by one, read back, and confirmed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_values import same_value
from ansible_collections.lastack.linux.plugins.module_utils.tune.plan import KEEP, WRITE, Plan, is_denied, refused
from ansible_collections.lastack.linux.plugins.module_utils.tune.runtime import (
    opens_for_writing,
    read_runtime,
    write_runtime,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.lastack.linux.plugins.module_utils.tune.ledger import Ledger

__all__ = ["Outcome", "apply_runtime"]


class Outcome(NamedTuple):
    """What became of one plan at runtime."""

    plan: Plan
    status: str
    after: str | None
    error: str
    line: str
    """As ``Plan.line``."""
    fails: bool

    @property
    def gets_line(self) -> bool:
        """Whether the drop-in is to hold the value that runs; an empty list of ports says nothing unless ``exact``."""
        return self.line == WRITE and self.after is not None and bool(self.after or self.plan.setting.match == "exact")


def apply_runtime(plans: Sequence[Plan], ledger: Ledger, *, proc: str, check: bool) -> list[Outcome]:
    """Write every planned value; one that fails does not keep the others back. One outcome a plan, in their order.

    All are on record before the first is written. With ``check`` nothing is written and each plan is its outcome.
    Raises ``LedgerError`` when the ledger cannot be written; killed or failed halfway, the next run goes on from there.
    """
    changes = [one for one in plans if one.status == "changed"]
    if not changes:
        return [_as_planned(one) for one in plans]
    known = dict(ledger.runtime)
    ledger.record_runtimes([(one.setting.key, one.before or "", one.target) for one in changes])
    if check:
        return [_as_planned(one) for one in plans]
    outcomes = [_set(one, proc) if one.status == "changed" else _as_planned(one) for one in plans]
    accepted: dict[str, str] = {}
    untouched = []
    for outcome in outcomes:
        key = outcome.plan.setting.key
        if outcome.plan.status != "changed":
            continue
        if outcome.after is not None and outcome.line != KEEP:
            accepted[key] = outcome.after
        elif key in known:
            accepted[key] = known[key].set or known[key].before
        else:
            untouched.append(key)
    ledger.confirm_runtimes(accepted)
    ledger.forget(runtime=untouched)
    return outcomes


def _as_planned(one: Plan) -> Outcome:
    return Outcome(one, one.status, one.expected if one.before is not None else None, one.error, one.line, one.fails)


def _set(one: Plan, proc: str) -> Outcome:
    key = one.setting.key
    draft = Outcome(one, "changed", one.before, "", one.line, fails=False)
    try:
        write_runtime(key, one.target, proc=proc)
        draft = draft._replace(after=read_runtime(key, proc=proc))
    except OSError as error:
        # A value that is refused is not taken in part either; a line that was persisted before stays.
        failed = draft._replace(line=KEEP, fails=True, error=refused(key, one.target, error))
        if opens_for_writing(key, proc=proc) is not None and not is_denied(error):
            return failed._replace(status="absent", after=None, error="", fails=False)
        return failed._replace(status="clamped" if is_denied(error) else "invalid")
    if not same_value(key, draft.after, one.target):
        why = f"{key}: the kernel made {draft.after!r} of {one.target!r}."
        return draft._replace(status="clamped", error=why, fails=True)
    return draft
