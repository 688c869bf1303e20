# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's command line: ``run``, ``once``, ``status``, ``check`` and root's ``publish``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.agent.places import places_below
from ansible_collections.lastack.linux.plugins.module_utils.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_FAILED, _USAGE = 1, 2
_MOST_BYTES = 1 << 20

# Everything else is imported where it is needed: what a subcommand does not use costs it neither time nor memory.
# ruff: noqa: PLC0415


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; return the exit status: 0, 1 where something is not well, 2 for what cannot be done."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.function(options))
    except BrokenPipeError:
        # The reader has seen enough; nothing may be flushed into the pipe at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lastack-agent",
        description="Watches the CLOSE_WAIT sockets of this host: leak or pool, how fast, and until when.",
    )
    parser.add_argument("--version", action="version", version=f"lastack-agent {VERSION}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, function: Any, text: str) -> argparse.ArgumentParser:  # noqa: ANN401 - any of those below
        one = commands.add_parser(name, help=text, description=f"{text[:1].upper()}{text[1:]}.")
        one.set_defaults(function=function)
        return one

    run = command("run", _run, "watch until a signal ends it (SIGHUP reads the configuration again)")
    once = command("once", _once, "look once and print a report, with the memory of the agent that runs")
    status = command("status", _status, "show what the agent that runs watches, what it costs, when it last published")
    check = command("check", _check, "say whether a configuration file can be used")
    publish = command("publish", _publish, "check what the agent wrote and publish it (root's part)")
    for one in (run, once, status, publish):
        one.add_argument("--root", default="/", metavar="PATH", help="where the agent's own files are (default: /)")
    for one in (once, status):
        one.add_argument("--json", action="store_true", help="print JSON")
    check.add_argument("path", metavar="PATH")
    publish.add_argument(
        "--metrics-folder", metavar="PATH", help="node_exporter's textfile folder; without it no metrics are published"
    )
    return parser


def _run(options: argparse.Namespace) -> int:
    from ansible_collections.lastack.linux.agent.configuration import ConfigurationError
    from ansible_collections.lastack.linux.agent.journal import ERROR, Journal
    from ansible_collections.lastack.linux.agent.loop import AlreadyRunning, Loop
    from ansible_collections.lastack.linux.agent.service_notify import ServiceNotifier

    places = places_below(options.root)
    journal = Journal(places.journal)
    try:
        return Loop(places, journal=journal, notifier=ServiceNotifier()).run()
    except (AlreadyRunning, ConfigurationError) as error:
        journal.say_to_caller(ERROR, str(error))
        return _USAGE


def _once(options: argparse.Namespace) -> int:
    from ansible_collections.lastack.linux.agent.configuration import ConfigurationError
    from ansible_collections.lastack.linux.agent.once import look_once
    from ansible_collections.lastack.linux.agent.text import render_fact_text

    try:
        fact, remembered = look_once(places_below(options.root))
    except ConfigurationError as error:
        return _fail(str(error))
    if options.json:
        sys.stdout.write(fact.decode("ascii"))
    else:
        sys.stdout.write(render_fact_text(json.loads(fact), remembered=remembered))
    sys.stdout.flush()
    return 0


def _status(options: argparse.Namespace) -> int:
    from ansible_collections.lastack.linux.agent.alive import is_alive
    from ansible_collections.lastack.linux.agent.loop import boottime, read_boot_id
    from ansible_collections.lastack.linux.agent.text import render_status
    from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import read_head

    places = places_below(options.root)
    path = places.status
    try:
        document = json.loads(read_head(path, _MOST_BYTES, flags=os.O_NOFOLLOW | os.O_NONBLOCK))
    except FileNotFoundError:
        return _fail(f"There is no {path}: no agent has run here, or it has not published yet.", _FAILED)
    except OSError as error:
        return _fail(f"{path} cannot be read: {error.strerror}.")
    except (ValueError, RecursionError):
        return _fail(f"{path} is no JSON.")
    try:
        alive = is_alive(int(document["pid"]), document.get("start_ticks"))
        published = _published_s(places.published, document["boot_id"])
        text, fresh = render_status(
            document, boot_id=read_boot_id(), now_s=boottime(), alive=alive, published_s=published
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return _fail(f"{path} is of another version.")
    sys.stdout.write(json.dumps(document, indent=1) + "\n" if options.json else text)
    sys.stdout.flush()
    return 0 if fresh else _FAILED


def _published_s(path: str, boot_id: object) -> float | None:
    """Return of which moment of this boot the fact is that root has published; ``None`` if there is none of it."""
    from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import read_head

    try:
        fact = json.loads(read_head(path, _MOST_BYTES, flags=os.O_NOFOLLOW | os.O_NONBLOCK))
        return float(fact["published_boottime_s"]) if fact["boot_id"] == boot_id else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _check(options: argparse.Namespace) -> int:
    from ansible_collections.lastack.linux.agent.configuration import ConfigurationError, read_configuration

    try:
        read_configuration(options.path)
    except ConfigurationError as error:
        return _fail(str(error))
    return 0


def _publish(options: argparse.Namespace) -> int:
    from ansible_collections.lastack.linux.agent.publish import publish

    return publish(options.root, options.metrics_folder)


def _fail(sentence: str, status: int = _USAGE) -> int:
    sys.stderr.write(f"{sentence}\n")
    return status
