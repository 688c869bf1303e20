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
    from typing import IO

    from ansible_collections.lastack.linux.plugins.plugin_utils.sinks import Sink
    from markupsafe import Markup

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "show an audit's run folder again, renew its HTML report, write tickets for developers"

_HISTORY_DAYS = 30
_FILES = ("html", "markdown", "junit", "openmetrics")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``lastack report``."""
    parser.add_argument("run_folder", metavar="RUN_FOLDER", help="a folder that tcp_audit wrote (lastack.run/1)")
    parser.add_argument("--json", action="store_true", help="print the fleet report; with --tickets their index")
    files = parser.add_argument_group("also write", "A PATH of - is standard output, then instead of the screen.")
    files.add_argument("--html", metavar="PATH", help="the HTML report")
    files.add_argument(
        "--history",
        metavar="FILE",
        nargs="?",
        const="",
        help="how leaks grew, in the HTML report; from this history file or from the default one",
    )
    files.add_argument("--markdown", metavar="PATH", help="a summary for a chat or a merge request")
    files.add_argument("--junit", metavar="PATH", help="JUnit XML for a CI server: one case for each host and finding")
    files.add_argument("--openmetrics", metavar="PATH", help="gauges for node_exporter's textfiles or a Pushgateway")
    files.add_argument(
        "--csv", metavar="DIR", help="hosts.csv, applications.csv, findings.csv and settings.csv into this folder"
    )
    files.add_argument(
        "--tickets",
        metavar="DIR",
        help="a Markdown ticket for each application that has to change, and tickets.json, into this folder",
    )
    parser.add_argument(
        "--fail-on", choices=LEVELS, help="exit with 1 if there is such a finding or a worse one on any host"
    )
    add_colour_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Merge and render a run folder again and print its screen, or its fleet report with ``--json``."""
    folder = arguments.run_folder
    if os.path.isfile(folder):  # noqa: PTH113 - pathlib costs a tenth of a probe's start
        raise CommandError(f"{folder} is a file: name the run folder, {os.path.dirname(folder) or '.'}")  # noqa: PTH120 - the same
    silent = _refuse_clashes(arguments)
    fleet, html_path = _render(arguments)
    if arguments.tickets is not None:
        _tickets(arguments, fleet, silent=silent)
    elif arguments.json:
        write(as_json(fleet))
    elif not silent:
        from ansible_collections.lastack.linux.plugins.plugin_utils.render.text import (  # noqa: PLC0415 - probe is fast
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


def _refuse_clashes(arguments: argparse.Namespace) -> bool:
    """Refuse two outputs in one place; return whether standard output is taken by a file."""
    from ansible_collections.lastack.linux.plugins.plugin_utils.cli.output_files import (  # noqa: PLC0415 - the same
        refuse_inputs,
        require_one_stdout,
        run_inputs,
    )

    wanted: dict[str, str | None] = {f"--{name}": getattr(arguments, name) for name in _FILES}
    taken: dict[str, str] = {}
    for option, path in wanted.items():
        if path is None:
            continue
        if not path:
            raise CommandError(f"{option} needs the name of a file.")
        real = os.path.realpath(path)
        if path != "-" and os.path.isfile(real) | (not os.path.exists(real)) and real in taken:  # noqa: PTH110,PTH113 - the same
            raise CommandError(f"{taken[real]} and {option} name the same file: {path}")
        taken[real] = option
    for option in ("csv", "tickets"):
        if getattr(arguments, option) == "":
            raise CommandError(f"--{option} needs the name of a folder.")
    refuse_inputs(
        {**wanted, "--csv": arguments.csv}, [*run_inputs(arguments.run_folder), *_history_files(arguments.history)]
    )
    silent = require_one_stdout({**wanted, "--json": "-" if arguments.json else None})
    return silent and not arguments.json


def _render(arguments: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Merge and render the run in one pass, and write all files that are wanted, or none of them."""
    from contextlib import ExitStack  # noqa: PLC0415 - the same

    from ansible_collections.lastack.linux.plugins.plugin_utils.cli.output_files import (  # noqa: PLC0415 - the same
        named_errors,
        open_output,
    )
    from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import (  # noqa: PLC0415 - the same
        RunFolderError,
    )
    from ansible_collections.lastack.linux.plugins.plugin_utils.run_report import (  # noqa: PLC0415 - the same
        rerender_run,
    )

    with ExitStack() as stack:
        files = {name: stack.enter_context(open_output(path)) for name in _FILES if (path := getattr(arguments, name))}
        sinks: list[Sink] = []
        if "junit" in files:
            from ansible_collections.lastack.linux.plugins.plugin_utils.render.junit import (  # noqa: PLC0415 - the same
                JUnitSink,
            )

            sinks.append(JUnitSink(files["junit"]))
        if arguments.csv:
            from ansible_collections.lastack.linux.plugins.plugin_utils.render.csv_tables import (  # noqa: PLC0415 - the same
                open_tables,
            )

            with named_errors(arguments.csv):
                sinks.append(stack.enter_context(open_tables(arguments.csv)))
        try:
            fleet, html_path = rerender_run(
                arguments.run_folder, sinks, history=_history(arguments.history), page=files.get("html")
            )
        except RunFolderError as error:
            raise CommandError(str(error)) from None
        _write_from_fleet(files, fleet)
    return fleet, html_path


def _history_files(file: str | None) -> list[str]:
    """Return the history file that is read, if one is."""
    if file is None:
        return []
    from ansible_collections.lastack.linux.plugins.plugin_utils.history_store import (  # noqa: PLC0415 - the same
        default_path,
    )

    return [file or str(default_path())]


def _history(file: str | None) -> Markup | None:
    """Return the inside of the HTML report's history section: the last thirty days of a history file."""
    if file is None:
        return None
    from ansible_collections.lastack.linux.plugins.plugin_utils.history_days import (  # noqa: PLC0415 - the same
        build_history,
    )
    from ansible_collections.lastack.linux.plugins.plugin_utils.history_schema import (  # noqa: PLC0415 - the same
        HistoryError,
    )
    from ansible_collections.lastack.linux.plugins.plugin_utils.history_store import (  # noqa: PLC0415 - the same
        default_path,
        opened,
    )
    from ansible_collections.lastack.linux.plugins.plugin_utils.render.html_history import (  # noqa: PLC0415 - the same
        history_section,
    )

    try:
        with opened(file or default_path()) as store:
            return history_section(build_history(store, days=_HISTORY_DAYS))
    except HistoryError as error:
        raise CommandError(str(error)) from None


def _write_from_fleet(files: Mapping[str, IO[bytes]], fleet: Mapping[str, Any]) -> None:
    """Write what needs the fleet report alone."""
    if "markdown" in files:
        from ansible_collections.lastack.linux.plugins.plugin_utils.render.markdown_fleet import (  # noqa: PLC0415 - the same
            render_markdown,
        )

        files["markdown"].write(render_markdown(fleet).encode("utf-8"))
    if "openmetrics" in files:
        from ansible_collections.lastack.linux.plugins.plugin_utils.render.openmetrics import (  # noqa: PLC0415 - the same
            render_openmetrics,
        )

        files["openmetrics"].write(render_openmetrics(fleet).encode("utf-8"))


def _tickets(arguments: argparse.Namespace, fleet: Mapping[str, Any], *, silent: bool) -> None:
    """Write the tickets and print a line for each unless ``silent``, or their index with ``--json``."""
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

    try:
        tickets = write_tickets(arguments.run_folder, fleet, arguments.tickets)
    except (RunFolderError, TicketsError) as error:
        raise CommandError(str(error)) from None
    if arguments.json:
        write(as_json(tickets.listed))
        return
    if silent:
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
