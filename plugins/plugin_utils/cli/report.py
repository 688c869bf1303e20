# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lastack report``: the screen and the page of a run folder, made again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

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
    from collections.abc import Mapping

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "show an audit's run folder again, renew its HTML report, write tickets for developers"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``lastack report``."""
    parser.add_argument("run_folder", metavar="RUN_FOLDER", help="a folder that tcp_audit wrote (lastack.run/1)")
    parser.add_argument("--json", action="store_true", help="print the fleet report; with --tickets their index")
    parser.add_argument("--html", metavar="PATH", help="also write the HTML report to this file")
    parser.add_argument(
        "--tickets",
        metavar="DIR",
        help="write a Markdown ticket for each application that has to change, and tickets.json, into this folder",
    )
    parser.add_argument(
        "--fail-on", choices=LEVELS, help="exit with 1 if there is such a finding or a worse one on any host"
    )
    add_colour_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Merge and render a run folder again and print its screen, or its fleet report with ``--json``."""
    from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import (  # noqa: PLC0415 - probe is fast
        RunFolderError,
    )
    from ansible_collections.lastack.linux.plugins.plugin_utils.run_report import (  # noqa: PLC0415 - the same
        rerender_run,
    )

    folder = arguments.run_folder
    if os.path.isfile(folder):  # noqa: PTH113 - pathlib costs a tenth of a probe's start
        raise CommandError(f"{folder} is a file: name the run folder, {os.path.dirname(folder) or '.'}")  # noqa: PTH120 - the same
    try:
        fleet, html_path = rerender_run(arguments.run_folder)
    except RunFolderError as error:
        raise CommandError(str(error)) from None
    if arguments.html is not None:
        if not html_path:
            raise CommandError(f"{arguments.run_folder}: the HTML report is made there, but it cannot be written to.")
        from pathlib import Path  # noqa: PLC0415 - costs a tenth of a probe's start

        Path(arguments.html).write_bytes(Path(html_path).read_bytes())
    if arguments.tickets is not None:
        _tickets(arguments, fleet)
    elif arguments.json:
        write(as_json(fleet))
    else:
        from ansible_collections.lastack.linux.plugins.plugin_utils.render.text import (  # noqa: PLC0415 - the same
            render_run,
        )

        write(
            render_run(
                fleet,
                _only_host(arguments.run_folder, fleet),
                report_path=arguments.html or html_path or None,
                colour=wants_colour(arguments.colour),
                width=screen_width(),
            )
        )
    return exit_status(fleet, arguments.fail_on)


def _tickets(arguments: argparse.Namespace, fleet: Mapping[str, Any]) -> None:
    """Write the tickets and print a line for each, or their index with ``--json``."""
    from ansible_collections.lastack.linux.plugins.plugin_utils.render.text_tickets import (  # noqa: PLC0415 - the same
        render_tickets,
    )
    from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import (  # noqa: PLC0415 - the same
        RunFolderError,
    )
    from ansible_collections.lastack.linux.plugins.plugin_utils.tickets import (  # noqa: PLC0415 - the same
        TicketsError,
        write_tickets,
    )

    if not arguments.tickets:
        raise CommandError("--tickets needs the name of a folder.")
    try:
        tickets = write_tickets(arguments.run_folder, fleet, arguments.tickets)
    except (RunFolderError, TicketsError) as error:
        raise CommandError(str(error)) from None
    if arguments.json:
        write(as_json(tickets.listed))
        return
    write(
        render_tickets(
            tickets.listed,
            tickets.written,
            folder=arguments.tickets,
            colour=wants_colour(arguments.colour),
            width=screen_width(),
        )
    )


def _only_host(run_folder: str, fleet: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The report of a run of one host, for its own screen; a fleet's hosts stay on disk."""
    from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import (  # noqa: PLC0415 - probe is fast
        RunFolder,
    )
    from ansible_collections.lastack.linux.plugins.plugin_utils.validate import (  # noqa: PLC0415 - the same
        InvalidReport,
        load_host_report,
    )

    if fleet["hosts"]["meant"] != 1:
        return []
    run = RunFolder.read(run_folder)
    files = [outcome.file for outcome in run.outcomes().values() if outcome and outcome.file]
    try:
        return [load_host_report(run.report_path(file)) for file in files]
    except InvalidReport:
        return []
