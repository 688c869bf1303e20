# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run folders of any number of generated hosts, as an audit would leave them: the same for the same seed.

    PYTHONPATH=collections .venv/bin/python bench/generated_reports.py FOLDER --hosts 10000 [--change]

Of the hosts 60 % are healthy, 25 % have a warning, 10 % leak, 3 % were not reached and 2 % were seen in part only.
``--change`` makes the same fleet a week later: some leaks are healed, some grew or shrank, one application leaks anew,
and some hosts that leaked were not reached or have left the inventory.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.version import VERSION
from ansible_collections.lastack.linux.plugins.plugin_utils.safe_names import safe_file_name
from generated_hosts import TROUBLES, host_report
from generated_leaks import APPS, LEAKING, Leak

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["generate", "main", "names"]

_EARLIER = "2026-11-02T06:{:02}:{:02}Z"
_LATER = "2026-11-09T06:{:02}:{:02}Z"
_REASONS = (
    "Failed to connect to the host via ssh: connect to host port 22: Connection timed out",
    "Failed to connect to the host via ssh: connect to host port 22: No route to host",
    "Failed to connect to the host via ssh: Host key verification failed.",
)
_HEALTHY, _WARNING, _LEAKING, _UNREACHABLE = 0.60, 0.85, 0.95, 0.98
_NEW_LEAK = APPS[24]
_OFTEN = 200
"""One host in so many leaves the inventory within the week, and as many are new."""


class _Fate(NamedTuple):
    kind: str
    leaks: tuple[Leak, ...] = ()
    trouble: str = ""
    drift: float = 0.0


def generate(  # noqa: PLR0913 - the defaults are what a caller wants
    folder: Path, hosts: int, *, seed: int = 1, change: bool = False, part: int = 0, parts: int = 1
) -> None:
    """Write a finished run folder with so many hosts into ``folder``, which must not exist or be empty.

    ``change`` is a week later. ``part`` of ``parts`` writes one slice of the inventory, as AWX cuts it: host numbers
    that leave this remainder. Nothing is flushed to disk: a benchmark's input may be lost.
    """
    (folder / "hosts").mkdir(parents=True)
    stamp = _LATER if change else _EARLIER
    outcomes = {}
    for number, name in names(hosts, change=change):
        if number % parts != part:
            continue
        random = Random(f"{seed}/{number}")  # noqa: S311 - no secret
        fate = _fate(random)
        if change:
            fate = _week_later(fate, Random(f"{seed}/{number}/later"))  # noqa: S311 - no secret
        if fate.kind == "unreachable":
            outcomes[name] = {"outcome": "unreachable", "reason": _REASONS[number % len(_REASONS)], "file": None}
            continue
        file = f"hosts/{safe_file_name(name)}.json"
        collected_at = stamp.format(number * 20 // max(hosts, 1) % 60, number % 60)
        report = host_report(
            random,
            name,
            collected_at,
            leaks=fate.leaks,
            trouble=fate.trouble,
            complete=fate.kind != "incomplete",
            drift=fate.drift,
        )
        (folder / file).write_text(json.dumps(report, separators=(",", ":")) + "\n", encoding="ascii")
        outcomes[name] = {"outcome": "ok", "reason": None, "file": file}
    manifest = {
        "schema": "lastack.run/1",
        "id": f"{stamp.format(0, 0).replace('-', '').replace(':', '')}-{(seed * 4096 + part) % 2**24:06x}",
        "made_by": "tcp_audit",
        "version": VERSION,
        "controller": f"controller-{part}",
        "started_at": stamp.format(0, 0),
        "finished_at": stamp.format(21, 0),
        "finished": True,
        "hosts": outcomes,
        "options": {},
        "owner": None,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="ascii")


def names(hosts: int, *, change: bool = False) -> Iterator[tuple[int, str]]:
    """Yield the number and inventory name of each host: some leave within the week, as many come."""
    for number in range(hosts + (hosts // _OFTEN if change else 0)):
        if change and number < hosts and number % _OFTEN == _OFTEN - 1:
            continue
        kind = ("web", "app", "db", "batch", "edge")[number % 5]
        yield number, f"{kind}-{number:06}.dc{number % 3 + 1}.example.org"


def _fate(random: Random) -> _Fate:
    roll = random.random()
    if roll < _HEALTHY:
        return _Fate("healthy")
    if roll < _WARNING:
        return _Fate("warning", trouble=random.choice(TROUBLES))
    if roll >= _LEAKING:
        return _Fate("unreachable" if roll < _UNREACHABLE else "incomplete", drift=0.1)
    # A few applications leak on most of the hosts.
    chosen = {LEAKING[min(int(random.expovariate(0.3)), len(LEAKING) - 1)] for __ in range(random.randint(1, 2))}
    leaks = [Leak(app, int(random.lognormvariate(5, 1.4)) + 1, round(random.uniform(300, 90000), 1)) for app in chosen]
    return _Fate("leaking", tuple(sorted(leaks)), random.choice(TROUBLES) if random.random() < 1 / 5 else "")


def _week_later(fate: _Fate, random: Random) -> _Fate:
    roll = random.random()
    drift = 0.5 if random.random() < 0.03 else 0.0
    if fate.kind == "leaking":
        if roll < 0.1:
            return _Fate("unreachable")
        left = tuple(changed for leak in fate.leaks if (changed := _changed(leak, random)) is not None)
        return fate._replace(kind="leaking" if left else "healthy", leaks=left, drift=drift)
    if fate.kind == "healthy" and roll < 0.02:
        return _Fate("leaking", (Leak(_NEW_LEAK, random.randint(30, 4000), 7200.0),), drift=drift)
    if fate.kind == "unreachable" and roll < 0.7:
        return _Fate("healthy", drift=drift)
    return fate._replace(drift=drift)


def _changed(leak: Leak, random: Random) -> Leak | None:
    """Return the leak a week later: by application healed, grown, shrunk or much the same."""
    factor = (0.0, random.uniform(1.6, 3.0), random.uniform(0.3, 0.6), random.uniform(0.95, 1.05))[
        LEAKING.index(leak.app) % 4
    ]
    return leak._replace(sockets=max(1, int(leak.sockets * factor)), age_s=leak.age_s + 604800) if factor else None


def main(arguments: list[str]) -> int:
    """Write a generated run folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hosts", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--change", action="store_true", help="the same fleet a week later")
    parser.add_argument("--part", type=int, default=0, help="only this slice of the inventory, from 0")
    parser.add_argument("--parts", type=int, default=1, help="how many slices there are")
    options = parser.parse_args(arguments)
    generate(
        options.folder,
        options.hosts,
        seed=options.seed,
        change=options.change,
        part=options.part,
        parts=options.parts,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
