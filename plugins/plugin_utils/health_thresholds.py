# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""By how much each health counter may rise after a change: the table of the gate, and a user's own numbers for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["RULES", "THRESHOLDS", "UNITS", "Threshold", "ThresholdError", "thresholds"]

RULES: Mapping[str, str] = {
    "zero": "fails at the first event where there was none, and else as fail",
    "fail": "fails above the limit",
    "sustained": "fails above the limit where there was none, and else as warn",
    "warn": "is said above the limit",
    "note": "is only kept",
}
"""What a threshold does."""

UNITS: Mapping[str, str] = {"second": "a second", "open": "of opens", "segment": "of segments"}
"""What a counter is held against."""


class ThresholdError(ValueError):
    """A user's own threshold makes no sense; the message is one sentence that names it."""


class Threshold(NamedTuple):
    """How the events of some counters, taken together, are judged.

    The limit is the host's own rate before the change times ``ratio``, and at least that rate plus ``margin``. A rise
    above it counts only where chance does not explain it.
    """

    counters: tuple[str, ...]
    rule: str
    per: str
    ratio: float
    margin: float
    clump: int = 1
    """Events that come together from one cause; more makes the gate slower and surer."""
    excused_by: tuple[str, ...] = ()
    """Beginnings of sysctls that raise this counter as they should: changing one makes the rule ``warn``."""
    less: str = ""
    """The counter whose events are part of this one and do not count where it is excused."""
    client_rule: str = ""
    """The rule for hosts that open many connections, if it is another."""


# Each of them ends connections whose peer is silent, sooner than before (tcp_timer.c: tcp_keepalive_timer,
# tcp_write_timeout; both end in tcp_write_err, which counts TCPAbortOnTimeout).
_PATIENCE = (
    "net.ipv4.tcp_keepalive_",
    "net.ipv4.tcp_orphan_retries",
    "net.ipv4.tcp_retries2",
    "net.ipv4.tcp_syn_retries",
)
_QUEUES = ("TCPBacklogDrop", "TCPRcvQDrop", "PruneCalled", "SoftnetDropped")

THRESHOLDS: Mapping[str, Threshold] = {
    # The accept queue is full, and any drop by a listener.
    "ListenOverflows": Threshold(("ListenOverflows",), "fail", "second", 1.5, 0.1),
    "ListenDrops": Threshold(("ListenDrops",), "fail", "second", 1.5, 0.1),
    # The SYN queue is full without cookies; closed without TIME_WAIT; no memory or too many orphans.
    "TCPReqQFullDrop": Threshold(("TCPReqQFullDrop",), "zero", "second", 1.5, 0.1),
    "TCPTimeWaitOverflow": Threshold(("TCPTimeWaitOverflow",), "zero", "second", 1.5, 0.1),
    "TCPAbortOnMemory": Threshold(("TCPAbortOnMemory",), "zero", "second", 1.5, 0.1),
    "TCPReqQFullDoCookies": Threshold(("TCPReqQFullDoCookies",), "sustained", "second", 2.0, 0.1),
    "SyncookiesSent": Threshold(("SyncookiesSent",), "sustained", "second", 2.0, 0.1),
    # Rejected by timestamps; newer kernels split PAWSEstab.
    "PAWS": Threshold(
        ("PAWSActive", "PAWSEstab", "PAWSOldAck", "PAWSTimewait", "TSEcrRejected"),
        "warn",
        "second",
        2.0,
        0.1,
        clump=4,
        client_rule="fail",
    ),
    "RetransSegs": Threshold(("RetransSegs",), "fail", "segment", 1.5, 0.005, clump=4),
    "AttemptFails": Threshold(("AttemptFails",), "fail", "open", 2.0, 0.005, clump=4),
    "EstabResets": Threshold(
        ("EstabResets",), "fail", "open", 2.0, 0.005, clump=4, excused_by=_PATIENCE, less="TCPAbortOnTimeout"
    ),
    "OutRsts": Threshold(
        ("OutRsts",), "fail", "open", 2.0, 0.02, clump=4, excused_by=_PATIENCE, less="TCPAbortOnTimeout"
    ),
    "TCPSynRetrans": Threshold(("TCPSynRetrans",), "fail", "open", 2.0, 0.01, clump=4),
    "TCPTimeouts": Threshold(("TCPTimeouts",), "fail", "segment", 2.0, 0.002, clump=4),
    "TCPAbortOnTimeout": Threshold(("TCPAbortOnTimeout",), "fail", "open", 2.0, 0.005, clump=4, excused_by=_PATIENCE),
    "TCPRetransFail": Threshold(("TCPRetransFail",), "fail", "segment", 2.0, 0.001, clump=4),
    **{name: Threshold((name,), "fail", "second", 1.5, 0.1, clump=4) for name in _QUEUES},
    # TIME_WAIT entered, taken over by connect(), killed: tcp_tw_reuse is there to raise the second.
    **{name: Threshold((name,), "note", "open", 2.0, 0.005) for name in ("TW", "TWRecycled", "TWKilled")},
}
"""The gate of the roll-out, by the names that screens use."""

_NUMBERS = {"ratio": 1.0, "margin": 0.0, "clump": 1.0}


def thresholds(own: object = None) -> dict[str, Threshold]:
    """Return the table with a user's own rules and numbers in it, such as ``{"OutRsts": {"ratio": 3}}``.

    Raises ``ThresholdError`` for what the table does not have.
    """
    table = dict(THRESHOLDS)
    if own is None:
        return table
    if not isinstance(own, Mapping):
        raise ThresholdError("The thresholds must be a mapping of a counter to what is different for it.")
    for name, changes in own.items():
        if name not in table:
            raise ThresholdError(f"There is no threshold for {name}: known are {', '.join(sorted(table))}.")
        if not isinstance(changes, Mapping):
            raise ThresholdError(f"The threshold {name} must be a mapping such as {{'ratio': 3}}.")
        table[name] = _changed(str(name), table[name], changes)
    return table


def _changed(name: str, threshold: Threshold, changes: Mapping[object, object]) -> Threshold:
    fields: dict[str, object] = {}
    for field, value in changes.items():
        if field == "rule":
            if value not in RULES:
                raise ThresholdError(f"The threshold {name} has no rule {value}: known are {', '.join(RULES)}.")
            fields["rule"] = str(value)
            fields["client_rule"] = ""
        elif field in _NUMBERS:
            fields[str(field)] = _number(name, str(field), value)
        else:
            raise ThresholdError(f"The threshold {name} has no {field}: it may be given rule, {', '.join(_NUMBERS)}.")
    return threshold._replace(**fields)  # type: ignore[arg-type] # each was checked above


def _number(name: str, field: str, value: object) -> float | int:
    number = None if isinstance(value, bool) else value
    if isinstance(number, str):
        try:
            number = float(number)
        except ValueError:
            number = None
    if not isinstance(number, (int, float)):
        raise ThresholdError(f"The threshold {name} needs a number as {field}.")
    if not _NUMBERS[field] <= number < float("inf"):
        raise ThresholdError(f"The threshold {name} needs a {field} of at least {_NUMBERS[field]:g}.")
    return int(number) if field == "clump" else float(number)
