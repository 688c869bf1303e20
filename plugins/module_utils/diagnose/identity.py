# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which application a process is: the same string on every host that runs the same thing.

The first rule that applies: the container or workload; the systemd unit with its instance collapsed; for an
interpreter the script, module, jar or main class; else the executable's name. Never a pid, a port or a temporary path,
and no other word of the command line.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.program_name import (
    interpreter_of,
    plain_name,
    program_of,
)
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.redaction import redact_text
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.workload import (
    container_label,
    image_name,
    is_contained,
    unit_of,
)

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Process

__all__ = ["UNKNOWN_APP", "Identity", "identify"]

UNKNOWN_APP = "unknown program"

_TEMPORARY = re.compile(r"/(?:tmp|var/tmp|dev/shm|run/user/[0-9]+)/")
_MADE_UP = re.compile(r"(?:tmp|_MEI)|.*[0-9].*[A-Za-z].*[0-9]|.*\.[A-Za-z0-9]{6,10}\Z")
"""Names that mktemp and its like give."""


class Identity(NamedTuple):
    """Which application a process is, by the keys of an offender in the host report."""

    app: str
    kind: str
    """The rule that named it: ``container``, ``unit``, ``interpreter``, ``executable`` or ``unknown``."""
    unit: str | None
    """Systemd unit with the instance collapsed; ``None`` inside a container."""
    container: str | None
    """Short id of the container, else its name."""
    runtime: str | None
    """``java``, ``node``, ``python``, ``ruby``, ``php``, ``native`` or, if nothing is known, ``None``.

    ``go`` is never said here: a Go program is recognised by its build information, which is a file.
    """


def identify(process: Process) -> Identity:
    """Return the application of a process; pure, and as cheap as a few regular expressions."""
    base = _executable_name(process)
    interpreter = interpreter_of(base) if base else None
    runtime = interpreter.runtime if interpreter else process.runtime or ("native" if process.executable else None)
    contained = is_contained(process)
    unit = None if contained else unit_of(process.cgroup)
    container = container_label(process) if contained else None
    app: str | None = None
    kind = "container"
    if contained:
        app = process.container_name or image_name(process.container_image)
    elif unit:
        app, kind = unit, "unit"
    if not app and interpreter:
        app, kind = program_of(interpreter, process.arguments or ()), "interpreter"
    if not app:
        name = interpreter.name if interpreter and interpreter.name != "shell" else base
        app, kind = (name, "executable") if name else (UNKNOWN_APP, "unknown")
    return Identity(_safe(app), kind, _safe(unit) if unit else None, _safe(container) if container else None, runtime)


def _executable_name(process: Process) -> str | None:
    """Return the executable's base name, or the process's own name where the executable cannot be read or named."""
    path = process.executable or ""
    base = path.rsplit("/", 1)[-1]
    temporary = bool(_TEMPORARY.match(path))
    if base and not (temporary and _MADE_UP.match(base)):
        name = plain_name(base)
        if name:
            return name
    comm = process.comm or ""
    if temporary and (_MADE_UP.match(comm) or (comm and base.startswith(comm))):
        return None
    return plain_name(comm)


def _safe(text: str) -> str:
    """Names of containers and units are chosen freely: no control character, no secret in them either."""
    return clean_text(redact_text(text), 128)
