# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The screens of roll-out and roll-back: what was stopped by which figures, which host is where, and what is next."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import clean, count, joined, plural
from ansible_collections.lastack.linux.plugins.plugin_utils.render.table import Screen, Span, display_width

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Fleet", "rollback_screen", "rollout_screen"]

_WIDTH = 100
_NAMES = 8
_CULPRITS = 8
_REASONS = 3
_KEYS = 8
_GROUPS = (
    ("passed", "done"),
    ("unjudged", "done, not judged"),
    ("restored", "rolled back"),
    ("already", "already there"),
    ("waiting", "untouched"),
    ("refused", "not touched, unfit"),
    ("unreachable", "unreachable"),
    ("missing", "no answer"),
)


class Fleet(NamedTuple):
    """What selected the hosts, for the command lines that a screen shows."""

    inventory: Sequence[str] = ()
    limit: str = ""
    pattern: str = ""
    """The hosts of the play, if not all."""


_ALL = Fleet()


def rollout_screen(document: Mapping[str, Any], *, fleet: Fleet = _ALL, folder: str = "") -> str:
    """Return the one screen of a roll-out that has ended, from its record."""
    screen = Screen(colour=False, width=_WIDTH)
    hosts: Mapping[str, Mapping[str, Any]] = document["hosts"]
    stopped = document["state"] == "stopped"
    if document["check"]:
        _predicted(screen, document)
    elif stopped:
        _stopped(screen, document)
    else:
        _finished(screen, hosts, document)
    _troubles(
        screen,
        hosts,
        [
            host
            for host in hosts
            if hosts[host]["status"] in ("unreachable", "refused", "missing")
            and host not in (_culprits(document) if stopped else ())
        ],
    )
    _groups(screen, hosts, skip=("waiting",) if document["check"] else ())
    _warnings(screen, hosts)
    _next(screen, document, fleet)
    if folder:
        screen.line(f"Record: {clean(folder)}")
    return screen.text()


def rollback_screen(
    statuses: Mapping[str, str], problems: Mapping[str, str], *, check: bool, fleet: Fleet = _ALL
) -> str:
    """Return the one screen of a roll-back.

    ``statuses`` are ``restored``, ``nothing`` (there was nothing to restore), ``conflict``, ``failed`` or
    ``unreachable``; ``problems`` say why.
    """
    screen = Screen(colour=False, width=_WIDTH)
    by_status = {
        word: [host for host, status in statuses.items() if status == word]
        for word in ("failed", "unreachable", "conflict", "restored", "nothing")
    }
    bad = [*by_status["failed"], *by_status["unreachable"], *by_status["conflict"]]
    back = len(statuses) - len(bad)
    if check:
        screen.line(
            f"check mode: nothing was changed; a run would roll back {plural(len(by_status['restored']), 'host')}"
        )
    else:
        total = "" if not bad else f" of {count(len(statuses))}"
        screen.line(
            f"{count(back)}{total} {'host' if back == 1 and not bad else 'hosts'} as before lastack, "
            "read back equal to the ledger"
        )
    words = {"failed": "NOT RESTORED", "unreachable": "UNREACHABLE", "conflict": "CONFLICT"}
    for host in bad[: 2 * _CULPRITS]:
        screen.paragraph(problems.get(host, ""), first=f"  {words[statuses[host]]}  {clean(host)}  ", rest="      ")
    _more(screen, len(bad) - 2 * _CULPRITS)
    names = {"restored": "would be rolled back" if check else "rolled back", "nothing": "nothing to roll back"}
    for status, title in names.items():
        _names(screen, title, by_status[status])
    lost = [*by_status["failed"], *by_status["unreachable"]]
    if lost:
        _told(screen, "Next: when that is mended", _rollback(fleet, lost))
    if by_status["conflict"]:
        _told(screen, "Next: to undo that, too", _rollback(fleet, by_status["conflict"], force=True))
    return screen.text()


def _culprits(document: Mapping[str, Any]) -> list[str]:
    """The hosts that stopped the batch, those first whose roll-back failed."""
    batch = document["batches"][-1] if document["batches"] else {"hosts": []}
    hosts = document["hosts"]
    found = [
        host
        for host in batch["hosts"]
        if hosts[host].get("culprit") or hosts[host]["status"] in ("refused", "failed", "inconclusive", "not_restored")
    ]
    return sorted(found, key=lambda host: hosts[host]["status"] != "not_restored")


def _stopped(screen: Screen, document: Mapping[str, Any]) -> None:
    hosts, batch = document["hosts"], document["batches"][-1]
    restoring = batch.get("restoring", [])
    back = [host for host in restoring if hosts[host]["status"] == "restored"]
    untouched = sum(entry["status"] == "waiting" for entry in hosts.values())
    what = "nothing of it was changed"
    if restoring:
        what = "batch rolled back" if len(back) == len(restoring) else "ROLL-BACK INCOMPLETE"
    screen.line(
        f"batch {batch['number']} of {len(document['sizes'])} ({plural(len(batch['hosts']), 'host')}): "
        f"STOPPED, {what}, {plural(untouched, 'host')} untouched"
    )
    culprits = _culprits(document)
    for host in culprits[:_CULPRITS]:
        entry = hosts[host]
        if entry["status"] == "not_restored":
            screen.paragraph(entry.get("problem", ""), first=f"  NOT RESTORED  {clean(host)}  ", rest="      ")
        reasons = entry["reasons"]
        for index, reason in enumerate(reasons[:_REASONS]):
            first = clean(host) if index == 0 else " " * len(clean(host))
            more = f" and {len(reasons) - _REASONS} more" if index == _REASONS - 1 and len(reasons) > _REASONS else ""
            screen.paragraph(reason + more, first=f"  {first}  ", rest="      ")
    _more(screen, len(culprits) - _CULPRITS)
    if restoring:
        screen.line(f"  rolled back {len(back)} of {len(restoring)} to the ledger, read back equal")


def _finished(screen: Screen, hosts: Mapping[str, Mapping[str, Any]], document: Mapping[str, Any]) -> None:
    good = sum(entry["status"] in ("passed", "unjudged", "already") for entry in hosts.values())
    changed = sum(entry["status"] in ("passed", "unjudged") for entry in hosts.values())
    of = f" of {count(len(hosts))}" if good < len(hosts) else ""
    batches = f" in {plural(len(document['batches']), 'batch', 'batches')}" if document["batches"] else ""
    verb = "has" if good == 1 and not of else "have"
    screen.line(
        f"{count(good)}{of} {'host' if good == 1 and not of else 'hosts'} {verb} the baseline; "
        f"{count(changed)} changed{batches}"
    )


def _predicted(screen: Screen, document: Mapping[str, Any]) -> None:
    hosts = document["hosts"]
    waiting = [host for host, entry in hosts.items() if entry["status"] == "waiting"]
    sizes = document.get("sizes", [])
    batches = f" in {plural(len(sizes), 'batch', 'batches')}" if sizes else ""
    share = f"{count(len(waiting))} of {plural(len(hosts), 'host')}"
    screen.line(f"check mode: nothing was changed; a run would change {share}{batches}")
    start = 0
    for number, size in enumerate(sizes[:_CULPRITS], start=1):
        names = joined(waiting[start : start + size], _NAMES)
        screen.paragraph(names, first=f"  batch {number:<3} {plural(size, 'host'):>11}  ", rest=" " * 24)
        start += size
    _more(screen, len(sizes) - _CULPRITS)
    if waiting:
        screen.line(f"  soak {document['soak_s']:,.0f} s a batch, at most {document['soak_limit_s']:,.0f} s")
    subjects = Counter(subject for host in waiting for subject in hosts[host].get("subjects", ()))
    for subject, number in subjects.most_common(_KEYS):
        screen.line(f"  changes {clean(subject)} on {plural(number, 'host')}")
    _more(screen, len(subjects) - _KEYS)


def _troubles(screen: Screen, hosts: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> None:
    for host in names[:_CULPRITS]:
        screen.paragraph(" ".join(hosts[host]["reasons"]), first=f"  {clean(host)}  ", rest="      ")
    _more(screen, len(names) - _CULPRITS)


def _groups(screen: Screen, hosts: Mapping[str, Mapping[str, Any]], skip: Sequence[str] = ()) -> None:
    for status, title in _GROUPS:
        if status not in skip:
            _names(screen, title, [host for host, entry in hosts.items() if entry["status"] == status])


def _names(screen: Screen, title: str, names: Sequence[str]) -> None:
    if names:
        screen.paragraph(joined(names, _NAMES), first=f"  {title:<20} {count(len(names)):>4}  ", rest=" " * 29)


def _warnings(screen: Screen, hosts: Mapping[str, Mapping[str, Any]]) -> None:
    told = [(host, text) for host, entry in hosts.items() for text in entry.get("warnings", ())]
    for host, text in told[:_REASONS]:
        screen.paragraph(f"{text}: no reason to stop", first=f"  note  {clean(host)}  ", rest="      ")
    _more(screen, len(told) - _REASONS)


def _more(screen: Screen, number: int) -> None:
    if number > 0:
        screen.line(f"  … and {count(number)} more")


def _next(screen: Screen, document: Mapping[str, Any], fleet: Fleet) -> None:
    hosts = document["hosts"]
    lost = [host for host, entry in hosts.items() if entry["status"] == "not_restored"]
    changed = any(entry["status"] in ("passed", "unjudged") for entry in hosts.values())
    if lost:
        _told(screen, "Next: restore them first", _rollback(fleet, lost))
    elif document["check"]:
        screen.line("Next: run it without --check")
        return
    elif document["state"] == "stopped":
        culprits = _culprits(document)
        named = joined(culprits, _REASONS) if culprits else "the batch"
        screen.paragraph(
            f"Next: look at {named}, then run the same command again: finished hosts are skipped", rest="      "
        )
        if any(str(reason).startswith(_QUIET) for host in culprits for reason in hosts[host].get("reasons", ())):
            said = "A host that stays quiet: more time (tcp_rollout_soak_limit_s), or go on without a judgement:"
            _told(screen, said, "-e tcp_rollout_inconclusive=go_on")
    elif any(entry["status"] in ("unreachable", "refused", "missing") for entry in hosts.values()):
        screen.line("Next: run the same command again for the rest: finished hosts are skipped")
    if changed:
        _told(screen, "To undo it all:", _rollback(fleet))


_QUIET = "Too little traffic"
"""How a doubt of the health gate begins."""


def _told(screen: Screen, text: str, command: str) -> None:
    """Say what to run: in one piece, however long it is, as it is meant to be copied."""
    if display_width(f"{text}  {command}") <= _WIDTH:
        screen.line(text, "  ", Span(command, "command"))
    else:
        screen.line(text)
        screen.line("  ", Span(command, "command"))


def _rollback(fleet: Fleet, hosts: Sequence[str] = (), *, force: bool = False) -> str:
    """Return the command that rolls these hosts back, or all of the fleet."""
    words = ["ansible-playbook", "lastack.linux.tcp_rollback"]
    for one in fleet.inventory:
        words += ["-i", one]
    limit = ",".join(hosts) if 0 < len(hosts) <= _NAMES else fleet.limit
    words += ["--limit", limit] if limit else []
    words += ["-e", f"tcp_rollback_hosts={fleet.pattern}"] if fleet.pattern else []
    words += ["-e", "tcp_rollback_force=true"] if force else []
    return clean(shlex.join(words))
