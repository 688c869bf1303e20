# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lastack merge``: the run folders of an inventory's slices made into one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.plugin_utils.cli.outcome import LEVELS, CommandError, exit_status
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.probe import as_json
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.terminal import (
    add_colour_option,
    screen_width,
    wants_colour,
    write,
)

if TYPE_CHECKING:
    import argparse

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "make one run folder of several: the slices of an inventory, a second attempt"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``lastack merge``."""
    parser.add_argument(
        "run_folders", metavar="RUN_FOLDER", nargs="+", help="two or more folders of finished runs; they are only read"
    )
    parser.add_argument(
        "--store", metavar="DIR", help="the new run folder (default: lastack-runs/TIME in the current directory)"
    )
    parser.add_argument("--json", action="store_true", help="print the merged fleet report")
    parser.add_argument(
        "--fail-on", choices=LEVELS, help="exit with 1 if there is such a finding or a worse one on any host"
    )
    add_colour_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Merge run folders into a new one and print its screen, or its fleet report with ``--json``."""
    from ansible_collections.lastack.linux.plugins.plugin_utils.merge_runs import (  # noqa: PLC0415 - probe is fast
        merge_runs,
    )
    from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import (  # noqa: PLC0415 - the same
        RunFolderError,
    )

    if arguments.store is not None and not arguments.store.strip():
        raise CommandError("--store needs the name of a folder.")
    try:
        finished = merge_runs(arguments.run_folders, arguments.store)
    except RunFolderError as error:
        raise CommandError(str(error)) from None
    if arguments.json:
        write(as_json(finished.fleet))
    else:
        from ansible_collections.lastack.linux.plugins.plugin_utils.render.text import (  # noqa: PLC0415 - the same
            render_run,
        )

        write(
            render_run(
                finished.fleet,
                finished.hosts,
                report_path=finished.html_path,
                colour=wants_colour(arguments.colour),
                width=screen_width(),
            )
        )
    return exit_status(finished.fleet, arguments.fail_on)
