# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The value of a sysctl as the kernel reads it: numbers, lists of ports, and when two texts mean the same."""

from __future__ import annotations

import re

__all__ = ["PORT_LISTS", "numbers", "ports", "same_value"]

PORT_LISTS = ("net.ipv4.ip_local_reserved_ports",)
"""Keys whose value is a list of ports and ranges."""

_NUMBER = re.compile(r"(-?)(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})\Z", re.ASCII)
_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?\Z", re.ASCII)
_OCTAL = re.compile(r"0[0-7]+\Z", re.ASCII)
_LAST_PORT = 65535


def same_value(key: str, one: str | None, other: str | None) -> bool:
    """Whether the kernel would show the same after writing either text.

    Numbers are read as the kernel does (decimal, ``0x`` and a leading zero for octal) and what follows the last wanted
    number is ignored, so ``30 # seconds`` is 30 (kernel/sysctl.c ``proc_dointvec``, measured). A text with fewer
    numbers changes only the first ones. Ports are compared as a set.
    """
    if one is None or other is None:
        return one is other
    if one.split() == other.split():
        return True
    if key in PORT_LISTS:
        some, others = ports(one), ports(other)
        return some is not None and some == others
    mine, theirs = numbers(one), numbers(other)
    wanted = min(len(mine), len(theirs))
    return wanted > 0 and mine[:wanted] == theirs[:wanted]


def numbers(text: str) -> list[int]:
    """Return the numbers at the beginning of a text, as the kernel reads them."""
    found = []
    for field in text.split():
        match = _NUMBER.match(field)
        if not match:
            break
        sign, digits = match.groups()
        base = 16 if digits[:2] in {"0x", "0X"} else 8 if _OCTAL.match(digits) else 10
        found.append(int(digits, base) * (-1 if sign else 1))
    return found


def ports(text: str) -> set[int] | None:
    """Return a list of ports and ranges as a set; ``None`` when the kernel would refuse it."""
    found: set[int] = set()
    for item in filter(None, text.strip().split(",")):
        match = _PORTS.match(item)
        low = int(match.group(1)) if match else 1
        high = int(match.group(2) or low) if match else 0
        if not low <= high <= _LAST_PORT:
            return None
        found.update(range(low, high + 1))
    return found
