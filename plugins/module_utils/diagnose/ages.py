# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a socket has been in CLOSE_WAIT: an honest bracket from one look, and what it decides.

``tcpi_last_ack_recv`` was refreshed by the peer's FIN and afterwards only by keepalive answers, window updates and
acknowledgements of what this side still sends (net/ipv4/tcp_input.c, ``tcp_ack``); ``tcpi_last_data_recv`` is not
newer than the FIN. So ``last_ack_recv <= age <= last_data_recv``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import TcpInfo

__all__ = ["IN_TRANSIT", "OFFENDER", "UNDECIDED", "Age", "age_bracket", "age_section", "oldest", "verdict"]

IN_TRANSIT = "in_transit"
UNDECIDED = "undecided"
OFFENDER = "offender"


class Age(NamedTuple):
    """Seconds in CLOSE_WAIT."""

    at_least_s: float
    at_most_s: float | None
    """``None``: no upper bound known."""


def age_bracket(info: TcpInfo | None, process_age_s: float | None = None, seen_for_s: float = 0.0) -> Age | None:
    """Return the age of a CLOSE_WAIT socket in seconds, ``None`` without ``info``.

    The counters are unsigned 32 bit milliseconds and wrap after 49.7 days: a bracket that looks inverted has lost its
    upper end. Only then the age of the oldest holder, ``process_age_s``, stands in for it: a holder may have inherited
    the descriptor, so it never makes a socket younger than the kernel says. ``seen_for_s`` is how long an earlier look
    has known the socket in CLOSE_WAIT: keepalive answers refresh the kernel's lower end, but not that.
    """
    if info is None:
        return Age(seen_for_s, None) if seen_for_s else None
    at_least = info.last_ack_recv_ms / 1000
    at_most = info.last_data_recv_ms / 1000 if info.last_data_recv_ms >= info.last_ack_recv_ms else None
    if at_most is None and process_age_s is not None and process_age_s >= at_least:
        at_most = process_age_s
    at_least = max(at_least, seen_for_s)
    return Age(at_least, None if at_most is None else max(at_most, at_least))


def verdict(age: Age | None, min_age_s: float) -> str:
    """Return ``in_transit``, ``undecided`` or ``offender`` for a least age in seconds; an unknown age is undecided."""
    if min_age_s <= 0:
        return OFFENDER
    if age is None:
        return UNDECIDED
    if age.at_most_s is not None and age.at_most_s < min_age_s:
        return IN_TRANSIT
    return OFFENDER if age.at_least_s >= min_age_s else UNDECIDED


def oldest(ages: Iterable[Age | None]) -> Age | None:
    """Return the bracket of the oldest of several sockets; those of unknown age do not count."""
    known = [age for age in ages if age is not None]
    if not known:
        return None
    uppers = [age.at_most_s for age in known if age.at_most_s is not None]
    return Age(max(age.at_least_s for age in known), max(uppers) if len(uppers) == len(known) else None)


def age_section(age: Age | None) -> dict[str, float | None] | None:
    """Return the age as the host report spells it (``at_least``, ``at_most`` in seconds, one decimal)."""
    if age is None:
        return None
    at_most = None if age.at_most_s is None else round(age.at_most_s, 1)
    return {"at_least": round(age.at_least_s, 1), "at_most": at_most}
