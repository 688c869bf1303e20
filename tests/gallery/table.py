# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of the gallery's programs, made by a run of all of them: ``table.py [--write] [NAME ...]``.

Each entry runs twice, leaking and fixed. The table goes to standard output, with ``--write`` to docs/gallery.md. The
exit status is 1 if a program that could be run did not do what its entry says.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

HERE = Path(__file__).resolve().parent
# Started by hand, without pytest's paths.
sys.path[:0] = [str(HERE.parents[1] / folder) for folder in ("scripts", "tests/agent")]

from entry import ENTRIES  # noqa: E402 - the path comes first
from exhibit import version_of  # noqa: E402
from stage import why_no_stage  # noqa: E402
from toolchains import NoProgram  # noqa: E402
from trial import Fix, Leak, try_fix, try_leak  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Sequence

    from entry import Entry

__all__ = ["DOCUMENT", "Row", "document", "main", "mistake"]

DOCUMENT = HERE.parents[1] / "docs" / "gallery.md"
COMMAND = "python tests/gallery/table.py --write"
COLUMNS = (
    *("program", "runtime", "library or server", "mistake", "leak found", "cause", "cause right", "age true"),
    *("loaded (hint)", "the report names", "page of the fix", "left after the fix", "fix proven"),
)
_HEADLINE = re.compile(r"Leaks: (?P<text>.+?)(?:\"\"\"|\*/)?\s*$", re.MULTILINE)
_VERSION = re.compile(r"\d+(?:\.\d+)+")

_INTRODUCTION = """\
# The gallery: programs that leak, and their remedies

Small programs that make a mistake which people really make, with real client libraries and servers. Each exists twice
below `tests/gallery/entries/NAME/`: as it leaks, and with the change that the page advises and nothing else.
Each runs on a stage of its own (new network, process and mount namespaces) against a real peer that closes first.

The table was made by a run: lastack probed the leaking program (how many of the leaked sockets it found, the cause that
it reported, whether its age bracket held the moment that the peer itself wrote down, what the process shows of its
libraries), then the fixed one took the same load. Where a process shows nothing of its library, the report names the
page of the runtime, and that names the candidates and how to decide between them.
"""

_TRYING = """\
## Trying a repair

Take the leaking program of an entry, follow its page (`lastack explain PAGE`), and let the gallery judge the result:

```sh
cp tests/gallery/entries/requests_unread/requests_unread_leaking.py mine.py
# ... change mine.py ...
sudo .venv/bin/python tests/gallery/try_program.py requests_unread mine.py
```

The program takes the place of the fixed variant: the same peer, the same load, the same wait. It has to take the peer's
port and the number of calls (a server: to print `port N`), to print `ready` after its load, and to go on running. The
answer is one sentence; the exit status is 0 if it is repaired, 1 if it is not, and 2 if it could not be tried (no such
entry or file, no root, a runtime that cannot be had here).

## Making the table again

```sh
sudo .venv/bin/python tests/gallery/table.py --write
```

What is not installed comes from Debian's archive and npm, and is unpacked below the cache; nothing is installed. What
cannot be had is in the table with its reason.
"""


class Row(NamedTuple):
    """One entry and what its two runs showed; ``missing`` is why there were none."""

    entry: Entry
    version: str
    leak: Leak | None
    fix: Fix | None
    missing: str = ""

    @property
    def holds(self) -> bool:
        """Whether both variants did what the entry says."""
        if self.leak is None or self.fix is None:
            return False
        return self.leak.is_as_told(self.entry) and self.fix.is_proven(self.entry)


def mistake(entry: Entry) -> str:
    """What the first line of the leaking program says of itself."""
    found = _HEADLINE.search(entry.leaking.read_text(encoding="utf-8"))
    return found["text"].strip().rstrip(".") if found else ""


def run(entry: Entry, folder: Path) -> Row:
    """Run both variants."""
    version, leak = "", None
    try:
        found = _VERSION.search(version_of(entry))
        version = found[0] if found else ""
        leak = try_leak(entry, folder / "leaking")
        return Row(entry, version, leak, try_fix(entry, entry.repaired, folder / "fixed"))
    except NoProgram as error:
        return Row(entry, version, None, None, f"not run: {error}")
    except (AssertionError, KeyError, subprocess.CalledProcessError) as error:
        reason = str(error).strip().splitlines()
        return Row(entry, version, leak, None, f"failed: {reason[-1][:120] if reason else type(error).__name__}")


def _cells(row: Row) -> list[str]:
    entry, leak, fix = row.entry, row.leak, row.fix
    cells = [f"`{entry.name}`", entry.runtime, f"{entry.library} {row.version}".strip(), mistake(entry)]
    if leak is None:
        cells += [row.missing, *[""] * 5]
    else:
        # Of two causes the numbers tell which is how often.
        causes = [f"`{cause}`" + (f" {n}" if len(leak.causes) > 1 else "") for cause, n in leak.causes.items()]
        cells += [f"{leak.found} of {entry.count}", ", ".join(causes), _yes(leak.causes == entry.leak["causes"])]
        named = [page for page in leak.advice if page.startswith(("library.", "runtime."))][:1]
        cells += [_yes(leak.age_is_true), ", ".join(leak.hints), "".join(f"`{page}`" for page in named)]
    cells.append(f"`{entry.page}`")
    if fix is None:
        return [*cells, "" if leak is None else row.missing, ""]
    return [*cells, f"{fix.left} of {fix.ended} after {fix.after_s:.1f} s", _yes(fix.is_proven(entry))]


def _yes(said: bool) -> str:  # noqa: FBT001 - the word for it
    return "yes" if said else "**no**"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') or '-' for cell in cells)} |"


def document(rows: Sequence[Row]) -> str:
    """Return docs/gallery.md."""
    today = datetime.datetime.now(tz=datetime.UTC).date()
    machine = f"Linux {platform.release()}, {platform.machine()}, {os.cpu_count()} CPUs"
    ran = [row for row in rows if not row.missing.startswith("not run")]
    told = f"Written by `{COMMAND}` on {today}. Machine: {machine}, Python {platform.python_version()}.\n"
    held = sum(row.holds for row in ran)
    counted = f"Programs: {len(rows)}. Run here: {len(ran)}. Leaked and drained as told: {held}.\n"
    lines = [_line(cells) for cells in (COLUMNS, ["---"] * len(COLUMNS), *map(_cells, rows))]
    return "\n".join([_INTRODUCTION, told, counted, *lines, "", _TRYING])


def main(arguments: list[str]) -> int:
    """Run the entries, print or write the table; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", metavar="NAME", nargs="*", help="only these entries (not with --write)")
    parser.add_argument("--write", action="store_true", help=f"write {DOCUMENT.name}")
    options = parser.parse_args(arguments)
    if options.write and options.names:
        parser.error("--write takes all entries")
    reason = why_no_stage()
    if reason:
        parser.error(f"the gallery cannot be run here: {reason}")
    rows = []
    for entry in ENTRIES:
        if options.names and entry.name not in options.names:
            continue
        with tempfile.TemporaryDirectory(prefix="lastack-gallery-") as folder:
            rows.append(run(entry, Path(folder)))
        print(
            f"{entry.name}: {'as told' if rows[-1].holds else rows[-1].missing or rows[-1]}",
            file=sys.stderr,
            flush=True,
        )
    if options.write:
        DOCUMENT.write_text(document(rows), encoding="utf-8")
    else:
        print(document(rows))
    return 0 if all(row.holds or row.missing.startswith("not run") for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
