# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From which share of a limit on something is worth a person's attention: one table for findings, merge and screens."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ALERT_PERCENT", "NEARLY_OUT_PERCENT"]

ALERT_PERCENT: Mapping[str, int] = {
    # connect() tries the parity of the range's lower end first and slows down at half (__inet_hash_connect).
    "ports": 50,
    "listeners": 50,
    "descriptors": 70,
    # The kernel shifts the count by up to two bits under pressure (tcp_too_many_orphans).
    "orphans": 20,
    # Of tcp_mem's pressure mark, not of its maximum.
    "memory": 80,
    "conntrack": 75,
}
"""Per cent of the limit, by kind of resource."""

NEARLY_OUT_PERCENT = 90
"""Of a process's descriptors: accept() and open() fail soon, so a leak is critical and marked on the screens."""
