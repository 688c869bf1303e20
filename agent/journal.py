# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines for the journal in its native protocol, so that each carries fields to filter by; else on standard error.

Source: systemd's "Native Journal Protocol". A line is sent when something changes, never once an interval.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lastack.linux.agent.records import AppLook, Change

__all__ = ["ERROR", "INFO", "NOTICE", "VERDICT_CHANGED", "WARNING", "Journal"]

ERROR, WARNING, NOTICE, INFO = 3, 4, 5, 6
"""Priorities of syslog(3)."""

VERDICT_CHANGED = "6f1b7c0f2d3e4a64b1f0d6a4c9e35b72"
"""``MESSAGE_ID`` of a changed verdict (systemd.journal-fields(7)): ``journalctl MESSAGE_ID=...`` finds them all."""

_IDENTIFIER = "lastack-agent"
_TIMEOUT_S = 1.0
_LONGEST = 2048
_PRIORITIES = {"leak": WARNING, "stuck": WARNING}


class Journal:
    """Writes to the journal behind one socket, or to standard error while there is none."""

    def __init__(self, path: str = "/run/systemd/journal/socket") -> None:
        """Write to the socket at ``path``."""
        self._path = path
        self._sent = False

    def say(self, priority: int, message: str, fields: Mapping[str, str] | None = None) -> None:
        """Write one line with further fields; never raises."""
        message = clean_text(message, _LONGEST)
        entry = {"PRIORITY": str(priority), "SYSLOG_IDENTIFIER": _IDENTIFIER, **(fields or {}), "MESSAGE": message}
        self._sent = self._send(b"".join(_field(name, value) for name, value in entry.items()))
        if not self._sent:
            # systemd takes the priority from the beginning of a line (sd-daemon(3)).
            print(f"<{priority}>{message}" if not sys.stderr.isatty() else message, file=sys.stderr, flush=True)  # noqa: T201 - the fall-back

    def say_to_caller(self, priority: int, message: str) -> None:
        """Write one line, and write it to standard error, too, unless that is the journal; never raises."""
        self.say(priority, message)
        if self._sent and not _is_journal(sys.stderr.fileno()):
            print(clean_text(message, _LONGEST), file=sys.stderr, flush=True)  # noqa: T201 - for the one who started it

    def say_change(self, change: Change, look: AppLook | None) -> None:
        """Write that an application's verdict changed, with what there is to say about it."""
        trend = change.trend
        causes = look.offender.get("causes") or {} if look else {}
        cause = next(iter(causes), "")
        fields = {
            "MESSAGE_ID": VERDICT_CHANGED,
            "LASTACK_APP": change.key.app,
            "LASTACK_KIND": change.key.kind,
            "LASTACK_NAMESPACE": change.key.namespace,
            "LASTACK_VERDICT": trend.verdict,
            "LASTACK_VERDICT_BEFORE": change.before or "",
            "LASTACK_COUNT": str(trend.count),
            "LASTACK_CAUSE": cause,
            "LASTACK_EXHAUSTION_S": "" if trend.exhaustion_in_s is None else str(round(trend.exhaustion_in_s)),
        }
        was = f" (was {change.before})" if change.before else ""
        message = f"{change.key.app}: {trend.verdict}{was}: {trend.reason}"
        given = {name: value for name, value in fields.items() if value}
        self.say(_PRIORITIES.get(trend.verdict, INFO), message, given)

    def _send(self, entry: bytes) -> bool:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(_TIMEOUT_S)
                sender.sendto(entry, self._path)
        except OSError:
            return False
        return True


def _is_journal(descriptor: int) -> bool:
    """Whether a descriptor leads to the journal: systemd says so in ``JOURNAL_STREAM`` (systemd.exec(5))."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _field(name: str, value: str) -> bytes:
    """Return one field: the form with a length, so that no value can begin another field."""
    data = value.encode("utf-8", "backslashreplace")
    return name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"
