# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one ticket knows: the problems of one application over all hosts, in memory that does not grow with them."""

from __future__ import annotations

import datetime
from collections import Counter
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.finding import SEVERITIES
from ansible_collections.lastack.linux.plugins.plugin_utils.fleet_trends import TrendMerge
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import data, endpoint, rows
from ansible_collections.lastack.linux.plugins.plugin_utils.worst import Worst

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.lastack.linux.plugins.plugin_utils.ticket_problems import AppKey, Problem

__all__ = ["HOSTS_SHOWN", "AppEvidence", "Section", "Tally"]

HOSTS_SHOWN = 20
"""Hosts that a ticket names, worst first; the others are counted."""

_INHERITED = "close_wait.inherited"
_NEARLY_ALL = 0.9
_YOUNG_S = 60.0
_DISTINCT = 50
_LONGEST = 256
_FACTS = ("user", "unit", "exe", "container", "runtime", "role")


class Tally:
    """Counts texts; beyond a number of different ones only says that there were more."""

    def __init__(self) -> None:
        """Start with nothing counted."""
        self._counts: Counter[str] = Counter()
        self.more = False
        """Whether texts came that are not among those counted."""

    def add(self, text: object, count: object = 1) -> None:
        """Count a text; anything else, as an unchecked part of a report may hold it, is passed over."""
        if not isinstance(text, str) or not text or not isinstance(count, int) or count < 1:
            return
        text = text[:_LONGEST]
        if text in self._counts or len(self._counts) < _DISTINCT:
            self._counts[text] += count
        else:
            self.more = True

    def ranked(self) -> list[tuple[str, int]]:
        """Return texts and counts, most frequent first."""
        return sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))


class Section:
    """One finding about one application, over all hosts."""

    def __init__(self, finding: str) -> None:
        """Start with no host seen."""
        self.finding = finding
        self.severity = SEVERITIES[-1]
        self.count = 0
        self.hosts = 0
        self.causes: Counter[str] = Counter()
        self.unread_bytes = 0
        self.peers = Tally()
        self.local_ports = Tally()
        self._last_host: str | None = None
        self._accepted = 0

    @property
    def served(self) -> bool:
        """Whether most of these sockets were accepted by the program: then it has no pool that could forget them."""
        return 2 * self._accepted > self.count

    def add(self, host: str, problem: Problem) -> None:
        """Take one problem of this finding."""
        self._accepted += problem.number if problem.program.get("role") == "server" else 0
        self.severity = min(self.severity, problem.severity, key=SEVERITIES.index)
        self.count += problem.number
        self.causes.update(problem.causes)
        # The hosts come one after the other; one host may have it in several namespaces.
        self.hosts += host != self._last_host
        self._last_host = host
        unread = problem.part.get("unread_bytes")
        self.unread_bytes += unread if isinstance(unread, int) else 0
        _tally_ends(self, problem.part)


class AppEvidence:
    """Everything that the ticket of one application says."""

    def __init__(self, key: AppKey) -> None:
        """Start with no host seen."""
        self.key = key
        self.hosts = 0
        self.sockets = 0
        self.undecided = 0
        self.dead = 0
        self.unread_bytes = 0
        self.oldest: dict[str, float | None] | None = None
        self.first_seen: datetime.datetime | None = None
        self.peers = Tally()
        self.local_ports = Tally()
        self.facts = {name: Tally() for name in _FACTS}
        self.shared_with = Tally()
        self.libraries: dict[tuple[str, str, str, str], int] = {}
        self.programs = Tally()
        self.log_files = Tally()
        self.descriptors: tuple[float, str, Mapping[str, Any]] | None = None
        self.trend = TrendMerge()
        self.worst = Worst(HOSTS_SHOWN)
        self.incomplete = Worst(HOSTS_SHOWN)
        self.cut_hosts = 0
        """Hosts whose list of offenders was cut: further sockets of this application may be among what was cut."""
        self._sections: dict[str, Section] = {}

    @property
    def app(self) -> str:
        """The application's name."""
        return self.key[0]

    def add(self, host: str, report: Mapping[str, Any], problems: Sequence[Problem]) -> None:
        """Take the problems of this application on one host; each host comes once."""
        self.hosts += 1
        offenders: dict[int, Mapping[str, Any]] = {}
        dead = 0
        for problem in problems:
            self._sections.setdefault(problem.finding, Section(problem.finding)).add(host, problem)
            if problem.finding.startswith("close_wait."):
                offenders[id(problem.program)] = problem.program
            elif problem.finding == "fd.dead_sockets":
                dead += problem.number
                self._describe(host, problem.program)
            else:
                _tally_ends(self, problem.part)
        for offender in offenders.values():
            self.undecided += offender.get("undecided") or 0
            self.unread_bytes += offender["unread_bytes"]
            self.oldest = older(self.oldest, offender["age_s"])
            _tally_ends(self, offender)
            self._describe(host, offender)
            self._remember(report, offender)
        sockets = sum(offender["count"] for offender in offenders.values())
        self.sockets += sockets
        self.dead += dead
        self.trend.add(host, list(offenders.values()))
        severity = min(SEVERITIES.index(problem.severity) for problem in problems)
        row = _row(host, report, problems, sockets, dead)
        self.worst.add((-severity, sockets + dead, max(problem.number for problem in problems)), host, row)
        self._look(host, report)

    @property
    def held_twice(self) -> bool:
        """Whether another program holds nearly all of these sockets, too: then nothing mends before that is."""
        shared = self._sections.get(_INHERITED)
        return shared is not None and shared.count > 0 and shared.count >= _NEARLY_ALL * self.sockets

    @property
    def young(self) -> bool:
        """Whether even the oldest is too young to tell a leak from connections that are about to be closed."""
        most = (self.oldest or {}).get("at_most")
        return most is not None and most < _YOUNG_S

    def sections(self) -> list[Section]:
        """Return the findings, worst first; what other programs inherited after what leaks by itself.

        Where another program holds nearly all of the same sockets, that is the first: no other change acts before it.
        """
        first = self.held_twice
        return sorted(
            self._sections.values(),
            key=lambda one: (
                not (first and one.finding == _INHERITED),
                SEVERITIES.index(one.severity),
                one.finding == _INHERITED,
                -one.count,
                one.finding,
            ),
        )

    @property
    def severity(self) -> str:
        """The worst severity of its findings."""
        return min((one.severity for one in self._sections.values()), key=SEVERITIES.index)

    def ranked_libraries(self) -> list[tuple[tuple[str, str, str, str], int]]:
        """Return (name, version, how it was seen, page) and on how many hosts; those with a page first."""
        return sorted(self.libraries.items(), key=lambda item: (not item[0][3], -item[1], item[0]))

    def _describe(self, host: str, program: Mapping[str, Any]) -> None:
        for name, tally in self.facts.items():
            tally.add(program.get(name))
        for other in rows(program, "shared_with"):
            self.shared_with.add(other.get("app"))
        use = data(program, "descriptors")
        percent = use.get("used_percent")
        if percent is not None and (self.descriptors is None or (-percent, host) < self.descriptors[:2]):
            self.descriptors = -percent, host, use
        hints = data(program, "hints")
        self.programs.add(hints.get("program"))
        names = hints.get("log_files")
        for name in names if isinstance(names, list) else ():
            self.log_files.add(name)
        for library in rows(hints, "libraries"):
            # The page of a client library is no remedy for what a server leaks: the host's advice knows.
            page = library.get("page") if library.get("page") in program.get("advice", ()) else ""
            words = [library.get("name"), library.get("version") or "", library.get("seen") or "", page]
            if words[0] and all(isinstance(word, str) for word in words):
                name, version, seen, page = (str(word)[:_LONGEST] for word in words)
                key = name, version, seen, page
                if key in self.libraries or len(self.libraries) < _DISTINCT:
                    self.libraries[key] = self.libraries.get(key, 0) + 1

    def _remember(self, report: Mapping[str, Any], offender: Mapping[str, Any]) -> None:
        watched = _moment(data(offender, "trend").get("first_seen"))
        looked, age = _moment(report["collected_at"]), data(offender, "age_s").get("at_least")
        held = None
        if looked is not None and age is not None:
            try:
                held = looked - datetime.timedelta(seconds=age)
            except OverflowError:
                held = None
        known = [moment for moment in (self.first_seen, watched, held) if moment is not None]
        self.first_seen = min(known, default=None)

    def _look(self, host: str, report: Mapping[str, Any]) -> None:
        self.cut_hosts += bool(data(report, "close_wait").get("truncated"))
        seen = report["completeness"]
        if not seen["complete"]:
            missed = sum(warning["count"] for warning in seen["warnings"])
            self.incomplete.add((missed,), host, {"host": host, "warnings": seen["warnings"][:3]})


def older(
    one: Mapping[str, float | None] | None, other: Mapping[str, float | None] | None
) -> dict[str, float | None] | None:
    """Return the bracket of the older of two ages; an unknown upper end stays unknown."""
    known = [age for age in (one, other) if age and age.get("at_least") is not None]
    if not known:
        return None
    most = [age.get("at_most") for age in known]
    return {
        "at_least": max(age["at_least"] or 0.0 for age in known),
        "at_most": None if None in most else max(bound or 0.0 for bound in most),
    }


def _row(host: str, report: Mapping[str, Any], problems: Sequence[Problem], sockets: int, dead: int) -> dict[str, Any]:
    """What the ticket says of one host; all that is needed to write the commands for it."""
    worst = problems[0]
    program = worst.program
    use = data(program, "descriptors")
    pids = program.get("pids") or []
    pid = use.get("worst_pid")
    pid = pid if pid is not None else next(iter(pids), None)
    inner = program.get("container_pids") or []
    ages = None
    for problem in problems:
        ages = older(ages, data(problem.program, "age_s"))
    return {
        "host": host,
        "collected_at": report["collected_at"],
        "min_age_s": data(report, "options").get("min_age_s"),
        "sockets": sockets,
        "dead": dead,
        "problems": [(problem.finding, problem.number, problem.part.get("local_ports")) for problem in problems][:5],
        "age_s": ages,
        "pid": pid,
        "container_pid": inner[pids.index(pid)] if len(inner) == len(pids) and pid in pids else None,
        "processes": len(pids) + (program.get("pids_truncated") or 0),
        "container": program.get("container"),
        "unit": program.get("unit"),
        "namespace": program.get("namespace"),
        "peers": [dict(peer) for peer in rows(program, "peers")][:3],
        "local_ports": [dict(port) for port in rows(program, "local_ports")][:3],
        "descriptors": {key: use.get(key) for key in ("open", "soft_limit", "used_percent")},
        "growth_per_min": data(program, "trend").get("growth_per_min"),
        "shared_with": [
            (other.get("app"), other.get("pid"))
            for problem in problems
            for other in rows(problem.program, "shared_with")
        ][:3],
    }


def _tally_ends(where: Section | AppEvidence, part: Mapping[str, Any]) -> None:
    for peer in rows(part, "peers"):
        where.peers.add(_peer(peer), peer.get("count"))
    for place in rows(part, "local_ports"):
        where.local_ports.add(_port(place.get("port")), place.get("count"))


def _peer(peer: Mapping[str, Any]) -> str | None:
    address, port = peer.get("address"), peer.get("port")
    return endpoint(address, port) if isinstance(address, str) and (port is None or isinstance(port, int)) else None


def _port(port: object) -> str | None:
    return f":{port}" if isinstance(port, int) else None


def _moment(text: object) -> datetime.datetime | None:
    """The time of an RFC 3339 text in UTC; ``None`` if it is none."""
    try:
        moment = datetime.datetime.fromisoformat(str(text))
        return moment.astimezone(datetime.UTC) if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
    except (ValueError, OverflowError):
        return None
