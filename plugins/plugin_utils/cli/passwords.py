# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords for a command: asked for on the terminal, or from a file or a program; never from the command line."""

from __future__ import annotations

import getpass
import os
import subprocess
from pathlib import Path

from ansible_collections.lastack.linux.plugins.plugin_utils.cli.outcome import CommandError

__all__ = ["ask_secret", "password_of_file"]

_PROGRAM_S = 60
_LONGEST = 4096


def ask_secret(prompt: str, why: str) -> str:
    """Ask on the terminal, without an echo; without a terminal there is nobody to ask."""
    try:
        with open("/dev/tty", "rb"):  # noqa: PTH123 - a device
            pass
    except OSError:
        raise CommandError(f"{why} asks on a terminal, and there is none: give a file in its place.") from None
    return getpass.getpass(prompt)


def password_of_file(path: str) -> str:
    """Read a password's file, or the output of a program, as Ansible does; the first line counts."""
    try:
        if os.access(path, os.X_OK):
            done = subprocess.run([Path(path).absolute()], stdout=subprocess.PIPE, check=False, timeout=_PROGRAM_S)  # noqa: S603 - the operator's own program
            if done.returncode:
                raise CommandError(f"{path}: this program for the password ended with status {done.returncode}.")
            data = done.stdout
        else:
            with Path(path).open("rb") as file:
                data = file.read(_LONGEST)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandError(
            f"{path}: the password cannot be read: {getattr(error, 'strerror', None) or error}."
        ) from None
    try:
        # A character in place of another makes a wrong password, and every host would count a failed login.
        line = data.split(b"\n", 1)[0].strip(b"\r")
        password = line.decode("utf-8")
    except UnicodeDecodeError:
        raise CommandError(f"{path}: its first line is not UTF-8, so the password is not known.") from None
    if len(line) >= _LONGEST:
        raise CommandError(f"{path}: its first line is longer than any password: {_LONGEST} bytes or more.")
    if not password:
        raise CommandError(f"{path}: its first line is empty, so there is no password.")
    return password
