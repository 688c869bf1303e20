# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A comparison of two runs in words: what the terminal and the Markdown summary of ``lastack.diff/1`` both say."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import (
    age,
    count,
    data,
    joined,
    moment,
    plural,
    rows,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "URGENT",
    "app_notes",
    "change_word",
    "changes_left_out",
    "finding_words",
    "host_groups",
    "open_hosts",
    "other_findings",
    "run_facts",
    "setting_words",
    "swapped",
    "tally",
]

_WORDS = {
    "new": "new",
    "first_seen": "not known before",
    "grown": "grown",
    "unclear": "not known",
    "unseen": "gone where seen",
    "steady": "the same",
    "shrunk": "shrunk",
    "gone": "gone",
}

URGENT = ("new", "first_seen", "grown", "unclear")
"""Changes that ask for a remedy."""

_NAMES = 3

# What the lists of applications say already.
_TOLD = ("close_wait.", "fd.dead_sockets")


def run_facts(diff: Mapping[str, Any]) -> list[str]:
    """What was compared, in pieces: the two moments, how far apart, and the hosts that make a difference."""
    old, new, hosts = data(diff, "old"), data(diff, "new"), data(diff, "hosts")
    apart = diff.get("apart_s")
    span = f" ({_span(abs(apart))})" if isinstance(apart, (int, float)) else ""
    facts = [f"{moment(old.get('started_at'))} → {moment(new.get('started_at'))}{span}"]
    facts.append(f"{plural(int(hosts.get('compared') or 0), 'host')} seen both times")
    for key, words in (
        ("not_reached", "not reached now"),
        ("left", "not part of the new run"),
        ("joined", "not part of the old run"),
        ("reached_again", "reached again"),
        ("narrower", "seen only in part now"),
    ):
        if number := data(hosts, key).get("count"):
            facts.append(f"{count(number)} {words}")
    facts += [f"the {which} run is not finished" for which in ("old", "new") if not data(diff, which).get("finished")]
    return facts


def swapped(diff: Mapping[str, Any]) -> str:
    """A sentence if the runs are the wrong way round or clocks are wrong; else nothing."""
    apart = diff.get("apart_s")
    if isinstance(apart, (int, float)) and apart < 0:
        return f"OLD is {_span(-apart)} younger than NEW: the two runs are probably the wrong way round."
    group = data(data(diff, "hosts"), "not_newer")
    if number := group.get("count"):
        names = joined([str(row.get("host")) for row in rows(group, "hosts")], _NAMES, number)
        return (
            f"On {plural(number, 'host')} ({names}) the report of NEW is not later than that of OLD: the same look"
            " twice, or a clock that was set back."
        )
    return ""


def change_word(entry: Mapping[str, Any]) -> str:
    """The change of an application or a finding in one to three words."""
    change = str(entry.get("change"))
    if change == "unseen" and not data(entry, "hosts").get("healed"):
        change = "unclear"
    return _WORDS.get(change, change)


def tally(entries: Sequence[Mapping[str, Any]]) -> str:
    """How many applications changed in which way: "1 new, 2 grown, 1 gone"."""
    counts = Counter(change_word(entry) for entry in entries)
    return ", ".join(f"{count(counts[word])} {word}" for word in _WORDS.values() if word in counts)


def open_hosts(entry: Mapping[str, Any]) -> int:
    """On how many hosts that had it nothing is known now: not reached, left the inventory, seen in part."""
    hosts = data(entry, "hosts")
    return sum(int(hosts.get(key) or 0) for key in ("not_reached", "left", "partly_seen"))


def app_notes(entry: Mapping[str, Any], quote: Callable[[object], str] = str) -> list[str]:
    """What has to be said beside an application's figures, one sentence each; ``quote`` shows a host's name."""
    hosts, total = data(entry, "hosts"), int(data(entry, "old").get("hosts") or 0)
    notes = []

    def named(group: str, *, with_figures: bool = False) -> str:
        shown = [
            quote(row.get("host")) + (f" ({_figures(row)})" if with_figures else "")
            for row in rows(data(entry, "named"), group)
        ]
        return joined(shown, _NAMES, int(hosts.get(group) or len(shown)))

    def say(group: str, sentence: str) -> None:
        number = int(hosts.get(group) or 0)
        if number:
            sockets = plural(int(data(entry, "sockets").get(group) or 0), "socket")
            one = number == 1
            verbs = {"were": "was" if one else "were", "are": "is" if one else "are", "them": "it" if one else "them"}
            figures = {"hosts": plural(number, "host"), "n": count(number), "total": count(total), "s": sockets}
            shown = sentence.format(**figures, **verbs)
            notes.append(f"{shown}: {named(group)}")

    if hosts.get("appeared"):
        notes.append(f"new on {named('appeared', with_figures=True)}")
    if entry.get("change") == "grown" and hosts.get("grew"):
        notes.append(f"grew most on {named('grew', with_figures=True)}")
    say("not_reached", "{n} of its {total} hosts {were} not reached, so nothing is known of {them}")
    say("left", "{n} of its {total} hosts {are} not part of the new run, so nothing is known of {them}")
    if hosts.get("partly_seen"):
        why = quote((entry.get("reasons") or [""])[0])
        say("partly_seen", "{n} of its {total} hosts {were} not seen as well as before, so nothing is known of {them}")
        notes[-1] += f" ({why})"
    say("joined", "no growth: {s} on {hosts} that {are} not part of the old run")
    say("not_seen_before", "{s} on {hosts} that {were} not reached before, so not known to be new")
    say("unknown_before", "{s} on {hosts} that {were} not seen as well before, so not known to be new")
    if hosts.get("rebooted"):
        healed = plural(int(hosts.get("healed") or 0), "healed host")
        notes.append(
            f"{count(hosts['rebooted'])} of {healed} restarted in between: unless the program changed, it comes back"
        )
    if entry.get("change") == "gone":
        notes.append(f"{_every(total)} that had it was looked at again")
    return notes


def _every(total: int) -> str:
    return "the one host" if total == 1 else f"every one of the {count(total)} hosts"


def _figures(row: Mapping[str, Any]) -> str:
    old, new = row.get("old"), row.get("new")
    return f"{count(old)} → {count(new)}" if old is not None and new is not None else count(new if old is None else old)


def other_findings(diff: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The findings that changed and ask or asked for a decision, worst first.

    Without what the lists of applications tell, and without those whose hosts nobody looked at again.
    """
    return [
        finding
        for finding in rows(diff, "findings")
        if finding.get("change") != "steady"
        and finding.get("severity") != "info"
        and not str(finding.get("id")).startswith(_TOLD)
        and (finding.get("change") == "first_seen" or any(data(finding, "common").values()))
    ]


def finding_words(finding: Mapping[str, Any], quote: Callable[[object], str] = str) -> str:
    """One finding that changed, in one line: what, where, on how many hosts before and now."""
    common, away = data(finding, "common"), open_hosts(finding)
    hosts, named = data(finding, "hosts"), data(finding, "named")
    old, new = (int(common.get(key) or 0) for key in ("old_hosts", "new_hosts"))
    parts = [f"{count(old)} → {plural(new, 'host')}" if old else plural(new, "host")] if old or new else []
    groups = {
        "appeared": "",
        "joined": "not part of the old run",
        "not_seen_before": "not reached before",
        "unknown_before": "not seen as well before",
    }
    parts += [f"{plural(int(hosts[key]), 'host')} {words}" for key, words in groups.items() if words and hosts.get(key)]
    if away:
        parts.append(f"not known of {plural(away, 'more host')}")
    names = [quote(row.get("host")) for key in groups for row in rows(named, key)]
    where = joined(names, _NAMES, sum(int(hosts.get(key) or 0) for key in groups))
    lead = ", new on " if old else ": "
    tail = f"{lead}{where}" if names else ""
    return f"{quote(finding.get('id'))} {quote(finding.get('subject'))} on {', '.join(parts)}{tail}"


def changes_left_out(diff: Mapping[str, Any]) -> int:
    """How many findings that changed the comparison may not list: none while it lists one that did not change."""
    if any(finding.get("change") == "steady" for finding in rows(diff, "findings")):
        return 0
    return int(diff.get("findings_truncated") or 0)


def setting_words(setting: Mapping[str, Any], quote: Callable[[object], str] = str) -> str:
    """One sysctl or limit that changed: from what to what, on how many hosts, and the file that says so."""
    is_limit = setting.get("scope") == "limit"
    shown = _limit if is_limit else str
    old, new = (quote("unset" if setting.get(key) is None else shown(setting[key])) for key in ("from", "to"))
    number = int(setting.get("hosts") or 0)
    where = plural(number, "host") if number > 1 else quote(setting.get("host"))
    when = "in the files, for the next boot: " if setting.get("scope") == "boot" else ""
    what = "open files of " if is_limit else ""
    winner = f" ({quote(setting['winner'])})" if setting.get("winner") else ""
    return f"{what}{quote(setting.get('key'))} {when}{old} → {new} on {where}{winner}"


def _limit(pair: object) -> str:
    sides = ("unlimited" if side == "-1" else count(int(side)) for side in str(pair).split(":"))
    return ":".join(sides)


def host_groups(diff: Mapping[str, Any], quote: Callable[[object], str] = str) -> list[str]:
    """The hosts of which no change is known, in lines: who, why, and in brackets what leaked there before."""
    hosts, lines = data(diff, "hosts"), []
    group = data(hosts, "not_reached")
    reasons: dict[str, list[str]] = {}
    for row in rows(group, "hosts"):
        held = f" ({count(row['sockets'])} leaked)" if row.get("sockets") else ""
        reasons.setdefault(f"{row.get('outcome')}: {row.get('reason')}", []).append(quote(row.get("host")) + held)
    lines += [f"{joined(names, 2 * _NAMES)} {quote(why)}" for why, names in reasons.items()]
    more = int(group.get("count") or 0) - len(rows(group, "hosts"))
    if more > 0:
        lines.append(f"{plural(more, 'more host')} not reached")
    for key, words in (("left", "not part of the new run"), ("narrower", "seen only in part now")):
        group = data(hosts, key)
        if group.get("count"):
            names = [quote(row.get("host")) for row in rows(group, "hosts")]
            lines.append(f"{joined(names, 2 * _NAMES, group['count'])}: {words}")
    return lines


def _span(seconds: float) -> str:
    return age({"at_least": seconds, "at_most": seconds})
