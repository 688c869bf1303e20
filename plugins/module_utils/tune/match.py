# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sysctl should become, from what it is and what is asked for: an administrator's stronger value stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_values import (
    PORT_LISTS,
    numbers,
    ports,
    same_value,
)
from ansible_collections.lastack.linux.plugins.module_utils.tune.settings import is_whole, too_large

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible_collections.lastack.linux.plugins.module_utils.tune.settings import Setting

__all__ = ["port_list", "predict", "satisfies", "target_of", "unfit", "unvetted"]

_TEXT_KEYS = frozenset(
    {
        "kernel.core_pattern",
        "kernel.domainname",
        "kernel.hostname",
        "kernel.hotplug",
        "kernel.modprobe",
        "kernel.poweroff_cmd",
    }
)
"""Texts that may happen to be a number now."""
_LAST_PORT = 65535
_PAIR = 2


def target_of(setting: Setting, current: str) -> str:
    """Return the value that should run: ``current`` itself where that is as good as what is asked for, or stronger.

    Tuples are compared element by element; fewer numbers than the kernel's mean the first ones. ``wider`` never
    narrows either end and gives both ends different parity, as the kernel wants them
    (net/ipv4/sysctl_net_ipv4.c ``ipv4_local_port_range``). ``union`` merges lists into the kernel's spelling.
    """
    if setting.match == "exact":
        as_good = any(same_value(setting.key, current, value) for value in (setting.value, *setting.accepts))
        if as_good:
            return current
        return predict(setting.key, current, setting.value) if setting.key in PORT_LISTS else setting.value
    if setting.match == "union":
        have, want = ports(current) or set(), ports(setting.value) or set()
        return current if want <= have else port_list(have | want)
    want_numbers = numbers(setting.value)
    if not is_whole(current) or len(numbers(current)) < len(want_numbers):
        return setting.value
    if setting.match == "wider":
        return _wider(current, want_numbers, setting)
    return _stronger(current, want_numbers, setting)


def satisfies(setting: Setting, text: str) -> bool:
    """Whether a value is already as good as what is asked for."""
    return same_value(setting.key, text, target_of(setting, text))


def unfit(setting: Setting, current: str) -> str:
    """Return why the value has not the form of this key, in one clause; empty when it has.

    The kernel itself takes ``30 # seconds`` and more numbers than it has room for without a word.
    """
    if setting.key in PORT_LISTS:
        fits = ports(setting.value) is not None
        return "" if fits else f"{setting.value[:80]!r} is no list of ports and ranges"
    if setting.key in _TEXT_KEYS or not is_whole(current):
        return ""
    if not setting.value:
        return "the value is empty"
    if too_large(setting.value):
        return too_large(setting.value)
    if not is_whole(setting.value):
        return f"{setting.value[:80]!r} is not made of whole numbers"
    have, want = len(numbers(current)), len(numbers(setting.value))
    return "" if want <= have else f"{setting.value[:80]!r} has {want} numbers, and the kernel has {have} there"


def unvetted(setting: Setting) -> str:
    """Return why the value is none that is ever written, in one clause; empty when it is."""
    found = numbers(setting.value)
    checked = found if setting.match == "wider" else found[:1]
    if not setting.allowed or all(_inside(number, setting) for number in checked):
        return ""
    told = ", ".join(_told(low, high) for low, high in setting.allowed)
    return f"{setting.value[:80]} is outside of what is safe to set ({told})"


def predict(key: str, current: str, value: str) -> str:
    """Return how the kernel will show ``value`` when it takes it over ``current``."""
    if key in PORT_LISTS:
        found = ports(value)
        return value if found is None else port_list(found)
    if key in _TEXT_KEYS or not (is_whole(current) and is_whole(value)):
        return " ".join(value.split())
    new, old = numbers(value), numbers(current)
    return " ".join(map(str, new + old[len(new) :]))


def port_list(found: Iterable[int]) -> str:
    """Return ports as the kernel spells them: ``8080,9000-9002`` (kernel/sysctl.c ``proc_do_large_bitmap``)."""
    ranges: list[list[int]] = []
    for port in sorted(found):
        if ranges and port == ranges[-1][1] + 1:
            ranges[-1][1] = port
        else:
            ranges.append([port, port])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)


def _stronger(current: str, want: list[int], setting: Setting) -> str:
    have = numbers(current)
    best = list(have)
    for at, number in enumerate(want):
        if setting.match == "at_least":
            best[at] = max(have[at], number)
        # Zero and less switch such a key off or break it; that is no stronger value of anybody's.
        elif have[at] > number or (at == 0 and have[at] <= 0 and setting.allowed and not _inside(have[at], setting)):
            best[at] = number
    return current if best == have else " ".join(map(str, best))


def _wider(current: str, want: list[int], setting: Setting) -> str:
    have = numbers(current)
    low, high = min(have[0], want[0]), max(have[1], want[1])
    if len(have) != _PAIR or [low, high] == have:
        return current
    if low % 2 == high % 2:
        # Upwards first: a low end is where somebody may have drawn a line.
        if high < _LAST_PORT:
            high += 1
        elif _inside(low - 1, setting):
            low -= 1
    return f"{low} {high}"


def _inside(number: int, setting: Setting) -> bool:
    return not setting.allowed or any(
        (low is None or low <= number) and (high is None or number <= high) for low, high in setting.allowed
    )


def _told(low: int | None, high: int | None) -> str:
    if low is None:
        return "any" if high is None else f"up to {high}"
    if high is None:
        return f"{low} and more"
    return str(low) if low == high else f"{low} to {high}"
