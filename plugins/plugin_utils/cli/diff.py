# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lastack diff``: what changed between two run folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.plugin_utils.cli.outcome import FAILED, SUCCESS, CommandError
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

SUMMARY = "compare two run folders: what is new, gone, grown, and what nobody looked at again"

# What makes --fail-on fail: hosts that nobody looked at again are no reason, they are said on the screen.
_FAILS = {"new": {"new", "first_seen"}, "grown": {"new", "first_seen", "grown"}}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``lastack diff``."""
    parser.add_argument("old", metavar="OLD", help="the run folder to compare with")
    parser.add_argument("new", metavar="NEW", help="the run folder of today")
    parser.add_argument("--json", action="store_true", help="print the comparison as lastack.diff/1")
    parser.add_argument(
        "--markdown", metavar="PATH", help="write a summary in Markdown to this file; - prints it instead of the screen"
    )
    parser.add_argument(
        "--fail-on",
        choices=("grown", "new"),
        help="exit with 1 if an application leaks that did not before; with grown also if a leak grew",
    )
    add_colour_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compare two run folders and print the screen, with ``--json`` the comparison itself."""
    from ansible_collections.lastack.linux.plugins.plugin_utils.cli.output_files import (  # noqa: PLC0415 - probe is fast
        open_output,
        refuse_inputs,
        run_inputs,
    )
    from ansible_collections.lastack.linux.plugins.plugin_utils.diff_runs import (  # noqa: PLC0415 - the same
        diff_runs,
    )
    from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import (  # noqa: PLC0415 - the same
        RunFolderError,
    )

    if arguments.json and arguments.markdown == "-":
        raise CommandError("--json and --markdown - both want standard output: name a file for the Markdown.")
    if arguments.markdown == "":
        raise CommandError("--markdown needs the name of a file.")
    refuse_inputs({"--markdown": arguments.markdown}, [*run_inputs(arguments.old), *run_inputs(arguments.new)])
    try:
        diff = diff_runs(arguments.old, arguments.new)
    except RunFolderError as error:
        raise CommandError(str(error)) from None
    if arguments.markdown is not None:
        from ansible_collections.lastack.linux.plugins.plugin_utils.render.markdown_diff import (  # noqa: PLC0415 - the same
            markdown_diff,
        )

        with open_output(arguments.markdown) as file:
            file.write(markdown_diff(diff).encode("utf-8"))
    if arguments.json:
        write(as_json(diff))
    elif arguments.markdown != "-":
        from ansible_collections.lastack.linux.plugins.plugin_utils.render.text_diff import (  # noqa: PLC0415 - the same
            render_diff,
        )

        write(render_diff(diff, folder=arguments.new, colour=wants_colour(arguments.colour), width=screen_width()))
    changes = set(diff["changes"])
    return FAILED if arguments.fail_on and changes & _FAILS[arguments.fail_on] else SUCCESS
