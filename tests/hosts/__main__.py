# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test hosts from the command line: ``python tests/hosts COMMAND``; 0, or 2 with one sentence on standard error.

up FOLDER --host web=bookworm --host db=trixie makes a lab; then ``ssh -F FOLDER/ssh_config web`` and
``ansible-playbook -i FOLDER/inventory.yml`` reach its hosts; down FOLDER ends it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import lab_control
import lab_registry
from images import ImageError, image
from lab import SUITES, HostSpec, Lab, LabError, down, why_not

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tests/hosts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="what", required=True, metavar="COMMAND")
    commands.add_parser("why", help="say why test hosts cannot run here; nothing if they can")
    build = commands.add_parser("build", help="build the images that the cache does not have")
    build.add_argument("suite", nargs="*", help=f"one or more of {', '.join(SUITES)} (default: all)")
    up = commands.add_parser("up", help="make a lab and boot its hosts")
    up.add_argument("folder", type=Path, help="new or empty; it is the lab's, and goes with it")
    up.add_argument("--host", action="append", required=True, metavar="NAME=SUITE", help="may be repeated")
    up.add_argument("--owner", type=int, metavar="PID", help="the lab ends with this process (default: after 8 hours)")
    for name, text in (("down", "end a lab and remove its folder"), ("state", "say which hosts are on")):
        commands.add_parser(name, help=text).add_argument("folder", type=Path)
    for name, text in (
        ("restart", "shut a host down and boot it: a new network stack, the same files"),
        ("stop", "shut a host down"),
        ("start", "boot a host that is off"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("folder", type=Path)
        command.add_argument("name")
    for name, text in (("execute", "run a command inside a host as root"), ("ssh", "open a shell on a host")):
        command = commands.add_parser(name, help=text)
        command.add_argument("folder", type=Path)
        command.add_argument("name")
        command.add_argument("command", nargs=argparse.REMAINDER, help="after --")
    commands.add_parser("list", help="list the labs")
    commands.add_parser("sweep", help="remove what dead labs left behind")
    return parser


def _specs(given: list[str]) -> list[HostSpec]:
    specs = []
    for one in given:
        name, equals, suite = one.partition("=")
        specs.append(HostSpec(name, suite) if equals else HostSpec(name))
    return specs


def _say(line: object) -> None:
    sys.stdout.write(f"{line}\n")


def _run(options: argparse.Namespace) -> int:
    if options.what in {"why", "build"} and (reason := why_not()):
        raise LabError(reason)
    if options.what == "build":
        for suite in options.suite or SUITES:
            _say(image(suite))
    elif options.what == "up":
        lab = Lab(_specs(options.host), folder=options.folder, owner=options.owner)
        lab.up()
        _say(lab.inventory)
    elif options.what == "down":
        down(options.folder)
    elif options.what == "list":
        _list()
    elif options.what == "sweep":
        sys.stdout.writelines(f"{folder}\n" for folder in lab_registry.sweep())
    elif options.what != "why":
        return _with_lab(Lab.at(options.folder), options)
    return 0


def _list() -> None:
    for known, alive in lab_registry.records():
        names = " ".join(f"{host['name']}={host['suite']}" for host in known["hosts"])
        _say(f"{'alive' if alive else 'dead'} {known['folder']} {names}")


def _with_lab(lab: Lab, options: argparse.Namespace) -> int:
    if options.what == "state":
        for name, state in lab.state().items():
            _say(f"{name} {state}")
    elif options.what in {"execute", "ssh"}:
        lab.check_host(options.name)
        command = options.command[1:] if options.command[:1] == ["--"] else options.command
        if options.what == "ssh":
            program = lab.ssh_command(options.name, *command)
            os.execvp(program[0], program)
        return lab_control.main(["execute", str(lab.folder), options.name, "--", *command])
    else:
        {"restart": lab.restart, "stop": lab.stop, "start": lab.start}[options.what](options.name)
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except (LabError, ImageError) as error:
        sys.stderr.write(f"{error}\n")
    except (OSError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"The command {options.what} failed: {error}.\n")
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted; nothing is left.\n")
        return 130
    return 2


if __name__ == "__main__":
    sys.exit(main())
