# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a resident agent says of its host: the local fact ``lastack.local/1``, read as data and never believed blindly.

Ansible executes a ``*.fact`` with an execute bit and follows links to it; here it is neither executed nor followed.
"""

from __future__ import annotations

import json
import os
import re
import stat
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Unseen

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_FACT_BYTES", "MAX_FRESH_S", "SCHEMA_ID", "VERDICTS", "AgentFact", "AgentKey", "read_agent_fact"]

SCHEMA_ID = "lastack.local/1"
MAX_FACT_BYTES = 16 * 1024
"""Every play on every host carries the fact."""
MAX_FRESH_S = 86_400
"""Nobody may call a fact fresh for longer."""
VERDICTS = ("leak", "stuck", "watching", "pool", "burst")
"""What the agent may say of an application, worst first."""

AgentKey = tuple[str, str, str]
"""``app``, ``kind`` and ``namespace`` of an offender."""

_FOLDERS = ("etc", "ansible", "facts.d")
_NAME = "lastack.fact"
_PATH = "/etc/ansible/facts.d/lastack.fact"
_MAX_OFFENDERS = 1_000
_CLOCK_GRAIN_S = 1.0
"""The fact's moment may be rounded up; what lies further in the future is no moment of this host."""
_LARGEST = 2.0**53
_MAX_TEXT = 1_024
_TIME = re.compile(r"\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\d(\.\d{1,6})?Z", re.ASCII)


class AgentFact(NamedTuple):
    """The agent's word: fresh with the trends of applications, or stale without any."""

    version: str
    published_at: str
    """RFC 3339 UTC, by the host's clock; ages come from ``age_s``, which no jump of that clock changes."""
    age_s: float | None
    """Seconds since the publication; ``None`` if it was in another boot."""
    fresh_for_s: float
    interval_s: float
    watching_since: str
    complete: bool
    """Whether the agent itself saw everything."""
    dropped_sockets: int
    dropped_applications: int
    stale: bool
    trends: Mapping[AgentKey, Mapping[str, Any]]
    """The fact's ``trend`` objects, checked; seconds to come count from the moment of reading. Empty if stale."""


class _NotAFactError(ValueError):
    """The file is no fact to rely on; the text is the reason, one clause."""


def read_agent_fact(root: str, boot_id: str | None, now_boottime_s: float) -> AgentFact | Unseen | None:
    """Return the agent's fact below ``root``; ``None`` if there is none.

    ``boot_id`` is the host's (random(4)), ``now_boottime_s`` CLOCK_BOOTTIME (clock_gettime(2)). The fact is stale when
    its time is over or it was published in another boot. What may not be read, is no regular file, is reached through
    a link, can be written by others or is no ``lastack.local/1`` becomes an ``Unseen`` with the reason. Never raises.
    """
    try:
        data = _read(root)
        return None if data is None else _fact(_parse(data), boot_id, now_boottime_s)
    except PermissionError:
        return Unseen("agent_unreadable", 1, f"{_PATH} may not be read: what an agent watched is not known")
    except OSError as error:
        return Unseen("agent_unreadable", 1, f"{_PATH} cannot be read ({error.strerror}): no trend")
    except _NotAFactError as error:
        return Unseen("agent_unusable", 1, f"{_PATH} {error}: no trend")


def _read(root: str) -> bytes | None:
    """Open folder by folder, so that no link on the way is followed (openat(2), O_NOFOLLOW)."""
    opened: list[int] = []
    folder_flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        opened.append(os.open(root or "/", folder_flags))
        for index, name in enumerate(_FOLDERS):
            if stat.S_ISLNK(os.stat(name, dir_fd=opened[-1], follow_symlinks=False).st_mode):
                # Linked folders are common; only with a fact behind them something is to be said.
                os.stat("/".join((*_FOLDERS[index:], _NAME)), dir_fd=opened[-1])
                raise _NotAFactError("is reached through a link, which is not followed")
            opened.append(os.open(name, folder_flags | os.O_NOFOLLOW, dir_fd=opened[-1]))
        if stat.S_ISLNK(os.stat(_NAME, dir_fd=opened[-1], follow_symlinks=False).st_mode):
            raise _NotAFactError("is a link, which is not followed")
        # A FIFO must not hold up the look.
        opened.append(os.open(_NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=opened[-1]))
        return _content(opened[-1], os.fstat(opened[-2]).st_uid)
    except (FileNotFoundError, NotADirectoryError):
        return None
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _content(descriptor: int, owner: int) -> bytes:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise _NotAFactError("is no regular file")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or status.st_uid != owner:
        raise _NotAFactError("can be written by others than the owner of its folder")
    if status.st_size > MAX_FACT_BYTES:
        raise _NotAFactError(f"is longer than {MAX_FACT_BYTES:,} bytes")
    data = b""
    while len(data) <= MAX_FACT_BYTES:
        part = os.read(descriptor, MAX_FACT_BYTES + 1 - len(data))
        if not part:
            return data
        data += part
    raise _NotAFactError(f"is longer than {MAX_FACT_BYTES:,} bytes")


def _parse(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise _NotAFactError("is not JSON") from None
    if not isinstance(value, dict) or value.get("schema") != SCHEMA_ID:
        raise _NotAFactError(f"is no {SCHEMA_ID}")
    return value


def _no_number(_constant: str) -> Any:  # noqa: ANN401 - the parser wants a value, this never gives one
    raise ValueError


def _fact(value: Mapping[str, Any], boot_id: str | None, now_s: float) -> AgentFact:
    collector, dropped = _object(value, "collector"), _object(value, "dropped")
    published_s, fresh_for_s = _number(value, "published_boottime_s"), _number(value, "fresh_for_s")
    if fresh_for_s > MAX_FRESH_S:
        raise _NotAFactError("calls itself fresh for longer than a day")
    complete = _object(value, "completeness").get("complete")
    if not isinstance(complete, bool):
        raise _NotAFactError("does not say in completeness.complete whether it is complete")
    age_s = None
    # Without a boot id on either side nothing tells the boots apart.
    if boot_id is not None and value.get("boot_id") == boot_id:
        age_s = now_s - published_s
        if age_s < -_CLOCK_GRAIN_S:
            raise _NotAFactError("says that it was published in the future")
        age_s = max(0.0, age_s)
    stale = age_s is None or age_s > fresh_for_s
    trends = _trends(value)
    return AgentFact(
        version=_text(collector, "version"),
        published_at=_time(value, "published_at"),
        age_s=age_s,
        fresh_for_s=fresh_for_s,
        interval_s=_number(value, "interval_s"),
        watching_since=_time(value, "watching_since"),
        complete=complete,
        dropped_sockets=_count(dropped, "sockets"),
        dropped_applications=_count(dropped, "applications"),
        stale=stale,
        trends={} if stale else {key: _aged(trend, age_s or 0.0) for key, trend in trends.items()},
    )


def _trends(value: Mapping[str, Any]) -> dict[AgentKey, dict[str, Any]]:
    offenders = value.get("offenders")
    if not isinstance(offenders, list) or len(offenders) > _MAX_OFFENDERS:
        raise _NotAFactError("has no list of offenders")
    trends: dict[AgentKey, dict[str, Any]] = {}
    for offender in offenders:
        if not isinstance(offender, dict):
            raise _NotAFactError("has an offender that is no object")
        key = _text(offender, "app"), _text(offender, "kind"), _text(offender, "namespace")
        # Of two entries for one application the first is the worse: the fact is sorted.
        trends.setdefault(key, _trend(_object(offender, "trend")))
    return trends


def _trend(trend: Mapping[str, Any]) -> dict[str, Any]:
    verdict = trend.get("verdict")
    if verdict not in VERDICTS:
        raise _NotAFactError("has a trend whose verdict is not known")
    return {
        "verdict": verdict,
        "reason": _text(trend, "reason"),
        "count": _count(trend, "count"),
        "arrivals": _count(trend, "arrivals"),
        "departures": _count(trend, "departures"),
        "growth_per_min": _number_or_none(trend, "growth_per_min", least=-_LARGEST),
        "turnover_per_min": _number_or_none(trend, "turnover_per_min"),
        "first_seen": _time(trend, "first_seen"),
        "ready_in_s": _number_or_none(trend, "ready_in_s"),
        "exhaustion_in_s": _number_or_none(trend, "exhaustion_in_s"),
        "exhaustion_pid": None if trend.get("exhaustion_pid") is None else _count(trend, "exhaustion_pid"),
        "observed_at": _time(trend, "observed_at"),
    }


def _aged(trend: Mapping[str, Any], age_s: float) -> dict[str, Any]:
    """Return the trend with its seconds to come counted from now; the agent counted from its publication."""
    aged = dict(trend)
    for name in ("ready_in_s", "exhaustion_in_s"):
        if aged[name] is not None:
            aged[name] = round(max(0.0, aged[name] - age_s), 1)
    return aged


def _object(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = holder.get(name)
    if not isinstance(value, dict):
        raise _NotAFactError(f"has no object {name}")
    return value


def _text(holder: Mapping[str, Any], name: str) -> str:
    value = holder.get(name)
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise _NotAFactError(f"has no text {name} of at most {_MAX_TEXT:,} characters")
    return value


def _time(holder: Mapping[str, Any], name: str) -> str:
    value = holder.get(name)
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise _NotAFactError(f"has no RFC 3339 time in {name}")
    return value


def _number(holder: Mapping[str, Any], name: str, *, least: float = 0.0) -> float:
    value = holder.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _NotAFactError(f"has no number {name}")
    if not least <= value <= _LARGEST:
        raise _NotAFactError(f"has a number {name} that is out of range")
    return float(value)


def _number_or_none(holder: Mapping[str, Any], name: str, *, least: float = 0.0) -> float | None:
    return None if holder.get(name) is None else _number(holder, name, least=least)


def _count(holder: Mapping[str, Any], name: str) -> int:
    value = holder.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST:
        raise _NotAFactError(f"has no count {name}")
    return value
