# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptor limits in systemd's files: ``LimitNOFILE=`` of services, ``DefaultLimitNOFILE=`` of the manager.

What the files say, not what runs: a unit keeps the limit that it was started with. Sources: systemd.unit(5),
systemd-system.conf(5), systemd.exec(5), systemd.syntax(7).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.rooted_files import RootedFiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["FileLimit", "limit_lines", "limit_number", "read_default_limit", "read_unit_limits"]

_MAX_BYTES = 1 << 18
_MAX_FILES = 100
_INFINITE = -1
_SHOWN_MAX = (1 << 64) - 1
_MANAGER_DIRECTORIES = ("/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd", "/lib/systemd")
# The stronger first; what generators and ``systemctl set-property`` write stands among them.
_UNIT_DIRECTORIES = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
)
_NAME = re.compile(r"[A-Za-z0-9:_.\\@-]{1,240}\.service")


class FileLimit(NamedTuple):
    """A line of a file that sets the limit of open files; -1 is infinity."""

    soft: int
    hard: int
    file: str
    line: int

    @property
    def place(self) -> str:
        """``file:line``, for a person."""
        return f"{self.file}:{self.line}"


def read_unit_limits(units: Iterable[str], *, root: str = "/") -> dict[str, FileLimit]:
    """Return which line decides the limit of each service, by its name; a service without a line is absent.

    A name may be a template (``worker@.service``). Never raises; at most 100 files are read.
    """
    reader = _Reader(root)
    found: dict[str, FileLimit] = {}
    for unit in units:
        if not _NAME.fullmatch(unit) or unit in found:
            continue
        lines = reader.lines(_unit_files(reader, unit), "[Service]", "LimitNOFILE")
        if lines:
            found[unit] = lines[-1]
    return found


def read_default_limit(*, root: str = "/") -> FileLimit | None:
    """Return the line that decides what a service without one of its own gets; ``None``: systemd's built-in value.

    Never raises.
    """
    reader = _Reader(root)
    own = [f"{one}/system.conf" for one in _MANAGER_DIRECTORIES if reader.there(one, "system.conf")][:1]
    files = own + reader.dropins(_MANAGER_DIRECTORIES, ["system.conf.d"])
    lines = reader.lines(files, "[Manager]", "DefaultLimitNOFILE")
    return lines[-1] if lines else None


def limit_lines(
    text: str, file: str = "", *, section: str = "[Service]", option: str = "LimitNOFILE"
) -> list[FileLimit]:
    """Return the lines of one file that set the option, in their order; those that systemd ignores are left out."""
    found = []
    current = ""
    # A line that ends in a backslash goes on in the next one; comments in between do not count.
    for number, line in _logical_lines(text):
        bare = line.strip()
        if bare.startswith("["):
            current = bare
        elif current == section:
            name, equals, value = bare.partition("=")
            limits = _parse_limit(value.strip()) if equals and name.strip() == option else None
            if limits is not None:
                found.append(FileLimit(*limits, file, number))
    return found


def limit_number(text: str | None) -> int | None:
    """Return a number as systemd reads and shows it, -1 for infinity; ``None`` for anything else."""
    if text is None:
        return None
    if text.strip() == "infinity":
        return _INFINITE
    if not re.fullmatch(r"\s*[0-9]{1,20}\s*", text):
        return None
    number = int(text)
    return _INFINITE if number >= _SHOWN_MAX else number


def _parse_limit(value: str) -> tuple[int, int] | None:
    """Return the limits of ``N``, ``N:M`` or ``infinity``; ``None`` for what systemd ignores."""
    soft_text, colon, hard_text = value.partition(":")
    soft = limit_number(soft_text)
    hard = limit_number(hard_text) if colon else soft
    if soft is None or hard is None or (hard != _INFINITE and (soft == _INFINITE or soft > hard)):
        return None
    return soft, hard


def _logical_lines(text: str) -> list[tuple[int, str]]:
    lines: list[tuple[int, str]] = []
    begun: tuple[int, str] | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        if line.lstrip().startswith(("#", ";")):
            continue
        first, before = begun if begun is not None else (number, "")
        if line.endswith("\\"):
            begun = first, before + line[:-1] + " "
        else:
            lines.append((first, before + line))
            begun = None
    return lines if begun is None else [*lines, begun]


class _Reader:
    """Files of systemd below a root, a bounded number of them; each directory is listed once."""

    def __init__(self, root: str) -> None:
        self._files = RootedFiles(root)
        self._names: dict[str, frozenset[str]] = {}
        self._left = _MAX_FILES

    def there(self, directory: str, name: str) -> bool:
        return name in self._listed(directory) and self._files.is_regular(f"{directory}/{name}")

    def _listed(self, directory: str) -> frozenset[str]:
        if directory not in self._names:
            resolved = self._files.locate(directory)
            try:
                names = self._files.names(resolved) if resolved is not None else []
            except (OSError, ValueError):
                names = []
            self._names[directory] = frozenset(names)
        return self._names[directory]

    def dropins(self, parents: Sequence[str], folders: Sequence[str]) -> list[str]:
        """Return the drop-ins in the order of their effect; of the same name only that of the first folder."""
        chosen: dict[str, str] = {}
        for folder in folders:
            for parent in parents:
                if folder not in self._listed(parent):
                    continue
                for name in self._listed(f"{parent}/{folder}"):
                    if name.endswith(".conf") and not name.startswith("."):
                        chosen.setdefault(name, f"{parent}/{folder}/{name}")
        return [chosen[name] for name in sorted(chosen, key=lambda name: name.encode(errors="surrogateescape"))]

    def lines(self, files: Sequence[str], section: str, option: str) -> list[FileLimit]:
        found: list[FileLimit] = []
        for path in files:
            resolved = self._files.locate(path)
            if resolved is None or self._left <= 0:
                continue
            self._left -= 1
            try:
                text = self._files.read(resolved, _MAX_BYTES).decode("utf-8", "backslashreplace")
            except (OSError, ValueError):
                continue
            found += limit_lines(text, path, section=section, option=option)
        return found


def _unit_files(reader: _Reader, unit: str) -> list[str]:
    """Return the files of a service in the order of their effect: its own, then its drop-ins."""
    stem = unit[: -len(".service")]
    template = f"{stem.partition('@')[0]}@.service" if "@" in stem else unit
    names = list(dict.fromkeys((unit, template)))
    own = [f"{one}/{name}" for name in names for one in _UNIT_DIRECTORIES if reader.there(one, name)][:1]
    # foo-bar.service also gets what stands in foo-.service.d, and every service what stands in service.d.
    plain = stem.partition("@")[0]
    dashes = [index for index, character in enumerate(plain[:-1]) if character == "-"]
    names += [f"{plain[: index + 1]}.service" for index in reversed(dashes)]
    return own + reader.dropins(_UNIT_DIRECTORIES, [f"{name}.d" for name in (*names, "service")])
