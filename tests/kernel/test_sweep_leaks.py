# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sweep's program in namespaces with real leaks: it sees them and their owners, or says what it may not see."""

from __future__ import annotations

import shutil
import sys
from typing import Any

import launch
import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.validate import require_host_report
from ansible_collections.lastack.linux.sweep.conversation import Conversation
from ansible_collections.lastack.linux.sweep.payload import (
    Request,
    build_body,
    new_marker,
    remote_command,
)
from carry import carry
from tool_cache import Python, pythons

pytestmark = pytest.mark.needs_root

COUNT = 24
MARKER = new_marker()
BODY = build_body(MARKER, {"min_age_s": 0.0, "sockets": True})
# Every Python between them has looked in the unit tests.
FOUND = pythons()
ENDS = list(dict.fromkeys([FOUND[0], FOUND[-1]]))


def swept(python: Python, *before: str) -> dict[str, Any]:
    """Leak, and return the report of a sweep from there, its command put behind ``before``."""
    talk = Conversation(MARKER, BODY)
    line = remote_command(Request(MARKER, (str(python.path),)))
    leak = [sys.executable, launch.__file__, "--settle-s", "1", f"missing_close:{COUNT}", "--"]
    report = require_host_report(talk.result(carry(talk, [*leak, *before, "/bin/sh", "-c", line], timeout_s=120)))
    assert talk.python is not None
    assert talk.python.startswith(python.version + ".")
    return report


@pytest.mark.parametrize("python", ENDS, ids=[one.version for one in ENDS])
def test_a_leak_is_seen_with_its_owner_and_cause(python: Python) -> None:
    report = swept(python)
    offender = next(one for one in report["close_wait"]["offenders"] if one["app"] == "missing_close.py")
    assert offender["count"] == COUNT
    assert offender["causes"] == {"eof_read": COUNT}
    assert len(report["close_wait"]["sockets"]) == COUNT
    assert report["collector"]["name"] == "sweep"
    assert "close_wait.leak" in [finding["id"] for finding in report["findings"]]


def test_who_may_not_see_owners_is_told() -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    report = swept(FOUND[0], "setpriv", "--bounding-set=-all", "--inh-caps=-all")
    assert report["close_wait"]["total"] == COUNT
    assert not report["completeness"]["privileged"]
    assert not report["completeness"]["complete"]
    assert "owners_denied" in [warning["code"] for warning in report["completeness"]["warnings"]]
