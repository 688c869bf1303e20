# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program of a sweep on a host: it makes the modules importable from memory, looks once and writes the answer.

Its source runs by ``exec`` before anything of the collection can be imported, so its own imports come late.
"""

from __future__ import annotations

import json
import os
import sys
import time
import zlib
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

__all__ = ["NOTHING_SAID", "SAID", "SourcesInMemory", "main", "sweep_options"]

SAID = 86
"""Exit status after an error that the answer tells: no other Python on the host can do better."""
NOTHING_SAID = 0
_OUTPUT = 1
_MOST_DETAIL = 400


class SourcesInMemory:
    """Finds and runs the modules of one collection from their sources (importlib's finder and loader protocols).

    Nothing is looked up on the host's disk for them, and nothing is written there.
    """

    def __init__(self, sources: Mapping[str, str]) -> None:
        """Take the source of each module by its dotted name; every name before a dot is an empty package."""
        self._sources = sources
        names = [name.split(".") for name in sources]
        self._packages = {".".join(parts[:depth]) for parts in names for depth in range(1, len(parts))}

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:  # noqa: ANN401, ARG002 - the protocol of sys.meta_path
        """Return the spec of a module of ours, or None."""
        package = name in self._packages
        if not package and name not in self._sources:
            return None
        # importlib.abc.Loader as a base would only cost another import.
        return ModuleSpec(name, self, origin="lastack", is_package=package)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:  # noqa: ARG002 - the protocol of a loader
        """Leave the making of the module to Python."""
        return

    def exec_module(self, module: ModuleType) -> None:
        """Run the source of the module."""
        source = self._sources.get(module.__name__)
        if source is not None:
            exec(compile(source, module.__name__, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - it is the loader


def sweep_options(options: Mapping[str, Any]) -> Any:  # noqa: ANN401 - its type can be imported only late
    """Return the ``Options`` of a look from their JSON; raises ``TypeError`` for an option that there is none of."""
    from ansible_collections.lastack.linux.plugins.module_utils.options import Options  # noqa: PLC0415 - see the top

    given = dict(options)
    if "gather" in given:
        given["gather"] = tuple(given["gather"])
    return Options(**{**given, "collector": "sweep"})


def main(marker: str, request: Mapping[str, Any]) -> int:
    """Look as ``request`` asks, write the answer to standard output, return the exit status.

    ``request`` has the sources by dotted name (``modules``) and the ``options`` of the look. The answer is a line
    ``MARKER answer LENGTH SECONDS``, with the host's clock in seconds since 1970, and so many bytes of zlib'd JSON;
    or a line ``MARKER error CODE SENTENCE``.
    """
    # A working directory may be a mount that somebody wants to take away.
    os.chdir("/")
    # Start files of shells may have left it as they like.
    os.set_blocking(_OUTPUT, True)
    sys.meta_path.insert(0, SourcesInMemory(request["modules"]))
    try:
        answer, status = _answer(marker, request["options"]), NOTHING_SAID
    except Exception as error:  # noqa: BLE001 - whatever it is, the person who sweeps must be told
        answer, status = _refusal(marker, error), SAID
    try:
        _write(_OUTPUT, answer)
    except OSError:
        # Nobody listens any more.
        return SAID
    return status


def _answer(marker: str, options: Mapping[str, Any]) -> bytes:
    from ansible_collections.lastack.linux.plugins.module_utils.report import (  # noqa: PLC0415 - see the top
        collect_report,
    )

    report = collect_report(sweep_options(options))
    data = zlib.compress(json.dumps(report, separators=(",", ":")).encode("ascii"))
    return f"\n{marker} answer {len(data)} {time.time():.0f}\n".encode("ascii") + data


def _refusal(marker: str, error: Exception) -> bytes:
    code, where = "look", ""
    if type(error).__name__ == "OptionsError":
        code, detail = "options", str(error)
    elif isinstance(error, OSError):
        detail = f"the host's TCP state cannot be read: {error}"
    else:
        code = "program"
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        if frame is not None:
            where = f" ({frame.tb_frame.f_code.co_filename.rpartition('.')[2]}, line {frame.tb_lineno})"
        detail = f"{type(error).__name__}: {error}"
    text = " ".join(detail.split())[:_MOST_DETAIL] + where
    return f"\n{marker} error {code} ".encode("ascii") + text.encode("ascii", "backslashreplace") + b"\n"


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
