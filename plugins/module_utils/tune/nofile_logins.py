# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptor limits of logins: who wins in limits.conf and limits.d as pam_limits reads them, and our drop-in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.login_limits import (
    LIMITS_CONF,
    LimitLine,
    parse_limits_file,
    read_limit_lines,
)
from ansible_collections.lastack.linux.plugins.module_utils.observe.rooted_files import RootedFiles
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_wishes import HEADER, Limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "DROPIN",
    "Domain",
    "LimitLine",
    "Winners",
    "dropin_text",
    "pam_reads_limits",
    "parse_limits_file",
    "read_domain",
    "read_limit_lines",
    "why_no_domain",
    "why_nobody",
    "winners",
    "with_ours",
]

DROPIN = "/etc/security/limits.d/90-lastack.conf"

_MAX_BYTES = 1 << 20
# What useradd(8) and directories of users allow; no blank, "#", ":" or "%", which mean something else to pam_limits.
_DOMAIN = re.compile(r"\*|@?[A-Za-z0-9_][A-Za-z0-9_.+\\@-]{0,200}\$?")
_RANGE = re.compile(r"(@?)([0-9]{0,10}):([0-9]{0,10})")
# Fields of a line of passwd(5) and group(5).
_COMPLETE = 4
# Sources of nsswitch.conf(5) that know no more logins of people than the files do.
_FILE_SOURCES = frozenset({"files", "compat", "systemd"})
# The sources of pam_limits, the strongest first (LIMITS_DEF_USER and so on).
_USER, _GROUP, _DEFAULT = 0, 1, 4


class Domain(NamedTuple):
    """Whom a name of limits.conf(5) means, as far as the files of the host tell."""

    name: str
    """A user, ``@group`` or ``*``."""
    uid: int | None = None
    gids: tuple[int, ...] = ()
    """The primary one first."""
    groups: frozenset[str] = frozenset()


class Winners(NamedTuple):
    """The lines that decide; ``None`` where none does."""

    soft: LimitLine | None
    hard: LimitLine | None
    exempt: LimitLine | None = None
    """A line that takes all limits of these files from the login."""

    @property
    def limits(self) -> Limits:
        """What they set."""
        return Limits(self.soft.soft if self.soft else None, self.hard.hard if self.hard else None)


def why_no_domain(name: str) -> str:
    """Return why a name cannot stand in limits.d, one sentence; empty if it can."""
    if _DOMAIN.fullmatch(name):
        return ""
    return f"{name[:80]!r} is neither a user nor @group nor *."


def dropin_text(wanted: Mapping[str, Limits]) -> bytes | None:
    """Return our file for these domains, sorted; ``None`` for none."""
    if not wanted:
        return None
    lines = [
        f"{HEADER}, which removes it with state=absent or state=restored.",
        "# Read by pam_limits at login; services never see it.",
    ]
    for domain, limits in sorted(wanted.items()):
        lines += [f"{domain} soft nofile {limits.soft}"] if limits.soft is not None else []
        lines += [f"{domain} hard nofile {limits.hard}"] if limits.hard is not None else []
    return "\n".join([*lines, ""]).encode("ascii")


def with_ours(lines: Iterable[LimitLine], ours: Iterable[LimitLine]) -> list[LimitLine]:
    """Return the lines in the order of pam_limits with our file's replaced by ``ours``."""
    others = [line for line in lines if line.file != DROPIN]
    later = [line.file != LIMITS_CONF and line.file.encode() > DROPIN.encode() for line in others]
    place = later.index(True) if True in later else len(others)
    return [*others[:place], *ours, *others[place:]]


def winners(lines: Iterable[LimitLine], domain: Domain, *, is_debian: bool) -> Winners:
    """Return which lines decide for a domain: a user's before a group's before ``*``, and of one kind the last.

    Debian's pam_limits gives root only the lines that name root (its limits.conf(5)). For a group or ``*`` it is what
    a member without a line of their own gets.
    """
    best: dict[str, tuple[int, LimitLine]] = {}
    for line in lines:
        source = _source(line.domain, domain)
        if source is None or (is_debian and domain.uid == 0 and source != _USER):
            continue
        if line.soft is None and line.hard is None and source != _DEFAULT:
            return Winners(None, None, exempt=line)
        for side, value in (("soft", line.soft), ("hard", line.hard)):
            if value is None:
                continue
            if side in best and best[side][0] < source:
                # A "-" line whose soft limit loses is dropped with its hard limit (process_limit in pam_limits.c).
                break
            best[side] = (source, line)
    return Winners(best["soft"][1] if "soft" in best else None, best["hard"][1] if "hard" in best else None)


def read_domain(name: str, *, root: str = "/") -> Domain:
    """Return whom a name means by /etc/passwd and /etc/group alone: a name service may hang. Never raises."""
    if name == "*":
        return Domain(name)
    groups = _table("/etc/group", root)
    if name.startswith("@"):
        gids = tuple(int(row[2]) for row in groups if row[0] == name[1:] and row[2].isdigit())
        return Domain(name, gids=gids[:1], groups=frozenset({name[1:]}))
    users = [row for row in _table("/etc/passwd", root) if row[0] == name and row[2].isdigit() and row[3].isdigit()]
    if not users:
        return Domain(name)
    primary = int(users[0][3])
    mine = [row for row in groups if row[2].isdigit() and (int(row[2]) == primary or name in row[3].split(","))]
    gids = (primary, *(int(row[2]) for row in mine if int(row[2]) != primary))
    return Domain(name, uid=int(users[0][2]), gids=gids, groups=frozenset(row[0] for row in mine))


def why_nobody(name: str, *, root: str = "/") -> str:
    """Return why a name means nobody here, one sentence; empty if it does, or if a name service may know them.

    By the files alone (nsswitch.conf(5)), as :func:`read_domain`. Never raises.
    """
    if name == "*":
        return ""
    kind, table, plain = ("group", "group", name[1:]) if name.startswith("@") else ("user", "passwd", name)
    known = [row[0] for row in _table(f"/etc/{table}", root)]
    if not known or plain in known or not _only_files(table, root):
        return ""
    return f"{name} is no {kind} of this host (/etc/{table}); its limit counts for nobody."


def _only_files(table: str, root: str) -> bool:
    files = RootedFiles(root)
    try:
        path = "/etc/nsswitch.conf"
        text = files.read(files.locate(path) or path, _MAX_BYTES).decode("utf-8", "backslashreplace")
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
    lines = [line.partition("#")[0].partition(":") for line in text.split("\n")]
    sources = [word for name, __, rest in lines if name.strip() == table for word in rest.split()]
    return all(word in _FILE_SOURCES or word.startswith("[") or word.endswith("]") for word in sources)


def pam_reads_limits(*, root: str = "/") -> bool:
    """Whether any service of PAM uses pam_limits: without it no login gets what these files say."""
    files = RootedFiles(root)
    for folder in ("/etc/pam.d", "/usr/lib/pam.d"):
        try:
            names = files.names(files.locate(folder) or folder)
        except OSError:
            continue
        for name in names:
            try:
                text = files.read(files.locate(f"{folder}/{name}") or "", _MAX_BYTES)
            except (OSError, ValueError):
                continue
            if any(b"pam_limits" in line.partition(b"#")[0] for line in text.split(b"\n")):
                return True
    return False


def _source(written: str, domain: Domain) -> int | None:
    """Return how strongly a line's domain means ours; ``None`` for not at all."""
    if written == domain.name:
        return _USER if domain.name[0] not in "@*" else _GROUP if domain.name != "*" else _DEFAULT
    if written == "*":
        return _DEFAULT
    if written.startswith("@") and written[1:] in domain.groups:
        return _GROUP
    match = _RANGE.fullmatch(written)
    if not match or not (match.group(2) or match.group(3)):
        return None
    if match.group(1):
        return _GROUP if _in_range(match, domain.gids[:1], domain.gids) else None
    return _USER if domain.uid is not None and _in_range(match, (domain.uid,), (domain.uid,)) else None


def _in_range(match: re.Match[str], for_range: Sequence[int], for_one: Sequence[int]) -> bool:
    low, high = match.group(2), match.group(3)
    if not low:
        return int(high) in for_one
    return any(int(low) <= number and (not high or number <= int(high)) for number in for_range)


def _table(path: str, root: str) -> list[list[str]]:
    files = RootedFiles(root)
    try:
        text = files.read(files.locate(path) or path, 4 * _MAX_BYTES).decode("utf-8", "backslashreplace")
    except OSError:
        return []
    rows = [line.split(":") for line in text.split("\n")]
    return [row for row in rows if len(row) >= _COMPLETE]
