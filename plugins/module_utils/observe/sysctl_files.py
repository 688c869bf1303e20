# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which file decides a sysctl at boot and on reload; a read-only model of the two loaders.

Boot is systemd-sysctl(8) with sysctl.d(5); reload is ``sysctl --system`` of procps-ng (sysctl(8)) from 3.3.17 on.
Nothing is written and no program is run.
"""

from __future__ import annotations

import fnmatch
import os
import re
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Unseen
from ansible_collections.lastack.linux.plugins.module_utils.observe.rooted_files import RootedFiles

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

__all__ = ["Assignment", "Resolution", "assignments", "parse_file", "resolve", "sysctl_key", "sysctl_path"]

_DIRECTORIES = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
_NOTHING = "/dev/null"
_RELOAD_LAST = "/etc/sysctl.conf"
_RELOAD_PROGRAMS = ("/usr/sbin/sysctl", "/sbin/sysctl")
_MAX_PROGRAM_BYTES = 1 << 20
_CREDENTIALS = ("/run/credentials/systemd-sysctl.service/sysctl.extra", "/run/credentials/@system/sysctl.extra")
_MAX_FILE_BYTES = 1 << 20
_MAX_FILES = 2000
_MAX_NAMES_TOLD = 3
_SWAP = str.maketrans("./", "/.")
_SYSTEMD_BLANK = " \t\n\r"
_PROCPS_BLANK = " \t\n\v\f\r"
_SYSTEMD_ENDS = re.compile("[\\0\r]")


class Assignment(NamedTuple):
    """One line of one file that gives a key a value."""

    value: str
    file: str
    """Path on the host, as the loader names it (a link is not replaced by its target)."""
    line: int

    @property
    def place(self) -> str:
        """``file:line``, for a person."""
        return f"{self.file}:{self.line}"


class Resolution(NamedTuple):
    """What the files say, by dotted key; see :func:`resolve`."""

    boot: dict[str, Assignment]
    """The line that systemd-sysctl applies."""
    reload: dict[str, Assignment]
    """The line that stands after ``sysctl --system``."""
    shadowed: dict[str, tuple[Assignment, ...]]
    """Lines of files that a file of the same base name in a stronger directory hides."""
    overridden: dict[str, tuple[Assignment, ...]]
    """Lines that are read at boot and lose against the winner or against a later ``-key``."""
    masked: tuple[str, ...]
    """Files hidden by an empty file or a link to /dev/null."""
    unseen: tuple[Unseen, ...]
    certain: bool
    """Whether every file that could decide was read."""
    boot_doubts: dict[str, str]
    """By key, the file that was not read and may decide instead at boot, empty for none; under the empty key the one
    for all keys that ``boot`` does not have."""
    reload_doubts: dict[str, str]
    """The same on reload."""

    def doubts(self, key: str) -> tuple[str, str]:
        """Return the file that was not read and may decide ``key`` at boot, and the one on reload; empty for none."""
        at_boot = self.boot_doubts.get(key, self.boot_doubts[""])
        return at_boot, self.reload_doubts.get(key, self.reload_doubts[""])


class _Line(NamedTuple):
    key: str
    value: str | None
    number: int
    glob: bool


class _File(NamedTuple):
    path: str
    resolved: str
    hides: tuple[str, ...]


class _Look:
    """Reads each file once and keeps count of what it could not read."""

    def __init__(self, root: str, overlay: Mapping[str, bytes | None] | None = None) -> None:
        self.files = RootedFiles(root)
        self.misses: dict[str, list[str]] = {}
        self.unread: set[str] = set()
        self.unlisted = ""
        self._overlay = dict(overlay or {})
        self._contents = dict(self._overlay)

    def missed(self, code: str, what: str) -> None:
        """Remember once that something was not seen."""
        names = self.misses.setdefault(code, [])
        if _shown(what) not in names:
            names.append(_shown(what))

    def unseen(self) -> tuple[Unseen, ...]:
        """Return one record per kind of miss."""
        records = []
        for code, names in sorted(self.misses.items()):
            told = ", ".join(names[:_MAX_NAMES_TOLD]) + (", ..." if len(names) > _MAX_NAMES_TOLD else "")
            records.append(Unseen(code, len(names), f"which sysctl file wins is not certain, not read: {told}"))
        return tuple(records)

    def names(self, resolved: str, directory: str) -> list[str]:
        """Return the names in a directory; none when there is no such directory."""
        placed = [(*path.rpartition("/")[::2], content) for path, content in self._overlay.items()]
        laid = {name: content for parent, name, content in placed if parent == resolved}
        try:
            names = self.files.names(resolved)
        except (FileNotFoundError, NotADirectoryError):
            names = []
        except OSError:
            self.missed("sysctl_file_unreadable", directory)
            self.unlisted = directory
            names = []
        return [name for name in names if name not in laid] + [name for name in laid if laid[name] is not None]

    def is_regular(self, path: str) -> bool:
        """Whether a file stands at ``path`` once links are followed."""
        resolved = self.files.locate(path)
        if resolved in self._overlay:
            return self._overlay[resolved] is not None
        return self.files.is_regular(path)

    def content(self, file: _File) -> bytes | None:
        """Return what a file holds; ``None`` when it could not be read or when a dangling link stands there."""
        if file.resolved not in self._contents:
            self._contents[file.resolved] = self._read(file)
        return self._contents[file.resolved]

    def _read(self, file: _File) -> bytes | None:
        if file.resolved == _NOTHING:
            return b""
        try:
            data = self.files.read(file.resolved, _MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError:
            self.missed("sysctl_file_unreadable", file.path)
        else:
            if len(data) <= _MAX_FILE_BYTES:
                return data
            self.missed("sysctl_file_too_large", file.path)
        self.unread.add(file.resolved)
        return None


def sysctl_path(key: str) -> str:
    """Path below /proc/sys of a key in either spelling: ``net.ipv4.conf.v0/100.x`` is ``net/ipv4/conf/v0.100/x``.

    The first separator decides: after a dot, dots and slashes change places; after a slash all stay (sysctl.d(5)).
    """
    for character in key:
        if character == "/":
            break
        if character == ".":
            key = key.translate(_SWAP)
            break
    return "/".join(part for part in key.split("/") if part not in ("", "."))


def sysctl_key(path: str) -> str:
    """Dotted key of a path below /proc/sys, the reverse of :func:`sysctl_path`."""
    return path.translate(_SWAP)


def resolve(
    *, root: str = "/", keys: Iterable[str] = (), overlay: Mapping[str, bytes | None] | None = None
) -> Resolution:
    """Say which file and line decides each sysctl, at boot and on reload.

    Args:
        root: Where the host's file system is; links are followed inside it, never out of it.
        keys: Keys that the kernel has, in either spelling; only these are matched by glob assignments.
        overlay: Contents that are planned, by path on the host without a link in it; ``None``: no such file.

    Never raises: what could not be read is in ``unseen``, and ``certain`` is then false. Source: sysctl.d(5),
    sysctl(8), both loaders measured (systemd 247, 252, 257; procps 3.3.17, 4.0.2, 4.0.4). Credentials of
    systemd-sysctl are told, not read.
    """
    look = _Look(root, overlay)
    known = sorted({sysctl_path(key) for key in keys})
    boot_files = _visible(look, dot_files=False)
    reload_files = _visible(look, dot_files=True)
    if look.is_regular(_RELOAD_LAST):
        reload_files.append(_File(_RELOAD_LAST, look.files.locate(_RELOAD_LAST) or _RELOAD_LAST, ()))
    boot, overridden, by_glob = _boot(look, boot_files, known)
    boot_doubts = _doubts(look, boot_files, boot, by_glob)
    for path in _CREDENTIALS:
        if look.files.is_regular(path):
            look.missed("sysctl_credential_ignored", path)
            # Read after every file.
            boot_doubts = dict.fromkeys(boot_doubts, path)
    winners, by_glob = _reload(look, reload_files, known, old=_is_old_procps(look))
    unseen = look.unseen()
    # A hidden file decides nothing: failing to read it makes nothing uncertain.
    shadowed, masked = _hidden(look, boot_files)
    return Resolution(
        boot=boot,
        reload=winners,
        shadowed=shadowed,
        overridden=overridden,
        masked=masked,
        unseen=unseen,
        certain=not unseen,
        boot_doubts=boot_doubts,
        reload_doubts=_doubts(look, reload_files, winners, by_glob),
    )


def parse_file(content: bytes) -> list[tuple[str, Assignment]]:
    """Return the explicit assignments in one file's content, by dotted key; the file's name is empty."""
    return [
        (sysctl_key(line.key), Assignment(line.value, "", line.number))
        for line in _parse(content, procps=False)
        if line.value is not None and not line.glob
    ]


def assignments(keys: Collection[str], *, root: str = "/") -> list[tuple[str, Assignment]]:
    """Return every line that gives one of ``keys`` a value, in any file that either loader finds, hidden or not.

    Globs are no such lines. Of a file with several names each name is told. Never raises.
    """
    look = _Look(root)
    wanted = {sysctl_key(sysctl_path(key)) for key in keys}
    paths = [path for file in _visible(look, dot_files=True) for path in (file.path, *file.hides)]
    if _RELOAD_LAST not in paths and look.is_regular(_RELOAD_LAST):
        paths.append(_RELOAD_LAST)
    return [
        (key, line._replace(file=_shown(path)))
        for path in paths
        for key, line in parse_file(look.content(_File(path, look.files.locate(path) or path, ())) or b"")
        if key in wanted
    ]


def _visible(look: _Look, *, dot_files: bool) -> list[_File]:
    """Return the ``*.conf`` files that count, in the byte order of their base names."""
    found: dict[str, list[str]] = {}
    for directory in _DIRECTORIES:
        where = look.files.locate(directory)
        if where is None:
            continue
        for name in look.names(where, directory):
            if name.endswith(".conf") and (dot_files or not name.startswith(".")):
                found.setdefault(name, []).append(f"{directory}/{name}")
    files = []
    for name in sorted(found, key=os.fsencode)[:_MAX_FILES]:
        path, *hidden = found[name]
        files.append(_File(path, look.files.locate(path) or path, tuple(hidden)))
    if len(found) > _MAX_FILES:
        look.missed("sysctl_files_too_many", f"{len(found) - _MAX_FILES} files")
        look.unlisted = _DIRECTORIES[0]
    return files


def _boot(
    look: _Look, files: list[_File], known: list[str]
) -> tuple[dict[str, Assignment], dict[str, tuple[Assignment, ...]], set[str]]:
    """Apply the rules of systemd-sysctl: one value a key, explicit before glob, ``-key`` takes a key out.

    Returns the winners, the losers, and the keys whose winner is a glob.
    """
    options: dict[str, tuple[str | None, Assignment]] = {}
    candidates: dict[str, list[Assignment]] = {}
    for file in files:
        for line in _parse(look.content(file), procps=False):
            assignment = Assignment(line.value or "", _shown(file.path), line.number)
            # An equal value keeps its place in the order, which only globs can notice.
            if line.key in options and options[line.key][0] != line.value:
                del options[line.key]
            options[line.key] = (line.value, assignment)
            if line.value is not None:
                for path in _targets(line, known):
                    candidates.setdefault(path, []).append(assignment)
    winners: dict[str, Assignment] = {}
    for key, (value, assignment) in options.items():
        if value is None:
            continue
        if _is_glob(key):
            winners.update({path: assignment for path in known if path not in options and _matches(key, path)})
        else:
            winners[key] = assignment
    losers = {
        sysctl_key(path): tuple(one for one in lines if one != winners.get(path))
        for path, lines in candidates.items()
        if lines != [winners.get(path)]
    }
    by_glob = {sysctl_key(path) for path in winners.keys() - options.keys()}
    return {sysctl_key(path): winner for path, winner in winners.items()}, losers, by_glob


def _doubts(look: _Look, files: list[_File], winners: Mapping[str, Assignment], by_glob: set[str]) -> dict[str, str]:
    """Return which unread file may decide instead of each winner: a later one, or any where a glob wins."""
    unread = [(at, _shown(file.path)) for at, file in enumerate(files) if file.resolved in look.unread]
    first, last = (unread[0][1], unread[-1]) if unread else ("", (-1, ""))
    if look.unlisted:
        first, last = first or look.unlisted, (len(files), last[1] or look.unlisted)
    place = {_shown(file.path): at for at, file in enumerate(files)}
    later = {key: last[1] if key in by_glob or place[line.file] < last[0] else "" for key, line in winners.items()}
    return {"": first, **later}


def _is_old_procps(look: _Look) -> bool:
    """Whether the host's ``sysctl`` is of procps-ng 3.3, which has no globs; also 3.3 may have them patched in.

    Its own version number cannot tell that, but the words "command line" came into the program with the globs.
    """
    for path in _RELOAD_PROGRAMS:
        try:
            program = look.files.read(look.files.locate(path) or path, _MAX_PROGRAM_BYTES)
        except OSError:
            continue
        return b"procps-ng" in program and b"command line" not in program
    return False


def _reload(look: _Look, files: list[_File], known: list[str], *, old: bool) -> tuple[dict[str, Assignment], set[str]]:
    """Apply the rules of procps: every line in order, globs only to keys that no line names.

    An ``old`` procps knows no globs and skips a line without a value. Returns the winners and which are globs.
    """
    lines = [
        (line, Assignment(line.value or "", _shown(file.path), line.number))
        for file in files
        for line in _parse(look.content(file), procps=True)
        if not (old and (line.glob or not line.value))
    ]
    named = {line.key for line, __ in lines}
    winners: dict[str, Assignment] = {}
    for line, assignment in lines:
        if line.value is None:
            continue
        for path in _targets(line, known):
            if not line.glob or path not in named:
                winners[sysctl_key(path)] = assignment
    return winners, {key for key in winners if sysctl_path(key) not in named}


def _hidden(look: _Look, files: list[_File]) -> tuple[dict[str, tuple[Assignment, ...]], tuple[str, ...]]:
    """Return the explicit lines of hidden files by key, and the files that a mask hides."""
    shadowed: dict[str, list[Assignment]] = {}
    masked = []
    for file in files:
        mask = bool(file.hides) and look.content(file) == b""
        for path in file.hides:
            resolved = look.files.locate(path) or path
            if resolved == file.resolved:
                continue
            if mask:
                masked.append(_shown(path))
            for line in _parse(look.content(_File(path, resolved, ())), procps=False):
                if line.value is not None and not line.glob:
                    assignment = Assignment(line.value, _shown(path), line.number)
                    shadowed.setdefault(sysctl_key(line.key), []).append(assignment)
    return {key: tuple(lines) for key, lines in shadowed.items()}, tuple(masked)


def _parse(content: bytes | None, *, procps: bool) -> list[_Line]:
    """Split a file into assignments and ``-key`` exclusions; other lines are skipped as both loaders do.

    A zero byte or a carriage return ends a line for systemd; procps reads nothing between a zero byte and the end of
    the line (measured).
    """
    if content is None:
        return []
    blank = _PROCPS_BLANK if procps else _SYSTEMD_BLANK
    lines = []
    # Comments in old encodings must not hide the assignments beside them.
    whole = enumerate(content.decode("utf-8", "backslashreplace").split("\n"), start=1)
    parts = (
        (number, part)
        for number, raw in whole
        for part in ([raw.partition("\0")[0]] if procps else _SYSTEMD_ENDS.split(raw))
    )
    for number, raw in parts:
        text = raw.strip(blank)
        if not text or text[0] in "#;":
            continue
        name, equals, value = text.partition("=")
        minus = name.startswith("-")
        if not equals and not minus:
            continue
        # systemd also skips blanks behind the minus, procps takes them as part of the key (measured).
        name = name[1:] if minus else name
        key = sysctl_path(name.rstrip(blank) if procps else name.strip(blank))
        if key:
            lines.append(_Line(key, value.strip(blank) if equals else None, number, _is_glob(key)))
    return lines


def _targets(line: _Line, known: list[str]) -> list[str]:
    return [path for path in known if _matches(line.key, path)] if line.glob else [line.key]


def _is_glob(key: str) -> bool:
    return any(character in key for character in "*?[")


def _matches(pattern: str, path: str) -> bool:
    """Match like glob(7): a wildcard never crosses a slash."""
    wanted, parts = pattern.split("/"), path.split("/")
    if len(wanted) != len(parts):
        return False
    try:
        return all(fnmatch.fnmatchcase(part, want.replace("[^", "[!")) for part, want in zip(parts, wanted))
    except re.error:
        return False


def _shown(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")
