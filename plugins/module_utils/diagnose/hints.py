# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``close_wait.offenders[].hints``: which libraries the leaking processes have loaded, what they run, where they log.

Evidence, never certainty: a loaded library need not be the one that leaks, and many cannot be seen at all.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.libraries import (
    ASSEMBLIES,
    EXECUTABLES,
    GEMS,
    GO_MODULES,
    JARS,
    LIBCURL,
    LIBRARIES,
    NODE_PACKAGES,
    PERL_MODULES,
    PHP_CURL,
    PHP_EXTENSIONS,
    PYTHON_PACKAGES,
    RUBY_FILES,
    SCRIPTS,
    SHARED_OBJECTS,
    Library,
)
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.program_name import interpreter_of, program_path
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.redaction import redact_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ansible_collections.lastack.linux.plugins.module_utils.observe.loaded_files import LoadedFiles
    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Process

__all__ = ["add_hints", "libraries_of", "pids_worth_a_hint"]

_PROCESSES = 3
_LIBRARIES = 8
_PAGES = 3
_LOG_FILES = 3
_PROGRAM_LENGTH = 512
_LOG_LENGTH = 256

# Every pattern is tried at few places only: the paths are chosen by whoever runs the process.
_BEFORE_VERSION = re.compile(r"[-_]v?(?=[0-9])")
_VERSION = re.compile(
    r"[0-9]{1,8}(?:\.[0-9]{1,8}){0,3}(?:\.(?:Final|RELEASE|GA|jre[0-9]{1,2}|v[0-9]{8}))?"
    r"(?:-(?:jre|android|SNAPSHOT|rc|RC|beta|alpha|M)[0-9.]{0,4})?"
)
_STEM = re.compile(r"[A-Za-z0-9_]*")
_SHARED_OBJECT = re.compile(r"lib([A-Za-z0-9_+]{1,64})[.-]")
_GO_MAJOR = re.compile(r"/v[0-9]{1,4}\Z")

_ORDER = {library.name: position for position, library in reversed(list(enumerate(LIBRARIES)))}


class _Sighting(NamedTuple):
    """A library, and what showed it."""

    library: Library
    version: str | None
    seen: str


def pids_worth_a_hint(offenders: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the processes whose loaded files can say something of the offenders, the worst first, three of each."""
    return [pid for offender in offenders for pid in offender["pids"][:_PROCESSES]]


def add_hints(
    offenders: Sequence[Mapping[str, Any]],
    loaded: Mapping[int, LoadedFiles],
    processes: Mapping[int, Process],
    *,
    redact: bool,
) -> list[dict[str, Any]]:
    """Return the offenders with ``hints``, and with the pages of what was found in ``advice`` before the runtime's.

    ``hints`` is ``None`` where no process of the offender could be looked at.
    """
    return [_with_hints(offender, loaded, processes, redact=redact) for offender in offenders]


def _with_hints(
    offender: Mapping[str, Any], loaded: Mapping[int, LoadedFiles], processes: Mapping[int, Process], *, redact: bool
) -> dict[str, Any]:
    found = [(loaded[pid], processes[pid]) for pid in offender["pids"][:_PROCESSES] if pid in loaded]
    if not found:
        return {**offender, "hints": None}
    sightings = libraries_of([sighting for files, process in found for sighting in _sightings(files, process)])
    programs = [program for __, process in found if (program := _program(process))]
    logs = dict.fromkeys(path for files, __ in found for path in files.log_files)

    def safe(text: str, limit: int) -> str:
        return clean_text(redact_text(text) if redact else text, limit)

    hints = {
        "libraries": [
            {"name": one.library.name, "version": one.version, "seen": one.seen, "page": one.library.page}
            for one in sightings
        ],
        "program": safe(programs[0], _PROGRAM_LENGTH) if programs else None,
        "log_files": [safe(path, _LOG_LENGTH) for path in list(logs)[:_LOG_FILES]],
    }
    return {**offender, "hints": hints, "advice": _advice(offender, sightings)}


def libraries_of(sightings: Sequence[_Sighting]) -> list[_Sighting]:
    """Return each library once, those with a page first, without what others of them brought along; at most eight."""
    known: dict[tuple[str, str | None], _Sighting] = {}
    for one in sightings:
        known.setdefault((one.library.name, one.version), one)
    named = {name for name, version in known if version is not None}
    covered = {name for one in known.values() for name in one.library.covers}
    kept = [
        one
        for (name, version), one in known.items()
        # A jar without a version beside one with it is no second library.
        if name not in covered and (version is not None or name not in named)
    ]
    kept.sort(key=lambda one: (one.library.page is None, _ORDER[one.library.name], one.version or ""))
    return kept[:_LIBRARIES]


def _advice(offender: Mapping[str, Any], sightings: Sequence[_Sighting]) -> list[str]:
    """Put the libraries' pages before the runtime's; a client library's is no remedy for connections from outside."""
    role = offender["role"]
    pages = dict.fromkeys(
        one.library.page
        for one in sightings
        if one.library.page
        and (role == "mixed" or (one.library.calls and role == "client") or (one.library.serves and role == "server"))
    )
    runtimes = [page for page in offender["advice"] if page.startswith("runtime.")]
    others = [page for page in offender["advice"] if page not in runtimes]
    return [*others, *list(pages)[:_PAGES], *runtimes]


def _program(process: Process) -> str | None:
    interpreter = interpreter_of((process.executable or "").rpartition("/")[2])
    return program_path(interpreter, process.arguments or ()) if interpreter else None


def _sightings(files: LoadedFiles, process: Process) -> Iterator[_Sighting]:
    executable = (process.executable or "").rpartition("/")[2]
    interpreter = interpreter_of(executable)
    yield from _looked_up(EXECUTABLES, executable, None, "executable")
    script = (_program(process) or "").rpartition("/")[2]
    yield from _looked_up(SCRIPTS, script.removesuffix(".__main__"), None, "script")
    for path in dict.fromkeys((*files.archives, *files.mapped)):
        for one in _of_file(path):
            php = one.library == LIBCURL and interpreter is not None and interpreter.runtime == "php"
            # PHP's images have the extension compiled in: only the library under it is a file.
            yield one._replace(library=PHP_CURL) if php else one
    for module in files.go_modules:
        name = module.path if module.path in GO_MODULES else _GO_MAJOR.sub("", module.path)
        yield from _looked_up(GO_MODULES, name, (module.version or "").removeprefix("v"), "go_module")


def _of_file(path: str) -> Iterator[_Sighting]:
    parts = path.split("/")
    base = parts[-1]
    if base.endswith((".jar", ".war")):
        artifact, version = _versioned(base[:-4])
        # OSGi bundles carry the group before the artifact.
        short = artifact.rpartition(".")[2]
        yield from _looked_up(JARS, artifact if artifact in JARS else short, version, "jar")
    elif base.endswith(".dll"):
        yield from _looked_up(ASSEMBLIES, base[:-4], None, "mapped_file")
    elif base.endswith(".node"):
        yield from _looked_up(NODE_PACKAGES, _node_package(parts), None, "mapped_file")
    else:
        extension = list(_extension(parts))
        plain = _SHARED_OBJECT.match(base)
        if extension:
            yield from extension
        elif plain:
            yield from _looked_up(SHARED_OBJECTS, plain[1], None, "mapped_file")


def _extension(parts: Sequence[str]) -> Iterator[_Sighting]:
    """Give what the places where runtimes keep compiled extensions say."""
    stem = _stem(parts[-1])
    if package := _after(parts, "site-packages") or _after(parts, "dist-packages"):
        # A folder, a single module, or the folder of what a wheel brings along (``psycopg_binary.libs``).
        yield from _looked_up(PYTHON_PACKAGES, _stem(package), None, "mapped_file")
    elif gem := _after(parts, "extensions", 3) or _after(parts, "gems"):
        yield from _looked_up(GEMS, *_versioned(gem), "mapped_file")
    elif "vendor_ruby" in parts or "site_ruby" in parts:
        yield from _looked_up(GEMS, RUBY_FILES.get(stem, ""), None, "mapped_file")
    elif "auto" in parts:
        yield from _looked_up(PERL_MODULES, "::".join(parts[parts.index("auto") + 1 : -1]), None, "mapped_file")
    elif any(part.startswith("php") for part in parts[:-1]):
        yield from _looked_up(PHP_EXTENSIONS, stem, None, "mapped_file")


def _stem(name: str) -> str:
    found = _STEM.match(name)
    return found.group() if found else ""


def _after(parts: Sequence[str], folder: str, steps: int = 1) -> str:
    """Return the part that stands so many steps behind the last ``folder`` of a path; empty if there is none."""
    for position in range(len(parts) - steps - 1, -1, -1):
        if parts[position] == folder:
            return parts[position + steps]
    return ""


def _node_package(parts: Sequence[str]) -> str:
    name = _after(parts, "node_modules")
    return f"{name}/{_after(parts, 'node_modules', 2)}" if name.startswith("@") else name


def _versioned(name: str) -> tuple[str, str | None]:
    """Split ``httpclient-4.5.14``."""
    found = _BEFORE_VERSION.search(name)
    return (name[: found.start()], name[found.end() :]) if found else (name, None)


def _looked_up(table: Mapping[str, Library], name: str, version: str | None, seen: str) -> Iterator[_Sighting]:
    library = table.get(name)
    if library is not None:
        number = _VERSION.match(version or "")
        yield _Sighting(library, number.group() if number else None, seen)
