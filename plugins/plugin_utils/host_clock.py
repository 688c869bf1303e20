# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host's clock agrees with this controller's: where it does not, its report says so.

Ages come from the kernel's own clock and stay true; what is dated is not: when the report was made, since when an agent
has watched.
"""

from __future__ import annotations

import datetime
import time
from typing import Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.wording import format_age
from ansible_collections.lastack.linux.plugins.plugin_utils.report_warnings import add_warning

__all__ = ["note_wrong_clock"]

_TOLERANCE_S = 120.0
"""Clocks without NTP drift by seconds a day; minutes are a fault."""


def note_wrong_clock(report: dict[str, Any], look_s: float, now_s: float | None = None) -> None:
    """Add the warning ``clock_wrong`` to a checked host report that was not made in the last ``look_s`` seconds.

    ``now_s`` is this controller's time in seconds since 1970 (by default now). The report is then no longer complete.
    """
    now = time.time() if now_s is None else now_s
    made = _seconds(report["collected_at"])
    if made is not None and now - look_s - _TOLERANCE_S <= made <= now + _TOLERANCE_S:
        return
    detail = "its clock shows no time: what the report dates is not known"
    if made is not None:
        off = format_age({"at_least": abs(now - made), "at_most": abs(now - made)})
        where = "behind" if made < now else "ahead of"
        detail = f"its clock is {off} {where} the controller's: its dates are wrong"
    add_warning(report, "clock_wrong", detail)


def _seconds(moment: str) -> float | None:
    try:
        return datetime.datetime.fromisoformat(moment).timestamp()
    except (ValueError, OverflowError):
        # lastack.host/1 checks how it is written, not that there is a 31st of February.
        return None
