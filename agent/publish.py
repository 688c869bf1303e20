# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The step from the agent's folder to the places that root's programs read: run by root, once for each publication.

Fact gathering executes any ``*.fact`` that has an execute bit, and follows links, as root. So the agent's user may not
write there. This reads what the agent wrote as the word of a stranger, understands it, and writes its own files: 0644,
from its own words, or none at all. What was published before then stays, and its freshness tells its age.
"""

from __future__ import annotations

import calendar
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.agent.guarded_paths import Refused, open_folder, put_file, take_file
from ansible_collections.lastack.linux.agent.local_schema import MAX_FACT_BYTES, MAX_FRESH_S, fact_problem, render_fact
from ansible_collections.lastack.linux.agent.metrics import (
    MAX_METRICS_BYTES,
    InvalidMetrics,
    parse_metrics,
    render_metrics,
)
from ansible_collections.lastack.linux.agent.places import places_below
from ansible_collections.lastack.linux.agent.strict_json import InvalidJson, parse_strict
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text
from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import try_read_head

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FACTS_FOLDER", "FACT_NAME", "METRICS_NAME", "Now", "publish", "read_now"]

FACTS_FOLDER = "/etc/ansible/facts.d"
FACT_NAME = "lastack.fact"
METRICS_NAME = "lastack.prom"

_AHEAD_S = 300.0
"""How far the wall clock may have been set back since the agent wrote; a moment further ahead is a lie or a mistake."""
_REFUSED = 2


class Now(NamedTuple):
    """What root itself knows of the moment, to hold the agent's word against."""

    boot_id: str | None
    boottime_s: float
    wall_s: float


class _Output(NamedTuple):
    """One thing to publish: where from, where to, and how to read it."""

    source: str
    limit: int
    folder: str
    name: str
    parents_of_root: bool
    remade: Callable[[bytes, Now], bytes]


def publish(root: str = "/", metrics_folder: str | None = None, *, now: Now | None = None) -> int:
    """Publish the agent's fact, and with ``metrics_folder`` (absolute, below ``root``) its metrics; return the status.

    0: done, or nothing is there to publish. 2: something was refused, with one sentence each on standard error. Unless
    both sources are in order nothing is published; what stands at a target that cannot be written stays.
    ``metrics_folder`` is root's word: it never comes from a file that the agent's user can write.
    """
    moment = now or read_now()
    places = places_below("/")
    folder, __, fact = places.fact.rpartition("/")
    outputs = [_Output(fact, MAX_FACT_BYTES, FACTS_FOLDER, FACT_NAME, parents_of_root=True, remade=_fact)]
    if metrics_folder is not None:
        # Debian's /var/lib/prometheus is its user's: whoever can rename a folder there gets metrics, not a right.
        metrics = places.metrics.rpartition("/")[2]
        outputs.append(
            _Output(metrics, MAX_METRICS_BYTES, metrics_folder, METRICS_NAME, parents_of_root=False, remade=_metrics)
        )
    try:
        ready = _take(folder, outputs, root, moment)
    except Refused as refusal:
        return _say(f"Nothing is published: {refusal}")
    if not ready:
        return _say(f"Nothing is published: {folder} has nothing to publish yet.", status=0)
    status = 0
    for output, data in ready:
        shown = f"{output.folder.rstrip('/')}/{output.name}"
        try:
            with open_folder(output.folder, root=root, parents_of_root=output.parents_of_root) as target:
                put_file(target, output.name, data, shown)
        except Refused as refusal:
            status = _say(f"{shown} is not published: {refusal}")
    return status


def read_now() -> Now:
    """Return this boot's id (``None`` where it is not readable) and the two clocks."""
    boot_id = try_read_head("/proc/sys/kernel/random/boot_id", 64)
    return Now(
        boot_id=boot_id.decode("ascii", "replace").strip() if boot_id else None,
        boottime_s=time.clock_gettime(time.CLOCK_BOOTTIME),
        wall_s=time.time(),
    )


def _take(folder: str, outputs: list[_Output], root: str, now: Now) -> list[tuple[_Output, bytes]]:
    """Return what is to be published; raises ``Refused``."""
    ready = []
    with open_folder(folder, root=root, of_root=False) as opened:
        for output in outputs:
            shown = f"{folder}/{output.source}"
            data = take_file(opened, output.source, output.limit, shown)
            if data is None:
                continue
            try:
                remade = output.remade(data, now)
            except (InvalidJson, InvalidMetrics) as error:
                raise Refused(f"{shown} {error}.") from error
            if len(remade) > output.limit:
                raise Refused(f"{shown} would have {len(remade):,} bytes, more than the {output.limit:,} allowed.")
            ready.append((output, remade))
    return ready


def _fact(data: bytes, now: Now) -> bytes:
    fact = parse_strict(data)
    problem = fact_problem(fact) or _time_problem(fact, now)
    if problem:
        raise InvalidJson(f"is no fact of the agent: {problem}")
    return render_fact(fact)


def _time_problem(fact: dict[str, Any], now: Now) -> str | None:
    """Return why the fact cannot be of this boot and moment: a stale word must not be able to call itself fresh."""
    if now.boot_id is not None and fact["boot_id"] != now.boot_id:
        return "boot_id is not of this boot"
    # One second: the two clocks are read one after the other, and figures are rounded.
    if fact["published_boottime_s"] > now.boottime_s + 1.0:
        return "published_boottime_s lies in the future"
    if fact["fresh_for_s"] > MAX_FRESH_S:
        return f"fresh_for_s is more than {MAX_FRESH_S:,}"
    try:
        published_s = calendar.timegm(time.strptime(fact["published_at"], "%Y-%m-%dT%H:%M:%SZ"))
    except ValueError:
        return "published_at is no time"
    return "published_at lies in the future" if published_s > now.wall_s + _AHEAD_S else None


def _metrics(data: bytes, now: Now) -> bytes:
    samples = parse_metrics(data)
    for sample in samples:
        if sample.name == "lastack_agent_last_look_timestamp_seconds" and sample.value > now.wall_s + _AHEAD_S:
            raise InvalidMetrics(f"has a {sample.name} in the future")
    return render_metrics(samples)


def _say(sentence: str, *, status: int = _REFUSED) -> int:
    sys.stderr.write(f"lastack-agent: {clean_text(sentence, 500)}\n")
    return status
