# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the matrix: one lab with the hosts that the chosen tests need, one seat and one run a controller."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from controllers import CONTROLLERS
from lab import SUITES, HostSpec, Lab, why_no_suite, why_not
from matrix import LEAKS, ROOT, Matrix, start_leak, target
from seats import HostSeat

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from controllers import Controller


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a controller, or a controller and a suite, with ids such as ``core-2.16-on-bullseye``."""
    if "controller" not in metafunc.fixturenames:
        return
    names = ["controller"]
    rows: list[tuple[tuple[object, ...], str, Controller]] = [((one,), one.name, one) for one in CONTROLLERS]
    if "suite" in metafunc.fixturenames:
        names = ["controller", "suite"]
        rows = [((one, suite), f"{one.name}-on-{suite}", one) for one in CONTROLLERS for suite in SUITES]
    marks = {True: (), False: (pytest.mark.soak,)}
    metafunc.parametrize(names, [pytest.param(*values, id=name, marks=marks[one.gate]) for values, name, one in rows])


@pytest.fixture(scope="session")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection, as ``ansible-galaxy collection build`` makes it from the clone."""
    folder = tmp_path_factory.mktemp("tarball")
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "galaxy", "collection", "build", str(ROOT), "--output-path", str(folder)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    (found,) = folder.glob("lastack-linux-*.tar.gz")
    return found


@pytest.fixture(scope="session")
def matrix(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tarball: Path) -> Iterator[Matrix]:
    """A lab with no more hosts than the chosen tests need."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    chosen = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    wanted = {one["suite"] for one in chosen if "suite" in one}
    # A test of a controller alone asks for no suite, and there is no lab without a host.
    suites = [suite for suite in SUITES if suite in (wanted or SUITES) and not why_no_suite(suite)]
    if not suites:
        pytest.skip(" ".join(why_no_suite(suite) for suite in wanted or SUITES))
    hosts = [HostSpec(target(suite), suite) for suite in suites]
    if any(one["controller"].in_host for one in chosen if "controller" in one) and not why_no_suite("trixie"):
        hosts.append(HostSpec(HostSeat.HOST, "trixie"))
    with Lab(hosts) as lab:
        for suite in suites:
            start_leak(lab, target(suite), LEAKS[suite])
        yield Matrix(lab, tmp_path_factory.mktemp("seats"), tarball, suites)
