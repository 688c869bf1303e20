# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real leaking programs, looked at by ``lastack probe`` as a user would: application, count, cause, finding, remedy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import launch
import pytest

pytestmark = pytest.mark.needs_root

COUNT = 24
DEAD = 60


class Expected(NamedTuple):
    """What the report must say of one program."""

    program: str
    app: str
    runtime: str
    cause: str
    finding: str
    role: str


EXPECTED = [
    Expected("idle_pool", "idle_pool.py", "python", "eof_unnoticed", "close_wait.idle_pool", "client"),
    Expected("idle_pool_tls", "idle_pool_tls.py", "python", "eof_unnoticed_tls", "close_wait.idle_pool", "client"),
    Expected("unread_body", "unread_body.py", "python", "unread_data", "close_wait.unread_body", "client"),
    Expected("node_unread", "node_unread.js", "node", "unread_data", "close_wait.unread_body", "client"),
    Expected("java_unread", "UnreadBody.java", "java", "unread_data", "close_wait.unread_body", "client"),
    Expected("missing_close", "missing_close.py", "python", "eof_read", "close_wait.leak", "server"),
    Expected("stuck_accept", "stuck_accept.py", "python", "unaccepted", "close_wait.stuck_accept", "server"),
    Expected("shared_holder", "shared_holder.py", "python", "eof_unnoticed", "close_wait.inherited", "client"),
]


def probe(*programs: str) -> dict[str, Any]:
    """Start the programs in namespaces of their own and return what ``lastack probe --json`` says there."""
    lastack = Path(sys.executable).with_name("lastack")
    command = [str(lastack), "probe", "--json", "--min-age-s", "0"]
    done = subprocess.run(
        [sys.executable, launch.__file__, "--settle-s", "1", *programs, "--", *command],
        check=False,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    present = [one.program for one in EXPECTED if launch.why_missing(one.program) is None]
    return probe(*(f"{name}:{COUNT}" for name in present), f"dead_sockets:{DEAD}")


@pytest.mark.parametrize("expected", EXPECTED, ids=[one.program for one in EXPECTED])
def test_offender(report: dict[str, Any], expected: Expected) -> None:
    reason = launch.why_missing(expected.program)
    if reason:
        pytest.skip(reason)
    offenders = [one for one in report["close_wait"]["offenders"] if one["app"] == expected.app]
    assert len(offenders) == 1, [one["app"] for one in report["close_wait"]["offenders"]]
    offender = offenders[0]
    assert offender["count"] == COUNT
    assert offender["causes"] == {expected.cause: COUNT}
    assert offender["runtime"] == expected.runtime
    assert offender["role"] == expected.role
    findings = [one for one in report["findings"] if one["id"] == expected.finding and expected.app in one["subject"]]
    assert len(findings) == 1, [(one["id"], one["subject"]) for one in report["findings"]]
    assert findings[0]["remedy"] == "app"
    assert str(COUNT) in findings[0]["summary"]


def test_other_holder_is_named(report: dict[str, Any]) -> None:
    offender = next(one for one in report["close_wait"]["offenders"] if one["app"] == "shared_holder.py")
    assert [one["app"] for one in offender["shared_with"]] == ["sleep"]


def test_dead_sockets(report: dict[str, Any]) -> None:
    dead = report["dead_sockets"]
    assert [(one["app"], one["count"]) for one in dead["offenders"]] == [("dead_sockets.py", DEAD)]
    finding = next(one for one in report["findings"] if one["id"] == "fd.dead_sockets")
    assert finding["remedy"] == "app"
    assert "dead_sockets.py" in finding["subject"]


def test_nothing_else_is_accused(report: dict[str, Any]) -> None:
    """The peers hold as many sockets, in FIN_WAIT2: they are nobody's leak."""
    known = {one.app for one in EXPECTED}
    assert {one["app"] for one in report["close_wait"]["offenders"]} <= known
    assert report["close_wait"]["total"] == COUNT * len(report["close_wait"]["offenders"])
    assert report["completeness"]["close_wait"]["unattributed"] == 0


def test_young_sockets_are_no_offence() -> None:
    """The same program with the usual minimum age: a second after the FIN it is transit, and nothing is found."""
    lastack = Path(sys.executable).with_name("lastack")
    command = [sys.executable, launch.__file__, "idle_pool:5", "--", str(lastack), "probe", "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    report = json.loads(done.stdout)
    assert report["completeness"]["close_wait"]["in_transit"] == 5
    assert report["close_wait"]["offenders"] == []
    assert not [one for one in report["findings"] if one["id"].startswith("close_wait.")]
