# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a command of ``lastack`` ends: its errors and its exit status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BROKEN_PIPE", "ERROR", "FAILED", "INTERRUPTED", "LEVELS", "SUCCESS", "CommandError", "exit_status"]

SUCCESS = 0
FAILED = 1
"""Only with ``--fail-on``, and only for findings."""
ERROR = 2
INTERRUPTED = 130
"""128 + SIGINT, what a shell reports for a program that Ctrl-C ended."""
BROKEN_PIPE = 141
"""128 + SIGPIPE, the same for a reader that went away."""

LEVELS = ("warning", "critical")
"""What ``--fail-on`` accepts, mildest first."""


class CommandError(Exception):
    """A command cannot do what was asked; the text says why in one sentence."""


def exit_status(report: Mapping[str, Any], fail_on: str | None) -> int:
    """Return 1 if a host or fleet report has a finding at least as severe as ``fail_on``, else 0."""
    if fail_on is None:
        return SUCCESS
    severe = LEVELS[LEVELS.index(fail_on) :]
    return FAILED if any(finding.get("severity") in severe for finding in report.get("findings", ())) else SUCCESS
