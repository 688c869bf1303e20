# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run as four CSV tables (RFC 4180, UTF-8, a header line) for spreadsheets and databases.

A spreadsheet that opens CSV runs what looks like a formula; a cell that would is written as text, with an apostrophe
before it, also where it would be a cell only to a spreadsheet whose list separator is the semicolon.
"""

from __future__ import annotations

import contextlib
import csv
import io
import re
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.observe.tcp_states import STATES
from ansible_collections.lastack.linux.plugins.plugin_utils.atomic_files import open_atomically
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import clean, data

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ansible_collections.lastack.linux.plugins.plugin_utils.stored_reports import StoredHost

__all__ = ["TABLES", "CsvSink", "defused", "open_tables"]

#: The file of each table and its columns.
TABLES: Mapping[str, Sequence[str]] = {
    "hosts.csv": (
        "host",
        "outcome",
        "reason",
        "collected_at",
        "duration_s",
        "complete",
        "privileged",
        "kernel",
        "os",
        "leaked",
        "undecided",
        "dead_sockets",
        "critical",
        "warnings",
        *(state.lower() for state in STATES),
    ),
    "applications.csv": (
        "host",
        "app",
        "kind",
        "runtime",
        "unit",
        "container",
        "namespace",
        "sockets",
        "undecided",
        "oldest_at_least_s",
        "oldest_at_most_s",
        "cause",
        "role",
        "descriptors_open",
        "descriptors_soft_limit",
        "descriptors_used_percent",
        "verdict",
        "growth_per_min",
        "exhaustion_in_s",
    ),
    "findings.csv": ("host", "id", "severity", "remedy", "subject", "summary", "next_step"),
    "settings.csv": ("host", "key", "current", "configured", "file", "after_reload", "reload_file"),
}

# What starts a formula in Excel, LibreOffice and Google Sheets, and the forms of it that East Asian versions take.
_STARTS = r"=+\-@\t\r\n＝＋－＠﹦﹢﹣﹫−"  # noqa: RUF001 - the look-alikes are what is meant
_FORMULA = re.compile(rf"(^|;)([\s\"']*)(?=[{_STARTS}])")
_FIGURE = re.compile(r"-?[0-9]+(\.[0-9]+)?")


class CsvSink:
    """Writes the four tables of the hosts that come; rows go to disk as they are made.

    An empty cell is unknown or does not apply, figures have no separators, truth is ``true`` or ``false``.
    """

    def __init__(self, files: Mapping[str, IO[bytes]]) -> None:
        """Write to these files, one for each of ``TABLES``; raises ``OSError`` like every method here."""
        self._tables = {name: _Table(files[name], columns) for name, columns in TABLES.items()}

    def add(self, stored: StoredHost) -> None:
        """Write the rows of the next host."""
        report, host = stored.report, stored.name
        self._tables["hosts.csv"].rows([_host(stored)])
        if report is None:
            return
        offenders = report.get("close_wait", {}).get("offenders", ())
        self._tables["applications.csv"].rows([_application(host, item) for item in offenders])
        self._tables["findings.csv"].rows(
            [[host, *(finding[key] for key in TABLES["findings.csv"][1:])] for finding in report["findings"]]
        )
        self._tables["settings.csv"].rows(
            [
                [
                    host,
                    key,
                    state["current"],
                    state["configured"],
                    state["winner"],
                    state.get("reload_configured"),
                    state.get("reload_winner"),
                ]
                for key, state in report.get("sysctls", {}).items()
            ]
        )

    def finish(self, fleet: Mapping[str, Any]) -> None:
        """Do nothing more: each host's rows are written."""


@contextlib.contextmanager
def open_tables(folder: str | Path) -> Iterator[CsvSink]:
    """Yield a sink whose tables stand in ``folder`` when the block ends; a block that raises leaves none of them.

    The folder is made if there is none. Raises ``OSError``.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        yield CsvSink({name: stack.enter_context(open_atomically(place / name)) for name in TABLES})


def defused(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula; a plain figure stays as it is."""
    if text.isalnum() or _FIGURE.fullmatch(text):
        return text
    return _FORMULA.sub(r"\1\2'", text)


class _Table:
    """One file: the csv module writes text, the file takes bytes."""

    def __init__(self, file: IO[bytes], columns: Sequence[str]) -> None:
        self._file = file
        self._text = io.StringIO(newline="")
        self._writer = csv.writer(self._text)
        self.rows([columns])

    def rows(self, rows: Sequence[Sequence[object]]) -> None:
        if rows:
            self._writer.writerows([_cell(value) for value in row] for row in rows)
            self._file.write(self._text.getvalue().encode("utf-8"))
            self._text.seek(0)
            self._text.truncate()


def _cell(value: object) -> str | int | float | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return defused(clean(value)) if isinstance(value, str) else value  # type: ignore[return-value]


def _host(stored: StoredHost) -> list[object]:
    report = stored.report
    head: list[object] = [stored.name, stored.outcome.outcome, stored.outcome.reason]
    if report is None:
        return head + [None] * (len(TABLES["hosts.csv"]) - len(head))
    seen, findings = report["completeness"], report["findings"]
    offenders = report.get("close_wait", {}).get("offenders")
    return [
        *head,
        report["collected_at"],
        report["duration_s"],
        seen["complete"],
        seen["privileged"],
        report["host"]["kernel"],
        report["host"]["os"],
        None if offenders is None else sum(item["count"] for item in offenders),
        seen["close_wait"]["undecided"],
        report.get("dead_sockets", {}).get("total"),
        sum(finding["severity"] == "critical" for finding in findings),
        sum(finding["severity"] == "warning" for finding in findings),
        *(report["states"][state] for state in STATES),
    ]


def _application(host: str, item: Mapping[str, Any]) -> list[object]:
    age, use, trend, causes = data(item, "age_s"), data(item, "descriptors"), data(item, "trend"), item["causes"]
    return [
        host,
        item["app"],
        item["kind"],
        item["runtime"],
        item["unit"],
        item["container"],
        item["namespace"],
        item["count"],
        item.get("undecided"),
        age.get("at_least"),
        age.get("at_most"),
        max(sorted(causes), key=causes.__getitem__, default=None),
        item["role"],
        use.get("open"),
        use.get("soft_limit"),
        use.get("used_percent"),
        trend.get("verdict"),
        trend.get("growth_per_min"),
        trend.get("exhaustion_in_s"),
    ]
