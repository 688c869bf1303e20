# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lastack bundle``: the agent as one file, for those who bring it to their hosts in a way of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.plugin_utils.cli.outcome import SUCCESS, CommandError
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.terminal import write

if TYPE_CHECKING:
    import argparse

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "write the agent as one file that Python runs, the same bytes everywhere"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``lastack bundle``."""
    parser.add_argument("path", metavar="PATH", help="the file to write, such as lastack-agent.pyz")


def run(arguments: argparse.Namespace) -> int:
    """Write the bundle and say what it is."""
    from ansible_collections.lastack.linux.plugins.plugin_utils.atomic_files import (  # noqa: PLC0415 - probe is fast
        write_atomically,
    )
    from ansible_collections.lastack.linux.plugins.plugin_utils.bundle import (  # noqa: PLC0415 - the same
        BundleError,
        build_bundle,
    )

    try:
        bundle = build_bundle()
    except BundleError as error:
        raise CommandError(f"the agent cannot be bundled: {error}") from None
    try:
        write_atomically(arguments.path, bundle.data)
    except OSError as error:
        raise CommandError(f"{arguments.path}: {error.strerror or error}") from None
    write(
        f"{arguments.path}: lastack agent {bundle.version}, {len(bundle.data):,} bytes, sha256 {bundle.sha256}\n"
        f"Try it: python3 -I -S -B {arguments.path} once"
    )
    return SUCCESS
