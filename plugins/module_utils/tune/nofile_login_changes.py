# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptor limits of logins, applied: one file in limits.d, and which line decides then."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.module_utils.tune.guarded_files import RefusedPath
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_logins import (
    DROPIN,
    Domain,
    LimitLine,
    Winners,
    dropin_text,
    pam_reads_limits,
    parse_limits_file,
    read_domain,
    read_limit_lines,
    why_no_domain,
    why_nobody,
    winners,
    with_ours,
)
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_results import (
    Host,
    SubjectResult,
    capped,
    change_file,
    failure,
    falls_short,
    unchanged,
)
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_wishes import Limits, Settled, Wish, settle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.lastack.linux.plugins.module_utils.tune.results import FileChange

__all__ = ["apply_logins", "remove_logins"]


def apply_logins(wishes: Sequence[Wish], host: Host) -> tuple[list[SubjectResult], FileChange | None, list[str]]:
    """Put the wishes into our file of limits.d, beside what it says of other logins; warnings are the third answer.

    Raises ``LedgerError``.
    """
    if not wishes:
        return [], None, []
    if not os.path.isdir(os.path.join(host.root, "etc/security")):  # noqa: PTH112,PTH118 - never raises
        why = "This host has no /etc/security; pam_limits is not used here."
        return [unchanged(wish, "absent", why) for wish in wishes], None, []
    lines, missed = read_limit_lines(root=host.root)
    is_debian = os.path.exists(os.path.join(host.root, "etc/debian_version"))  # noqa: PTH110,PTH118 - never raises
    wanted = _ours(lines)
    settled: dict[str, tuple[Domain, Winners, Settled]] = {}
    refused: dict[str, str] = {}
    for wish in wishes:
        refused[wish.name] = wish.refusal or why_no_domain(wish.name)
        if refused[wish.name]:
            continue
        domain = read_domain(wish.name, root=host.root)
        before = winners(lines, domain, is_debian=is_debian)
        without_us = winners(with_ours(lines, ()), domain, is_debian=is_debian).limits
        answer = settle(wish, without_us, nr_open=host.ceiling.value, usual_hard=0)
        # What nobody wishes for and nobody sets is left to the login's own, which also caps the soft limit.
        soft = None if wish.soft is None and without_us.soft is None else answer.limits.soft
        hard = None if wish.hard is None and without_us.hard is None else answer.limits.hard
        settled[wish.name] = (domain, before, answer._replace(limits=Limits(soft, hard)))
        wanted.pop(wish.name, None)
        needed = _needed(lines, domain, without_us, Limits(soft, hard), is_debian=is_debian)
        if needed != Limits(None, None):
            wanted[wish.name] = needed
    text = dropin_text(wanted)
    try:
        change = change_file(host, DROPIN, text)
    except (RefusedPath, OSError) as error:
        why = failure(DROPIN, error)
        return (
            [
                unchanged(wish, "refused" if refused[wish.name] else "failed", refused[wish.name] or why)
                for wish in wishes
            ],
            None,
            [],
        )
    after = with_ours(lines, parse_limits_file(text or b"", DROPIN))
    results = []
    for wish in wishes:
        if refused[wish.name]:
            results.append(unchanged(wish, "refused", refused[wish.name]))
        else:
            domain, before, answer = settled[wish.name]
            results.append(_judge(wish, before, winners(after, domain, is_debian=is_debian), answer, host))
    return results, change, _warnings(wishes, results, missed, host, is_debian=is_debian)


def remove_logins(names: Sequence[str] | None, host: Host) -> tuple[list[SubjectResult], FileChange | None]:
    """Take these logins, or all with ``None``, out of our file; raises as ``change_file`` does."""
    lines, __ = read_limit_lines(root=host.root)
    ours = _ours(lines)
    gone = list(ours) if names is None else list(names)
    kept = {domain: limits for domain, limits in ours.items() if domain not in gone}
    change = change_file(host, DROPIN, dropin_text(kept)) if len(kept) < len(ours) or not kept else None
    nothing = Limits(None, None)
    results = [
        SubjectResult(name, "changed" if name in ours else "ok", before=ours.get(name, nothing), path=DROPIN)
        for name in gone
    ]
    return results, change


def _ours(lines: Sequence[LimitLine]) -> dict[str, Limits]:
    found: dict[str, Limits] = {}
    for line in lines:
        if line.file == DROPIN and not why_no_domain(line.domain):
            before = found.get(line.domain, Limits(None, None))
            soft = before.soft if line.soft is None else line.soft
            found[line.domain] = Limits(soft, before.hard if line.hard is None else line.hard)
    return found


def _needed(
    lines: Sequence[LimitLine], domain: Domain, without_us: Limits, limits: Limits, *, is_debian: bool
) -> Limits:
    """Return what our lines must say, so that no more is pinned than needed.

    A soft limit of ours may take the hard one of a group's line away with it, and then must say both.
    """
    soft = None if limits.soft == without_us.soft else limits.soft
    hard = None if limits.hard == without_us.hard else limits.hard
    text = dropin_text({domain.name: Limits(soft, hard)}) or b""
    after = winners(with_ours(lines, parse_limits_file(text, DROPIN)), domain, is_debian=is_debian).limits
    return Limits(
        limits.soft if soft is None and after.soft != limits.soft else soft,
        limits.hard if hard is None and after.hard != limits.hard else hard,
    )


def _judge(wish: Wish, before: Winners, after: Winners, settled: Settled, host: Host) -> SubjectResult:
    deciding = after.soft or after.hard
    result = unchanged(wish, "ok", "")._replace(
        before=before.limits, after=after.limits, path=deciding.place if deciding else ""
    )
    if after.exempt is not None:
        place = after.exempt.place
        reason = f"{place} takes all limits of these files from {wish.name}."
        return result._replace(status="shadowed", path=place, shadowed_by=place, reason=reason)
    if falls_short(after.limits, settled, wish, host.ceiling):
        lines = {line.place: line for line in (after.soft, after.hard) if line is not None and line.file != DROPIN}
        places = " and ".join(lines)
        reason = f"{places} wins over our lines for {wish.name} and sets {after.limits.soft}:{after.limits.hard}."
        return result._replace(status="shadowed", shadowed_by=places, reason=reason)
    if settled.capped:
        return capped(result, host.ceiling)
    if before.limits != after.limits:
        return result._replace(status="changed")
    return result._replace(status="kept") if settled.stronger else result


def _warnings(
    wishes: Sequence[Wish], results: Sequence[SubjectResult], missed: Sequence[str], host: Host, *, is_debian: bool
) -> list[str]:
    told = [why_nobody(one.name, root=host.root) for one in results if one.status != "refused"]
    if is_debian and any(wish.name[0] in "*@" for wish in wishes) and not any(wish.name == "root" for wish in wishes):
        told.append("Groups and * do not cover root on this host; name root for a limit of its logins.")
    if not pam_reads_limits(root=host.root):
        told.append("Nothing in /etc/pam.d uses pam_limits, so no login gets these limits.")
    told += [f"{path} could not be read; a line in it may decide otherwise." for path in missed]
    return [text for text in told if text]
