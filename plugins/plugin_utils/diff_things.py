# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a diff compares between two reports of a host: leaks and dead sockets by application, and findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.diff_sight import (
    missed_dead_sockets,
    missed_finding,
    missed_offender,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import page_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["DEAD_SOCKETS", "FINDINGS", "LEAKS", "Item", "Key", "Thing"]

Key = tuple[str, ...]

_SEVERITIES = {"critical": 2, "warning": 1, "info": 0}

# What a look did not see is told with the hosts.
_OF_THE_LOOK = "view."


class Item(NamedTuple):
    """One thing on one host."""

    number: int
    """Sockets; 1 for a finding."""
    weight: tuple[int, ...]
    """The host whose item weighs most has the word on it."""
    words: Mapping[str, Any]


class Thing(NamedTuple):
    """One list of ``lastack.diff/1``."""

    name: str
    keys: tuple[str, ...]
    items: Callable[[Mapping[str, Any]], dict[Key, Item]]
    """What a host report has of it."""
    missed: Callable[[Mapping[str, Any], Mapping[str, Any], Key, int], str]
    """Why a look may have missed what another look at the same host saw; see ``diff_sight``."""

    def named(self, key: Key) -> dict[str, str]:
        """Return the key as the entry of the report has it."""
        return dict(zip(self.keys, key, strict=True))


def _leaks(report: Mapping[str, Any]) -> dict[Key, Item]:
    items: dict[Key, Item] = {}
    for offender in report.get("close_wait", {}).get("offenders", ()):
        count = offender["count"]
        if not count:
            continue
        key = (offender["app"],)
        known = items.get(key)
        if known is None:
            items[key] = Item(count, (count,), {"finding": page_of(offender["causes"])})
        else:
            # One application in several namespaces: the largest of its entries speaks for it.
            items[key] = known._replace(number=known.number + count)
    return items


def _dead_sockets(report: Mapping[str, Any]) -> dict[Key, Item]:
    items: dict[Key, Item] = {}
    for offender in report.get("dead_sockets", {}).get("offenders", ()):
        key, count = (offender["app"],), offender["count"]
        if count:
            items[key] = Item(
                count + (items[key].number if key in items else 0), (count,), {"finding": "fd.dead_sockets"}
            )
    return items


def _findings(report: Mapping[str, Any]) -> dict[Key, Item]:
    return {
        (finding["id"], finding["subject"]): Item(
            1,
            (_SEVERITIES[finding["severity"]],),
            {name: finding[name] for name in ("severity", "remedy", "summary", "next_step")},
        )
        for finding in report["findings"]
        if not finding["id"].startswith(_OF_THE_LOOK)
    }


LEAKS = Thing("apps", ("app",), _leaks, lambda look, other, __, count: missed_offender(look, other, count))
DEAD_SOCKETS = Thing("dead_sockets", ("app",), _dead_sockets, lambda look, other, *__: missed_dead_sockets(look, other))
FINDINGS = Thing(
    "findings", ("id", "subject"), _findings, lambda look, other, key, __: missed_finding(look, other, key[0])
)
