# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real HAProxy between clients that have ended their sending side and a server that goes on answering: no leak."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from entry import FOLDER, Entry
from exhibit import Exhibit
from toolchains import NoProgram

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.needs_root

COUNT = 10


def proxy() -> Entry:
    """HAProxy before a server that streams."""
    command = ["{python}", "../../haproxy_server.py", "{haproxy}", "{haproxy_libraries}", "{program}", "--streams"]
    nothing: dict[str, object] = {"causes": {}, "finding": "", "role": "server", "hints": []}
    return Entry(
        name="half_close",
        library="HAProxy",
        version=[],
        runtime="native",
        page="library.haproxy",
        suffix="cfg",
        run=command,
        needs=["python", "haproxy"],
        leak=nothing,
        fixed={"remaining": 0, "within_s": 1},
        server=True,
        count=COUNT,
    )


@pytest.mark.parametrize("configuration", ["haproxy_half_closed_leaking", "haproxy_half_closed_fixed"])
def test_a_proxy_that_goes_on_answering_is_no_offender(configuration: str, tmp_path: Path) -> None:
    program = FOLDER / configuration.rpartition("_")[0] / f"{configuration}.cfg"
    try:
        exhibit = Exhibit(proxy(), program, tmp_path / "stage")
    except NoProgram as reason:
        pytest.skip(str(reason))
    with exhibit:
        # Longer than the second that the repaired configuration grants a silent server: this one is not silent. With no
        # least age nothing is in doubt: each socket is an offender, but for its cause.
        time.sleep(1.5)
        report = exhibit.look("--min-age-s", "0", "--sockets").report
        assert exhibit.works() == ""
        assert exhibit.close_wait() == 2 * COUNT, "HAProxy's sockets, and the server's, to which it passed the end on"
    assert report["close_wait"]["total"] == 2 * COUNT
    assert [one["cause"] for one in report["close_wait"]["sockets"]] == ["half_close"] * (2 * COUNT)
    assert report["close_wait"]["offenders"] == []
    assert [one["id"] for one in report["findings"] if one["remedy"] == "app"] == []
