# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a package holds, and what it may not hold: wheel, sdist and the collection's tarball."""

from __future__ import annotations

import re
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["ALLOWED", "PREFIX", "Member", "differences", "faults", "read_archive"]

PREFIX = "ansible_collections/lastack/linux/"
"""Where the wheel keeps the collection."""

_COLLECTION = frozenset({"agent", "bindep.txt", "meta", "playbooks", "plugins", "requirements.txt", "roles", "sweep"})
_TEXTS = frozenset({"CHANGELOG.rst", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md"})

ALLOWED: dict[str, frozenset[str]] = {
    "wheel": _COLLECTION | {"galaxy.yml"},
    "sdist": _COLLECTION | _TEXTS | {".gitignore", "PKG-INFO", "galaxy.yml", "pyproject.toml"},
    "collection": _COLLECTION
    | _TEXTS
    | {"FILES.json", "MANIFEST.json", "changelogs", "docs", "extensions", "tcp-audit.yml"},
}
"""The first part of every name below the package's own folder: what is new at the root must be decided upon."""

_NEVER_PARTS = frozenset(
    {"__pycache__", "build", "collections", "dist", "htmlcov", "lastack-runs", "molecule", "node_modules", "tests"}
)
_NEVER_NAMES = re.compile(
    r"\.(?:pyc|pyo|swp|orig|rej|retry|log|pem|key|p12|pfx|jks|kdbx|tar|gz|whl|egg-info)$"
    r"|^(?:test_.*|.*_test|conftest)\.py$|~$|^id_(?:rsa|dsa|ecdsa|ed25519)|vault.?pass"
)

_CONTENT: dict[str, re.Pattern[bytes]] = {
    "a private key": re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY|PuTTY-User-Key-File-\d"),
    "the path of a home": re.compile(rb"(?<![\w.~$})-])/(?:(?:home|Users)/[\w.-]+|root/[\w.-])"),
    "a token": re.compile(
        rb"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|glpat-[\w-]{20,}|xox[abeoprs]-[\w-]{12,}"
        rb"|(?:AKIA|ASIA)[A-Z0-9]{16}\b|AIza[\w-]{30,}|npm_[A-Za-z0-9]{30,}|hf_[A-Za-z0-9]{30,}|hv[sb]\.[\w-]{24,}"
        rb"|pypi-[\w-]{40,}|eyJ[\w-]{16,}\.eyJ[\w-]{16,}\.)"
    ),
    "a password in a URL": re.compile(rb"[a-z]://[\w.%+-]+:[^\s/@\"'`<>{}]+@[\w.\[-]"),
}


class Member(NamedTuple):
    """One entry of an archive; the content of what is no file is empty."""

    kind: str
    """``file``, ``folder``, or ``link`` for everything that points elsewhere or is a device."""
    content: bytes = b""


def read_archive(path: Path) -> dict[str, Member]:
    """Return every entry of a wheel or a gzipped tarball by its name; the order is the archive's."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            # The upper half of a zip entry's attributes is st_mode; 0o12 is a symbolic link.
            return {
                one.filename: Member("link")
                if one.external_attr >> 28 == 0o12
                else Member("folder" if one.is_dir() else "file", archive.read(one))
                for one in archive.infolist()
            }
    members = {}
    with tarfile.open(path) as tarball:
        for one in tarball:
            file = tarball.extractfile(one) if one.isfile() else None
            kind = "file" if file else "folder" if one.isdir() else "link"
            members[one.name] = Member(kind, file.read() if file else b"")
    return members


def _inner(package: str, name: str) -> str | None:
    """Return a name below the package's own folder, or ``None`` if it is the format's own."""
    if package == "wheel":
        if re.match(r"lastack-[^/]+\.dist-info/", name):
            return None
        return name.removeprefix(PREFIX)
    return name.partition("/")[2] if package == "sdist" else name


def _name_faults(package: str, name: str) -> Iterable[str]:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        yield f"{name} leaves its folder"
    inner = _inner(package, name)
    if not inner:
        return
    parts = PurePosixPath(inner).parts
    if parts[0] not in ALLOWED[package]:
        yield f"{name} belongs to the clone only, or somebody has to allow it"
    hidden = any(part.startswith(".") for part in parts) and inner not in ALLOWED[package]
    if hidden or _NEVER_PARTS & set(parts) or _NEVER_NAMES.search(parts[-1]):
        yield f"{name} is a test, a cache, a leftover or a key"


def faults(package: str, members: Mapping[str, Member], own_paths: Iterable[str] = ()) -> list[str]:
    """Return one sentence for each thing that a package may not hold; an empty list is what it should be.

    ``package`` is ``wheel``, ``sdist`` or ``collection``; ``own_paths`` are folders of the building machine.
    """
    found: list[str] = []
    own = [path.encode() for path in own_paths]
    for name, member in members.items():
        found += _name_faults(package, name)
        if member.kind == "link":
            found.append(f"{name} is a link or a device")
        found += [f"{name} holds {what}" for what, pattern in _CONTENT.items() if pattern.search(member.content)]
        found += [f"{name} holds a path of the machine that built it" for path in own if path in member.content]
    return found


def differences(first: Mapping[str, Member], second: Mapping[str, Member]) -> list[str]:
    """Return one sentence for each name that only one archive has, or that has another content in the second."""
    found: list[str] = [f"only the first has {name}" for name in sorted(set(first) - set(second))]
    found += [f"only the second has {name}" for name in sorted(set(second) - set(first))]
    return found + [f"{name} differs" for name in sorted(set(first) & set(second)) if first[name] != second[name]]
