# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an application's processes have loaded, over all hosts: the ``hints`` of host reports, summed up and bounded."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["LibrariesMerge"]

_SHOWN = 5
_VERSIONS = 3

# A forged report can name any number of libraries: beyond these many, new ones are left out.
_TRACKED = 16
_VERSIONS_TRACKED = 8


class LibrariesMerge:
    """Counts the hosts on which each library showed."""

    __slots__ = ("_hosts", "_pages", "_versions")

    def __init__(self) -> None:
        """Start with none seen."""
        self._hosts: Counter[str] = Counter()
        self._pages: dict[str, str] = {}
        self._versions: dict[str, Counter[str]] = {}

    def add(self, offenders: Iterable[Mapping[str, Any]]) -> None:
        """Take the offenders of one application on one host; a report without ``hints`` says nothing."""
        seen: dict[str, set[str]] = {}
        for offender in offenders:
            for library in (offender.get("hints") or {}).get("libraries", ()):
                versions = seen.setdefault(library["name"], set())
                if library["version"] is not None:
                    versions.add(library["version"])
                page = library["page"]
                # The page of a client library is no remedy for what a server leaks: the host's advice knows.
                if page in offender["advice"] and len(self._pages) < _TRACKED:
                    self._pages[library["name"]] = min(page, self._pages.get(library["name"], page))
        for name, versions in sorted(seen.items()):
            if name not in self._hosts and len(self._hosts) >= _TRACKED:
                continue
            self._hosts[name] += 1
            known = self._versions.setdefault(name, Counter())
            known.update(version for version in versions if version in known or len(known) < _VERSIONS_TRACKED)

    def result(self) -> list[dict[str, Any]]:
        """Return ``libraries`` of an application in ``lastack.fleet/1``: on most hosts first."""
        ranked = sorted(self._hosts.items(), key=lambda item: (-item[1], self._pages.get(item[0], "~"), item[0]))
        return [
            {
                "name": name,
                "page": self._pages.get(name),
                "hosts": hosts,
                "versions": [
                    version
                    for version, __ in sorted(self._versions[name].items(), key=lambda item: (-item[1], item[0]))
                ][:_VERSIONS],
            }
            for name, hosts in ranked[:_SHOWN]
        ]
