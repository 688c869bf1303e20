# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ``lastack`` command: its parser, and what holds for every subcommand."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text
from ansible_collections.lastack.linux.plugins.module_utils.version import VERSION
from ansible_collections.lastack.linux.plugins.plugin_utils.cli import (
    bundle,
    completion,
    diff,
    drift,
    explain,
    history,
    merge,
    probe,
    report,
    sweep,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.outcome import (
    BROKEN_PIPE,
    ERROR,
    INTERRUPTED,
    CommandError,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.terminal import screen_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import SupportsWrite

__all__ = ["build_parser", "main"]

_EPILOG = """\
Exit status: 0, whatever is found; 1 only with --fail-on and such findings; 2 for an error.

  lastack probe                      this host, right now, one screen
  lastack probe --watch 10           every ten seconds, with what changed
  lastack sweep -i hosts.yml -b      many hosts, right now, over ssh
  lastack explain close_wait.leak    what it means, how to prove it, how to fix it
  lastack report RUN_FOLDER          an audit's screen again
  lastack merge A B                  one run folder of several
  lastack diff OLD NEW               what changed between two audits
  lastack drift RUN_FOLDER           where hosts differ in settings and limits
  lastack history add RUN_FOLDER     keep what a run found; lastack history shows how leaks grow
"""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the screen; asked here, because argparse would import shutil for it in every run."""

    def __init__(self, prog: str, **options: Any) -> None:  # noqa: ANN401 - what newer versions of argparse add
        super().__init__(prog, **{"max_help_position": 28, "width": screen_width() - 2, **options})


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints look like every other complaint of ``lastack``."""

    def error(self, message: str) -> NoReturn:
        self.exit(ERROR, f"lastack: {message}\nTry '{self.prog} --help'.\n")

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        # The inherited one takes a reader that went away, and a full disk, for success.
        if message:
            (file or sys.stderr).write(message)


_LONGEST_COMPLAINT = 4096


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command; ``completion`` is generated from it."""
    parser = _Parser(
        prog="lastack",
        description="Tells which TCP trouble is the kernel's, which is a limit's and which is the application's.",
        epilog=_EPILOG,
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"lastack {VERSION}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for module in (probe, sweep, report, merge, diff, drift, history, explain, bundle, completion):
        name = module.__name__.rpartition(".")[2]
        command = commands.add_parser(
            name,
            help=module.SUMMARY,
            description=f"{module.SUMMARY[0].upper()}{module.SUMMARY[1:]}.",
            formatter_class=_Formatter,
            allow_abbrev=False,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run, parser=command)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (the process's own by default) and return its exit status."""
    _stand_in_for_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A screen that is not UTF-8 shows "?" for what it lacks; that is no reason to fail.
            stream.reconfigure(errors="replace")
    try:
        status = _dispatch(argv)
        sys.stdout.flush()
    except KeyboardInterrupt:
        _abandon_output()
        return INTERRUPTED
    except BrokenPipeError:
        _abandon_output()
        return BROKEN_PIPE
    except OSError as error:
        _abandon_output()
        return _complain(f"{error.filename or 'standard output'}: {error.strerror or error}")
    except Exception:  # noqa: BLE001 - a defect must not look like status 1, which belongs to findings
        import traceback  # noqa: PLC0415 - only for a defect

        traceback.print_exc()
        return _complain("this is a defect of lastack; please report it with the lines above")
    return status


def _stand_in_for_closed_streams() -> None:
    """Let a stream that the caller closed (``>&-``) go nowhere; the rest of the program need not know."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one: no socket may take it, nor be written to as standard error.
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)  # noqa: FBT003 - its only argument
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - for the whole process


def _dispatch(argv: Sequence[str] | None) -> int:
    try:
        parser = build_parser()
        arguments, unknown = parser.parse_known_args(argv)
        if unknown:
            # The inherited complaint names the help of the whole command, which does not list a subcommand's flags.
            arguments.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        return int(arguments.run(arguments))
    except SystemExit as ended:
        # argparse ends --help, --version and its own errors this way.
        return ended.code if isinstance(ended.code, int) else 0
    except CommandError as error:
        return _complain(str(error))


def _complain(sentence: str) -> int:
    # A path may come from somebody's archive: it must not steer the terminal.
    sys.stderr.write(f"lastack: {clean_text(sentence, _LONGEST_COMPLAINT)}\n")
    return ERROR


def _abandon_output() -> None:
    """Let the interpreter's last flush go nowhere: the reader is gone or no longer listens."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
