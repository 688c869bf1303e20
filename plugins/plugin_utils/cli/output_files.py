# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a command's output goes that is no screen: a file that appears whole, a device or pipe, or standard output."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from typing import IO, TYPE_CHECKING, cast

from ansible_collections.lastack.linux.plugins.plugin_utils.atomic_files import open_atomically
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.outcome import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["STDOUT", "named_errors", "open_output", "refuse_inputs", "require_one_stdout", "run_inputs"]

STDOUT = "-"
"""The path that means standard output."""

_IN_MEMORY = 1024 * 1024


@contextlib.contextmanager
def open_output(path: str) -> Iterator[IO[bytes]]:
    """Yield an empty binary file that can seek and stands at ``path`` when the block ends.

    A block that raises leaves what was there. ``-`` is standard output; what is there and is no regular file, such as
    a named pipe, ``/dev/stdout`` or ``/dev/null``, is written to and never replaced. Raises ``CommandError`` naming
    the path where it cannot be opened, and ``OSError`` for what fails later.
    """
    if path == STDOUT or (os.path.exists(path) and not os.path.isfile(path)):  # noqa: PTH110,PTH113 - as typed
        if os.path.isdir(path):  # noqa: PTH112 - as typed
            raise CommandError(f"{path} is a folder: name a file.")
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as spool:
            file = cast("IO[bytes]", spool)
            yield file
            file.seek(0)
            _hand_on(file, path)
        return
    with contextlib.ExitStack() as stack:
        # A link is followed, as a shell's redirection would: the file behind it is replaced, the link stays.
        with named_errors(path):
            file = stack.enter_context(open_atomically(os.path.realpath(path)))
        yield file


@contextlib.contextmanager
def named_errors(path: str) -> Iterator[None]:
    """Turn an ``OSError`` of the block into a ``CommandError`` that names ``path``, not a temporary file beside it."""
    try:
        yield
    except OSError as error:
        raise CommandError(f"{path or 'an empty path'}: {error.strerror or error}") from None


def require_one_stdout(wanted: dict[str, str | None]) -> bool:
    """Return whether one of the options (with their paths) takes standard output; raises ``CommandError`` for two."""
    taken = [option for option, path in wanted.items() if path == STDOUT]
    if len(taken) > 1:
        raise CommandError(f"{' and '.join(taken)} cannot both go to standard output: name a file for one of them.")
    return bool(taken)


def run_inputs(run_folder: str) -> list[str]:
    """Return what a run consists of: its files and folders that no report may replace."""
    from ansible_collections.lastack.linux.plugins.plugin_utils.folder_lock import LOCK  # noqa: PLC0415 - probe is fast
    from ansible_collections.lastack.linux.plugins.plugin_utils.host_outcomes import HOSTS  # noqa: PLC0415 - the same
    from ansible_collections.lastack.linux.plugins.plugin_utils.manifest import (  # noqa: PLC0415 - the same
        JOURNAL,
        MANIFEST,
    )

    return [os.path.join(run_folder, name) for name in (MANIFEST, JOURNAL, LOCK, HOSTS)]  # noqa: PTH118 - as typed


def refuse_inputs(wanted: Mapping[str, str | None], inputs: Iterable[str]) -> None:
    """Refuse (``CommandError``) an output that is one of the inputs, or lies in one that is a folder.

    ``wanted`` are options with their paths, which links and other spellings do not hide.
    """
    kept = {os.path.realpath(path) for path in inputs}
    for option, path in wanted.items():
        place = os.path.realpath(path) if path and path != STDOUT else ""
        while place not in {"", os.sep}:
            if place in kept:
                raise CommandError(f"{option} {path} would overwrite what is read: name another place.")
            place = os.path.dirname(place)  # noqa: PTH120 - as typed


def _hand_on(spool: IO[bytes], path: str) -> None:
    if path == STDOUT:
        sys.stdout.flush()
        shutil.copyfileobj(spool, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    with named_errors(path), open(path, "wb") as device:  # noqa: PTH123 - as typed
        shutil.copyfileobj(spool, device)
