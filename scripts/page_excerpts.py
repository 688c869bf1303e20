# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep the code on the pages of ``lastack explain`` equal to the gallery's programs, which are tested.

Below a line ``<!-- gallery: NAME -->`` a page shows, fenced, the lines between ``docs: begin`` and ``docs: end`` of
tests/gallery/entries/NAME/NAME_fixed.SUFFIX. ``--write`` renews them; without it nothing is written, and the exit
status is 1 if a page differs.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from pathlib import Path

__all__ = ["BEGIN", "END", "GALLERY", "LANGUAGES", "PAGES", "excerpt", "included", "main", "renewed"]

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "plugins" / "plugin_utils" / "pages"
GALLERY = ROOT / "tests" / "gallery" / "entries"
BEGIN, END = "docs: begin", "docs: end"
LANGUAGES = {
    "c": "c",
    "cfg": "haproxy",
    "conf": "nginx",
    "go": "go",
    "java": "java",
    "js": "js",
    "mjs": "js",
    "php": "php",
    "py": "python",
    "rb": "ruby",
    "sh": "sh",
}
"""The word behind the fence, by the programs' suffix."""

_INCLUDE = re.compile(r"^<!-- gallery: (?P<name>\w+) -->\n(?:```\w*\n(?P<code>.*?)^```\n)?", re.MULTILINE | re.DOTALL)


def included(text: str) -> list[str]:
    """Return the names of the gallery entries whose lines a page shows, in its order."""
    return [match["name"] for match in _INCLUDE.finditer(text)]


def excerpt(name: str, gallery: Path = GALLERY) -> tuple[str, str]:
    """Return the fence's language and the marked lines of an entry's fixed program, dedented.

    Several marked parts follow one another with an empty line between.

    Raises:
        ValueError: if there is no such program, or its marks are not in pairs; the text says so in one sentence.
    """
    found = sorted(gallery.glob(f"{name}/{name}_fixed.*"))
    if len(found) != 1:
        raise ValueError(f"the gallery has {len(found)} programs {name}/{name}_fixed.*, not one")
    parts: list[list[str]] = []
    inside = False
    for line in found[0].read_text(encoding="utf-8").splitlines():
        if BEGIN in line or END in line:
            if inside == (BEGIN in line):
                raise ValueError(f'"{BEGIN}" and "{END}" of {found[0].name} do not stand in pairs')
            inside = BEGIN in line
            parts += [[]] if inside else []
        elif inside:
            parts[-1].append(line)
    if inside or not parts:
        raise ValueError(f'"{BEGIN}" and "{END}" of {found[0].name} do not stand in pairs')
    shown = [textwrap.dedent("\n".join(part)).strip("\n") for part in parts]
    return LANGUAGES.get(found[0].suffix.removeprefix("."), "text"), "\n\n".join(shown) + "\n"


def renewed(text: str, gallery: Path = GALLERY) -> str:
    """Return a page's text with its included lines as the gallery has them now.

    Raises:
        ValueError: as ``excerpt``.
    """

    def fenced(match: re.Match[str]) -> str:
        language, code = excerpt(match["name"], gallery)
        return f"<!-- gallery: {match['name']} -->\n```{language}\n{code}```\n"

    return _INCLUDE.sub(fenced, text)


def main(arguments: list[str], pages: Path = PAGES, gallery: Path = GALLERY) -> int:
    """Compare, or renew with ``--write``; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="renew the pages")
    options = parser.parse_args(arguments)
    wrong = 0
    for path in sorted(pages.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        try:
            wanted = renewed(text, gallery)
        except ValueError as error:
            print(f"{path.name}: {error}", file=sys.stderr)
            wrong += 1
            continue
        if wanted == text:
            continue
        if options.write:
            path.write_text(wanted, encoding="utf-8")
            print(f"{path.name}: renewed")
        else:
            print(f"{path.name} differs from the gallery; scripts/page_excerpts.py --write renews it", file=sys.stderr)
            wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
