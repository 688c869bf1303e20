# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lastack sweep``: look at many hosts over ssh right now, without Ansible, an agent or a file on any of them."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.cli.interrupt import Interrupt, ending_in_order
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.look_options import (
    add_look_options,
    at_least_one,
    look_keywords,
    positive_seconds,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.outcome import (
    ERROR,
    INTERRUPTED,
    LEVELS,
    CommandError,
    exit_status,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.terminal import (
    add_colour_option,
    screen_width,
    wants_colour,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import RunFolder
    from ansible_collections.lastack.linux.plugins.plugin_utils.run_report import Finished
    from ansible_collections.lastack.linux.sweep.inventory import Entry, Inventory
    from ansible_collections.lastack.linux.sweep.target import Passwords

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "look at many hosts over ssh at once and show where a decision is needed"

_MOST_FORKS = 1000
_MOST_RETRIES = 10
_LONGEST_LOOK_S = 3600
# A passphrase is asked for once, before the sweep; so many hosts tell which key files are used.
_HOSTS_ASKED_FOR_KEYS = 20
# Socket, channel and ssh -G of one host, with room to spare.
_DESCRIPTORS_A_FORK = 8
_SPARE_DESCRIPTORS = 24


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``lastack sweep``; those of Ansible's commands have the same names."""
    parser.add_argument(
        "pattern",
        metavar="PATTERN",
        nargs="?",
        default="all",
        help="hosts, groups or patterns of Ansible (default: all)",
    )
    hosts = parser.add_argument_group("which hosts")
    hosts.add_argument(
        "-i",
        "--inventory",
        action="append",
        default=[],
        metavar="INVENTORY",
        help="inventory file, folder, program or a list with a comma; again for more",
    )
    hosts.add_argument("-l", "--limit", metavar="SUBSET", help="only these of them; @FILE reads the names from a file")
    hosts.add_argument(
        "-e",
        "--extra-vars",
        action="append",
        default=[],
        metavar="VARS",
        help="variables as for ansible-playbook: key=value, YAML or @FILE",
    )
    hosts.add_argument("-J", "--ask-vault-pass", action="store_true", help="ask for the vault's password")
    hosts.add_argument(
        "--vault-password-file",
        action="append",
        default=[],
        metavar="FILE",
        help="file or program with the vault's password",
    )
    reach = parser.add_argument_group("how to reach them")
    reach.add_argument("-u", "--user", metavar="USER", help="log in as this user where the inventory names none")
    reach.add_argument(
        "--key-file", "--private-key", metavar="FILE", help="log in with this key where the inventory names none"
    )
    reach.add_argument("-k", "--ask-pass", action="store_true", help="ask once for the password of ssh")
    reach.add_argument("-b", "--become", action="store_true", help="look as root, by sudo")
    reach.add_argument(
        "-K", "--ask-become-pass", action="store_true", help="ask once for sudo's password; implies --become"
    )
    reach.add_argument(
        "--become-password-file", metavar="FILE", help="file or program with sudo's password; implies --become"
    )
    reach.add_argument(
        "--ssh-config", metavar="FILE", help="read this in place of ~/.ssh/config and /etc/ssh/ssh_config"
    )
    reach.add_argument(
        "-f", "--forks", type=_forks, default=50, metavar="N", help="hosts at the same time (default: 50)"
    )
    reach.add_argument(
        "--timeout-s",
        type=positive_seconds,
        default=60.0,
        metavar="SECONDS",
        help="for one host, from the first packet to its report (default: 60)",
    )
    reach.add_argument(
        "--connect-timeout-s",
        type=positive_seconds,
        default=10.0,
        metavar="SECONDS",
        help="for one connection (default: 10, or ConnectTimeout of ssh_config)",
    )
    reach.add_argument(
        "--retries",
        type=_retries,
        default=2,
        metavar="N",
        help="further attempts where a connection fails; never after a refused login (default: 2)",
    )
    add_look_options(parser)
    show = parser.add_argument_group("what to do with it")
    show.add_argument("--store", metavar="DIR", help="the run folder (default: lastack-runs/TIME here)")
    show.add_argument("--json", action="store_true", help="print the fleet report")
    show.add_argument("--quiet", action="store_true", help="show no progress on standard error")
    show.add_argument(
        "--fail-on", choices=LEVELS, help="exit with 1 if there is such a finding or a worse one on any host"
    )
    add_colour_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Sweep the hosts, print the screen of the run and return the exit status; 130 after Ctrl-C."""
    options = look_keywords(arguments)
    # Half of a host's time is for the look itself: it ends with what it has, and says so.
    options["timeout_s"] = min(arguments.timeout_s / 2, _LONGEST_LOOK_S)
    _need_libraries()
    passwords, vault_passwords = _ask_passwords(arguments)
    from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import (  # noqa: PLC0415 - probe is fast
        RunFolderError,
    )
    from ansible_collections.lastack.linux.sweep.inventory import (  # noqa: PLC0415 - the same
        Inventory,
        InventoryError,
        Selection,
    )

    selection = Selection(
        sources=tuple(arguments.inventory),
        pattern=arguments.pattern,
        limit=arguments.limit,
        extra_vars=tuple(arguments.extra_vars),
        vault_passwords=vault_passwords,
        vault_files=tuple(arguments.vault_password_file),
        user=arguments.user,
        key_file=arguments.key_file,
        become=_becomes(arguments),
    )
    try:
        with ending_in_order(), Inventory(selection) as inventory:
            done, signal_number, trouble = _sweep(arguments, options, inventory, passwords)
    except (InventoryError, RunFolderError) as error:
        raise CommandError(str(error)) from None
    return _show(arguments, done, signal_number, trouble)


def _sweep(
    arguments: argparse.Namespace, options: dict[str, Any], inventory: Inventory, passwords: Passwords
) -> tuple[Finished, int, str]:
    """Look at the hosts of ``inventory``; return the finished run and what ended it early: a signal or a sentence."""
    from ansible_collections.lastack.linux.plugins.plugin_utils.run_report import (  # noqa: PLC0415 - probe is fast
        finish_run,
    )
    from ansible_collections.lastack.linux.sweep.attempt import Looker  # noqa: PLC0415 - the same
    from ansible_collections.lastack.linux.sweep.client_keys import (  # noqa: PLC0415 - the same
        forget_keys,
    )
    from ansible_collections.lastack.linux.sweep.inventory import (  # noqa: PLC0415 - the same
        InventoryError,
    )
    from ansible_collections.lastack.linux.sweep.payload import (  # noqa: PLC0415 - the same
        build_body,
        new_marker,
    )
    from ansible_collections.lastack.linux.sweep.progress import (  # noqa: PLC0415 - the same
        Progress,
    )
    from ansible_collections.lastack.linux.sweep.run_sweep import (  # noqa: PLC0415 - the same
        run_sweep,
    )
    from ansible_collections.lastack.linux.sweep.ssh_settings import (  # noqa: PLC0415 - the same
        Overrides,
    )
    from ansible_collections.lastack.linux.sweep.target import (  # noqa: PLC0415 - the same
        target_of,
    )

    marker = new_marker()
    body = build_body(marker, options)
    life_s = arguments.timeout_s
    overrides = Overrides(
        user=arguments.user or "", key_file=arguments.key_file or "", connect_timeout_s=arguments.connect_timeout_s
    )
    config_files = (arguments.ssh_config,) if arguments.ssh_config else ()
    looker = Looker(body, retries=arguments.retries, overrides=overrides, config_files=config_files, life_s=life_s)
    forks = _allowed_forks(arguments.forks)
    entries = _unlocked(inventory.entries(), overrides, config_files)
    run = _start(arguments, options, inventory.hosts)
    trouble = ""
    with contextlib.closing(looker), Interrupt() as interrupt:
        try:
            with Progress(quiet=arguments.quiet) as progress:
                run_sweep(
                    run,
                    entries,
                    # A little more than here, so that the host's own end is never the reason.
                    lambda entry: target_of(entry, passwords, marker=marker, life_s=int(life_s) + 5),
                    looker.look,
                    forks=forks,
                    life_s=life_s,
                    watcher=progress,
                    interrupted=interrupt.came,
                )
        except InventoryError as error:
            # In the midst of it: what had come is shown all the same.
            trouble = str(error)
        forget_keys()
        done = finish_run(run)
        if done is None:
            raise CommandError(f"{run.path} was finished by another process.")
        return done, interrupt.number, trouble


def _start(arguments: argparse.Namespace, options: dict[str, Any], hosts: tuple[str, ...]) -> RunFolder:
    from ansible_collections.lastack.linux.plugins.plugin_utils.run_folder import (  # noqa: PLC0415 - probe is fast
        RunFolder,
    )

    kept = {name: list(value) if name == "gather" else value for name, value in options.items() if name != "catalogue"}
    if arguments.store is None:
        return RunFolder.start_default(made_by="sweep", hosts=hosts, options=kept)
    if not arguments.store.strip():
        raise CommandError("--store needs the name of a folder.")
    return RunFolder.start(arguments.store, made_by="sweep", hosts=hosts, options=kept)


def _show(arguments: argparse.Namespace, done: Finished, signal_number: int, trouble: str) -> int:
    fleet = done.fleet
    if arguments.json:
        from ansible_collections.lastack.linux.plugins.plugin_utils.cli.probe import (  # noqa: PLC0415 - JSON only
            as_json,
        )

        write(as_json(fleet))
    else:
        write(_screen(arguments, done))
    if signal_number:
        return INTERRUPTED - signal.SIGINT + signal_number
    if trouble:
        raise CommandError(f"{trouble} What had come until then is in {Path(done.html_path).parent}.")
    if not fleet["hosts"]["audited"]:
        # Nothing was seen, so nothing can be called sound.
        sys.stderr.write("lastack: no host could be looked at; the reasons stand under 'Not seen'.\n")
        return ERROR
    return exit_status(fleet, arguments.fail_on)


def _screen(arguments: argparse.Namespace, done: Finished) -> str:
    """The text of the report, for this terminal if it is one."""
    colour, width = wants_colour(arguments.colour), screen_width()
    # A single host has a screen of its own, which only its report can tell.
    if done.fleet["hosts"]["meant"] == 1 or not (colour or sys.stdout.isatty()):
        return done.text
    from ansible_collections.lastack.linux.plugins.plugin_utils.render.text import (  # noqa: PLC0415 - as above
        render_run,
    )

    path = os.path.relpath(done.html_path)
    shown = done.html_path if path.startswith("..") else path
    return render_run(done.fleet, [], report_path=shown, colour=colour, width=width)


def _unlocked(entries: Iterator[Entry], overrides: Any, config_files: tuple[str, ...]) -> Iterator[Entry]:  # noqa: ANN401 - Overrides, whose import is for sweeps alone
    """Ask for the passphrases of key files that need one, on a terminal; return the same entries.

    At least the first one is read: trouble with it is an error that leaves no run.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return itertools.chain(list(itertools.islice(entries, 1)), entries)
    from ansible_collections.lastack.linux.plugins.plugin_utils.cli.passwords import (  # noqa: PLC0415 - as above
        ask_secret,
    )
    from ansible_collections.lastack.linux.sweep.client_keys import (  # noqa: PLC0415 - as above
        locked_files,
        unlock,
    )
    from ansible_collections.lastack.linux.sweep.ssh_settings import (  # noqa: PLC0415 - as above
        SettingsError,
        settings_for,
    )

    first = list(itertools.islice(entries, _HOSTS_ASKED_FOR_KEYS))
    found = []
    for entry in first:
        with contextlib.suppress(SettingsError):
            if entry.variables.get("ansible_connection") != "local" and not entry.problem:
                found.append(settings_for(entry.host, entry.variables, config_files=config_files, overrides=overrides))
    for path in locked_files(found):
        if not unlock(path, ask_secret(f"Passphrase of {path}: ", "a key's passphrase")):
            raise CommandError(f"{path}: the passphrase is wrong.")
    return itertools.chain(first, entries)


def _ask_passwords(arguments: argparse.Namespace) -> tuple[Passwords, tuple[str, ...]]:
    from ansible_collections.lastack.linux.plugins.plugin_utils.cli.passwords import (  # noqa: PLC0415 - as above
        ask_secret,
        password_of_file,
    )
    from ansible_collections.lastack.linux.sweep.target import (  # noqa: PLC0415 - as above
        Passwords,
    )

    ssh = ask_secret("SSH password: ", "--ask-pass") if arguments.ask_pass else None
    become = None
    if arguments.become_password_file is not None:
        become = password_of_file(arguments.become_password_file)
    elif arguments.ask_become_pass:
        become = ask_secret("sudo password: ", "--ask-become-pass") or ssh
    vault = (ask_secret("Vault password: ", "--ask-vault-pass"),) if arguments.ask_vault_pass else ()
    return Passwords(ssh=ssh, become=become or None), vault


def _becomes(arguments: argparse.Namespace) -> bool:
    return bool(arguments.become or arguments.ask_become_pass or arguments.become_password_file is not None)


def _need_libraries() -> None:
    from importlib.util import find_spec  # noqa: PLC0415 - as above

    missing = [name for name in ("ansible", "fabric") if find_spec(name) is None]
    if missing:
        names = " and ".join({"ansible": "ansible-core", "fabric": "Fabric"}[name] for name in missing)
        raise CommandError(f"A sweep needs {names}, which the lastack package brings with it: pip install lastack.")


def _allowed_forks(forks: int) -> int:
    """Raise the limit of open files as far as it may be, and return how many hosts at a time it is enough for."""
    import resource  # noqa: PLC0415 - as above

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 256 + forks * _DESCRIPTORS_A_FORK
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return forks
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    except (OSError, ValueError):
        limit = soft
    enough = max(1, (limit - _SPARE_DESCRIPTORS) // _DESCRIPTORS_A_FORK)
    if enough < forks:
        sys.stderr.write(
            f"lastack: this process may open only {limit:,} files (ulimit -n): "
            f"{enough:,} hosts at the same time, not {forks:,}.\n"
        )
    return min(enough, forks)


def _forks(text: str) -> int:
    number = at_least_one(text)
    if number > _MOST_FORKS:
        raise argparse.ArgumentTypeError(f"must be at most {_MOST_FORKS:,}")
    return number


def _retries(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > _MOST_RETRIES:
        raise argparse.ArgumentTypeError(f"{text!a} is not a whole number from 0 to {_MOST_RETRIES}")
    return int(text)
