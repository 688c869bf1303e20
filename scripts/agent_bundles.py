# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's bundle, built from several copies of the collection by several Pythons: all alike, and it runs."""

from __future__ import annotations

import hashlib
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tool_cache import Python

__all__ = ["build_bundles", "check_bundles"]

_BUILD = """\
import sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.lastack.linux.plugins.plugin_utils import bundle
assert bundle.__file__.startswith(sys.argv[1] + "/"), bundle.__file__
sys.stdout.buffer.write(bundle.build_bundle().data)
"""
# Nothing but the standard library, and nothing is written beside the sources.
_ISOLATED = ("-I", "-S", "-B")
_TIMEOUT_S = 120


def build_bundles(collections: Mapping[str, Path], pythons: Sequence[Python]) -> dict[str, bytes]:
    """Build the bundle once for each pair; return the bytes by a name such as ``the wheel by Python 3.13``.

    Args:
        collections: a name to the folder that holds ``ansible_collections``, without links.
        pythons: those on which a controller runs.

    Raises:
        ValueError: a build failed; the end of what it said is in the message.
    """
    found = {}
    for name, folder in collections.items():
        for python in pythons:
            command = [str(python.path), *_ISOLATED, "-c", _BUILD, str(folder)]
            done = subprocess.run(command, check=False, capture_output=True, timeout=_TIMEOUT_S)
            what = f"{name} by Python {python.version}"
            if done.returncode:
                raise ValueError(f"the bundle of {what} cannot be built:\n{done.stderr.decode()[-4000:]}")
            found[what] = done.stdout
    return found


def check_bundles(bundles: Mapping[str, bytes], hosts: Sequence[Python], scratch: Path) -> str:
    """Hold all bundles against the first, and run it on every Python of a host; return one sentence of counts.

    Raises:
        ValueError: two differ, or one does not run.
    """
    (first, wanted), *others = bundles.items()
    for name, data in others:
        if data != wanted:
            raise ValueError(f"the bundle of {name} differs from that of {first}")
    path = scratch / "lastack-agent.pyz"
    path.write_bytes(wanted)
    for python in hosts:
        command = [str(python.path), *_ISOLATED, str(path), "--version"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_TIMEOUT_S)
        if done.returncode:
            raise ValueError(f"the bundle does not run on Python {python.version}:\n{done.stderr[-4000:]}")
    digest = hashlib.sha256(wanted).hexdigest()
    versions = ", ".join(python.version for python in hosts)
    return f"{len(bundles)} builds of {len(wanted):,} bytes alike, sha256 {digest}; it runs on Python {versions}"
