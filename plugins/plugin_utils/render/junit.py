# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run as JUnit XML, for a CI server: a test suite for each host, a test case for each of its findings.

JUnit's reports have no standard; this is the dialect that Jenkins' xunit plugin describes (junit-10.xsd) and that
GitLab, Azure Pipelines and GitHub's reporters read. A suite stands whole in memory, the file never does.
"""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import clean, plural
from ansible_collections.lastack.linux.plugins.plugin_utils.render.unseen import gravest_first

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ansible_collections.lastack.linux.plugins.plugin_utils.stored_reports import StoredHost

__all__ = ["JUnitSink"]

_DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_ROOM = 120
"""Bytes for the first tag, whose figures are known last: blanks before its end mean nothing (XML 1.0, 3.1)."""
_REASONS = 5
_LONGEST_DURATION_S = 999_999.0
_SECONDS = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}")
_MARKUP = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})
_TOLD = {"failure": "failures", "error": "errors", "skipped": "skipped"}
_VIEW = "view.incomplete"


class _Case(NamedTuple):
    """One test case: its name, the element that says how it ended, and what is told."""

    name: str
    element: str
    """``failure``, ``error``, ``skipped``, or ``system-out`` for one that passed; empty for one with nothing to say."""
    kind: str = ""
    message: str = ""
    text: str = ""


class JUnitSink:
    """Writes JUnit XML of the hosts that come; the file is complete after ``finish`` (XML 1.0, UTF-8).

    Critical findings and warnings are failures, other findings pass and say so in ``system-out``. A host with no
    finding is one case that passed, a host without a report is an error, and one that was seen in part has a skipped
    case with what was not seen.
    """

    def __init__(self, file: IO[bytes]) -> None:
        """Write to ``file``, which must be empty and able to seek; raises ``OSError`` like every method here."""
        self._file = file
        self._hosts = 0
        self._counts = dict.fromkeys(("tests", *_TOLD.values()), 0)
        self._duration_s = 0.0
        file.write(_DECLARATION + b" " * _ROOM + b"\n")

    def add(self, stored: StoredHost) -> None:
        """Write the suite of the next host."""
        report = stored.report
        duration_s = min(float(report["duration_s"]), _LONGEST_DURATION_S) if report else 0.0
        cases = list(_unique(_cases(report) if report else [_not_audited(stored)]))
        counts = {"tests": len(cases), **dict.fromkeys(_TOLD.values(), 0)}
        for case in cases:
            if case.element in _TOLD:
                counts[_TOLD[case.element]] += 1
        attributes = {
            "name": stored.name,
            "id": self._hosts,
            "hostname": stored.name,
            **counts,
            "time": f"{duration_s:.3f}",
            **_timestamp(report),
        }
        lines = [f" <testsuite{_attributes(attributes)}>"]
        for index, case in enumerate(cases):
            # The host was looked at once: its time belongs to one case, so that sums over the cases are right.
            lines.append(_case(stored.name, case, duration_s if index == 0 else 0.0))
        self._file.write("\n".join([*lines, " </testsuite>\n"]).encode("utf-8"))
        self._hosts += 1
        self._duration_s += duration_s
        for key, number in counts.items():
            self._counts[key] += number

    def finish(self, fleet: Mapping[str, Any]) -> None:  # noqa: ARG002 - every sink is told
        """End the document and write the totals at its head."""
        self._file.write(b"</testsuites>\n")
        # The schema of the first tag has no place for the skipped ones.
        totals = {key: self._counts[key] for key in ("tests", "failures", "errors")}
        tag = f"<testsuites{_attributes({'name': 'lastack', **totals, 'time': f'{self._duration_s:.3f}'})}".encode()
        self._file.seek(len(_DECLARATION))
        self._file.write(tag.ljust(_ROOM - 1) + b">")
        self._file.seek(0, 2)


def _cases(report: Mapping[str, Any]) -> Iterator[_Case]:
    seen_in_part = not report["completeness"]["complete"]
    for finding in report["findings"]:
        if finding["id"] != _VIEW:
            yield _case_of(finding)
        elif seen_in_part:
            yield _Case(_VIEW, "skipped", "", finding["summary"], _told(finding))
            seen_in_part = False
    if cut := report.get("findings_truncated", 0):
        words = f"{plural(cut, 'finding')} did not fit into the report of this host: look with a higher --top."
        yield _Case("more findings", "skipped", "", words, words)
    if seen_in_part:
        reasons = gravest_first(report) or ["the host does not say what it did not see"]
        yield _Case(_VIEW, "skipped", "", "; ".join(reasons[:_REASONS]), "\n".join(map(clean, reasons[:_REASONS])))
    if not report["findings"] and report["completeness"]["complete"]:
        yield _Case("nothing needs a decision", "")


def _case_of(finding: Mapping[str, Any]) -> _Case:
    name = f"{finding['id']} {finding['subject']}"
    if finding["severity"] == "info":
        return _Case(name, "system-out", text=_told(finding))
    return _Case(name, "failure", finding["severity"], finding["summary"], _told(finding))


def _told(finding: Mapping[str, Any]) -> str:
    return f"{clean(finding['summary'])}\n→ {clean(finding['next_step'])}"


def _not_audited(stored: StoredHost) -> _Case:
    reason = stored.outcome.reason or "no reason was given"
    return _Case("audit", "error", stored.outcome.outcome, f"{stored.outcome.outcome}: {reason}", clean(reason))


def _unique(cases: Iterator[_Case] | list[_Case]) -> Iterator[_Case]:
    """CI servers take two cases of one name for one case that ran twice."""
    used: dict[str, int] = {}
    for case in cases:
        name = clean(case.name)
        used[name] = used.get(name, 0) + 1
        yield case._replace(name=name if used[name] == 1 else f"{name} ({used[name]})")


def _case(host: str, case: _Case, duration_s: float) -> str:
    head = f"  <testcase{_attributes({'classname': host, 'name': case.name, 'time': f'{duration_s:.3f}'})}"
    if not case.element:
        return f"{head}/>"
    told = {"type": case.kind, "message": case.message}
    attributes = _attributes({key: value for key, value in told.items() if value})
    body = case.text.translate(_MARKUP)
    return f"{head}>\n   <{case.element}{attributes}>{body}</{case.element}>\n  </testcase>"


def _timestamp(report: Mapping[str, Any] | None) -> dict[str, str]:
    # Without a zone, as Ant's schema wants it; it is UTC.
    seconds = _SECONDS.match(report["collected_at"]) if report else None
    return {"timestamp": seconds[0]} if seconds else {}


def _attributes(values: Mapping[str, object]) -> str:
    # Cleaned text has none of the characters that XML 1.0 forbids, nor a line end that would become a blank.
    return "".join(f' {key}="{clean(value).translate(_MARKUP)}"' for key, value in values.items())
