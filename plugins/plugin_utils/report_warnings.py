# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host cannot know of its own report and the controller adds to it."""

from __future__ import annotations

from typing import Any

__all__ = ["add_warning"]


def add_warning(report: dict[str, Any], code: str, detail: str) -> None:
    """Add a warning to the completeness of a checked host report, which is then no longer complete."""
    completeness = report["completeness"]
    completeness["complete"] = False
    completeness["warnings"].append({"code": code, "count": 1, "detail": detail})
