# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of one thing that hosts had in an old run: gone, still there, more of it, or not looked at again.

Only a host that was looked at both times, and as well the second time, says anything about a change. Everything else
is counted beside it, so that a host that was not reached never looks like one that was healed.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.worst import Worst

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CHANGES", "Change", "Changes"]

CHANGES = ("new", "first_seen", "grown", "unclear", "unseen", "steady", "shrunk", "gone")
"""What ``change`` may say, worst first.

``new``: on hosts where it was not before. ``first_seen``: only on hosts that the old run did not see. ``grown``,
``shrunk`` and ``steady``: on the hosts seen both times. ``unseen``: nowhere any more, but not every host that had it
was looked at again. ``gone``: every host that had it was looked at again, and has it no more. ``unclear``: no host
that had it was seen well enough both times.
"""

# By what is known of a host that has or had the thing; "left" and "joined" are about the inventory.
_GROUPS = (
    "healed",
    "appeared",
    "not_reached",
    "left",
    "partly_seen",
    "unknown_before",
    "not_seen_before",
    "joined",
)

_NAMED = 5

# A forged report can name any number of applications: beyond this many, new names are only counted.
_TRACKED = 20_000

# Idle pools breathe: less than this is no growth.
_LEAST = 5
_LEAST_PERCENT = 10


class Change:
    """One application (or finding) in both runs: on which hosts, how many sockets (for a finding: 1 a host)."""

    __slots__ = ("_counts", "_hosts", "_reasons", "_weight", "_words")

    def __init__(self) -> None:
        """Start with no host."""
        self._counts: Counter[str] = Counter()
        self._hosts: dict[str, Worst] = {}
        self._reasons: Counter[str] = Counter()
        self._weight: tuple[int, ...] = ()
        self._words: Mapping[str, Any] = {}

    def describe(self, weight: tuple[int, ...], words: Mapping[str, Any]) -> None:
        """Take the words of one host on it; those of the greatest ``weight`` stay, of equal ones the first."""
        if weight > self._weight:
            self._weight, self._words = weight, words

    def _name(self, group: str, host: str, score: int, **entry: Any) -> None:  # noqa: ANN401 - figures of a host
        self._counts.update({group: 1, f"{group}_sockets": score})
        self._hosts.setdefault(group, Worst(_NAMED)).add((score,), host, {"host": host, **entry})

    def _total(self, old: int, new: int) -> None:
        self._counts.update(
            {"old_hosts": int(old > 0), "old_sockets": old, "new_hosts": int(new > 0), "new_sockets": new}
        )

    def compared(self, host: str, old: int, new: int, doubt: str, *, rebooted: bool) -> None:
        """Take a host that has a report in both runs and had the thing in at least one of them.

        ``doubt`` says why one of the looks may have missed what the other saw; empty: both would have seen it.
        """
        self._total(old, new)
        if doubt:
            self._reasons[doubt] += 1
            group = "partly_seen" if old else "unknown_before"
            self._name(group, host, max(old, new), old=old, new=new, reason=doubt)
            return
        self._counts.update({"common_old": old, "common_new": new})
        if not new:
            self._name("healed", host, old, old=old)
            self._counts["rebooted"] += int(rebooted)
        elif not old:
            self._name("appeared", host, new, new=new)
        else:
            self._counts["still"] += 1
            if new > old:
                self._name("grew", host, new - old, old=old, new=new)

    def only_old(self, host: str, old: int, outcome: str | None, reason: str | None) -> None:
        """Take a host that had it and has no report in the new run; ``outcome`` is ``None``: it was not meant there."""
        self._total(old, 0)
        if outcome is None:
            self._name("left", host, old, old=old)
        else:
            self._name("not_reached", host, old, old=old, reason=f"{outcome}: {reason}" if reason else outcome)

    def only_new(self, host: str, new: int, *, meant_before: bool) -> None:
        """Take a host that has it now and had no report in the old run."""
        self._total(0, new)
        self._name("not_seen_before" if meant_before else "joined", host, new, new=new)

    def change(self) -> str:
        """Return one of ``CHANGES``."""
        counts = self._counts
        pairs = counts["still"] + counts["healed"] + counts["appeared"]
        if not counts["old_hosts"]:
            return "new" if counts["appeared"] else "first_seen"
        if not counts["new_hosts"]:
            return "gone" if counts["healed"] == counts["old_hosts"] else "unseen"
        if not pairs:
            return "unclear"
        rise = counts["common_new"] - counts["common_old"]
        if abs(rise) >= _LEAST and 100 * abs(rise) >= _LEAST_PERCENT * counts["common_old"]:
            return "grown" if rise > 0 else "shrunk"
        spread = counts["appeared"] - counts["healed"]
        return "grown" if spread > 0 else "shrunk" if spread < 0 else "steady"

    def result(self) -> dict[str, Any]:
        """Return the figures of ``lastack.diff/1`` for this thing."""
        counts = self._counts
        return {
            **self._words,
            "change": self.change(),
            "old": {"hosts": counts["old_hosts"], "sockets": counts["old_sockets"]},
            "new": {"hosts": counts["new_hosts"], "sockets": counts["new_sockets"]},
            "common": {
                "old_hosts": counts["still"] + counts["healed"],
                "new_hosts": counts["still"] + counts["appeared"],
                "old_sockets": counts["common_old"],
                "new_sockets": counts["common_new"],
            },
            "hosts": {key: counts[key] for key in ("still", "grew", "rebooted", *_GROUPS)},
            "sockets": {key: counts[f"{key}_sockets"] for key in _GROUPS},
            "named": {group: worst.ranked() for group, worst in sorted(self._hosts.items())},
            "reasons": [reason for reason, __ in sorted(self._reasons.items(), key=lambda item: (-item[1], item[0]))][
                :_NAMED
            ],
        }

    def rank(self) -> tuple[int, int, int]:
        """Return what sorts the worst first: the change, then sockets, then hosts."""
        sockets = max(self._counts["new_sockets"], self._counts["old_sockets"])
        return CHANGES.index(self.change()), -sockets, -max(self._counts["new_hosts"], self._counts["old_hosts"])


class Changes:
    """All applications, or all findings, by their key; a bounded number of them."""

    def __init__(self) -> None:
        """Start with none."""
        self._by_key: dict[Any, Change] = {}
        self._untracked = 0

    def of(self, key: Any) -> Change | None:  # noqa: ANN401 - any hashable key
        """Return the entry of ``key``; ``None`` where there are too many."""
        change = self._by_key.get(key)
        if change is None:
            if len(self._by_key) >= _TRACKED:
                self._untracked += 1
                return None
            change = self._by_key[key] = Change()
        return change

    def kinds(self) -> set[str]:
        """Return which of ``CHANGES`` there are, among all keys and not only the shown ones."""
        return {change.change() for change in self._by_key.values()}

    def ranked(self, shown: int) -> tuple[list[tuple[Any, Change]], int]:
        """Return the worst ``shown`` entries and how many were cut."""
        ranked = sorted(self._by_key.items(), key=lambda item: (item[1].rank(), item[0]))
        # What is as it was gives way first: what healed is asked for, and ranks lower.
        kept = sorted(ranked, key=lambda item: item[1].change() == "steady")[:shown]
        kept.sort(key=lambda item: (item[1].rank(), item[0]))
        return kept, len(ranked) - len(kept) + self._untracked
