# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a repaired copy of a leaking program is repaired: ``try_program.py ENTRY PROGRAM``.

The program runs in the place of the entry's fixed variant: in namespaces of its own, with the same load, against the
same real peer. One sentence says how it went. Exit status: 0 repaired, 1 not repaired, 2 it could not be tried.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
# Started by hand, without pytest's paths.
sys.path[:0] = [str(HERE.parents[1] / folder) for folder in ("scripts", "tests/agent")]

from entry import ENTRIES  # noqa: E402 - the path comes first
from stage import why_no_stage  # noqa: E402
from toolchains import NoProgram  # noqa: E402
from trial import try_fix  # noqa: E402

if TYPE_CHECKING:
    from entry import Entry
    from trial import Fix

__all__ = ["main"]


class _CannotBeTriedError(Exception):
    """The reason, in one sentence."""


def _entry(name: str, program: Path) -> Entry:
    entry = next((one for one in ENTRIES if one.name == name), None)
    if entry is None:
        names = ", ".join(one.name for one in ENTRIES)
        raise _CannotBeTriedError(f"The gallery has no entry {name!r}; it has {names}.")
    if not program.is_file():
        raise _CannotBeTriedError(f"There is no file {program}.")
    reason = why_no_stage()
    if reason:
        raise _CannotBeTriedError(f"It cannot be tried here: {reason}.")
    return entry


def _fix(entry: Entry, program: Path, folder: Path) -> Fix:
    # By the name of the fixed variant, where its other files are: what is tried differs from that by its content only.
    place = folder / "entries" / entry.name
    shutil.copytree(entry.folder, place, ignore=shutil.ignore_patterns("__pycache__"))
    for file in HERE.glob("*.py"):
        (folder / file.name).symlink_to(file)
    copy = place / entry.repaired.name
    shutil.copyfile(program, copy)
    try:
        return try_fix(entry, copy, folder / "stage")
    except NoProgram as error:
        raise _CannotBeTriedError(f"It cannot be tried here: {error}.") from error


def _objection(entry: Entry, fix: Fix) -> str:
    """Why it is not repaired, in one sentence; empty if it is."""
    within, admitted = entry.fixed["within_s"], entry.fixed["remaining"]
    if fix.problem:
        return f"the program does not stay: {fix.problem}"
    if fix.left > admitted:
        return f"{fix.left} sockets are in CLOSE_WAIT {within} s after its load; at most {admitted} may be."
    if fix.ended < entry.count:
        return f"only {fix.ended} of its {entry.count} connections have ended after {within} s."
    return ""


def main(arguments: list[str]) -> int:
    """Try one program; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("entry", metavar="ENTRY", help="a folder of tests/gallery/entries")
    parser.add_argument("program", metavar="PROGRAM", type=Path, help="the repaired source file")
    options = parser.parse_args(arguments)
    try:
        entry = _entry(options.entry, options.program)
        with tempfile.TemporaryDirectory(prefix="lastack-gallery-") as folder:
            fix = _fix(entry, options.program, Path(folder))
    except _CannotBeTriedError as error:
        print(error)
        return 2
    except AssertionError as error:
        print(f"Not repaired: the program did not come to the end of its load: {error}")
        return 1
    objection = _objection(entry, fix)
    if objection:
        print(f"Not repaired: {objection}")
        return 1
    print(f"Repaired: of {fix.ended} connections {fix.left} are in CLOSE_WAIT {fix.after_s:.1f} s after its load.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
